"""The boxes and lines of a model graph, made from what `inspect --graph` tells."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gui.models import Row
from gui.theme import SERIES
from gui.widgets.graph_layout import Edge, Size

MOST = 2000  # boxes drawn at once: more take seconds to lay out, and nobody sees them all
BOX: Size = (196.0, 56.0)
PILL: Size = (46.0, 22.0)
END: Size = (196.0, 48.0)

SHORT = {"QuantizeLinear": "Q", "DequantizeLinear": "DQ"}
"""Operators that are drawn small: there are many, and they only change how values are stored."""

KINDS: Mapping[str, str] = {
    "Weights": SERIES[0],
    "Activation": SERIES[1],
    "Quantization": SERIES[2],
    "Pooling, norm": SERIES[3],
    "Arithmetic": SERIES[4],
    "Control": SERIES[5],
    "Shape, other": SERIES[7],
}
"""What boxes are for, in the order of the legend, and their colours."""

OPERATORS = {
    "Weights": "Conv ConvTranspose ConvInteger QLinearConv Gemm MatMul MatMulInteger MatMulNBits "
    "QLinearMatMul LSTM GRU RNN Attention Gather TreeEnsemble TreeEnsembleClassifier "
    "TreeEnsembleRegressor LinearClassifier LinearRegressor SVMClassifier SVMRegressor",
    "Activation": "Relu LeakyRelu PRelu Elu Selu Celu Gelu Sigmoid HardSigmoid HardSwish Swish "
    "Tanh Softmax LogSoftmax Softplus Softsign Clip Erf Mish ThresholdedRelu",
    "Quantization": "QuantizeLinear DequantizeLinear DynamicQuantizeLinear Cast",
    "Pooling, norm": "MaxPool AveragePool GlobalAveragePool GlobalMaxPool LpPool ReduceMean "
    "ReduceMax ReduceSum ReduceMin BatchNormalization LayerNormalization InstanceNormalization "
    "GroupNormalization RMSNormalization LRN LpNormalization MeanVarianceNormalization",
    "Arithmetic": "Add Sub Mul Div Pow Sqrt Exp Log Abs Neg Min Max Mean Sum Where Equal Less "
    "Greater And Or Not Sin Cos Floor Ceil Round Sign Reciprocal Mod",
    "Control": "If Loop Scan",
}
KIND_OF = {name: kind for kind, names in OPERATORS.items() for name in names.split()}


@dataclass(frozen=True)
class Vertex:
    """One box. `row` is what is known of it; `end` is "Input" or "Output" for those."""

    op: str
    name: str
    shape: str
    row: Row
    end: str = ""

    @property
    def kind(self) -> str:
        return KIND_OF.get(self.op.rpartition(".")[2], "Shape, other")

    @property
    def size(self) -> Size:
        return END if self.end else PILL if self.op in SHORT else BOX

    @property
    def words(self) -> str:
        """For a tooltip, and for a screen reader."""
        return ", ".join(filter(None, (self.op, self.name, self.shape)))

    def holds(self, sought: str) -> bool:
        return sought.casefold() in f"{self.op}\n{self.name}".casefold()


@dataclass(frozen=True)
class Graph:
    """Every edge leads from a lower number to a higher one."""

    vertices: tuple[Vertex, ...] = ()
    edges: tuple[Edge, ...] = ()

    def part(self, first: int, most: int = MOST) -> "Graph":
        """`most` boxes from `first` on, and the lines between them."""
        last = first + most
        inside = [(a, b) for a, b in self.edges if first <= a and b < last]
        edges = tuple((a - first, b - first) for a, b in inside)
        return Graph(self.vertices[first:last], edges)

    def hits(self, sought: str) -> list[int]:
        """Numbers of the boxes whose operator or name holds `sought`; none for no word."""
        words = sought.strip()
        return [i for i, each in enumerate(self.vertices) if words and each.holds(words)]


def graph_of(result: Mapping[str, Any]) -> Graph:
    """The graph that an inspection found: its inputs first, then operators, then outputs."""
    nodes: Sequence[Row] = result.get("nodes") or ()
    if not nodes:
        return Graph()
    inputs = [end_of(row, "Input") for row in result.get("inputs") or ()]
    outputs = [end_of(row, "Output") for row in result.get("outputs") or ()]
    vertices = (*inputs, *map(operator_of, nodes), *outputs)
    return Graph(vertices, tuple(edges_of(vertices)))


def operator_of(row: Row) -> Vertex:
    return Vertex(str(row.get("op")), str(row.get("name")), str(row.get("shape") or ""), row)


def end_of(row: Row, which: str) -> Vertex:
    sizes = ("any" if size == -1 else str(size) for size in row.get("shape") or ())
    return Vertex(which, str(row.get("name")), "×".join(sizes), row, which)


def edges_of(vertices: Sequence[Vertex]) -> Iterator[Edge]:
    """From the last box before that makes a value to the one that reads it, each once."""
    makers: dict[str, int] = {}
    for number, vertex in enumerate(vertices):
        made, read = vertex.row.get("outputs") or (), vertex.row.get("inputs") or ()
        if vertex.end == "Input":
            made = (vertex.name,)
        if vertex.end == "Output":
            read = (vertex.name,)
        for maker in dict.fromkeys(makers[name] for name in read if name in makers):
            yield maker, number
        makers.update((str(name), number) for name in made)
