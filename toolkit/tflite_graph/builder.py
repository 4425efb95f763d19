"""The ONNX graph while it grows: values by their place in the file, in the layout asked for."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from edge_targets.runtime.errors import UnsupportedError
from toolkit.flatbuffer.layout import Layout, permutation, permuted
from toolkit.onnx_graph import OPSET
from toolkit.tflite_graph.facts import Facts
from toolkit.tflite_graph.names import layer_name
from toolkit.tflite_graph.parts import Array, Operation, Tensor, damaged
from toolkit.tflite_graph.scaled import Node, Stored, constant_of_codes, pair, widest

LAYERS = {"Conv", "ConvTranspose", "Gemm", "LSTM", "MatMul", "RNN"}
"""Are called like their layer; what stands by them adds a word of its own."""

MOST_STORED = 16  # times the size of the file, and what a small one needs:
ROOM = 64 << 20  # bytes


@dataclass
class Builder(Facts):
    """Grows node by node.

    Attributes:
        values: ONNX names by tensor and layout; LAST is the file's own layout, and the only
            one of whatever has not four axes. What the file holds as int8 codes is here under
            the name of the real numbers that they stand for.
        shapes: what the file says of a named value.
        notes: what whoever imports the file should know.
    """

    nodes: list[Any] = field(default_factory=list)
    stored: dict[str, Array] = field(default_factory=dict)
    values: dict[tuple[int, Layout], str] = field(default_factory=dict)
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    scope: str = ""
    opset: int = OPSET
    _taken: set[str] = field(default_factory=set)
    _counts: dict[str, int] = field(default_factory=dict)
    _bytes: int = 0

    # reading values

    def held(self, place: int) -> Layout:
        """The layout a value is in without further work."""
        return Layout.FIRST if (place, Layout.FIRST) in self.values else Layout.LAST

    def layout(self, operation: Operation) -> Layout:
        """FIRST where an input is there only so."""
        first = any(i >= 0 and self.held(i) is Layout.FIRST for i in operation.inputs)
        return Layout.FIRST if first else Layout.LAST

    def take(self, operation: Operation, index: int, layout: Layout = Layout.LAST) -> str:
        """The name of an input in a layout, as real numbers."""
        place = self.place(operation, index)
        if self.rank(place) != 4:
            layout = Layout.LAST
        if (place, layout) in self.values:
            return self.values[place, layout]
        if self.is_constant(place):
            return self.operand(operation, index, layout, self.rank(place))
        other = Layout.LAST if layout is Layout.FIRST else Layout.FIRST
        if (place, other) not in self.values:
            raise damaged(f"{operation.code} reads a tensor that nothing has made")
        tensor = self.file.tensors[place]
        axes = permutation(4, other, layout)
        shape = permuted(tensor.shape, permutation(4, Layout.LAST, layout))
        made = self.emit("Transpose", [self.values[place, other]], shape, perm=list(axes))
        self.values[place, layout] = self.paired(made, tensor, shape)
        return self.values[place, layout]

    def operand(self, operation: Operation, index: int, layout: Layout, rank: int) -> str:
        """An input that meets values of `rank` axes; a constant gets axes of one before its own."""
        place = self.place(operation, index)
        if not self.is_constant(place):
            return self.take(operation, index, layout)
        held = self.held_tensor(place)
        whole = self.constant(operation, index)
        array = held.data if held is not None and held.quantized else whole
        assert array is not None
        if array.ndim > rank:
            raise damaged(f"{operation.code} has a constant of {array.ndim} axes")
        axes = tuple(range(array.ndim))
        if rank == 4 and layout is Layout.FIRST and array.size > 1:
            array = array.reshape((1,) * (4 - array.ndim) + array.shape)
            axes = permutation(4, Layout.LAST, layout)
        name = f"constant_{place}"
        if held is None or not held.quantized:
            return self.store(name, array.transpose(axes))
        return self.unpacked(name, array.transpose(axes), held, axes, rank)

    def unpacked(
        self, name: str, codes: Array, held: Tensor, axes: Sequence[int], rank: int
    ) -> str:
        """Stored codes, their axes moved, as real numbers."""
        assert held.scales is not None
        before = rank - len(held.shape) if len(axes) == rank else 0
        axis = list(axes).index(held.scales.axis + before) if held.scales.per_channel else 0
        self.need_opset(widest(held.dtype))
        found = constant_of_codes(self.unique(name, f"_{held.dtype.lower()}"), codes, held, axis)
        return self.add(found, codes.shape)

    def add(self, made: tuple[list[Node], Stored, str], shape: Sequence[int]) -> str:
        """Append nodes that belong together, and what they store; the name of their result."""
        nodes, stored, name = made
        for key, array in stored.items():
            self.keep(key, array)
        self.nodes += nodes
        self._taken |= {node.name for node in nodes} | {o for node in nodes for o in node.output}
        self.shapes[name] = tuple(shape)
        return name

    def need_opset(self, version: int) -> None:
        self.opset = max(self.opset, version)

    # writing

    def unique(self, name: str, suffix: str = "") -> str:
        """`name`, or that with a number behind it, so that nothing is called that and `suffix`."""
        made, count = name, self._counts.get(name, 1)
        while made + suffix in self._taken:
            count += 1
            made = f"{name}_{count}"
        self._counts[name] = count
        if not suffix:  # else it is taken when that is stored
            self._taken.add(made)
        return made

    def store(self, name: str, array: Array) -> str:
        return self.keep(self.unique(name), array)

    def keep(self, name: str, array: Array) -> str:
        """Store under this very name."""
        if name in self.stored:
            return name
        self._bytes += array.nbytes
        if self._bytes > MOST_STORED * self.file.size + ROOM:
            raise UnsupportedError(
                "The TFLite file makes of itself far more numbers than it holds.",
                "It is damaged, or reads its weights over and over: export it again.",
            )
        self._taken.add(name)
        self.stored[name] = np.array(array, order="C")
        return name

    def emit(self, op: str, inputs: Sequence[str], shape: Sequence[int], **attributes: Any) -> str:
        """Append a node; the name of its result. `shape` is what the file says of it."""
        return self.emit_many(op, inputs, [shape], **attributes)[0]

    def emit_many(
        self, op: str, inputs: Sequence[str], shapes: Sequence[Sequence[int]], **attributes: Any
    ) -> list[str]:
        """Append a node with several results."""
        from onnx import helper

        own = self.scope if op in LAYERS else "_".join(filter(None, (self.scope, op.lower())))
        name = self.unique(own or op.lower())
        made = [f"{name}:{index}" for index in range(len(shapes))]
        self.nodes.append(helper.make_node(op, list(inputs), made, name=name, **attributes))
        self.shapes |= {n: tuple(s) for n, s in zip(made, shapes, strict=True)}
        return made

    def paired(
        self, name: str, tensor: Tensor, shape: Sequence[int], *, signed: bool = False
    ) -> str:
        """A value as the file holds it: rounded to codes, where it has codes."""
        if not tensor.quantized:
            return name
        self.need_opset(widest(tensor.dtype))
        return self.add(
            pair(name, self.unique(name.removesuffix(":0"), "_codes"), tensor, signed=signed), shape
        )

    def give(
        self, operation: Operation, name: str, layout: Layout = Layout.LAST, output: int = 0,
        batch: int | None = None,
    ) -> None:  # fmt: skip
        """Declare a value a result of `operation`; its batch lies where that of the inputs does."""
        place = operation.outputs[output] if output < len(operation.outputs) else -1
        tensor = self.output(operation, output)
        if batch is None:
            moving = [i for i in operation.inputs if i >= 0 and not self.is_constant(i)]
            batch = max((self.batch(i) for i in moving), default=0)
        shape = self.shape(operation, layout, output)
        self.declare(place, self.paired(name, tensor, shape), layout, batch)

    def declare(self, place: int, name: str, layout: Layout, batch: int = 0) -> None:
        self.values[place, layout if self.rank(place) == 4 else Layout.LAST] = name
        if batch:
            self.batches[place] = batch

    def shape(
        self, operation: Operation, layout: Layout = Layout.LAST, output: int = 0
    ) -> tuple[int, ...]:
        """Of a result, in a layout."""
        shape = self.output(operation, output).shape
        return permuted(shape, permutation(4, Layout.LAST, layout)) if len(shape) == 4 else shape

    def number(self, value: float, dtype: Any = np.float32) -> str:
        return self.store("number", np.array(value, dtype))

    def integers(self, values: Sequence[int]) -> str:
        return self.store("integers", np.array(values, np.int64))

    def reshaped(self, name: str, shape: Sequence[int]) -> str:
        """The same memory under another shape: items lie one behind the other, before and after."""
        if not shape:
            raise UnsupportedError(
                "The TFLite file makes a single number of several items.",
                "Export the model with the batch as first axis of every value.",
            )
        return self.emit("Reshape", [name, self.integers((-1, *shape[1:]))], shape)

    def layer(self, operation: Operation, kind: str, index: int = 1) -> str:
        """A name for the layer whose weights are an input."""
        place = self.place(operation, index)
        maker = self.file.makers.get(place)
        if maker is not None and maker.inputs:  # unpacked: the stored tensor has the name
            place = self.place(maker, 0)
        name = layer_name(self.file.tensors[place].name) or f"{kind}_{len(self.nodes)}"
        return self.unique(name, ".weight")


def items(shape: Sequence[int]) -> int:
    """Values of one item."""
    return math.prod(shape[1:])


Translation = Callable[[Builder, Operation], None]
