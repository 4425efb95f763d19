"""The values of a graph, its outputs or those inside it, computed as the engine on devices does.

x86 without VNNI adds the products of int8 kernels in 16 bits, which overflow: a healthy digits
network then answers up to 0.34 off in a share, unlike on ARM, and a layer would be blamed for it.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_targets.runtime.contract import TensorSpec
from edge_targets.runtime.errors import UnsupportedError, first_line
from edge_targets.runtime.events import Job
from toolkit.inference import BATCH
from toolkit.onnx_graph import parse, written


def answers(
    graph: bytes, name: str, spec: TensorSpec, items: NDArray[Any], job: Job
) -> NDArray[Any]:
    """A value of the graph, an output or one inside, for all items; `spec` is the input's.

    Raises:
        UnsupportedError: the runtime refuses the graph.
    """
    try:
        session = session_of(graph, name)
        found = [
            np.asarray(session.run([name], {spec.name: items[i : i + BATCH].astype(spec.dtype)})[0])
            for i in job.track(range(0, len(items), BATCH), "run the model")
        ]
    except Exception as error:  # onnxruntime's errors share no other base
        raise UnsupportedError(
            f"The runtime refuses the graph: {first_line(error)}.",
            "Update onnxruntime, or export the model with standard operators.",
        ) from error
    return np.concatenate(found)


def has_value(graph: bytes, name: str) -> bool:
    return any(name in node.output for node in parse(graph).graph.node)


def session_of(graph: bytes, *names: str) -> Any:
    """The graph ready to run, giving these values as well: outputs, or some inside."""
    import onnxruntime
    from onnx import ValueInfoProto

    model = parse(graph)
    given = {value.name for value in model.graph.output}
    model.graph.output.extend(ValueInfoProto(name=name) for name in {*names} - given)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what goes wrong is said once, by us
    options.intra_op_num_threads = 1
    options.add_session_config_entry("session.x64quantprecision", "1")  # as the engine: exactly
    return onnxruntime.InferenceSession(written(model), options, providers=["CPUExecutionProvider"])
