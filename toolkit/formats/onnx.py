"""ONNX, as it is: the graph is already in the form that the runtime loads."""

from edge_targets.runtime.contract import Signature
from edge_targets.runtime.events import Job
from toolkit.formats.base import Format, Samples, Written
from toolkit.onnx_graph import cleaned


class Onnx(Format):
    """Opset 20, weights inside, a free batch dimension, nothing but what is needed to run."""

    title = "ONNX"
    suffix = ".onnx"
    engine = "onnx"

    def build(
        self, graph: bytes, signature: Signature, job: Job, samples: Samples | None = None
    ) -> Written:
        job.step("write ONNX", 0, 1)
        data = cleaned(graph)
        job.step("write ONNX", 1, 1)
        return Written(data)
