"""Shapes that the onnx package infers, and those it has no rule for."""

import math
from typing import TYPE_CHECKING

import numpy as np

from edge_targets.runtime.errors import UnsupportedError

if TYPE_CHECKING:
    import onnx

LARGE = 1 << 10  # values: no shape, and no bounds of a Slice, are as many
LIKE_FIRST_INPUT = {"CumProd", "GroupNormalization", "MeanVarianceNormalization"}
"""Operators without a rule whose output has the type and shape of the first input."""


def with_shapes(model: "onnx.ModelProto") -> "onnx.ModelProto":
    """`model`, with every shape that follows from its inputs written into it.

    Raises:
        UnsupportedError: the graph says of a value what cannot be.
    """
    import onnx

    shell = without_weights(model)
    while True:
        try:
            shell = onnx.shape_inference.infer_shapes(shell, data_prop=True)
        except onnx.shape_inference.InferenceError as error:
            raise UnsupportedError(
                f"TFLite: the shapes of the graph contradict each other: {error}.",
                "Export the model again.",
            ) from error
        if not fill(shell.graph):
            break
    for known, found in (
        (model.graph.value_info, shell.graph.value_info),
        (model.graph.output, shell.graph.output),
    ):
        del known[:]
        known.extend(found)
    return model


def without_weights(model: "onnx.ModelProto") -> "onnx.ModelProto":
    """The model with large constants as inputs: what reads it copies it, hundreds of megabytes."""
    import onnx

    shell = onnx.ModelProto(ir_version=model.ir_version, opset_import=model.opset_import)
    graph, source = shell.graph, model.graph
    graph.name = source.name or "graph"
    for field in ("node", "input", "output", "value_info"):
        getattr(graph, field).extend(getattr(source, field))
    named = {value.name for value in source.input}
    for tensor in source.initializer:
        if math.prod(tensor.dims) <= LARGE:
            graph.initializer.append(tensor)
        elif tensor.name not in named:
            graph.input.append(
                onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
            )
    return shell


def fill(graph: "onnx.GraphProto") -> bool:
    """Whether a rule of ours gave a shape that was missing."""
    types = {v.name: v.type for v in (*graph.input, *graph.value_info, *graph.output)}
    outputs = {value.name: value for value in graph.output}
    found = False
    for node in graph.node:
        made = type_of(node, graph, types)
        if made is None or is_complete(types.get(node.output[0])):
            continue
        value = outputs.get(node.output[0])
        if value is None:
            value = graph.value_info.add(name=node.output[0])
        value.type.CopyFrom(made)
        types[node.output[0]] = value.type
        found = True
    return found


def is_complete(kind: "onnx.TypeProto | None") -> bool:
    if kind is None or not kind.tensor_type.HasField("shape"):
        return False
    return all(dim.HasField("dim_value") for dim in kind.tensor_type.shape.dim)


def type_of(
    node: "onnx.NodeProto", graph: "onnx.GraphProto", types: dict[str, "onnx.TypeProto"]
) -> "onnx.TypeProto | None":
    import onnx

    kind = types.get(node.input[0]) if node.input else None
    if kind is None or not is_complete(kind):
        return None
    if node.op_type in LIKE_FIRST_INPUT:
        return kind
    if node.op_type != "Compress":
        return None
    kept = next((t for t in graph.initializer if t.name == node.input[1]), None)
    if kept is None:
        return None
    count = int(np.count_nonzero(onnx.numpy_helper.to_array(kept)))
    axes = [attribute.i for attribute in node.attribute if attribute.name == "axis"]
    made = onnx.TypeProto()
    made.CopyFrom(kind)
    if not axes:
        return onnx.helper.make_tensor_type_proto(kind.tensor_type.elem_type, [count])
    made.tensor_type.shape.dim[axes[0]].dim_value = count
    return made
