"""Convolution and pooling, in one to three dimensions."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from toolkit.foreign.graph import Graph, Value
from toolkit.foreign.keras_layers.base import (
    activated,
    array,
    shape_after,
    translates,
    untranslated,
)


def channels_second(graph: Graph, layer: Any, x: Value) -> tuple[str, list[int]]:
    """What the layer takes with its channels second, and its sizes in space."""
    if layer.data_format == "channels_first":
        return graph.plain(x), [int(size or 0) for size in x.shape[2:]]
    return graph.second(x), [int(size or 0) for size in x.shape[1:-1]]


def given_back(layer: Any, x: Value, name: str) -> Value:
    return Value(shape_after(layer, x.shape), name, second=layer.data_format == "channels_last")


def pads(
    padding: str, sizes: Sequence[int], kernel: Sequence[int], steps: Sequence[int],
    holes: Sequence[int],
) -> list[int]:  # fmt: skip
    """Values added before and after each axis: `same` gives the odd one to the end."""
    if padding == "valid":
        return [0] * (2 * len(sizes))
    before, after = [], []
    for size, width, step, hole in zip(sizes, kernel, steps, holes, strict=True):
        reach = hole * (width - 1) + 1
        if padding == "causal":
            before.append(reach - 1)
            after.append(0)
            continue
        whole = max((-(-size // step) - 1) * step + reach - size, 0)
        before.append(whole // 2)
        after.append(whole - whole // 2)
    return [*before, *after]


def convolve(graph: Graph, layer: Any, x: Value, parts: Sequence[tuple[str, Any, int]]) -> Value:
    """One convolution, or two of which the second sees single points.

    Args:
        parts: name, weights (out, in, *space) and groups of each.
    """
    name, sizes = channels_second(graph, layer, x)
    kernel, steps, holes = layer.kernel_size, layer.strides, layer.dilation_rate
    around = pads(layer.padding, sizes, kernel, steps, holes)
    for index, (stem, weights, groups) in enumerate(parts):
        words = {"kernel_shape": weights.shape[2:], "group": groups}
        if index == 0:
            words |= {"strides": steps, "dilations": holes, "pads": around}
        inputs = [graph.store(f"{stem}weight", weights)]
        if index == len(parts) - 1 and layer.use_bias:
            inputs.append(graph.store(f"{stem}bias", array(layer.bias)))
        name = graph.emit("Conv", name, *inputs, **words)
    return activated(graph, layer, given_back(layer, x, name))


def outputs_first(kernel: Any) -> Any:
    """A kernel (*space, in, out) as (out, in, *space)."""
    return np.moveaxis(kernel, (-1, -2), (0, 1))


def a_channel_each(kernel: Any) -> Any:
    """A depthwise kernel (*space, in, multiplier) as (in * multiplier, 1, *space)."""
    each = np.moveaxis(kernel, (-2, -1), (0, 1))
    return each.reshape(-1, 1, *each.shape[2:])


@translates("Conv1D", "Conv2D", "Conv3D")
def conv(graph: Graph, layer: Any, x: Value) -> Value:
    return convolve(graph, layer, x, [("", outputs_first(array(layer.kernel)), layer.groups)])


@translates("DepthwiseConv1D", "DepthwiseConv2D")
def depthwise(graph: Graph, layer: Any, x: Value) -> Value:
    kernel = array(layer.kernel)
    return convolve(graph, layer, x, [("", a_channel_each(kernel), kernel.shape[-2])])


@translates("SeparableConv1D", "SeparableConv2D")
def separable(graph: Graph, layer: Any, x: Value) -> Value:
    deep, points = array(layer.depthwise_kernel), array(layer.pointwise_kernel)
    first = ("depthwise.", a_channel_each(deep), deep.shape[-2])
    return convolve(graph, layer, x, [first, ("pointwise.", outputs_first(points), 1)])


@translates("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose")
def conv_transpose(graph: Graph, layer: Any, x: Value) -> Value:
    """Its padding is that of the convolution it would undo."""
    name, sizes = channels_second(graph, layer, x)
    after = shape_after(layer, x.shape)
    space = after[2:] if layer.data_format == "channels_first" else after[1:-1]
    before, behind, more = [], [], []
    for size, made, width, step, hole in zip(
        sizes, space, layer.kernel_size, layer.strides, layer.dilation_rate, strict=True
    ):
        reach = hole * (width - 1) + 1
        cut = (size - 1) * step + reach - int(made or 0)
        first = max(reach - step, 0) // 2 if layer.padding == "same" else 0
        before.append(min(first, max(cut, 0)))
        behind.append(max(cut, 0) - before[-1])
        more.append(max(-cut, 0))
    weights = np.moveaxis(array(layer.kernel), (-1, -2), (0, 1))  # (in, out, *space)
    inputs = [graph.store("weight", weights)]
    if layer.use_bias:
        inputs.append(graph.store("bias", array(layer.bias)))
    name = graph.emit(
        "ConvTranspose", name, *inputs, kernel_shape=layer.kernel_size, strides=layer.strides,
        dilations=layer.dilation_rate, pads=[*before, *behind], output_padding=more,
    )  # fmt: skip
    return activated(graph, layer, given_back(layer, x, name))


def pool(graph: Graph, layer: Any, x: Value, op: str, **words: Any) -> Value:
    name, sizes = channels_second(graph, layer, x)
    around = pads(layer.padding, sizes, layer.pool_size, layer.strides, [1] * len(sizes))
    words |= {"kernel_shape": layer.pool_size, "strides": layer.strides, "pads": around}
    return given_back(layer, x, graph.emit(op, name, **words))


@translates("MaxPooling1D", "MaxPooling2D", "MaxPooling3D")
def max_pooling(graph: Graph, layer: Any, x: Value) -> Value:
    return pool(graph, layer, x, "MaxPool")


@translates("AveragePooling1D", "AveragePooling2D", "AveragePooling3D")
def average_pooling(graph: Graph, layer: Any, x: Value) -> Value:
    return pool(graph, layer, x, "AveragePool", count_include_pad=0)


@translates(
    "GlobalAveragePooling1D", "GlobalAveragePooling2D", "GlobalAveragePooling3D",
    "GlobalMaxPooling1D", "GlobalMaxPooling2D", "GlobalMaxPooling3D",
)  # fmt: skip
def global_pooling(graph: Graph, layer: Any, x: Value) -> Value:
    op = "ReduceMean" if "Average" in type(layer).__name__ else "ReduceMax"
    first = layer.data_format == "channels_first"
    name, second = (graph.plain(x), True) if first else (x.name, x.second)
    axes = range(2, x.rank) if second else range(1, x.rank - 1)
    made = graph.emit(op, name, graph.constant([*axes], np.int64), keepdims=int(layer.keepdims))
    after = shape_after(layer, x.shape)
    return Value(after, made, second=layer.keepdims and x.second and not first)


@translates("UpSampling1D", "UpSampling2D")
def up_sampling(graph: Graph, layer: Any, x: Value) -> Value:
    one = type(layer).__name__ == "UpSampling1D"
    factors = [layer.size] if one else [*layer.size]
    kind = "nearest" if one else layer.interpolation
    if kind not in {"nearest", "bilinear"}:
        raise untranslated(layer, f"interpolation {kind!r}")
    if one:
        name = graph.second(x)
    else:
        name, _ = channels_second(graph, layer, x)
    scales = graph.constant([1, 1, *factors])
    name = graph.emit("Resize", name, "", scales, **resize_words(kind))
    if one:
        return Value(shape_after(layer, x.shape), name, second=True)
    return given_back(layer, x, name)


def resize_words(kind: str) -> dict[str, str]:
    if kind == "bilinear":
        return {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
    return {
        "mode": "nearest",
        "coordinate_transformation_mode": "asymmetric",
        "nearest_mode": "floor",
    }
