"""TensorFlow Lite: what LiteRT runs on phones, boards and in browsers."""

from typing import Self

from edge_targets.runtime.contract import Signature
from edge_targets.runtime.events import Job
from toolkit.flatbuffer.ends import compiled, described
from toolkit.formats.base import Format, Samples, Wish, Written


class TFLite(Format):
    """One item at a time; what is quantized stays so, with float inputs and outputs.

    Labels and the range of the inputs are in the file for other apps, as TFLite metadata. With a
    free batch, LiteRT takes many rows of a table at once, 13 times as many a second; pictures
    gain nothing, and not every accelerator takes such files.
    """

    title = "TensorFlow Lite"
    suffix = ".tflite"
    engine = "tflite"

    def __init__(self, free_batch: bool = False) -> None:
        self.free_batch = free_batch

    @classmethod
    def of(cls, wish: Wish) -> Self:
        return cls(wish.free_batch)

    def build(
        self, graph: bytes, signature: Signature, job: Job, samples: Samples | None = None
    ) -> Written:
        data = compiled(graph, signature, job, free_batch=self.free_batch)
        return Written(described(data, signature))
