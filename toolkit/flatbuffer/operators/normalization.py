"""Normalizations, said with means, products and roots."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from toolkit.flatbuffer.compiler import Compiler
from toolkit.flatbuffer.fusion import normalization
from toolkit.flatbuffer.graph import Array, Node
from toolkit.flatbuffer.layout import Layout, axis_in
from toolkit.flatbuffer.operators.base import Translation
from toolkit.flatbuffer.operators.reduction import powers, reduced, root
from toolkit.flatbuffer.writer import Tensor

TINY = 1e-9  # what the standard adds to a deviation


def batch_normalization(compiler: Compiler, node: Node) -> None:
    """One factor and one offset a channel, where no convolution could take them up."""
    if node.attributes.get("training_mode"):
        raise node.unsupported("is in training mode", "Export the model in eval mode.")
    arrays = {node.inputs[i]: _given(compiler, node, i) for i in range(1, len(node.inputs))}
    factor, offset = normalization(node, arrays)
    x = compiler.take(node, 0, Layout.LAST)  # for (N, C) the same as FIRST
    scaled = compiler.compute("MUL", x, compiler.writer.constant(factor))
    result = compiler.compute("ADD", scaled, compiler.writer.constant(offset))
    compiler.give(node, result, Layout.LAST)


def layer_normalization(compiler: Compiler, node: Node) -> None:
    x = compiler.take(node)
    rank = len(x.shape)
    axes = range(node.attributes.get("axis", -1) % rank, rank)
    centre, inverse = moments(compiler, x, axes, node.attributes.get("epsilon", 1e-5))
    centred = compiler.compute("SUB", x, centre)
    result = scaled(compiler, node, compiler.compute("MUL", centred, inverse))
    compiler.give(node, result)
    for output, value in ((1, centre), (2, inverse)):
        if output < len(node.outputs) and node.outputs[output]:
            compiler.give(node, value, output=output)


def root_mean_square(compiler: Compiler, node: Node) -> None:
    x = compiler.take(node)
    rank = len(x.shape)
    axes = range(node.attributes.get("axis", -1) % rank, rank)
    squares = reduced(compiler, "MEAN", compiler.compute("MUL", x, x), axes)
    safe = compiler.compute("ADD", squares, node.attributes.get("epsilon", 1e-5))
    result = compiler.compute("MUL", x, compiler.compute("RSQRT", safe))
    compiler.give(node, scaled(compiler, node, result))


def scaled(compiler: Compiler, node: Node, x: Tensor) -> Tensor:
    """Times the second input, plus the third, which broadcast as ONNX has it."""
    for code, index in (("MUL", 1), ("ADD", 2)):
        if node.has(index):
            x = compiler.compute(code, x, compiler.writer.constant(_given(compiler, node, index)))
    return x


def instance_normalization(compiler: Compiler, node: Node) -> None:
    x = compiler.take(node, 0, Layout.LAST)
    axes = range(1, len(x.shape) - 1)
    result = standardized(compiler, x, axes, node.attributes.get("epsilon", 1e-5))
    compiler.give(node, scaled(compiler, node, result), Layout.LAST)


def group_normalization(compiler: Compiler, node: Node) -> None:
    """With channels last, the channels of a group lie side by side: no value has to move.

    Before opset 21 there was one scale a group; since then there is one a channel.
    """
    x = compiler.take(node, 0, Layout.LAST)
    groups, channels = node.attributes["num_groups"], x.shape[-1]
    split = (x.shape[0], math.prod(x.shape[1:-1]), groups, channels // groups)
    whole = compiler.reshape(x, split)
    result = standardized(compiler, whole, (1, 3), node.attributes.get("epsilon", 1e-5))
    result = compiler.reshape(result, x.shape)
    for code, index in (("MUL", 1), ("ADD", 2)):
        values = _given(compiler, node, index)
        if len(values) == groups != channels:
            values = np.repeat(values, channels // groups)
        if (values != (code == "MUL")).any():  # torch multiplies by ones here, and scales later
            result = compiler.compute(code, result, compiler.writer.constant(values))
    compiler.give(node, result, Layout.LAST)


def mean_variance(compiler: Compiler, node: Node) -> None:
    layout = compiler.layout(node)
    x = compiler.take(node, 0, layout)
    rank = len(x.shape)
    given = node.attributes.get("axes", (0, 2, 3))
    axes = sorted(axis_in(layout, axis, rank) for axis in given)
    centred = compiler.compute("SUB", x, reduced(compiler, "MEAN", x, axes))
    variance = reduced(compiler, "MEAN", compiler.compute("MUL", centred, centred), axes)
    deviation = compiler.compute("ADD", compiler.compute("SQRT", variance), TINY)
    compiler.give(node, compiler.compute("DIV", centred, deviation), layout)


def unit_length(compiler: Compiler, node: Node) -> None:
    """Divided by a norm; where that is zero, so is the result."""
    layout = compiler.layout(node)
    x = compiler.take(node, 0, layout)
    order = node.attributes.get("p", 2)
    axis = axis_in(layout, node.attributes.get("axis", -1), len(x.shape))
    length = root(compiler, reduced(compiler, "SUM", powers(compiler, x, order), [axis]), order)
    is_zero = compiler.compute("EQUAL", length, 0, dtype="bool")
    safe = compiler.compute("SELECT_V2", is_zero, 1, length)
    compiler.give(node, compiler.compute("DIV", x, safe), layout)


def local_response(compiler: Compiler, node: Node) -> None:
    """TFLite's factor is of the sum, ONNX's of the mean over a window of channels."""
    size = node.attributes["size"]
    if not size % 2:
        raise node.unsupported("has a window of even size", "Use an odd number of channels.")
    x = compiler.take(node, 0, Layout.LAST)
    if len(x.shape) != 4:
        raise node.unsupported("works on no image", "Use it on (N, C, H, W).")
    result = compiler.emit(
        "LOCAL_RESPONSE_NORMALIZATION",
        [x],
        x.shape,
        radius=size // 2,
        bias=node.attributes.get("bias", 1.0),
        alpha=node.attributes.get("alpha", 1e-4) / size,
        beta=node.attributes.get("beta", 0.75),
    )
    compiler.give(node, result, Layout.LAST)


def standardized(compiler: Compiler, x: Tensor, axes: Sequence[int], epsilon: float) -> Tensor:
    """(x - mean) / sqrt(variance + epsilon) over `axes`."""
    centre, inverse = moments(compiler, x, axes, epsilon)
    return compiler.compute("MUL", compiler.compute("SUB", x, centre), inverse)


def moments(
    compiler: Compiler, x: Tensor, axes: Sequence[int], epsilon: float
) -> tuple[Tensor, Tensor]:
    """The mean, and 1 / sqrt(variance + epsilon)."""
    centre = reduced(compiler, "MEAN", x, axes)
    centred = compiler.compute("SUB", x, centre)
    variance = reduced(compiler, "MEAN", compiler.compute("MUL", centred, centred), axes)
    return centre, compiler.compute("RSQRT", compiler.compute("ADD", variance, epsilon))


def _given(compiler: Compiler, node: Node, index: int) -> Array:
    values = compiler.constant_input(node, index)
    if values is None:
        raise node.unsupported(f"lacks its input {index}", "Export the model again.")
    return values.astype(np.float32)


TRANSLATIONS: Mapping[str, Translation] = {
    "BatchNormalization": batch_normalization,
    "GroupNormalization": group_normalization,
    "InstanceNormalization": instance_normalization,
    "LRN": local_response,
    "LayerNormalization": layer_normalization,
    "LpNormalization": unit_length,
    "MeanVarianceNormalization": mean_variance,
    "RMSNormalization": root_mean_square,
}
