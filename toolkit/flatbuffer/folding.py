"""Makes an ONNX model ready to translate: batch of one, every shape known, constants folded."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from edge_targets.runtime.errors import UnsupportedError
from toolkit.flatbuffer.graph import Array, Graph, shapes_of, to_graph
from toolkit.flatbuffer.inference import with_shapes

if TYPE_CHECKING:
    import onnx

KEPT = {
    *("QuantizeLinear", "DequantizeLinear"),  # folded, their integers would be lost
    *("RandomNormal", "RandomUniform"),  # folded, they would be random no more
}


def read(model: "onnx.ModelProto") -> Graph:
    """The graph for a batch of one; `model` is left alone.

    Raises:
        UnsupportedError: a shape that is not known before the model runs.
    """
    import onnx

    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
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
    while True:
        model = with_shapes(model)
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
        elif is_known(node, known):
            known |= evaluated(node, known, model)
        else:
            left.append(node)
    made = list(known)[count:]
    graph.initializer.extend(numpy_helper.from_array(known[name], name) for name in made)
    nodes = [_copied(node) for node in left]
    del graph.node[:]
    graph.node.extend(nodes)
    return bool(made)


def is_known(node: "onnx.NodeProto", known: Mapping[str, Array]) -> bool:
    """Whether a node depends on constants alone, and they need not stay as they are stored."""
    if node.op_type in KEPT or not all(not name or name in known for name in node.input):
        return False
    if any(attribute.HasField("g") for attribute in node.attribute):
        return False  # a branch or a loop may read more than its inputs
    widens = node.op_type == "Cast" and known[node.input[0]].dtype == np.float16
    return not widens  # folded, half the size would be lost


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
