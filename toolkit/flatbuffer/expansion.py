"""Brings a model into the operators that have a translation: newer opset, functions written out.

ONNX defines many operators as functions of others; what the standard writes there is what is
compiled.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from edge_targets.runtime.errors import UnsupportedError
from toolkit.flatbuffer.inference import without_weights

if TYPE_CHECKING:
    import onnx

OLDEST_OPSET = 13  # of the meanings that translations know: Softmax flattened before it
DEFAULT = {"", "ai.onnx"}
FREE_RESIZE = 11  # the first opset with a choice of coordinates

EXPANDED = frozenset({
    "Attention", "BlackmanWindow", "CastLike", "CenterCropPad", "HammingWindow", "HannWindow",
    "NegativeLogLikelihoodLoss", "RotaryEmbedding", "SoftmaxCrossEntropyLoss", "SwiGLU",
})  # fmt: skip
"""The functions that are compiled in the standard's words."""


def expanded(model: "onnx.ModelProto") -> "onnx.ModelProto":
    """The same model in opset 13 or newer, without functions; `model` is left alone.

    Raises:
        UnsupportedError: an old opset that the converter of the onnx package cannot raise.
    """
    from onnx import inliner, shape_inference

    if model.functions:
        model = inliner.inline_local_functions(model)
    model = raised(model)
    while any(node.op_type in EXPANDED for node in model.graph.node):
        typed = shape_inference.infer_shapes(without_weights(model))
        count = len(model.graph.node)
        model = with_functions_written_out(model, types_of(typed.graph))
        if len(model.graph.node) == count:
            break  # what is left has no definition: it is refused by its name
    return model


def raised(model: "onnx.ModelProto") -> "onnx.ModelProto":
    """The model in the oldest opset that is read, or as it is when it is newer."""
    from onnx import numpy_helper, version_converter

    opset = opset_of(model)
    if opset >= OLDEST_OPSET:
        return model
    try:
        shell = without_weights(model)
        flatten_before_hardmax(shell.graph)
        made = version_converter.convert_version(shell, OLDEST_OPSET)
    except (RuntimeError, ValueError, version_converter.ConvertError) as error:
        # the converter's first line says which operator it has no way for
        reason = str(error).strip().partition("\n")[0]
        raise UnsupportedError(
            f"TFLite: the graph is written in opset {opset}, which cannot be raised to "
            f"{OLDEST_OPSET}: {reason}.",
            "Export the model again with a newer opset, 20 for example.",
        ) from error
    if opset < FREE_RESIZE:
        stored = {t.name: t for t in made.graph.initializer}
        for node in made.graph.node:
            if node.op_type == "Resize":
                scales = stored.get(node.input[2])
                as_it_was(node, [] if scales is None else numpy_helper.to_array(scales).tolist())
    kept = {tensor.name for tensor in made.graph.initializer}
    made.graph.initializer.extend(t for t in model.graph.initializer if t.name not in kept)
    return made


def as_it_was(resize: "onnx.NodeProto", scales: list[float]) -> None:
    """Before opset 11 there was one way to find a pixel; the converter forgets to say so.

    How the nearest is found was not written down: ONNX Runtime rounds up where it shrinks.
    """
    import onnx

    shrinks = bool(scales) and min(scales) < 1 and max(scales) <= 1
    old = {
        "coordinate_transformation_mode": "asymmetric",
        "nearest_mode": "ceil" if shrinks else "floor",
    }
    kept = [a for a in resize.attribute if a.name not in old]
    kept = [onnx.AttributeProto.FromString(a.SerializeToString()) for a in kept]
    del resize.attribute[:]
    resize.attribute.extend(kept)
    for name, value in old.items():
        resize.attribute.append(onnx.helper.make_attribute(name, value))


def flatten_before_hardmax(graph: "onnx.GraphProto") -> None:
    """Before opset 13 it took all axes from one on together; the converter leaves that to us."""
    import onnx

    nodes = []
    for node in graph.node:
        if node.op_type != "Hardmax":
            nodes.append(copied(node))
            continue
        axis = next((a.i for a in node.attribute if a.name == "axis"), 1)
        [x], [y] = node.input, node.output
        label = node.name or y
        flat, shape, hot = (f"{label}/{part}" for part in ("flat", "shape", "hot"))
        nodes += [
            onnx.helper.make_node("Shape", [x], [shape], name=shape),
            onnx.helper.make_node("Flatten", [x], [flat], name=flat, axis=axis),
            onnx.helper.make_node("Hardmax", [flat], [hot], name=label, axis=1),
            onnx.helper.make_node("Reshape", [hot, shape], [y], name=hot),
        ]
    del graph.node[:]
    graph.node.extend(nodes)


