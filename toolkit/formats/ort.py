"""ORT format: what builds of ONNX Runtime without a parser for ONNX load (phones, small boards)."""

import tempfile
from pathlib import Path

from edge_targets.runtime.contract import Signature
from edge_targets.runtime.durable import storing
from edge_targets.runtime.errors import UnsupportedError
from edge_targets.runtime.events import Job
from toolkit.equivalence import Equivalence, reason
from toolkit.formats.base import Format, Samples, Written
from toolkit.optimising import optimised
from toolkit.ort_file import ordered

SLOWER = (
    "Optimised for no processor in particular, so that it runs on all: it loads a little faster "
    "than the ONNX file, but on a full runtime convolutions take 2 to 3 times as long, and int8 "
    "up to 5 times."
)


class Ort(Format):
    """For ONNX Runtime's small builds; only what is right on every processor is optimised."""

    title = "ORT format"
    suffix = ".ort"
    engine = "onnx"
    usual = False

    def build(
        self, graph: bytes, signature: Signature, job: Job, samples: Samples | None = None
    ) -> Written:
        small = optimised(graph, signature, samples, job)
        data = ordered(converted(small.data))
        if why := Equivalence(small.data, signature, samples, fused=False).differing(data):
            raise UnsupportedError(
                f"The runtime wrote this model to ORT format and it is not the same: {why}.",
                "Build ONNX instead: --format onnx.",
            )
        return Written(data, (*small.notes, SLOWER))


def converted(graph: bytes) -> bytes:
    """The graph as onnxruntime writes it after what it calls basic optimisations."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what goes wrong is said once, by us
    # above this level it takes kernels that only this machine's kind of processor has
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.add_session_config_entry("session.save_model_format", "ORT")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.ort"
        options.optimized_model_filepath = str(file)
        try:
            onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's errors share no other base
            raise UnsupportedError(
                f"The runtime cannot write this model to ORT format: {reason(error)}.",
                "Build ONNX instead: --format onnx.",
            ) from error
        with storing(file):
            return file.read_bytes()
