"""TensorFlow Lite files: float, float16, quantized to integers, or only their weights."""

from edge_targets.runtime.events import Job
from toolkit.importers.base import Found, Given, Importer, Source, labelled, layout_of
from toolkit.model import Model
from toolkit.tflite_graph.flat import IDENTIFIER
from toolkit.tflite_graph.model import read_model


class TFLite(Importer):
    """Networks that LiteRT runs; what is quantized stays so, between float inputs and outputs."""

    title = "TensorFlow Lite"

    @classmethod
    def accepts(cls, source: Source) -> bool:
        return source.head[4:8] == IDENTIFIER

    def read(self, source: Source, given: Given, job: Job) -> Found:
        found = read_model(source.path.read_bytes(), str(source.path), job)
        signature = found.signature
        if not signature.labels:
            signature = labelled(signature)
        return Found(
            Model(signature, graph=found.graph),
            layout_of(signature),
            metadata=found.metadata,
            notes=found.notes,
        )
