"""A graph in the making, where pictures may lie with their channels last or second.

Keras keeps channels last, ONNX wants them second. A value is therefore known by up to two names,
and is transposed where the order that is needed is not there yet: between two convolutions that
is nowhere.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.onnx_graph import BATCH, IR_VERSION, OPSET

Shape = tuple[int | None, ...]


class UntranslatedError(Exception):
    """A layer that has no translation of its own, or not with these settings."""

    def __init__(self, layer: str, kind: str, why: str = "") -> None:
        super().__init__(f"{kind} (layer {layer!r}){': ' + why if why else ''}")


@dataclass(frozen=True)
class Value:
    """A tensor on its way through the graph.

    Attributes:
        shape: in the order of axes that the library has; None for the batch.
        name: of the tensor in that order, or of the one with channels second.
        second: whether `name` has its channels second.
    """

    shape: Shape
    name: str
    second: bool = False

    @property
    def rank(self) -> int:
        return len(self.shape)

    def axis(self, axis: int) -> int:
        """Where an axis of the library lies in the tensor called `name`."""
        axis %= self.rank
        if not self.second or axis == 0:
            return axis
        return 1 if axis == self.rank - 1 else axis + 1


class Graph:
    """Collects nodes and weights; `layer` is whose they are."""

    def __init__(self) -> None:
        self.layer = ""
        self.nodes: list[Any] = []
        self.weights: dict[str, NDArray[Any]] = {}
        self.turned: dict[str, str] = {}  # a tensor -> the same in the other order of axes
        self.names: set[str] = set()
        self.given: dict[str, str] = {}  # a value -> its name as output

    def fresh(self, stem: str) -> str:
        """A name that no other value has."""
        name, count = stem, 1
        while name in self.names:
            count += 1
            name = f"{stem}_{count}"
        self.names.add(name)
        return name

    def store(self, name: str, array: NDArray[Any]) -> str:
        """Keep a weight of the present layer; the same weight twice is kept once."""
        name = f"{self.layer}.{name}"
        array = np.ascontiguousarray(array)
        if name not in self.weights:
            self.names.add(name)
            self.weights[name] = array
        elif not same(self.weights[name], array):
            name = self.fresh(name)
            self.weights[name] = array
        return name

    def constant(self, array: Any, dtype: Any = np.float32) -> str:
        return self.store("constant", np.asarray(array, dtype))

    def emit(self, op: str, *inputs: str, **given: Any) -> str:
        """Add a node; the name of its output."""
        return self.several(op, 1, *inputs, **given)[0]

    def several(self, op: str, outputs: int, *inputs: str, **given: Any) -> list[str]:
        from onnx import helper

        made = [self.fresh(f"{self.layer}/{op}") for _ in range(outputs)]
        node = helper.make_node(op, inputs, made, name=made[0], **given)
        self.nodes.append(node)
        return made

    def plain(self, value: Value) -> str:
        """The name of a value in the library's order of axes."""
        return self.turn(value.name, [0, *range(2, value.rank), 1]) if value.second else value.name

    def second(self, value: Value) -> str:
        """The name of a value with its channels, the last axis, second."""
        if value.second:
            return value.name
        return self.turn(value.name, [0, value.rank - 1, *range(1, value.rank - 1)])

    def turn(self, name: str, order: list[int]) -> str:
        if name not in self.turned:
            turned = self.emit("Transpose", name, perm=order)
            self.turned[name], self.turned[turned] = turned, name
        return self.turned[name]

    def together(self, values: list[Value]) -> list[Value]:
        """Values in one order of axes: channels second where one of them is so already."""
        alike = len({value.rank for value in values}) == 1
        if alike and any(value.second for value in values):
            return [Value(value.shape, self.second(value), second=True) for value in values]
        return [Value(value.shape, self.plain(value)) for value in values]

    def give(self, name: str, output: str, inputs: list[str]) -> None:
        """Make a value an output under a name of its own; after that, no value is made."""
        from onnx import helper

        if name in inputs or name in self.given:
            source = self.given.get(name, name)
            self.nodes.append(helper.make_node("Identity", [source], [output], name=output))
            return
        self.given[name] = output
        for node in self.nodes:
            for values in (node.input, node.output):
                for index, value in enumerate(values):
                    if value == name:
                        values[index] = output

    def model(self, inputs: list[Any], outputs: list[Any]) -> Any:
        """The finished graph, without what no output needs."""
        from onnx import helper, numpy_helper

        needed = {value.name for value in outputs}
        nodes = []
        for node in reversed(self.nodes):
            if needed.intersection(node.output):
                needed.update(node.input)
                nodes.append(node)
        stored = [
            numpy_helper.from_array(array, name)
            for name, array in self.weights.items()
            if name in needed
        ]
        graph = helper.make_graph(nodes[::-1], "imported", inputs, outputs, stored)
        opsets = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(graph, opset_imports=opsets, producer_name="sanderling")
        model.ir_version = IR_VERSION
        return model

    def end(self, name: str, dtype: str, shape: Shape) -> Any:
        """An input or output."""
        import onnx

        kind = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        return onnx.helper.make_tensor_value_info(name, kind, [BATCH, *shape[1:]])


def same(a: NDArray[Any], b: NDArray[Any]) -> bool:
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
