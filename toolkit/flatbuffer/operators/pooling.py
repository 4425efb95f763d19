"""Pools. Averages need care: the two formats count padding differently."""

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from toolkit.flatbuffer.compiler import Compiler
from toolkit.flatbuffer.graph import Array, Node
from toolkit.flatbuffer.operators.base import Padding, Translation
from toolkit.flatbuffer.operators.reduction import powers, root
from toolkit.flatbuffer.operators.shaping import slice_of
from toolkit.flatbuffer.operators.windows import (
    Window,
    give_plane,
    kernel_padding,
    output_size,
    pad,
    pad_plane,
    plane,
    window_of,
)
from toolkit.flatbuffer.writer import Tensor

POSITIVE = {"Abs", "Exp", "HardSigmoid", "Relu", "Sigmoid", "Softmax"}
LOWEST = float(np.finfo(np.float32).min)


def max_pool(compiler: Compiler, node: Node) -> None:
    if len(node.outputs) > 1 and compiler.graph.consumers.get(node.outputs[1]):
        raise node.unsupported("gives the places of its maxima", "Use the maxima alone.")
    x, window = plane(compiler, node), window_for(compiler, node)
    if any(gap != 1 for gap in window.dilations):
        raise node.unsupported("has dilations", "Pool without gaps.")
    window = grown(compiler, node, window)
    # the delegate knows padding with zeros only, which never win where nothing is negative
    fill = None if is_positive(compiler, node.inputs[0]) else LOWEST
    x, padding = pad_plane(compiler, x, window, fill)
    give_plane(compiler, node, pool(compiler, "MAX_POOL_2D", x, window, padding))


def is_positive(compiler: Compiler, name: str) -> bool:
    """Whether a value is known to hold no negative number."""
    node = compiler.graph.producers.get(name)
    while node and node.op in {"MaxPool", "AveragePool", "Identity"}:
        node = compiler.graph.producers.get(node.inputs[0])
    return node is not None and (node.op in POSITIVE or bool(node.activation))


def average_pool(compiler: Compiler, node: Node) -> None:
    """Zeros around, plain averages, and where they count too much a factor on each pixel."""
    x, declared = plane(compiler, node), window_for(compiler, node)
    window = grown(compiler, node, declared)
    if compiler.is_integer(node) and output_size(window, x.shape[1:3]) == (1, 1):
        give_plane(compiler, node, mean(compiler, node, x, window))
        return
    includes = bool(node.attributes.get("count_include_pad"))
    dense = all(gap == 1 for gap in window.dilations)
    x = x if dense else compiler.real(x)
    if not includes and dense and kernel_padding(window, x.shape[1:3]) is Padding.SAME:
        result = pool(compiler, "AVERAGE_POOL_2D", x, window, Padding.SAME)
        give_plane(compiler, node, result)  # this kernel leaves its padding out, too
        return
    rows, columns = (
        line_counts(x.shape[1 + axis], window, axis, declared.after[axis] if includes else None)
        for axis in (0, 1)
    )
    result = padded_mean(compiler, x, window)
    factors = math.prod(window.kernel) / (rows[:, None] * columns[None, :])
    if not (factors == 1).all():
        constant = compiler.writer.constant(factors.astype(np.float32)[None, :, :, None])
        result = compiler.emit("MUL", [result, constant], result.shape)
    give_plane(compiler, node, result)


def padded_mean(compiler: Compiler, x: Tensor, window: Window) -> Tensor:
    """The averages of windows, the zeros around counted; with gaps, a convolution with ones."""
    pads = [(0, 0), *zip(window.before, window.after, strict=True), (0, 0)]
    x = pad(compiler, x, pads)
    if all(gap == 1 for gap in window.dilations):
        return pool(compiler, "AVERAGE_POOL_2D", x, window, Padding.VALID)
    channels = x.shape[3]
    share = np.full((1, *window.kernel, channels), 1 / math.prod(window.kernel), np.float32)
    kernel, bias = (
        compiler.writer.constant(values) for values in (share, np.zeros(channels, np.float32))
    )
    inner = replace(window, before=(0, 0), after=(0, 0))
    return compiler.emit(
        "DEPTHWISE_CONV_2D",
        [x, kernel, bias],
        (x.shape[0], *output_size(inner, x.shape[1:3]), channels),
        padding=Padding.VALID,
        strideH=window.strides[0],
        strideW=window.strides[1],
        dilationHFactor=window.dilations[0],
        dilationWFactor=window.dilations[1],
        depthMultiplier=1,
    )


