"""What a translation works with: values by name, in the layout and number form it asks for."""

from dataclasses import dataclass, field

import numpy as np

from toolkit.flatbuffer.builder import Builder
from toolkit.flatbuffer.graph import Array, Graph, Node, Quantization
from toolkit.flatbuffer.integer import integer_nodes
from toolkit.flatbuffer.layout import Layout, permutation, shape_in
from toolkit.flatbuffer.writer import STORED, Tensor


@dataclass
class Compiler(Builder):
    """A builder that knows the values of a graph.

    Attributes:
        values: the tensors that hold a value: by name, layout, and whether as stored integers.
        shuffled: values flattened from channels-last memory, with the shape they had before;
            whoever reads one must shuffle its weights.
        node: what is being translated.
    """

    graph: Graph
    values: dict[tuple[str, Layout, bool], Tensor] = field(default_factory=dict)
    shuffled: dict[str, tuple[int, ...]] = field(default_factory=dict)
    _integer: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        self._integer = integer_nodes(self.graph)

    # what is known before the file exists

    def shape(self, name: str) -> tuple[int, ...]:
        return self.graph.shapes[name]

    def dtype(self, name: str) -> str:
        """How an unquantized value is stored."""
        dtype = self.graph.dtypes[name].name
        return STORED.get(dtype, dtype)

    def constant_input(self, node: Node, index: int) -> Array | None:
        """The array of an input that TFLite wants to know now; None where it is not given."""
        if not node.has(index):
            return None
        if node.inputs[index] not in self.graph.constants:
            raise node.unsupported(
                f"has an input {node.inputs[index]!r} that is computed while the model runs",
                "TFLite wants it fixed: make it a constant of the model.",
            )
        return self.graph.constants[node.inputs[index]]

    def is_integer(self, node: Node) -> bool:
        return node.outputs[0] in self._integer

    def target(self, node: Node) -> Quantization | None:
        """How the output of an operator on int8 is stored; None for one on floats."""
        return self.graph.quantizations[node.outputs[0]] if self.is_integer(node) else None

    # reading

    def knows(self, name: str) -> bool:
        """Whether a value exists already, in whatever form."""
        return any(
            (name, layout, stored) in self.values for layout in Layout for stored in (False, True)
        )

    def held(self, name: str) -> Layout:
        """The layout a value is in without further work; FIRST for a constant."""
        first, last = (
            any((name, layout, stored) in self.values for stored in (False, True))
            for layout in (Layout.FIRST, Layout.LAST)
        )
        return Layout.LAST if last and not first else Layout.FIRST

    def layout(self, node: Node, *indices: int) -> Layout:
        """LAST when an input (all, unless some are named) is there only so."""
        names = [node.inputs[i] for i in indices] if indices else node.inputs
        last = any(name and self.held(name) is Layout.LAST for name in names)
        return Layout.LAST if last else Layout.FIRST

    def take(self, node: Node, index: int = 0, layout: Layout = Layout.FIRST) -> Tensor:
        """An input as `node` works on it."""
        name = node.inputs[index]
        stored = self.is_integer(node) and name in self.graph.quantizations
        return self.value(name, layout, stored)

    def value(self, name: str, layout: Layout, stored: bool) -> Tensor:
        """A value in a layout; `stored`: its int8 codes, else the real numbers."""
        if len(self.shape(name)) < 3:
            layout = Layout.FIRST
        key = (name, layout, stored)
        if key not in self.values:
            if name in self.graph.constants:
                return self.constant(name, layout, stored)
            self.values[key] = self.converted(name, layout, stored)
        return self.values[key]

    def converted(self, name: str, layout: Layout, stored: bool) -> Tensor:
        """A value that exists, but in another layout or as integers only, which move faster."""
        if not stored and any((name, each, True) in self.values for each in Layout):
            integers = self.value(name, layout, True)
            return self.real(integers)
        other = Layout.LAST if layout is Layout.FIRST else Layout.FIRST
        source = self.value(name, other, stored)
        return self.transpose(source, permutation(len(source.shape), other, layout))

    def constant(self, name: str, layout: Layout, stored: bool, rank: int = 0) -> Tensor:
        """A constant of the graph, with leading axes of one up to `rank`."""
        array = self.graph.codes[name] if stored else self.graph.constants[name]
        if array.dtype == np.int64 and (np.abs(array) > np.iinfo(np.int32).max).any():
            raise self.refusal(
                f"computes with {name!r}, which holds integers of more than 32 bits",
                "TFLite computes on 32 bits: use smaller numbers, or floats.",
            )
        array = array.reshape((1,) * (rank - array.ndim) + array.shape)
        array = array.transpose(permutation(array.ndim, Layout.FIRST, layout))
        return self.writer.constant(array, self.graph.quantizations[name] if stored else None)

    # writing

    def give(
        self, node: Node, tensor: Tensor, layout: Layout = Layout.FIRST, output: int = 0
    ) -> None:
        """Declare `tensor` an output of `node`; stored differently than asked, it is converted."""
        name = node.outputs[output]
        if len(tensor.shape) < 3:
            layout = Layout.FIRST
        if tensor.shape != shape_in(layout, self.shape(name)):
            raise AssertionError(f"{node}: {tensor.shape} is not {self.shape(name)} in {layout}")
        quantization = self.graph.quantizations.get(name)
        if quantization:
            tensor = self.quantize(tensor, quantization)
        self.values[name, layout, quantization is not None] = tensor
