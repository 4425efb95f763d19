"""A graph of operators on values by name, every shape known."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edge_targets.runtime.errors import UnsupportedError

if TYPE_CHECKING:
    import onnx

Array = NDArray[Any]


@dataclass(frozen=True)
class Quantization:
    """real = scale · (stored - zero point); one pair, or one for each index along `axis`.

    Codes are held as int8 here; `bits` says how many of them the file stores: 8 or 4.
    """

    scale: tuple[float, ...]
    zero_point: tuple[int, ...]
    axis: int = 0
    bits: int = 8

    @property
    def per_channel(self) -> bool:
        return len(self.scale) > 1


@dataclass(frozen=True)
class Node:
    """One operator.

    Attributes:
        activation: what was fused behind it: "", "RELU", "RELU6" or "RELU_N1_TO_1".
        dynamic: it multiplies int8 weights with an input that is quantized as it comes.
    """

    op: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    activation: str = ""
    dynamic: bool = False

    def has(self, index: int) -> bool:
        """Whether the optional input `index` is given."""
        return index < len(self.inputs) and bool(self.inputs[index])

    def unsupported(self, why: str, hint: str) -> UnsupportedError:
        return UnsupportedError(f"TFLite: {self.op} (node {self.name!r}) {why}.", hint)


@dataclass(frozen=True)
class Graph:
    """Operators in order of execution, and what is known about each value by its name.

    Attributes:
        codes: what is stored of a constant in fewer bits: integers, or float16 numbers.
        quantizations: how a value is stored; a value without one is a float, integer or bool.
        factors: of codes with a scale a block, those scales; the quantization has a scale of 1.
    """

    nodes: tuple[Node, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    constants: Mapping[str, Array]
    shapes: Mapping[str, tuple[int, ...]]
    dtypes: Mapping[str, np.dtype[Any]]
    codes: Mapping[str, Array] = field(default_factory=dict)
    quantizations: Mapping[str, Quantization] = field(default_factory=dict)
    factors: Mapping[str, Array] = field(default_factory=dict)

    @cached_property
    def consumers(self) -> Mapping[str, tuple[Node, ...]]:
        found: dict[str, tuple[Node, ...]] = {}
        for node in self.nodes:
            for name in dict.fromkeys(node.inputs):
                found[name] = (*found.get(name, ()), node)
        return found

    @cached_property
    def producers(self) -> Mapping[str, Node]:
        return {name: node for node in self.nodes for name in node.outputs}

    def only_consumer(self, name: str) -> Node | None:
        """The one reader of a value that nobody outside sees; else None."""
        readers = self.consumers.get(name, ())
        return readers[0] if len(readers) == 1 and name not in self.outputs else None


def shapes_of(graph: "onnx.GraphProto") -> dict[str, tuple[int, ...]]:
    """Every shape that is wholly known."""
    shapes = {}
    for value in (*graph.input, *graph.value_info, *graph.output):
        tensor = value.type.tensor_type
        if tensor.HasField("shape") and all(d.HasField("dim_value") for d in tensor.shape.dim):
            shapes[value.name] = tuple(d.dim_value for d in tensor.shape.dim)
    return shapes


def to_graph(model: "onnx.ModelProto") -> Graph:
    from onnx import helper, numpy_helper

    graph = model.graph
    constants = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    shapes = shapes_of(graph) | {name: array.shape for name, array in constants.items()}
    dtypes = {
        value.name: helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
        for value in (*graph.input, *graph.value_info, *graph.output)
        if value.type.tensor_type.elem_type
    } | {name: array.dtype for name, array in constants.items()}
    nodes = tuple(to_node(node) for node in graph.node)
    for node in nodes:
        unknown = [n for n in node.outputs if n and n not in shapes]
        if unknown:
            raise node.unsupported(
                f"gives {unknown[0]!r}, whose shape is not known before the model runs",
                "TFLite files hold fixed shapes: keep data-dependent shapes out of the model, or "
                "build it with --format onnx.",
            )
    return Graph(
        nodes=nodes,
        inputs=tuple(v.name for v in graph.input if v.name not in constants),
        outputs=tuple(v.name for v in graph.output),
        constants=constants,
        shapes=shapes,
        dtypes=dtypes,
    )


def to_node(node: "onnx.NodeProto") -> Node:
    from onnx import helper

    op = node.op_type if node.domain in {"", "ai.onnx"} else f"{node.domain}.{node.op_type}"
    values = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    attributes = {k: v.decode() if isinstance(v, bytes) else v for k, v in values.items()}
    name = node.name or next(iter(node.output), "")
    return Node(op, name, tuple(node.input), tuple(node.output), attributes)