def norm_pool(compiler: Compiler, node: Node) -> None:
    """The p-th root of the sum of |x| to the power of p, a sum being a mean times its count."""
    order = node.attributes.get("p", 2)
    x, declared = plane(compiler, node), window_for(compiler, node)
    window = grown(compiler, node, declared)
    means = padded_mean(compiler, powers(compiler, x, order), window)
    total = compiler.compute("MUL", means, math.prod(window.kernel))
    give_plane(compiler, node, root(compiler, total, order))


def mean(compiler: Compiler, node: Node, x: Tensor, window: Window) -> Tensor:
    """The only window as a mean: that kernel writes in any scale, and the delegate takes it."""
    part = (x.shape[0], *window.kernel, x.shape[3])
    x = slice_of(compiler, x, (0, 0, 0, 0), part)
    axes = compiler.writer.constant((1, 2))
    shape = (x.shape[0], 1, 1, x.shape[3])
    return compiler.emit(
        "MEAN", [x, axes], shape, quantization=compiler.target(node), keepDims=True
    )


def window_for(compiler: Compiler, node: Node) -> Window:
    return window_of(node, node.attributes["kernel_shape"], compiler.shape(node.inputs[0])[2:])


def grown(compiler: Compiler, node: Node, window: Window) -> Window:
    """Padded further at the end, so that the last window fits that `ceil_mode` adds."""
    size, wanted = compiler.shape(node.inputs[0])[2:], compiler.shape(node.outputs[0])[2:]
    if len(size) == 1:
        size, wanted = (1, *size), (1, *wanted)
    if node.attributes.get("ceil_mode") and any(
        (count - 1) * stride >= before + n
        for count, stride, before, n in zip(
            wanted, window.strides, window.before, size, strict=True
        )
    ):
        raise node.unsupported(
            "rounds up to a window that holds padding only", "Turn ceil_mode off."
        )
    ends = [
        (count - 1) * stride + extent - before - n
        for count, stride, extent, before, n in zip(
            wanted, window.strides, window.extent, window.before, size, strict=True
        )
    ]
    after = tuple(max(end, given) for end, given in zip(ends, window.after, strict=True))
    return replace(window, after=after)


def line_counts(size: int, window: Window, axis: int, declared: int | None) -> Array:
    """How many pixels ONNX divides by, for each output along an axis.

    `declared` is the padding at the end that counts; None if no padding does.
    """
    before, step = window.before[axis], window.strides[axis]
    counts = np.zeros(before + size + window.after[axis])
    counts[before : before + size] = 1
    if declared is not None:
        counts[: before + size + declared] = 1
    starts = range(0, len(counts) - window.extent[axis] + 1, step)
    gap = window.dilations[axis]
    return np.array([counts[start : start + window.extent[axis] : gap].sum() for start in starts])


def pool(compiler: Compiler, code: str, x: Tensor, window: Window, padding: Padding) -> Tensor:
    size = x.shape[1:3]
    inner = replace(window, before=(0, 0), after=(0, 0)) if padding is Padding.VALID else window
    return compiler.emit(
        code,
        [x],
        (x.shape[0], *output_size(inner, size), x.shape[3]),
        quantization=x.quantization,
        padding=padding,
        strideH=window.strides[0],
        strideW=window.strides[1],
        filterHeight=window.kernel[0],
        filterWidth=window.kernel[1],
    )


TRANSLATIONS: Mapping[str, Translation] = {
    "AveragePool": average_pool,
    "LpPool": norm_pool,
    "MaxPool": max_pool,
}
