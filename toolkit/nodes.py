"""Every operator of a graph, told in a few words each: for lists, searches and pictures."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from toolkit.anatomy import (
    THROUGH,
    WEIGHTED,
    bits_of,
    layer_name,
    macs_of,
    producers_of,
    shapes_of,
    source_of,
    stored_of,
    weight_of,
)
from toolkit.onnx_graph import parse
from toolkit.results import NodeInfo

MEMBERS = 12  # of a list that are shown
LETTERS = 80  # of a text


def graph_nodes(graph: bytes) -> tuple[NodeInfo, ...]:
    """Every operator, in the order of the graph; those of a branch or body behind its own node.

    A weight counts where it is used: what only unpacks it (DequantizeLinear, Cast) shows it, and
    has no parameters of its own.
    """
    import onnx

    model = onnx.shape_inference.infer_shapes(parse(graph))
    return tuple(told(Scope.of(model, None), model.graph, ""))


@dataclass(frozen=True)
class Scope:
    """What the nodes of a graph can see; a branch sees what is around it, too.

    Attributes:
        stored: tensors by name; `producers` nodes by what they make.
        types: as text, by value: shape and type.
        shapes: with every free size as one.
    """

    stored: Mapping[str, Any]
    producers: Mapping[str, Any]
    types: Mapping[str, tuple[str, str]]
    shapes: Mapping[str, tuple[int, ...]]

    @classmethod
    def of(cls, holder: Any, outer: "Scope | None") -> "Scope":
        """`holder` has the graph: a model, or an attribute named `graph` for a branch."""
        graph = holder.graph
        values = [*graph.input, *graph.value_info, *graph.output]
        types = {value.name: type_of(value) for value in values}
        inner = cls(stored_of(holder), producers_of(holder), types, shapes_of(holder))
        if outer is None:
            return inner
        return cls(
            {**outer.stored, **inner.stored},
            {**outer.producers, **inner.producers},
            {**outer.types, **inner.types},
            {**outer.shapes, **inner.shapes},
        )


@dataclass(frozen=True)
class Branch:
    """A graph inside a node, held as a model holds its own."""

    graph: Any


def told(scope: Scope, graph: Any, prefix: str) -> Iterator[NodeInfo]:
    for index, node in enumerate(graph.node):
        found = node_info(node, scope, prefix, index)
        yield found
        for given in node.attribute:
            inner = [given.g] if given.HasField("g") else list(given.graphs)
            for number, branch in enumerate(inner):
                place = f"{given.name}{number or ''}"
                held = Scope.of(Branch(branch), scope)
                yield from told(held, branch, f"{found.name}/{place}/")


def node_info(node: Any, scope: Scope, prefix: str, index: int) -> NodeInfo:
    names = [name for name in node.input if name]
    weight = None
    if node.op_type in WEIGHTED:
        weight = weight_of(node, scope.stored, scope.producers)
    sources = used(node, names, scope)
    main = scope.stored[weight] if weight else max(sources, key=size_of, default=None)
    macs = macs_of(node, tuple(scope.stored[weight].dims), scope.shapes) if weight else 0
    name = layer_name(node, weight) if weight else str(node.name)
    shape, dtype = scope.types.get(node.output[0], ("", "")) if node.output else ("", "")
    return NodeInfo(
        prefix + (name or f"{node.op_type}_{index}"),
        node.op_type if node.domain in {"", "ai.onnx"} else f"{node.domain}.{node.op_type}",
        tuple(name for name in names if name not in scope.stored),
        tuple(name for name in node.output if name),
        shape,
        dtype,
        {given.name: attribute_text(given) for given in node.attribute},
        tuple(tensor_text(scope.stored[name]) for name in names if name in scope.stored),
        sum(size_of(tensor) for tensor in sources),
        macs,
        bits_of(main.data_type) if main is not None else 0,
        sum(math.ceil(size_of(each) * bits_of(each.data_type) / 8) for each in sources),
    )


def used(node: Any, names: list[str], scope: Scope) -> list[Any]:
    """The tensors that a node computes with, also where they are stored in another form."""
    sources = [source_of(name, scope.stored, scope.producers) for name in names]
    if node.op_type in THROUGH and sources and sources[0]:
        return []  # it unpacks them for another
    tensors = [scope.stored[source] for source in sources if source]
    return [tensor for tensor in tensors if is_parameter(tensor)]


def is_parameter(tensor: Any) -> bool:
    """Scalars are none, nor are places, sizes and words."""
    from onnx import TensorProto

    others = {TensorProto.INT64, TensorProto.BOOL, TensorProto.STRING}
    return len(tensor.dims) > 0 and tensor.data_type not in others


def size_of(tensor: Any) -> int:
    return math.prod(tensor.dims)


def type_of(value: Any) -> tuple[str, str]:
    """Shape and type as text; `?` for a size without a name."""
    kind = value.type.tensor_type
    if not kind.elem_type:
        return "", ""
    if not kind.HasField("shape"):
        return "", dtype_text(kind.elem_type)
    sizes = (
        str(dim.dim_value) if dim.HasField("dim_value") else dim.dim_param or "?"
        for dim in kind.shape.dim
    )
    return "×".join(sizes) or "scalar", dtype_text(kind.elem_type)


def dtype_text(data_type: int) -> str:
    from onnx import TensorProto

    word = str(TensorProto.DataType.Name(data_type)).lower()
    return {"float": "float32", "double": "float64"}.get(word, word)


def tensor_text(tensor: Any) -> str:
    sizes = "×".join(str(size) for size in tensor.dims) or "scalar"
    return f"{tensor.name} {sizes} {dtype_text(tensor.data_type)}"


def attribute_text(given: Any) -> str:
    from onnx import AttributeProto, helper

    if given.type == AttributeProto.TENSOR:
        return tensor_text(given.t).strip()
    if given.type == AttributeProto.GRAPH:
        return f"graph of {len(given.g.node)} operators"
    value = helper.get_attribute_value(given)
    if isinstance(value, bytes):
        return shortened(value.decode("utf-8", "replace"))
    if isinstance(value, int | float):
        return f"{value:g}" if isinstance(value, float) else str(value)
    if given.type in {AttributeProto.INTS, AttributeProto.FLOATS, AttributeProto.STRINGS}:
        words = [
            v.decode("utf-8", "replace") if isinstance(v, bytes) else f"{v:g}"
            for v in list(value)[:MEMBERS]
        ]
        more = f", … ({len(value)})" if len(value) > MEMBERS else ""
        return shortened(", ".join(words)) + more
    return str(AttributeProto.AttributeType.Name(given.type)).lower().replace("_", " ")


def shortened(text: str) -> str:
    return text if len(text) <= LETTERS else f"{text[: LETTERS - 1]}…"
