"""Resize: many conventions in ONNX, three in TFLite."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from toolkit.flatbuffer.compiler import Compiler
from toolkit.flatbuffer.graph import Array, Node
from toolkit.flatbuffer.layout import Layout, axis_in
from toolkit.flatbuffer.operators.base import Translation
from toolkit.flatbuffer.operators.shaping import selected
from toolkit.flatbuffer.operators.windows import give_plane, plane

ROUNDINGS: Mapping[str, Callable[[Array], Array]] = {
    "ceil": np.ceil,
    "floor": np.floor,
    "round_prefer_ceil": lambda at: np.floor(at + 0.5),
    "round_prefer_floor": lambda at: np.ceil(at - 0.5),
}
HALF_PIXEL = {"half_pixel", "pytorch_half_pixel"}


def resize(compiler: Compiler, node: Node) -> None:
    source, target = compiler.shape(node.inputs[0]), compiler.shape(node.outputs[0])
    scales = scales_of(compiler, node, source, target)
    mode = node.attributes.get("mode", "nearest")
    if mode == "nearest":
        nearest(compiler, node, scales)
    elif mode == "linear" and not node.attributes.get("antialias"):
        if len(source) not in (3, 4) or source[:2] != target[:2]:
            raise node.unsupported(
                "interpolates along other axes than height and width", "Resize images only."
            )
        linear(compiler, node, scales[2:])
    else:
        blurred = " with antialiasing" if node.attributes.get("antialias") else ""
        raise node.unsupported(
            f"interpolates in mode {mode!r}{blurred}", "Use nearest or linear without antialias."
        )


def scales_of(
    compiler: Compiler, node: Node, source: Sequence[int], target: Sequence[int]
) -> list[float]:
    """Output pixels an input pixel, for each axis; given, it counts even where sizes were rounded.

    Where the ratio of the sides is kept, it is one factor for all sides that a size is given for.
    """
    scales, sizes = compiler.constant_input(node, 2), compiler.constant_input(node, 3)
    found = [m / n for n, m in zip(source, target, strict=True)]
    given = scales if scales is not None and scales.size else sizes
    if given is None or not given.size:
        return found
    axes = [axis % len(source) for axis in node.attributes.get("axes", range(len(given)))]
    if given is scales:
        values = [float(value) for value in given]
    else:
        values = [float(size) / source[axis] for axis, size in zip(axes, given, strict=True)]
        policy = node.attributes.get("keep_aspect_ratio_policy", "stretch")
        if policy != "stretch":
            values = [(min if policy == "not_larger" else max)(values)] * len(values)
    for axis, value in zip(axes, values, strict=True):
        found[axis] = value
    return found


def coordinates(node: Node, scale: float, source: int, target: int) -> Array:
    """Where each output pixel lies in the input."""
    way = node.attributes.get("coordinate_transformation_mode", "half_pixel")
    places = np.arange(target, dtype=np.float64)
    if way == "align_corners":
        reach = scale * source - 1
        return places * (source - 1) / reach if reach else places * 0
    if way == "asymmetric":
        return places / scale
    if way in HALF_PIXEL:
        single = way == "pytorch_half_pixel" and target == 1
        return np.zeros(1) if single else (places + 0.5) / scale - 0.5
    if way == "half_pixel_symmetric":
        offset = source / 2 * (1 - target / (scale * source))
        return offset + (places + 0.5) / scale - 0.5
    raise node.unsupported(f"has coordinates {way!r}", "Use half_pixel or align_corners.")


def nearest(compiler: Compiler, node: Node, scales: list[float]) -> None:
    """One kernel where it picks the same pixels; else the pixels by their indices."""
    source, target = compiler.shape(node.inputs[0]), compiler.shape(node.outputs[0])
    rounding = ROUNDINGS[node.attributes.get("nearest_mode", "round_prefer_floor")]
    picked = [
        rounding(coordinates(node, scale, n, m)).clip(0, n - 1).astype(np.int32)
        for scale, n, m in zip(scales, source, target, strict=True)
    ]
    kept = [
        n == m and (p == np.arange(n)).all() for p, n, m in zip(picked, source, target, strict=True)
    ]
    plain = [
        (np.arange(m) * n // m == p).all() for p, n, m in zip(picked, source, target, strict=True)
    ]
    if len(source) == 4 and all(kept[:2]) and all(plain[2:]):
        x = compiler.take(node, 0, Layout.LAST)
        size = target[2:]
        result = compiler.emit(
            "RESIZE_NEAREST_NEIGHBOR",
            [x, compiler.writer.constant(size)],
            (x.shape[0], *size, x.shape[3]),
            quantization=x.quantization,
        )
        compiler.give(node, result, Layout.LAST)
        return
    layout = compiler.layout(node, 0)
    x = compiler.take(node, 0, layout)
    for axis, places in enumerate(picked):
        if not kept[axis]:
            x = selected(compiler, x, places, axis_in(layout, axis, len(source)))
    compiler.give(node, x, layout)


def linear(compiler: Compiler, node: Node, scales: list[float]) -> None:
    x = plane(compiler, node)
    size = compiler.shape(node.outputs[0])[2:]
    if len(size) == 1:
        size, scales = (1, *size), [1.0, *scales]
    way = node.attributes.get("coordinate_transformation_mode", "half_pixel")
    if way not in {"align_corners", "asymmetric", "half_pixel_symmetric", *HALF_PIXEL}:
        raise node.unsupported(f"has coordinates {way!r}", "Use half_pixel or align_corners.")
    exact = all(
        abs(n * scale - m) < 1e-6 for n, scale, m in zip(x.shape[1:3], scales, size, strict=True)
    )
    single = any(m == 1 != n for n, m in zip(x.shape[1:3], size, strict=True))
    if way == "pytorch_half_pixel" and single:
        raise node.unsupported("resizes to one pixel", "Use half_pixel, or a mean.")
    if not exact:
        raise node.unsupported(
            "has a scale that does not fit the size it gives", "Give the size and no scale."
        )
    result = compiler.emit(
        "RESIZE_BILINEAR",
        [x, compiler.writer.constant(size)],
        (x.shape[0], *size, x.shape[3]),
        quantization=x.quantization,
        alignCorners=way == "align_corners",
        halfPixelCenters=way in {"half_pixel_symmetric", *HALF_PIXEL},
    )
    give_plane(compiler, node, result)


TRANSLATIONS: Mapping[str, Translation] = {"Resize": resize}
