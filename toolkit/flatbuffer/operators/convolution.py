"""Convolutions: TFLite has a kernel for plain and grouped ones, and one for depthwise."""

from collections.abc import Mapping

import numpy as np

from toolkit.flatbuffer.compiler import Compiler
from toolkit.flatbuffer.graph import Array, Node, Quantization
from toolkit.flatbuffer.operators.base import Translation, activation
from toolkit.flatbuffer.operators.weights import filters, weights_of
from toolkit.flatbuffer.operators.windows import give_plane, pad_plane, plane, window_of
from toolkit.flatbuffer.quantized import dequantized
from toolkit.flatbuffer.writer import Tensor


def convolution(compiler: Compiler, node: Node) -> None:
    weights = weights_of(compiler, node, 0)
    x = plane(compiler, node)
    size = compiler.shape(node.inputs[0])[2:]
    window = window_of(node, weights.shape[2:], size)
    if len(weights.shape) == 3:
        weights = weights.arranged(lambda a: a[:, :, None])  # a height of one
    groups = node.attributes.get("group", 1)
    x, padding = pad_plane(compiler, x, window)
    outputs, (height, width) = weights.shape[0], window.kernel
    depthwise = groups == x.shape[3] and groups > 1
    if depthwise:
        code, axis = "DEPTHWISE_CONV_2D", 3
        weights = weights.arranged(
            lambda a: a.transpose(1, 2, 3, 0).reshape(1, height, width, outputs)
        )
        more = {"depthMultiplier": outputs // groups}
    else:
        code, axis, more = "CONV_2D", 0, {}
        weights = weights.arranged(lambda a: a.transpose(0, 2, 3, 1))
    kernel = filters(compiler, node, weights, axis)
    shape = compiler.shape(node.outputs[0])
    spatial = shape[2:] if len(shape) == 4 else (1, *shape[2:])
    result = compiler.emit(
        code,
        [x, kernel, bias_of(compiler, node, outputs, x, kernel)],
        (shape[0], *spatial, outputs),
        quantization=compiler.target(node),
        padding=padding,
        strideH=window.strides[0],
        strideW=window.strides[1],
        dilationHFactor=window.dilations[0],
        dilationWFactor=window.dilations[1],
        fusedActivationFunction=activation(node),
        **more,
    )
    give_plane(compiler, node, result)


def bias_of(
    compiler: Compiler,
    node: Node,
    outputs: int,
    x: Tensor,
    weights: Tensor,
    place: slice = slice(None),
) -> Tensor:
    """The third input or zeros; for integers with the accumulator's scale, input times weight.

    `place`: that of a group's outputs among all.
    """
    name = node.inputs[2] if node.has(2) else ""
    values = compiler.constant_input(node, 2)
    values = np.zeros(1) if values is None else values
    if not (x.quantization and weights.quantization):
        return compiler.writer.constant(flat(values, outputs, place).astype(np.float32))
    if name in compiler.graph.quantizations:
        values = dequantized(compiler.graph.codes[name], compiler.graph.quantizations[name])
    # float32, as the kernels multiply them
    scale = np.array(x.quantization.scale, np.float32) * np.array(
        weights.quantization.scale, np.float32
    )
    limit = np.iinfo(np.int32)
    codes = np.rint(flat(values, outputs, place) / scale.astype(np.float64)).clip(
        limit.min, limit.max
    )
    quantization = Quantization(tuple(float(value) for value in scale), (0,) * len(scale))
    return compiler.writer.constant(codes.astype(np.int32), quantization)


def flat(values: Array, size: int, place: slice) -> Array:
    row = values.reshape(-1)
    return np.broadcast_to(row[place] if row.size > 1 else row, (size,)).astype(np.float64)


TRANSLATIONS: Mapping[str, Translation] = {"Conv": convolution}
