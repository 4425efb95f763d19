"""Makes an ONNX model ready to translate: batch of one, every shape known, constants folded."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from edge_targets.runtime.errors import UnsupportedError
from toolkit.flatbuffer.graph import Array, Graph, shapes_of, to_graph
from toolkit.flatbuffer.inference import with_shapes

if TYPE_CHECKING:
    import onnx

MOST_VALUES = 1 << 29  # of one tensor: 2 GiB of floats, the most a file can hold
KEPT = {
    *("QuantizeLinear", "DequantizeLinear"),  # folded, their integers would be lost
    *("RandomNormal", "RandomUniform"),  # folded, they would be random no more
    *("Bernoulli", "Multinomial", "RandomNormalLike", "RandomUniformLike"),
}


def read(model: "onnx.ModelProto", batch: int = 1) -> Graph:
    """The graph for a batch of so many; `model` is left alone.

    Raises:
        UnsupportedError: a shape that is not known before the model runs.
    """
    import onnx

    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    fix_batch(fixed.graph, batch)
    return to_graph(fold(fixed))


def fix_batch(graph: "onnx.GraphProto", batch: int) -> None:
    """Give the free first axis of every input a size; forget shapes derived from it."""
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
            dim.dim_value = batch
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
        refuse_huge(node, shapes)
        if node.op_type == "Shape" and node.input[0] in shapes:
            known[node.output[0]] = shape_asked(node, shapes[node.input[0]])
        elif is_known(node, known) and (values := evaluated(node, known, model)) is not None:
            known |= values
        else:
            left.append(node)
    made = list(known)[count:]
    graph.initializer.extend(numpy_helper.from_array(known[name], name) for name in made)
    nodes = [_copied(node) for node in left]
    del graph.node[:]
    graph.node.extend(nodes)
    return bool(made)


def refuse_huge(node: "onnx.NodeProto", shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Before anybody makes room for it."""
    for name in node.output:
        if math.prod(shapes.get(name, ())) > MOST_VALUES:
            raise UnsupportedError(
                f"TFLite: {node.op_type} (node {node.name or name!r}) gives {name!r}, "
                f"of shape {shapes[name]}.",
                f"No value of a model may have more than {MOST_VALUES:,} numbers.",
            )


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
) -> dict[str, Array] | None:
    """The outputs of a node whose inputs are all constants; None where they cannot be had.

    The evaluator is not complete: what it cannot do is translated like any other node.
    """
    import onnx
    from onnx.reference import ReferenceEvaluator

    inputs = [onnx.helper.make_value_info(name, onnx.TypeProto()) for name in node.input if name]
    outputs = [onnx.helper.make_value_info(name, onnx.TypeProto()) for name in node.output if name]
    graph = onnx.helper.make_graph([node], "constant", inputs, outputs)
    alone = onnx.helper.make_model(graph, opset_imports=model.opset_import)
    try:
        found = ReferenceEvaluator(alone).run(None, {n: known[n] for n in node.input if n})
    except Exception:  # noqa: BLE001 - it raises whatever its operators meet
        return None
    if not all(isinstance(value, (np.ndarray, np.generic)) for value in found):
        return None  # a sequence, or an optional
    return {value.name: np.asarray(array) for value, array in zip(outputs, found, strict=True)}
