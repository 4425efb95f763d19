"""Normalizations, said with means, products and roots."""

from collections.abc import Mapping, Sequence

import numpy as np

from toolkit.flatbuffer.compiler import Compiler
from toolkit.flatbuffer.fusion import normalization
from toolkit.flatbuffer.graph import Array, Node
from toolkit.flatbuffer.layout import Layout
from toolkit.flatbuffer.operators.base import Translation
from toolkit.flatbuffer.writer import Tensor


def batch_normalization(compiler: Compiler, node: Node) -> None:
    """One factor and one offset a channel, where no convolution could take them up."""
    arrays = {node.inputs[i]: _given(compiler, node, i) for i in range(1, 5)}
    factor, offset = normalization(node, arrays)
    x = compiler.take(node, 0, Layout.LAST)  # for (N, C) the same as FIRST
    scaled = compiler.emit("MUL", [x, compiler.writer.constant(factor)], x.shape)
    result = compiler.emit("ADD", [scaled, compiler.writer.constant(offset)], x.shape)
    compiler.give(node, result, Layout.LAST)


def layer_normalization(compiler: Compiler, node: Node) -> None:
    x = compiler.take(node)
    rank = len(x.shape)
    axes = range(node.attributes.get("axis", -1) % rank, rank)
    result = standardized(compiler, x, axes, node.attributes.get("epsilon", 1e-5))
    scale = compiler.writer.constant(_given(compiler, node, 1))
    result = compiler.emit("MUL", [result, scale], x.shape)
    if node.has(2):
        offset = compiler.writer.constant(_given(compiler, node, 2))
        result = compiler.emit("ADD", [result, offset], x.shape)
    compiler.give(node, result)


def instance_normalization(compiler: Compiler, node: Node) -> None:
    x = compiler.take(node, 0, Layout.LAST)
    axes = range(1, len(x.shape) - 1)
    result = standardized(compiler, x, axes, node.attributes.get("epsilon", 1e-5))
    for code, index in (("MUL", 1), ("ADD", 2)):
        channels = compiler.writer.constant(_given(compiler, node, index))
        result = compiler.emit(code, [result, channels], x.shape)
    compiler.give(node, result, Layout.LAST)


def standardized(compiler: Compiler, x: Tensor, axes: Sequence[int], epsilon: float) -> Tensor:
    """(x - mean) / sqrt(variance + epsilon) over `axes`."""
    centred = compiler.emit("SUB", [x, mean(compiler, x, axes)], x.shape)
    squares = compiler.emit("MUL", [centred, centred], x.shape)
    variance = mean(compiler, squares, axes)
    safe = compiler.emit("ADD", [variance, compiler.scalar(epsilon, x)], variance.shape)
    inverse = compiler.emit("RSQRT", [safe], safe.shape)
    return compiler.emit("MUL", [centred, inverse], x.shape)


def mean(compiler: Compiler, x: Tensor, axes: Sequence[int]) -> Tensor:
    shape = [1 if axis in axes else size for axis, size in enumerate(x.shape)]
    return compiler.emit("MEAN", [x, compiler.writer.constant(tuple(axes))], shape, keepDims=True)


def _given(compiler: Compiler, node: Node, index: int) -> Array:
    values = compiler.constant_input(node, index)
    if values is None:
        raise node.unsupported(f"lacks its input {index}", "Export the model again.")
    return values.astype(np.float32)


TRANSLATIONS: Mapping[str, Translation] = {
    "BatchNormalization": batch_normalization,
    "InstanceNormalization": instance_normalization,
    "LayerNormalization": layer_normalization,
}
