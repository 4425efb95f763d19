"""Operators that take an axis together: sums, means, softmax."""

from collections.abc import Mapping

import numpy as np

from toolkit.flatbuffer.compiler import Compiler
from toolkit.flatbuffer.graph import Node
from toolkit.flatbuffer.layout import Layout, axis_in, permutation
from toolkit.flatbuffer.operators.base import Translation

REDUCTIONS = {
    "GlobalAveragePool": "MEAN",
    "GlobalMaxPool": "REDUCE_MAX",
    "ReduceMax": "REDUCE_MAX",
    "ReduceMean": "MEAN",
    "ReduceMin": "REDUCE_MIN",
    "ReduceProd": "REDUCE_PROD",
    "ReduceSum": "SUM",
}


def reduction(compiler: Compiler, node: Node) -> None:
    """With the axes kept first: so the result has a layout, and is transposed when it is small."""
    layout = compiler.layout(node, 0)
    x = compiler.take(node, 0, layout)
    rank = len(x.shape)
    axes = sorted(axis_in(layout, axis, rank) for axis in reduced_axes(compiler, node, rank))
    if not axes:
        compiler.give(node, x, layout)
        return
    result = compiler.emit(
        REDUCTIONS[node.op],
        [x, compiler.writer.constant(tuple(axes))],
        [1 if axis in axes else size for axis, size in enumerate(x.shape)],
        quantization=compiler.target(node),
        keepDims=True,
    )
    if node.op.startswith("Global") or node.attributes.get("keepdims", 1):
        compiler.give(node, result, layout)
        return
    first = compiler.transpose(result, permutation(rank, layout, Layout.FIRST))
    compiler.give(node, compiler.reshape(first, compiler.shape(node.outputs[0])))


def reduced_axes(compiler: Compiler, node: Node, rank: int) -> list[int]:
    if node.op.startswith("Global"):
        return list(range(2, rank))
    given = compiler.constant_input(node, 1)
    axes = node.attributes.get("axes", []) if given is None else given.tolist()
    if not axes and not node.attributes.get("noop_with_empty_axes"):
        return list(range(rank))
    return [axis % rank for axis in axes]


def softmax(compiler: Compiler, node: Node) -> None:
    """TFLite's runs along the last axis: the layout, or else a transposition, brings it there."""
    rank = len(compiler.shape(node.inputs[0]))
    axis = node.attributes.get("axis", -1) % rank
    layout = Layout.LAST if axis == 1 and rank > 2 else Layout.FIRST
    x = compiler.take(node, 0, layout)
    at = axis_in(layout, axis, rank)
    swap = list(range(rank))
    swap[at], swap[-1] = swap[-1], swap[at]
    x = compiler.transpose(x, swap)
    if node.op == "Softmax":
        result = compiler.emit("SOFTMAX", [x], x.shape, beta=1.0)
    else:
        result = compiler.emit("LOG_SOFTMAX", [x], x.shape)
    compiler.give(node, compiler.transpose(result, swap), layout)


def arg(compiler: Compiler, node: Node) -> None:
    if node.attributes.get("select_last_index"):
        raise node.unsupported("prefers the last of equals", "Prefer the first of equals.")
    x = compiler.take(node)
    axis = node.attributes.get("axis", 0) % len(x.shape)
    shape = [size for place, size in enumerate(x.shape) if place != axis]
    code = {"ArgMax": "ARG_MAX", "ArgMin": "ARG_MIN"}[node.op]
    at = compiler.writer.constant(np.array(axis, np.int32))
    result = compiler.emit(code, [x, at], shape, dtype="int32", outputType=INT32)
    compiler.give(node, compiler.reshape(result, compiler.shape(node.outputs[0])))


INT32 = 2  # the schema's TensorType

TRANSLATIONS: Mapping[str, Translation] = {
    **dict.fromkeys(REDUCTIONS, reduction),
    "ArgMax": arg,
    "ArgMin": arg,
    "LogSoftmax": softmax,
    "Softmax": softmax,
}
