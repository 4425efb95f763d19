"""TensorFlow Lite: what LiteRT runs on phones, boards and in browsers."""

from edge_targets.runtime.contract import Signature
from edge_targets.runtime.errors import UnsupportedError
from edge_targets.runtime.events import Job
from toolkit.flatbuffer.translate import translate
from toolkit.formats.base import Format, Samples, Written
from toolkit.onnx_graph import parse


class TFLite(Format):
    """One item at a time; what is quantized stays so, with float inputs and outputs."""

    title = "TensorFlow Lite"
    suffix = ".tflite"
    engine = "tflite"

    def build(
        self, graph: bytes, signature: Signature, job: Job, samples: Samples | None = None
    ) -> Written:
        model = parse(graph)
        stored = {tensor.name for tensor in model.graph.initializer}
        found = [
            {value.name for value in model.graph.input} - stored,
            {value.name for value in model.graph.output},
        ]
        asked = [{spec.name for spec in specs} for specs in (signature.inputs, signature.outputs)]
        if found != asked:
            raise UnsupportedError(
                f"The graph has inputs and outputs {sorted(found[0] | found[1])}, "
                f"its signature {sorted(asked[0] | asked[1])}.",
                "Import the model again: the names must be the same.",
            )
        return Written(translate(model, job, title="Sanderling"))
