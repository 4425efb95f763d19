"""Transposed convolutions: the whole result first, then what ONNX's padding takes off its rims."""

import functools
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from toolkit.flatbuffer.compiler import Compiler
from toolkit.flatbuffer.graph import Array, Node
from toolkit.flatbuffer.operators.base import Padding, Translation
from toolkit.flatbuffer.operators.convolution import bias_of
from toolkit.flatbuffer.operators.shaping import slice_of
from toolkit.flatbuffer.operators.weights import Weights, filters, weights_of
from toolkit.flatbuffer.operators.windows import Window, give_plane, plane, window_of
from toolkit.flatbuffer.writer import Tensor

MOST_GROUPS = 64  # each is an operator of its own


def transposed(compiler: Compiler, node: Node) -> None:
    weights = weights_of(compiler, node, 1)
    groups = node.attributes.get("group", 1)
    if groups > MOST_GROUPS:
        raise node.unsupported(
            f"has {groups} groups", "Upsample with Resize, and convolve behind it."
        )
    window = window_for(compiler, node, weights)
    if len(weights.shape) == 3:
        weights = weights.arranged(lambda a: a[:, :, None])  # a height of one
    if any(gap > 1 for gap in window.dilations):
        weights = weights.arranged(lambda a: spread(a, window))
    x = plane(compiler, node)
    shape = compiler.shape(node.outputs[0])
    size = shape[2:] if len(shape) == 4 else (1, *shape[2:])
    width, outputs = x.shape[3] // groups, weights.shape[1]
    parts = []
    for group in range(groups):
        own = slice(group * width, (group + 1) * width)
        channels = slice_of(compiler, x, (0, 0, 0, own.start), (*x.shape[:3], width))
        kernel = weights.arranged(functools.partial(rows, own=own))
        place = slice(group * outputs, (group + 1) * outputs)
        parts.append(whole(compiler, node, channels, kernel, window, size, place))
    result = parts[0]
    if len(parts) > 1:
        joined = (*result.shape[:3], groups * outputs)
        result = compiler.emit(
            "CONCATENATION", parts, joined, quantization=result.quantization, axis=3
        )
    corner = (0, *window.before, 0)
    result = slice_of(compiler, result, corner, (shape[0], *size, groups * outputs))
    give_plane(compiler, node, result)


def rows(kernel: Array, own: slice) -> Array:
    return kernel[own]


def window_for(compiler: Compiler, node: Node, weights: Weights) -> Window:
    """The window with the padding that the output's size asks for."""
    given = dict(node.attributes)
    automatic = given.pop("auto_pad", "NOTSET")
    window = window_of(replace(node, attributes=given), weights.shape[2:], ())
    if not automatic.startswith("SAME") and "output_shape" not in given:
        return window
    source, target = (compiler.shape(name)[2:] for name in (node.inputs[0], node.outputs[0]))
    more = given.get("output_padding", (0,) * len(source))
    if len(source) == 1:
        source, target, more = (1, *source), (1, *target), (0, *more)
    before = []
    for n, m, stride, extent, extra in zip(
        source, target, window.strides, window.extent, more, strict=True
    ):
        total = max((n - 1) * stride + extent + extra - m, 0)
        before.append(total // 2 if automatic == "SAME_UPPER" else total - total // 2)
    return replace(window, before=tuple(before))


def spread(kernel: Array, window: Window) -> Array:
    """A kernel with gaps as a larger one with zeros in them."""
    wide = np.zeros((*kernel.shape[:2], *window.extent), kernel.dtype)
    down, right = window.dilations
    wide[:, :, ::down, ::right] = kernel
    return wide


def whole(
    compiler: Compiler,
    node: Node,
    x: Tensor,
    weights: Weights,
    window: Window,
    size: tuple[int, ...],
    place: slice,
) -> Tensor:
    """One group's result, before anything is cut off; `place` is that of its channels."""
    # rows beyond the last window hold nothing but the bias
    full = [
        max((n - 1) * stride + extent, before + wanted)
        for n, stride, extent, before, wanted in zip(
            x.shape[1:3], window.strides, window.extent, window.before, size, strict=True
        )
    ]
    outputs = weights.shape[1]
    kernel = filters(compiler, node, weights.arranged(lambda a: a.transpose(1, 2, 3, 0)), 0)
    shape = (x.shape[0], *full, outputs)
    bias = bias_of(compiler, node, outputs, x, kernel, place)
    return compiler.emit(
        "TRANSPOSE_CONV",
        [compiler.writer.constant(shape), kernel, x, bias],
        shape,
        dtype=x.dtype,
        quantization=compiler.target(node),
        padding=Padding.VALID,
        strideH=window.strides[0],
        strideW=window.strides[1],
    )


TRANSLATIONS: Mapping[str, Translation] = {"ConvTranspose": transposed}