def opset_of(model: "onnx.ModelProto") -> int:
    found = (entry.version for entry in model.opset_import if entry.domain in DEFAULT)
    return next(found, OLDEST_OPSET)


def types_of(graph: "onnx.GraphProto") -> dict[str, "onnx.TypeProto"]:
    import onnx

    stored = {
        t.name: onnx.helper.make_tensor_type_proto(t.data_type, t.dims) for t in graph.initializer
    }
    values = (*graph.input, *graph.value_info, *graph.output)
    return {value.name: value.type for value in values} | stored


def with_functions_written_out(
    model: "onnx.ModelProto", types: Mapping[str, "onnx.TypeProto"]
) -> "onnx.ModelProto":
    import onnx

    graph, opset = model.graph, opset_of(model)
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        body = definition(node, types, opset) if node.op_type in EXPANDED else None
        nodes.extend(written_out(node, body) if body else [copied(node)])
    made = onnx.ModelProto()
    made.CopyFrom(model)
    del made.graph.node[:]
    made.graph.node.extend(nodes)
    return made


def copied(node: "onnx.NodeProto") -> "onnx.NodeProto":
    """Clearing a repeated field ends the lives of the messages it held."""
    import onnx

    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    return copy


def definition(
    node: "onnx.NodeProto", types: Mapping[str, "onnx.TypeProto"], opset: int
) -> "onnx.FunctionProto | None":
    """The standard's function for a node; None where it has none, or one with branches."""
    import onnx

    schema = onnx.defs.get_schema(node.op_type, opset, "")
    if schema.has_context_dependent_function:
        version = max(v for v in schema.context_dependent_function_opset_versions if v <= opset)
        kinds = [types.get(name, onnx.TypeProto()).SerializeToString() for name in node.input]
        content = schema.get_context_dependent_function_with_opset_version(
            version, node.SerializeToString(), kinds
        )
    elif schema.has_function:
        version = max(v for v in schema.function_opset_versions if v <= opset)
        content = schema.get_function_with_opset_version(version)
    else:
        return None
    body = onnx.FunctionProto()
    body.ParseFromString(content)
    branches = any(a.HasField("g") for inner in body.node for a in inner.attribute)
    return None if branches else body


def written_out(node: "onnx.NodeProto", body: "onnx.FunctionProto") -> list["onnx.NodeProto"]:
    """The nodes of a function, on the values and with the attributes of `node`."""
    label = node.name or node.output[0]
    names = dict(zip(body.input, [*node.input, *[""] * len(body.input)], strict=False))
    given = dict(zip(body.output, node.output, strict=False))
    names |= {inner: outer for inner, outer in given.items() if outer}
    nodes = []
    for number, inner in enumerate(body.node):
        made = copied(inner)
        made.name = f"{label}/{number}"
        for field in (made.input, made.output):
            field[:] = [names.get(n, f"{label}/{n}") if n else "" for n in field]
        fill_attributes(made, node)
        nodes.append(made)
    return nodes


def fill_attributes(inner: "onnx.NodeProto", node: "onnx.NodeProto") -> None:
    """Put in what the function takes from the attributes of `node`, or their defaults."""
    import onnx

    schema = onnx.defs.get_schema(node.op_type)
    given = {attribute.name: attribute for attribute in node.attribute}
    kept = []
    for attribute in inner.attribute:
        source = attribute
        if attribute.ref_attr_name:
            default = schema.attributes[attribute.ref_attr_name].default_value
            source = given.get(attribute.ref_attr_name, default)
        if not source.type:
            continue  # it is optional, and not given
        entry = onnx.AttributeProto()
        entry.CopyFrom(source)
        entry.name = attribute.name
        kept.append(entry)
    del inner.attribute[:]
    inner.attribute.extend(kept)
