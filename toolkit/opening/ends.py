"""What a graph takes and gives: only tensors, of types that our wire knows, and all in use."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from edge_targets.runtime.contract import DTYPES, TensorSpec
from edge_targets.runtime.errors import UnsupportedError
from toolkit.onnx_graph import nodes_of, shape_of

# types that no device is asked for, and those that hold every value of theirs
CARRIED = {
    "float16": "float32",
    "bfloat16": "float32",
    "int16": "int32",
    "uint16": "int32",
    "uint32": "int64",
    "uint64": "int64",
}
CLASSES = ("classlabels_strings", "classlabels_int64s", "classlabels_ints", "cats_strings")


def settle(graph: Any, where: str) -> list[str]:
    """Leave tensors of known types as inputs and outputs; what was changed, for the user.

    Raises:
        UnsupportedError: an input or output that is no such tensor.
    """
    notes = [*without_doubles(graph), *without_maps(graph), *without_strings(graph)]
    drop_unneeded(graph)
    stored = {tensor.name for tensor in graph.initializer}
    taken = [value for value in graph.input if value.name not in stored]
    del graph.input[:]
    graph.input.extend(taken)
    notes += without_unused(graph)
    if not graph.input or not graph.output:
        raise UnsupportedError(
            f"{where} holds a graph that takes or gives nothing.",
            "Export a model with an input and an output.",
        )
    for value in [*graph.input, *graph.output]:
        refuse_untyped(value)
    return [*notes, *with_known_types(graph)]


def name_nodes(graph: Any) -> None:
    """Every node gets a name of its own: errors speak of it, and the runtime asks for it."""
    seen: set[str] = set()
    for index, node in enumerate(nodes_of(graph)):
        name = node.name or f"{node.op_type}_{index}"
        node.name = name if name not in seen else f"{name}_{index}"
        seen.add(node.name)


def without_doubles(graph: Any) -> list[str]:
    """An output that is listed twice is one output."""
    kept = list({value.name: value for value in graph.output}.values())
    if len(kept) == len(graph.output):
        return []
    del graph.output[:]
    graph.output.extend(kept)
    return ["An output that it lists twice is one output now."]


def kind_of(value: Any) -> str:
    return str(value.type.WhichOneof("value") or "")


def dtype_of(value: Any) -> str:
    """Numpy's name; `object` for texts; empty for what is no tensor."""
    import onnx

    if kind_of(value) != "tensor_type":
        return ""
    try:
        return str(onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type).name)
    except (KeyError, TypeError):
        return ""


def refuse_untyped(value: Any) -> None:
    dtype = dtype_of(value)
    if not dtype:
        kind = kind_of(value).removesuffix("_type").replace("_", " ") or "of no type"
        raise UnsupportedError(
            f"{value.name!r} is no tensor, but {kind}.", "Export the model with tensors in and out."
        )
    if dtype == "object":
        raise UnsupportedError(
            f"{value.name!r} has type object: it holds texts.",
            "Turn texts into numbers before the model, and take numbers from it.",
        )
    if dtype not in DTYPES.values() and dtype not in CARRIED:
        raise UnsupportedError(
            f"{value.name!r} has type {dtype}.", "Cast it to float32 inside the graph."
        )


def spec_of(value: Any) -> TensorSpec:
    return TensorSpec(value.name, (-1, *shape_of(value)[1:]), dtype_of(value))


def without_maps(graph: Any) -> list[str]:
    """scikit-learn's exporters pair every class with its share in a map: the shares are enough."""
    import onnx

    given = {value.name: value for value in graph.output}
    for node in list(graph.node):
        if node.op_type != "ZipMap" or node.output[0] not in given:
            continue
        shares = onnx.helper.make_tensor_value_info(
            node.input[0], onnx.TensorProto.FLOAT, [None, count_of_classes(node)]
        )
        others = [v for v in graph.output if v.name != node.output[0] and dtype_of(v) != "int64"]
        graph.node.remove(node)
        del graph.output[:]
        graph.output.extend([shares, *(v for v in others if dtype_of(v) != "object")])
        return [
            f"Its output {node.output[0]!r} was a map (ZipMap): its shares are the output "
            f"{node.input[0]!r} now, and the label that they tell was left out."
        ]
    return []


def count_of_classes(node: Any) -> int | None:
    return next((len(a.strings) + len(a.ints) for a in node.attribute if a.name in CLASSES), None)


def without_strings(graph: Any) -> list[str]:
    """Texts are left out where numbers are given beside them."""
    texts = [value for value in graph.output if dtype_of(value) == "object"]
    if not texts or len(texts) == len(graph.output):
        return []
    for value in texts:
        graph.output.remove(value)
    return [f"Its output {value.name!r} holds texts, and was left out." for value in texts]


def without_unused(graph: Any) -> list[str]:
    used = used_names(graph)
    unused = [value for value in graph.input if value.name not in used]
    for value in unused:
        graph.input.remove(value)
    return [f"Its input {value.name!r} is never used, and was left out." for value in unused]


def used_names(graph: Any) -> set[str]:
    return {name for node in nodes_of(graph) for name in node.input} | {
        value.name for value in graph.output
    }


def drop_unneeded(graph: Any) -> None:
    """Take away nodes whose results nobody uses: the runtime does so as well."""
    needed = {value.name for value in graph.output}
    kept = []
    for node in reversed(graph.node):
        if not any(name in needed for name in node.output):
            continue
        kept.append(node)
        needed.update(node.input)
        for inner in node.attribute:
            for body in (inner.g, *inner.graphs):
                needed |= used_names(body)
    if len(kept) == len(graph.node):
        return
    del graph.node[:]
    graph.node.extend(reversed(kept))
    stored = [tensor for tensor in graph.initializer if tensor.name in needed]
    del graph.initializer[:]
    graph.initializer.extend(stored)


def with_known_types(graph: Any) -> list[str]:
    """Inputs and outputs of rarer types are cast inside the graph; their names stay."""
    import onnx

    notes = []
    ends: Sequence[tuple[Any, bool]] = [
        *((value, True) for value in graph.input),
        *((value, False) for value in graph.output),
    ]
    for value, taken in ends:
        rare = dtype_of(value)
        if rare not in CARRIED:
            continue
        common = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(CARRIED[rare]))
        inner = f"{value.name}_{rare}"
        rename(graph, value.name, inner)
        names = (value.name, inner) if taken else (inner, value.name)
        target = value.type.tensor_type.elem_type if taken else common
        cast = onnx.helper.make_node("Cast", names[:1], names[1:], f"{inner}_cast", to=target)
        graph.node.insert(0 if taken else len(graph.node), cast)
        value.type.tensor_type.elem_type = common
        notes.append(f"{value.name!r} has type {rare}: it is {CARRIED[rare]} now, cast inside.")
    return notes


def rename(graph: Any, old: str, new: str) -> None:
    """A value, wherever nodes speak of it; what the graph takes and gives keeps its name."""
    for node in nodes_of(graph):
        for names in (node.input, node.output):
            for index, name in enumerate(names):
                if name == old:
                    names[index] = new
