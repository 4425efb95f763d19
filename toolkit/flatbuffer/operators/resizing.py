"""Resize: many conventions in ONNX, three in TFLite."""

from collections.abc import Callable, Mapping

import numpy as np

from toolkit.flatbuffer.compiler import Compiler
from toolkit.flatbuffer.graph import Array, Node
from toolkit.flatbuffer.layout import Layout
from toolkit.flatbuffer.operators.base import Translation
from toolkit.flatbuffer.operators.shaping import selected

ROUNDINGS: Mapping[str, Callable[[Array], Array]] = {
    "ceil": np.ceil,
    "floor": np.floor,
    "round_prefer_ceil": lambda at: np.floor(at + 0.5),
    "round_prefer_floor": lambda at: np.ceil(at - 0.5),
}
HALF_PIXEL = {"half_pixel", "pytorch_half_pixel"}


def resize(compiler: Compiler, node: Node) -> None:
    source, target = compiler.shape(node.inputs[0]), compiler.shape(node.outputs[0])
    if len(source) != 4 or source[:2] != target[:2]:
        raise node.unsupported("resizes more than height and width", "Resize images only.")
    scales = [scale_of(compiler, node, axis, source[axis], target[axis]) for axis in (2, 3)]
    mode = node.attributes.get("mode", "nearest")
    if mode == "nearest":
        nearest(compiler, node, scales)
    elif mode == "linear" and not node.attributes.get("antialias"):
        linear(compiler, node, scales)
    else:
        raise node.unsupported(f"interpolates in mode {mode!r}", "Use nearest or linear.")


def scale_of(compiler: Compiler, node: Node, axis: int, source: int, target: int) -> float:
    """Output pixels an input pixel; a given factor counts even where sizes were rounded."""
    scales = compiler.constant_input(node, 2)
    if scales is None or not scales.size:
        return target / source
    axes = list(node.attributes.get("axes", range(len(scales))))
    return float(scales[axes.index(axis)]) if axis in axes else 1.0


def coordinates(node: Node, scale: float, source: int, target: int) -> Array:
    """Where each output pixel lies in the input."""
    way = node.attributes.get("coordinate_transformation_mode", "half_pixel")
    places = np.arange(target, dtype=np.float64)
    if way == "align_corners":
        return places * (source - 1) / max(target - 1, 1)
    if way == "asymmetric":
        return places / scale
    if way in HALF_PIXEL:
        single = way == "pytorch_half_pixel" and target == 1
        return np.zeros(1) if single else (places + 0.5) / scale - 0.5
    raise node.unsupported(f"has coordinates {way!r}", "Use half_pixel or align_corners.")


def nearest(compiler: Compiler, node: Node, scales: list[float]) -> None:
    """One kernel where it picks the same pixels; else the pixels by their indices."""
    x = compiler.take(node, 0, Layout.LAST)
    size = compiler.shape(node.outputs[0])[2:]
    rounding = ROUNDINGS[node.attributes.get("nearest_mode", "round_prefer_floor")]
    picked = [
        rounding(coordinates(node, scale, n, m)).clip(0, n - 1).astype(np.int32)
        for scale, n, m in zip(scales, x.shape[1:3], size, strict=True)
    ]
    plain = [np.arange(m) * n // m for n, m in zip(x.shape[1:3], size, strict=True)]
    if all((p == q).all() for p, q in zip(picked, plain, strict=True)):
        result = compiler.emit(
            "RESIZE_NEAREST_NEIGHBOR",
            [x, compiler.writer.constant(size)],
            (x.shape[0], *size, x.shape[3]),
            quantization=x.quantization,
        )
    else:
        result = selected(compiler, x, picked[0], 1)
        result = selected(compiler, result, picked[1], 2)
    compiler.give(node, result, Layout.LAST)


def linear(compiler: Compiler, node: Node, scales: list[float]) -> None:
    x = compiler.take(node, 0, Layout.LAST)
    size = compiler.shape(node.outputs[0])[2:]
    way = node.attributes.get("coordinate_transformation_mode", "half_pixel")
    if way not in {"align_corners", "asymmetric", *HALF_PIXEL}:
        raise node.unsupported(f"has coordinates {way!r}", "Use half_pixel or align_corners.")
    exact = all(
        abs(n * scale - m) < 1e-6 for n, scale, m in zip(x.shape[1:3], scales, size, strict=True)
    )
    single = any(m == 1 != n for n, m in zip(x.shape[1:3], size, strict=True))
    if way == "pytorch_half_pixel" and single:
        raise node.unsupported("resizes to one pixel", "Use half_pixel, or a mean.")
    if way != "align_corners" and not exact:
        raise node.unsupported(
            "has a scale that does not fit the size it gives", "Give the size and no scale."
        )
    result = compiler.emit(
        "RESIZE_BILINEAR",
        [x, compiler.writer.constant(size)],
        (x.shape[0], *size, x.shape[3]),
        quantization=x.quantization,
        alignCorners=way == "align_corners",
        halfPixelCenters=way in HALF_PIXEL,
    )
    compiler.give(node, result, Layout.LAST)


TRANSLATIONS: Mapping[str, Translation] = {"Resize": resize}
