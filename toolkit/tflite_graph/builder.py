"""The ONNX graph while it grows: values by their place in the file, in the layout asked for."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.flatbuffer.layout import Layout, permutation, permuted
from toolkit.tflite_graph.flat import File, Operation, Tensor, damaged, names_of
from toolkit.tflite_graph.names import layer_name

QUANTIZED_HINT = (
    "Start from the float file that it was made from (…_fp32.tflite, …_float.tflite): "
    "import that one, and quantize it here."
)
CLIPPED = {"RELU6": (0.0, 6.0), "RELU_N1_TO_1": (-1.0, 1.0), "RELU_0_TO_1": (0.0, 1.0)}
LAYERS = {"Conv", "Gemm", "MatMul"}
"""Are called like their layer; what stands by them adds a word of its own."""

PLAIN = {"RELU": "Relu", "TANH": "Tanh"}


@dataclass
class Builder:
    """Grows node by node.

    Attributes:
        values: ONNX names by tensor and layout; LAST is the file's own layout, and the only
            one of whatever has not four axes.
        shapes: what the file says of a named value, its batch left out.
    """

    file: File
    nodes: list[Any] = field(default_factory=list)
    stored: dict[str, NDArray[Any]] = field(default_factory=dict)
    values: dict[tuple[int, Layout], str] = field(default_factory=dict)
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    scope: str = ""
    _taken: set[str] = field(default_factory=set)
    _counts: dict[str, int] = field(default_factory=dict)

    # what the file says

    def tensor(self, operation: Operation, index: int) -> Tensor:
        return self.file.tensors[self.place(operation, index)]

    def place(self, operation: Operation, index: int) -> int:
        if not self.has(operation, index):
            raise damaged(f"{operation.code} lacks its input {index}")
        return operation.inputs[index]

    def has(self, operation: Operation, index: int) -> bool:
        return index < len(operation.inputs) and operation.inputs[index] >= 0

    def output(self, operation: Operation) -> Tensor:
        return self.file.tensors[operation.outputs[0]]

    def constant(self, operation: Operation, index: int) -> NDArray[Any]:
        """The numbers of an input that must be known now."""
        tensor = self.tensor(operation, index)
        if tensor.data is None:
            made = self.halves(self.place(operation, index))
            if made is None:
                raise operation.unsupported(
                    f"has an input {tensor.name!r} that is computed while the model runs",
                    "Export the model with fixed shapes and weights.",
                )
            return made
        if tensor.quantized or tensor.dtype not in {"FLOAT32", "INT32", "INT64"}:
            raise operation.unsupported(
                f"works with {tensor.dtype.lower()} weights ({tensor.name!r})", QUANTIZED_HINT
            )
        return tensor.data

    def halves(self, place: int) -> NDArray[Any] | None:
        """Weights stored as float16, which an operator widens."""
        maker = self.file.makers.get(place)
        if maker is None or maker.code != "DEQUANTIZE":
            return None
        source = self.tensor(maker, 0)
        if source.data is None or source.dtype != "FLOAT16":
            return None
        return source.data.astype(np.float32)

    def is_constant(self, place: int) -> bool:
        return self.file.tensors[place].data is not None or self.halves(place) is not None

    # reading values

    def rank(self, place: int) -> int:
        return len(self.file.tensors[place].shape)

    def held(self, place: int) -> Layout:
        """The layout a value is in without further work."""
        return Layout.FIRST if (place, Layout.FIRST) in self.values else Layout.LAST

    def take(self, operation: Operation, index: int, layout: Layout = Layout.LAST) -> str:
        """The name of an input in a layout."""
        place = self.place(operation, index)
        if self.rank(place) != 4:
            layout = Layout.LAST
        if (place, layout) in self.values:
            return self.values[place, layout]
        if self.is_constant(place):
            array = self.constant(operation, index)
            axes = permutation(array.ndim, Layout.LAST, layout)
            return self.store(f"constant_{place}", array.transpose(axes))
        other = Layout.LAST if layout is Layout.FIRST else Layout.FIRST
        if (place, other) not in self.values:
            raise damaged(f"{operation.code} reads a tensor that nothing has made")
        axes = permutation(4, other, layout)
        shape = permuted(self.file.tensors[place].shape, permutation(4, Layout.LAST, layout))
        made = self.emit("Transpose", [self.values[place, other]], shape, perm=list(axes))
        self.values[place, layout] = made
        return made

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

    def store(self, name: str, array: NDArray[Any]) -> str:
        made = self.unique(name)
        self.stored[made] = np.ascontiguousarray(array)
        return made

    def layer(self, operation: Operation, kind: str) -> str:
        """A name for the layer whose weights are the second input."""
        place = self.place(operation, 1)
        maker = self.file.makers.get(place)
        if maker is not None:  # widened from float16: the stored tensor has the name
            place = self.place(maker, 0)
        name = layer_name(self.file.tensors[place].name) or f"{kind}_{len(self.nodes)}"
        return self.unique(name, ".weight")

    def emit(self, op: str, inputs: Sequence[str], shape: Sequence[int], **attributes: Any) -> str:
        """Append a node; the name of its result. `shape` is what the file says of it."""
        from onnx import helper

        own = self.scope if op in LAYERS else "_".join(filter(None, (self.scope, op.lower())))
        name = self.unique(own or op.lower())
        made = f"{name}:0"
        self.nodes.append(helper.make_node(op, list(inputs), [made], name=name, **attributes))
        self.shapes[made] = tuple(shape)
        return made

    def give(self, operation: Operation, name: str, layout: Layout = Layout.LAST) -> None:
        """Declare a value the result of `operation`."""
        place = operation.outputs[0]
        self.values[place, layout if self.rank(place) == 4 else Layout.LAST] = name

    def shape(self, operation: Operation, layout: Layout = Layout.LAST) -> tuple[int, ...]:
        """Of the result, in a layout."""
        shape = self.output(operation).shape
        return permuted(shape, permutation(4, Layout.LAST, layout)) if len(shape) == 4 else shape

    def activated(self, operation: Operation, name: str, shape: Sequence[int]) -> str:
        """Behind the fused activation of an operator."""
        from ai_edge_litert import schema_py_generated as schema

        number = operation.option("FusedActivationFunction")
        kind = names_of(schema.ActivationFunctionType).get(number, str(number))
        if kind == "NONE":
            return name
        return self.activation(operation, kind, name, shape)

    def activation(self, operation: Operation, kind: str, name: str, shape: Sequence[int]) -> str:
        if kind in PLAIN:
            return self.emit(PLAIN[kind], [name], shape)
        if kind not in CLIPPED:
            raise operation.unsupported(
                f"has the activation {kind}", "Export the model with another activation."
            )
        bounds = [self.number(bound) for bound in CLIPPED[kind]]
        return self.emit("Clip", [name, *bounds], shape)

    def number(self, value: float) -> str:
        return self.store("number", np.array(value, np.float32))

    def integers(self, values: Sequence[int]) -> str:
        return self.store("integers", np.array(values, np.int64))

    def reshaped(self, operation: Operation, name: str, shape: Sequence[int]) -> str:
        """An item under another shape; the batch stays free."""
        if not shape or shape[0] != 1:
            raise operation.unsupported(
                f"gives the shape {list(shape)}, where the batch is no axis of its own",
                "Export the model with the batch as first axis of every value.",
            )
        return self.emit("Reshape", [name, self.integers((-1, *shape[1:]))], shape)


def items(shape: Sequence[int]) -> int:
    """Values of one item."""
    return math.prod(shape[1:])


Translation = Callable[[Builder, Operation], None]
