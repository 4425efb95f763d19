"""An ONNX model with every shape known: batch of one, constants folded."""

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
OLDEST_OPSET = 13  # before it, Softmax flattened its input and Squeeze had no axes input
KEPT = {
    *("QuantizeLinear", "DequantizeLinear"),  # folded, their integers would be lost
    *("RandomNormal", "RandomUniform"),  # folded, they would be random no more
}


@dataclass(frozen=True)
class Quantization:
    """real = scale · (stored - zero point); one pair, or one for each index along `axis`."""

    scale: tuple[float, ...]
    zero_point: tuple[int, ...]
    axis: int = 0

    @property
    def per_channel(self) -> bool:
        return len(self.scale) > 1


@dataclass(frozen=True)
class Node:
    """One operator. `activation` is what was fused behind it: "", "RELU" or "RELU6"."""

    op: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    activation: str = ""

    def has(self, index: int) -> bool:
        """Whether the optional input `index` is given."""
        return index < len(self.inputs) and bool(self.inputs[index])

    def unsupported(self, why: str, hint: str) -> UnsupportedError:
        return UnsupportedError(f"TFLite: {self.op} (node {self.name!r}) {why}.", hint)


@dataclass(frozen=True)
class Graph:
    """Operators in order of execution, and what is known about each value by its name.

    Attributes:
        codes: the stored integers of those constants that are quantized.
        quantizations: how a value is stored; a value without one is a float, integer or bool.
    """

    nodes: tuple[Node, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    constants: Mapping[str, Array]
    shapes: Mapping[str, tuple[int, ...]]
    dtypes: Mapping[str, np.dtype[Any]]
    codes: Mapping[str, Array] = field(default_factory=dict)
    quantizations: Mapping[str, Quantization] = field(default_factory=dict)

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


def read(model: "onnx.ModelProto") -> Graph:
    """The graph for a batch of one; `model` is left alone.

    Raises:
        UnsupportedError: an old opset, or a shape that is not known before the model runs.
    """
    import onnx

    opset = next((o.version for o in model.opset_import if o.domain in {"", "ai.onnx"}), 0)
    if 0 < opset < OLDEST_OPSET:
        raise UnsupportedError(
            f"TFLite: the graph is written in opset {opset}; {OLDEST_OPSET} is the oldest read.",
            "Export the model again with a newer opset, 20 for example.",
        )
    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    if fixed.functions:
        fixed = onnx.inliner.inline_local_functions(fixed)
    fix_batch(fixed.graph)
    return to_graph(fold(fixed))


def fix_batch(graph: "onnx.GraphProto") -> None:
    """Give the free first axis of every input the size 1; forget shapes derived from it."""
    stored = {tensor.name for tensor in graph.initializer}
    for value in graph.input:
        if value.name in stored:
            continue
        dims = value.type.tensor_type.shape.dim
        for axis, dim in enumerate(dims):
            if dim.dim_value > 0:
                continue
            if axis:
                raise UnsupportedError(
                    f"TFLite: axis {axis} of input {value.name!r} has no fixed size.",
                    "Only the batch may be free; export the model with fixed sizes.",
                )
            dim.dim_value = 1
    del graph.value_info[:]
    for value in graph.output:
        value.type.tensor_type.ClearField("shape")


def fold(model: "onnx.ModelProto") -> "onnx.ModelProto":
    """Infer shapes and compute what depends on constants alone, until nothing is left to do."""
    import onnx

    while True:
        try:
            model = onnx.shape_inference.infer_shapes(model, data_prop=True)
        except onnx.shape_inference.InferenceError as error:
            raise UnsupportedError(
                f"TFLite: the shapes of the graph contradict each other: {error}.",
                "Export the model again.",
            ) from error
        if not fold_once(model):
            return model


def fold_once(model: "onnx.ModelProto") -> bool:
    """Whether at least one operator became a constant."""
    from onnx import numpy_helper

    graph = model.graph
    shapes = shapes_of(graph)
    known = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    left, count = [], len(known)
    for node in graph.node:
        if node.op_type == "Shape" and node.input[0] in shapes:
            known[node.output[0]] = shape_asked(node, shapes[node.input[0]])
        elif node.op_type not in KEPT and all(not i or i in known for i in node.input):
            known |= evaluated(node, known, model)
        else:
            left.append(node)
    made = list(known)[count:]
    graph.initializer.extend(numpy_helper.from_array(known[name], name) for name in made)
    nodes = [_copied(node) for node in left]
    del graph.node[:]
    graph.node.extend(nodes)
    return bool(made)


def shape_asked(node: "onnx.NodeProto", shape: tuple[int, ...]) -> Array:
    bounds = {attribute.name: attribute.i for attribute in node.attribute}
    return np.array(shape[bounds.get("start") : bounds.get("end")], np.int64)


def _copied(node: "onnx.NodeProto") -> "onnx.NodeProto":
    """Clearing a repeated field ends the lives of the messages it held."""
    import onnx

    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    return copy


def evaluated(
    node: "onnx.NodeProto", known: Mapping[str, Array], model: "onnx.ModelProto"
) -> dict[str, Array]:
    """The outputs of a node whose inputs are all constants."""
    import onnx
    from onnx.reference import ReferenceEvaluator

    inputs = [onnx.helper.make_value_info(name, onnx.TypeProto()) for name in node.input if name]
    outputs = [onnx.helper.make_value_info(name, onnx.TypeProto()) for name in node.output if name]
    graph = onnx.helper.make_graph([node], "constant", inputs, outputs)
    alone = onnx.helper.make_model(graph, opset_imports=model.opset_import)
    found = ReferenceEvaluator(alone).run(None, {n: known[n] for n in node.input if n})
    return {value.name: np.asarray(array) for value, array in zip(outputs, found, strict=True)}


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
                "TFLite files hold fixed shapes: keep data-dependent shapes out of the model.",
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
