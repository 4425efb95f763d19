"""Layers that move, cut, pad or join what they are given."""

import math
from typing import Any

import numpy as np

from toolkit.foreign.graph import Graph, Value
from toolkit.foreign.keras_layers.base import shape_after, translates, untranslated


def reshaped(graph: Graph, layer: Any, name: str, x: Value) -> Value:
    after = shape_after(layer, x.shape)
    sizes = graph.constant([-1, *after[1:]], np.int64)
    return Value(after, graph.emit("Reshape", name, sizes))


@translates("Flatten")
def flatten(graph: Graph, layer: Any, x: Value) -> Value:
    single = all(size == 1 for size in x.shape[1:-1])
    name = x.name if single else graph.plain(x)
    if layer.data_format == "channels_first" and x.rank > 2 and not single:
        # Keras flattens such pictures with the channels last
        name = graph.emit("Transpose", name, perm=[0, *range(2, x.rank), 1])
    after = (None, math.prod(int(size or 0) for size in x.shape[1:]))
    return Value(after, graph.emit("Reshape", name, graph.constant([-1, after[1]], np.int64)))


@translates("Reshape")
def reshape(graph: Graph, layer: Any, x: Value) -> Value:
    return reshaped(graph, layer, graph.plain(x), x)


@translates("Permute")
def permute(graph: Graph, layer: Any, x: Value) -> Value:
    name = graph.emit("Transpose", graph.plain(x), perm=[0, *layer.dims])
    return Value(shape_after(layer, x.shape), name)


@translates("RepeatVector")
def repeat_vector(graph: Graph, layer: Any, x: Value) -> Value:
    row = graph.emit("Unsqueeze", graph.plain(x), graph.constant([1], np.int64))
    name = graph.emit("Tile", row, graph.constant([1, layer.n, 1], np.int64))
    return Value(shape_after(layer, x.shape), name)


@translates("Concatenate")
def concatenate(graph: Graph, layer: Any, values: list[Value]) -> Value:
    values = graph.together(values)
    first = values[0]
    name = graph.emit("Concat", *(v.name for v in values), axis=first.axis(layer.axis))
    after = shape_after(layer, [v.shape for v in values])  # type: ignore[arg-type]
    return Value(after, name, first.second)


def borders(layer: Any, x: Value) -> list[tuple[int, tuple[int, int]]]:
    """Axis by axis in the tensor `x.name`, what is added or cut before and after."""
    sides = layer.padding if hasattr(layer, "padding") else layer.cropping
    sides = [tuple(sides)] if isinstance(sides[0], int) else [tuple(pair) for pair in sides]
    first = 2 if getattr(layer, "data_format", "") == "channels_first" else 1
    return [(x.axis(first + index), pair) for index, pair in enumerate(sides)]


@translates("ZeroPadding1D", "ZeroPadding2D", "ZeroPadding3D")
def zero_padding(graph: Graph, layer: Any, x: Value) -> Value:
    before, after = [0] * x.rank, [0] * x.rank
    for axis, (start, end) in borders(layer, x):
        before[axis], after[axis] = start, end
    sizes = graph.constant([*before, *after], np.int64)
    return Value(shape_after(layer, x.shape), graph.emit("Pad", x.name, sizes), x.second)


@translates("Cropping1D", "Cropping2D", "Cropping3D")
def cropping(graph: Graph, layer: Any, x: Value) -> Value:
    after = shape_after(layer, x.shape)
    cuts = borders(layer, x)
    axes, starts = [axis for axis, _ in cuts], [start for _, (start, _) in cuts]
    first = 2 if getattr(layer, "data_format", "") == "channels_first" else 1
    ends = [start + int(after[first + i] or 0) for i, start in enumerate(starts)]
    return Value(after, cut(graph, x.name, axes, starts, ends), x.second)


@translates("CenterCrop")
def center_crop(graph: Graph, layer: Any, x: Value) -> Value:
    first = 2 if layer.data_format == "channels_first" else 1
    if x.rank != 4:
        raise untranslated(layer, f"of {x.rank} axes")
    sizes = [int(size or 0) for size in x.shape[first : first + 2]]
    wanted = [layer.height, layer.width]
    if any(size < want for size, want in zip(sizes, wanted, strict=True)):
        raise untranslated(layer, "a picture smaller than the crop")
    starts = [(size - want) // 2 for size, want in zip(sizes, wanted, strict=True)]
    ends = [start + want for start, want in zip(starts, wanted, strict=True)]
    axes = [x.axis(first), x.axis(first + 1)]
    return Value(shape_after(layer, x.shape), cut(graph, x.name, axes, starts, ends), x.second)


def cut(graph: Graph, name: str, axes: list[int], starts: list[int], ends: list[int]) -> str:
    words = [graph.constant(numbers, np.int64) for numbers in (starts, ends, axes)]
    return graph.emit("Slice", name, *words)


@translates("Resizing")
def resizing(graph: Graph, layer: Any, x: Value) -> Value:
    """With half pixels, as Keras does it; other ways are left to the exporter."""
    odd = [word for word in ("crop_to_aspect_ratio", "pad_to_aspect_ratio", "antialias")
           if getattr(layer, word, False)]  # fmt: skip
    if odd or layer.interpolation not in {"bilinear", "nearest"} or x.rank != 4:
        raise untranslated(layer, ", ".join(odd) or f"interpolation {layer.interpolation!r}")
    first = layer.data_format == "channels_first"
    name = graph.plain(x) if first else graph.second(x)
    space = x.shape[2:] if first else x.shape[1:-1]
    wanted = (layer.height, layer.width)
    scales = [scale(int(old or 1), new) for old, new in zip(space, wanted, strict=True)]
    words = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
    if layer.interpolation == "nearest":
        words = {
            "mode": "nearest",
            "coordinate_transformation_mode": "half_pixel",
            "nearest_mode": "round_prefer_ceil",
        }
    name = graph.emit("Resize", name, "", graph.constant([1, 1, *scales]), **words)
    return Value(shape_after(layer, x.shape), name, second=not first)


def scale(old: int, new: int) -> float:
    """The factor in float32 that gives the new size when the product is rounded down."""
    factor = np.float32(new / old)
    while int(np.float32(old) * factor) < new:
        factor = np.nextafter(factor, np.float32(np.inf))
    return float(factor)
