"""Weights and biases as the file stores them: floats, or codes and their scales."""

from collections.abc import Sequence

import numpy as np

from toolkit.flatbuffer.layout import permuted
from toolkit.tflite_graph.builder import Builder
from toolkit.tflite_graph.numbers import real
from toolkit.tflite_graph.parts import Array, Operation, Tensor, damaged
from toolkit.tflite_graph.scaled import constant_of_codes, constant_of_sums, shielded, widest


def weights_of(builder: Builder, operation: Operation, index: int) -> Tensor:
    """The stored tensor that an input is, or is unpacked from."""
    place = builder.place(operation, index)
    held = builder.held_tensor(place)
    if held is not None:
        if not held.quantized and held.dtype not in {"FLOAT16", "FLOAT32"}:
            raise operation.unsupported(
                f"works with {held.dtype.lower()} weights ({held.name!r})",
                "Export the model with float or int8 weights.",
            )
        return held
    array = builder.constant(operation, index)  # refused where it is computed from the input
    return Tensor(builder.file.tensors[place].name, array.shape, "FLOAT32", array)


def stored_weight(
    builder: Builder, weights: Tensor, axes: Sequence[int], word: str = "weight"
) -> str:
    """The real weights, their axes in another order."""
    assert weights.data is not None
    name = f"{builder.scope}.{word}"
    if not weights.quantized:
        return builder.store(name, real(weights).transpose(axes))
    assert weights.scales is not None
    axis = list(axes).index(weights.scales.axis) if weights.scales.per_channel else 0
    builder.need_opset(widest(weights.dtype))
    shape = permuted(weights.shape, axes)
    return builder.add(constant_of_codes(name, weights.data.transpose(axes), weights, axis), shape)


def stored_bias(
    builder: Builder, operation: Operation, index: int, source: Tensor, weights: Tensor
) -> str:
    """The real bias; empty where there is none, and none is needed.

    `source` is what the layer reads.
    """
    name = f"{builder.scope}.bias"
    outside = weights.quantized or not builder.file.has_codes
    if not builder.has(operation, index):
        if outside:
            return ""
        count = builder.output(operation).shape[-1]
        return builder.add(shielded(name, np.zeros(count, np.float32)), (count,))
    held = builder.held_tensor(builder.place(operation, index))
    if held is None or held.dtype not in {"INT32", "INT64"}:
        array = builder.constant(operation, index).reshape(-1)
        if outside:
            return builder.store(name, array.astype(np.float32))
        return builder.add(shielded(name, array), array.shape)
    assert held.data is not None
    codes = held.data.reshape(-1)
    scale = bias_scale(held, source, weights)
    if scale.size not in {1, codes.size}:
        raise damaged(f"{operation.code} has a bias for other weights")
    return builder.add(constant_of_sums(name, codes, scale), codes.shape)


def bias_scale(held: Tensor, source: Tensor, weights: Tensor) -> Array:
    """Of the sums that the bias is added to: that of the input times that of the weights."""
    if source.scales is not None and weights.scales is not None:
        return np.asarray(source.scales.scale * weights.scales.scale)
    if held.scales is None:
        raise damaged(f"{held.name!r} holds integers without a scale")
    return held.scales.scale
