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
EXACT = 1e-6  # pixels: how far a scale may be from the size it gives
RESIZE_OPSET = 19  # the newest whose meaning the evaluator is asked for


def resize(compiler: Compiler, node: Node) -> None:
    source, target = compiler.shape(node.inputs[0]), compiler.shape(node.outputs[0])
    scales = scales_of(compiler, node, source, target)
    mode = node.attributes.get("mode", "nearest")
    way = node.attributes.get("coordinate_transformation_mode", "half_pixel")
    if way == "tf_crop_and_resize":
        raise node.unsupported("cuts out a region", "Use Slice, and Resize behind it.")
    if mode == "nearest":
        nearest(compiler, node, scales)
    elif mode == "linear" and is_bilinear(node, source, target, scales):
        linear(compiler, node)
    else:
        by_matrices(compiler, node, scales)


def is_bilinear(
    node: Node, source: Sequence[int], target: Sequence[int], scales: Sequence[float]
) -> bool:
    """Whether TFLite's kernel for images means the same."""
    if len(source) not in (3, 4) or node.attributes.get("antialias"):
        return False
    if any(n != m or s != 1 for n, m, s in zip(source[:2], target[:2], scales[:2], strict=True)):
        return False
    sides = list(zip(source[2:], target[2:], scales[2:], strict=True))
    way = node.attributes.get("coordinate_transformation_mode", "half_pixel")
    single = way == "pytorch_half_pixel" and any(m == 1 != n for n, m, _ in sides)
    return not single and all(abs(n * scale - m) < EXACT for n, m, scale in sides)


def by_matrices(compiler: Compiler, node: Node, scales: Sequence[float]) -> None:
    """Any interpolation along an axis is a product with a matrix of weights.

    What the standard's own evaluator makes of pixels that are one alone are its columns.
    """
    x, rank = compiler.real(compiler.take(node)), len(compiler.shape(node.inputs[0]))
    target = compiler.shape(node.outputs[0])
    for axis, scale in enumerate(scales):
        if scale == 1 and x.shape[axis] == target[axis]:
            continue
        swap = list(range(rank))
        swap[axis], swap[-1] = swap[-1], swap[axis]
        turned = compiler.transpose(x, swap)
        weights = matrix(compiler, node, axis, scale)
        if weights.shape != (target[axis], x.shape[axis]):
            raise node.unsupported("rounds the size it gives", "Give the size and no scale.")
        constants = [compiler.writer.constant(weights), None]
        shape = (*turned.shape[:-1], target[axis])
        result = compiler.emit("FULLY_CONNECTED", [turned, *constants], shape, keepNumDims=True)
        x = compiler.transpose(result, swap)
    compiler.give(node, x)


def matrix(compiler: Compiler, node: Node, axis: int, scale: float) -> Array:
    """How much each pixel along an axis counts for each that is made: shape (made, given)."""
    from onnx import TensorProto, helper
    from onnx.reference import ReferenceEvaluator

    size = compiler.shape(node.inputs[0])[axis]
    left_out = {"axes", "keep_aspect_ratio_policy"}
    kept = {name: value for name, value in node.attributes.items() if name not in left_out}
    by_size = node.has(3) and kept_sides(node)
    given = [] if by_size else [1.0, scale]
    sizes = [size, compiler.shape(node.outputs[0])[axis]] if by_size else []
    inputs = ["x", "", "scales" if given else "", "sizes" if sizes else ""]
    made = helper.make_node("Resize", inputs, ["y"], **kept)
    graph = helper.make_graph(
        [made],
        "line",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [size, size])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [
            helper.make_tensor("scales", TensorProto.FLOAT, [len(given)], given),
            helper.make_tensor("sizes", TensorProto.INT64, [len(sizes)], sizes),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", RESIZE_OPSET)])
    [found] = ReferenceEvaluator(model).run(None, {"x": np.eye(size, dtype=np.float32)})
    return np.ascontiguousarray(np.asarray(found, np.float32).T)


def kept_sides(node: Node) -> bool:
    return bool(node.attributes.get("keep_aspect_ratio_policy", "stretch") == "stretch")


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


def linear(compiler: Compiler, node: Node) -> None:
    x = plane(compiler, node)
    size = compiler.shape(node.outputs[0])[2:]
    size = size if len(size) == 2 else (1, *size)
    way = node.attributes.get("coordinate_transformation_mode", "half_pixel")
    result = compiler.emit(
        "RESIZE_BILINEAR",
        [x, compiler.writer.constant(size)],
        (x.shape[0], *size, x.shape[3]),
        quantization=x.quantization,
        alignCorners=way == "align_corners",
        halfPixelCenters="half_pixel" in way,
    )
    give_plane(compiler, node, result)


TRANSLATIONS: Mapping[str, Translation] = {"Resize": resize}
