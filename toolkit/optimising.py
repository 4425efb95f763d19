"""Make a graph smaller and faster without changing what it answers.

Every step is tried on the whole graph, compared with the graph as it came, and thrown away where
it breaks something or brings nothing. So an optimiser may be wrong at times, as all have been.

onnxslim was measured beside these steps (benchmarks/bench_onnx.py --slim): alone it leaves no graph
of torch's exporter smaller, takes longer, and brings packages of its own. It is not needed.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from edge_targets.runtime.contract import Signature
from edge_targets.runtime.errors import UnsupportedError, first_line
from edge_targets.runtime.events import Job
from toolkit.anatomy import WEIGHT, weighted_nodes
from toolkit.equivalence import Equivalence
from toolkit.formats.base import Samples, Written
from toolkit.onnx_graph import OPSET, clean, decode, nodes_of, parse, written
from toolkit.sizes import drop_dead, settled

LARGEST = 1 << 24  # bytes of a constant that is worked out beforehand: weights, turned about
FEWER = 1.01, 256  # so many times the bytes, and so many bytes more, may fewer nodes cost


@dataclass(frozen=True)
class Optimiser:
    """One step: gives a new graph, and leaves its own alone."""

    title: str
    apply: Callable[[Any], Any]


def folded(model: Any) -> Any:
    """Constants, batch normalization and what cancels out, by onnxscript's optimiser.

    It stores equal values once. With the integers of a quantized graph the runtime, asked for
    exact sums, then refuses the graph: these stay as they are.
    """
    from onnxscript import optimizer

    if any(node.op_type == "QuantizeLinear" for node in model.graph.node):
        return model
    limits = {"input_size_limit": LARGEST, "output_size_limit": LARGEST}
    return with_names(optimizer.optimize(model, **limits), model)


def with_names(model: Any, before: Any) -> Any:
    """The model, in place, with the layer's name on weights that folding has made anew."""
    names = {
        node.output[0]: tensor.name
        for node, tensor in weighted_nodes(before)
        if WEIGHT in tensor.name
    }
    taken = {tensor.name for tensor in model.graph.initializer}
    for node, tensor in list(weighted_nodes(model)):
        name = names.get(node.output[0], "")
        if not name or name in taken or WEIGHT in tensor.name:
            continue
        for other in nodes_of(model.graph):
            for i, given in enumerate(other.input):
                other.input[i] = name if given == tensor.name else given
        tensor.name = name
        taken.add(name)
    return model


def shared(model: Any) -> Any:
    """Equal values stored once; a layer's weights stay its own, for they carry its name.

    So do the integers of a quantized graph; see `folded`.
    """
    import onnx

    found = onnx.ModelProto()
    found.CopyFrom(model)
    first: dict[bytes, str] = {}
    renamed: dict[str, str] = {}
    outside = {value.name for value in found.graph.output}
    for tensor in found.graph.initializer:
        if WEIGHT in tensor.name or tensor.name in outside or is_quantized(tensor):
            continue
        kept, tensor.name = tensor.name, ""
        content = tensor.SerializeToString(deterministic=True)
        tensor.name = kept
        renamed[kept] = first.setdefault(content, kept)
    for node in nodes_of(found.graph):
        for i, name in enumerate(node.input):
            node.input[i] = renamed.get(name, name)
    return found


def is_quantized(tensor: Any) -> bool:
    from onnx import TensorProto

    return tensor.data_type in {TensorProto.INT8, TensorProto.UINT8, TensorProto.INT32}


OPTIMISERS = (
    Optimiser("share equal values", shared),
    Optimiser("settle sizes", settled),
    Optimiser("fold", folded),
)


def optimised(
    graph: bytes,
    signature: Signature,
    samples: Samples | None,
    job: Job,
    opset: int = OPSET,
    optimisers: Sequence[Optimiser] = OPTIMISERS,
) -> Written:
    """The graph, clean and as small as the steps get it; the notes say what they did.

    Args:
        samples: items to compare on, by input; seeded noise without.
        opset: the newest that whoever runs the file reads.

    Raises:
        UnsupportedError: the graph cannot be said in that opset.
    """
    message, steps = "write ONNX", len(optimisers) + 1
    job.step(message, 0, steps)
    best = written(tidy(parse(graph)))
    original = Equivalence(best, signature, samples)
    notes = []
    for i, step in enumerate(optimisers):
        best, note = tried(step, best, original)
        notes += [note] if note else []
        job.step(message, i + 1, steps)
    if version_of(original.model) > opset:
        best = lowered(best, opset, original)
        notes.append(f"Written in opset {opset}.")
    job.step(message, steps, steps)
    return Written(best, tuple(notes))


def tried(step: Optimiser, graph: bytes, original: Equivalence) -> tuple[bytes, str]:
    """The graph after a step, or as it was; and what is to be said of that."""
    before = parse(graph)
    try:
        found = written(tidy(step.apply(before)))
    except Exception as error:  # noqa: BLE001 - whatever it is, the graph before is good
        return graph, f"Without the step {step.title!r}: it failed ({first_line(error)})."
    nodes = len(before.graph.node), len(decode(found).graph.node)
    if not better(nodes, (len(graph), len(found))):
        return graph, ""
    if why := original.fault(found):
        return graph, f"Without the step {step.title!r}: {why}."
    if nodes[0] == nodes[1]:
        return found, f"{step.title}: {len(graph) - len(found):,} bytes less."
    return found, f"{step.title}: {nodes[0]} nodes became {nodes[1]}."


def better(nodes: tuple[int, int], sizes: tuple[int, int]) -> bool:
    """Whether a step brought anything: fewer nodes or fewer bytes, and not much more of either."""
    if nodes[1] < nodes[0]:
        return sizes[1] <= FEWER[0] * sizes[0] + FEWER[1]
    return nodes[1] == nodes[0] and sizes[1] < sizes[0]


def tidy(model: Any) -> Any:
    """Clean, without nodes and stored values that no output needs."""
    found = clean(model)
    found.graph.doc_string = ""
    for node in nodes_of(found.graph):
        node.doc_string = ""
        del node.metadata_props[:]
    drop_dead(found.graph)
    return found


def version_of(model: Any) -> int:
    return max((o.version for o in model.opset_import if o.domain in {"", "ai.onnx"}), default=0)


def lowered(graph: bytes, opset: int, original: Equivalence) -> bytes:
    """The graph in an older opset, compared with the original.

    Raises:
        UnsupportedError: it cannot be said so.
    """
    import onnx

    try:
        model = onnx.version_converter.convert_version(plain(parse(graph)), opset)
        found = tidy(model)
        found.ir_version = onnx.helper.find_min_ir_version_for(found.opset_import)
        data = written(found)
        why = original.fault(data)
    except (RuntimeError, ValueError) as error:
        why = re.sub(r"^/.* failed: ", "", first_line(error))  # without its source code's places
    if why:
        raise UnsupportedError(
            f"This model cannot be written in ONNX opset {opset}: {why}.",
            "Update the runtime on the device, or build another format.",
        )
    return data


def plain(model: Any) -> Any:
    """The model, in place, without a default that the converter keeps where it is not known."""
    for node in nodes_of(model.graph):
        kept = [a for a in node.attribute if a.name != "noop_with_empty_axes" or a.i]
        del node.attribute[:]
        node.attribute.extend(kept)
    return model
