"""TensorFlow Lite: what LiteRT runs on phones, boards and in browsers."""

from edge_targets.runtime.contract import Signature
from edge_targets.runtime.events import Job
from toolkit.flatbuffer.ends import compiled, described
from toolkit.formats.base import Format, Samples, Written


class TFLite(Format):
    """One item at a time; what is quantized stays so, with float inputs and outputs.

    Labels and the range of the inputs are in the file for other apps, as TFLite metadata.
    """

    title = "TensorFlow Lite"
    suffix = ".tflite"
    engine = "tflite"

    def build(
        self, graph: bytes, signature: Signature, job: Job, samples: Samples | None = None
    ) -> Written:
        return Written(described(compiled(graph, signature, job), signature))
