"""Operators that take axes together: sums, means, norms, softmax."""

from collections.abc import Mapping, Sequence

import numpy as np

from toolkit.flatbuffer.compiler import Compiler
from toolkit.flatbuffer.graph import Node, Quantization
from toolkit.flatbuffer.layout import Layout, axis_in, permutation
from toolkit.flatbuffer.operators.base import Translation
from toolkit.flatbuffer.writer import Tensor

REDUCTIONS = {
    "GlobalAveragePool": "MEAN",
    "GlobalMaxPool": "REDUCE_MAX",
    "ReduceMax": "REDUCE_MAX",
    "ReduceMean": "MEAN",
    "ReduceMin": "REDUCE_MIN",
    "ReduceProd": "REDUCE_PROD",
    "ReduceSum": "SUM",
}
NORMS = {
    "GlobalLpPool", "ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceSumSquare",
}  # fmt: skip
LARGEST = float(np.finfo(np.float32).max)


def reduction(compiler: Compiler, node: Node) -> None:
    """With the axes kept first: so the result has a layout, and is transposed when it is small."""
    layout = compiler.layout(node, 0)
    x = compiler.take(node, 0, layout)
    rank = len(x.shape)
    axes = sorted(axis_in(layout, axis, rank) for axis in reduced_axes(compiler, node, rank))
    if node.op in NORMS:
        result = norm(compiler, node, x, axes)
    else:
        result = reduced(compiler, REDUCTIONS[node.op], x, axes, compiler.target(node))
    if not axes or node.op.startswith("Global") or keeps_axes(node):
        compiler.give(node, result, layout)
        return
    first = compiler.transpose(result, permutation(rank, layout, Layout.FIRST))
    compiler.give(node, compiler.reshape(first, compiler.shape(node.outputs[0])))


def keeps_axes(node: Node) -> bool:
    return bool(node.attributes.get("keepdims", 1))


def reduced(
    compiler: Compiler,
    code: str,
    x: Tensor,
    axes: Sequence[int],
    quantization: Quantization | None = None,
) -> Tensor:
    """Over `axes`, which are kept with a size of one."""
    if not axes:
        return x
    shape = [1 if axis in axes else size for axis, size in enumerate(x.shape)]
    constant = compiler.writer.constant(tuple(axes))
    return compiler.emit(code, [x, constant], shape, quantization=quantization, keepDims=True)


def norm(compiler: Compiler, node: Node, x: Tensor, axes: Sequence[int]) -> Tensor:
    """The reductions that are a sum between two functions."""
    if node.op == "ReduceLogSumExp":
        return log_sum_exp(compiler, x, axes)
    if node.op == "ReduceLogSum":
        return compiler.compute("LOG", reduced(compiler, "SUM", x, axes))
    if node.op == "ReduceSumSquare":
        return reduced(compiler, "SUM", compiler.compute("MUL", x, x), axes)
    order = {"ReduceL1": 1, "ReduceL2": 2}.get(node.op) or node.attributes.get("p", 2)
    return root(compiler, reduced(compiler, "SUM", powers(compiler, x, order), axes), order)


def powers(compiler: Compiler, x: Tensor, order: int) -> Tensor:
    """|x| to the power of `order`."""
    if order == 2:
        return compiler.compute("MUL", x, x)
    size = compiler.compute("ABS", x)
    return size if order == 1 else compiler.compute("POW", size, order)


def root(compiler: Compiler, x: Tensor, order: int) -> Tensor:
    if order == 1:
        return x
    if order == 2:
        return compiler.cast(compiler.compute("SQRT", compiler.cast(x, "float32")), x.dtype)
    return compiler.compute("POW", x, 1 / order)


def log_sum_exp(compiler: Compiler, x: Tensor, axes: Sequence[int]) -> Tensor:
    """With m the largest: m + log(sum(exp(x - m))), of which no exponential overflows."""
    largest = reduced(compiler, "REDUCE_MAX", x, axes)
    for code, limit in (("MAXIMUM", -LARGEST), ("MINIMUM", LARGEST)):
        largest = compiler.compute(code, largest, limit)
    shares = compiler.compute("EXP", compiler.compute("SUB", x, largest))
    total = compiler.compute("LOG", reduced(compiler, "SUM", shares, axes))
    return compiler.compute("ADD", total, largest)


def reduced_axes(compiler: Compiler, node: Node, rank: int) -> list[int]:
    if node.op.startswith("Global"):
        return list(range(2, rank))
    given = compiler.constant_input(node, 1)
    axes = node.attributes.get("axes", []) if given is None else given.reshape(-1).tolist()
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


def cumulative_sum(compiler: Compiler, node: Node) -> None:
    axis = compiler.constant_input(node, 1)
    if axis is None:
        raise node.unsupported("lacks its axis", "Export the model again.")
    layout = compiler.layout(node, 0)
    x = compiler.take(node, 0, layout)
    at = np.array(axis_in(layout, int(axis.item()), len(x.shape)), np.int32)
    result = compiler.emit(
        "CUMSUM",
        [x, compiler.writer.constant(at)],
        x.shape,
        exclusive=bool(node.attributes.get("exclusive")),
        reverse=bool(node.attributes.get("reverse")),
    )
    compiler.give(node, result, layout)


TRANSLATIONS: Mapping[str, Translation] = {
    **dict.fromkeys((*REDUCTIONS, *sorted(NORMS)), reduction),
    "CumSum": cumulative_sum,
    "LogSoftmax": softmax,
    "Softmax": softmax,
}
