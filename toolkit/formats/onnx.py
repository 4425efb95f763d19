"""ONNX: what ONNX Runtime loads everywhere, in browsers too."""

from typing import Self

from edge_targets.runtime.contract import Signature
from edge_targets.runtime.events import Job
from toolkit.formats.base import Format, Samples, Wish, Written
from toolkit.onnx_graph import OPSET
from toolkit.optimising import optimised


class Onnx(Format):
    """Weights inside, a free batch dimension, and nothing but what is needed to run.

    A file that is optimised for one kind of processor is not offered: it loads at most a few
    milliseconds sooner, predicts no faster (benchmarks/bench_onnx.py), and is wrong elsewhere.
    """

    title = "ONNX"
    suffix = ".onnx"
    engine = "onnx"

    def __init__(self, opset: int = OPSET) -> None:
        self.opset = opset  # the newest that the runtime it is for reads

    @classmethod
    def of(cls, wish: Wish) -> Self:
        return cls(wish.opset)

    def build(
        self, graph: bytes, signature: Signature, job: Job, samples: Samples | None = None
    ) -> Written:
        return optimised(graph, signature, samples, job, self.opset)
