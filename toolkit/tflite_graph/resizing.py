"""What trades pixels: other sizes, and blocks of pixels as channels or as items."""

from collections.abc import Mapping

import numpy as np

from toolkit.flatbuffer.layout import Layout
from toolkit.tflite_graph.builder import Builder, Translation
from toolkit.tflite_graph.parts import Operation, damaged


def resize(builder: Builder, operation: Operation) -> None:
    if len(builder.output(operation).shape) != 4:
        raise damaged(f"{operation.code} works on other values than images")
    corners = operation.option("AlignCorners", False)
    centres = operation.option("HalfPixelCenters", False)
    way = "align_corners" if corners else "half_pixel" if centres else "asymmetric"
    more = {"mode": "linear"}
    if operation.code == "RESIZE_NEAREST_NEIGHBOR":
        rounding = "round_prefer_ceil" if corners or centres else "floor"
        more = {"mode": "nearest", "nearest_mode": rounding}
    x, shape = builder.take(operation, 0, Layout.FIRST), builder.shape(operation, Layout.FIRST)
    # the operator knows axes, but onnxruntime 1.31 loses its sizes where it has them
    front = builder.emit("Shape", [x], (2,), start=0, end=2)
    sizes = builder.emit("Concat", [front, builder.integers(shape[2:])], (4,), axis=0)
    inputs = [x, "", "", sizes]
    made = builder.emit("Resize", inputs, shape, coordinate_transformation_mode=way, **more)
    builder.give(operation, made, Layout.FIRST)


def block(builder: Builder, operation: Operation) -> None:
    """DEPTH_TO_SPACE and SPACE_TO_DEPTH: a pixel of a block is a group of channels."""
    size = operation.option("BlockSize")
    if size < 1 or len(builder.output(operation).shape) != 4:
        raise damaged(f"{operation.code} has blocks of {size}")
    op = "DepthToSpace" if operation.code == "DEPTH_TO_SPACE" else "SpaceToDepth"
    x, shape = builder.take(operation, 0, Layout.FIRST), builder.shape(operation, Layout.FIRST)
    more = {"mode": "DCR"} if op == "DepthToSpace" else {}
    builder.give(operation, builder.emit(op, [x], shape, blocksize=size, **more), Layout.FIRST)


def to_items(builder: Builder, operation: Operation) -> None:
    """SPACE_TO_BATCH_ND: each pixel of a block goes to an item of its own."""
    source, target = builder.tensor(operation, 0).shape, builder.shape(operation)
    sizes, pads = builder.integers_of(operation, 1), builder.constant(operation, 2)
    count = len(sizes)
    refuse_items(builder, operation, source, sizes, pads)
    padded = list(source)
    for axis, (before, after) in enumerate(pads.tolist(), start=1):
        padded[axis] += before + after
        if padded[axis] % sizes[axis - 1]:
            raise damaged(f"{operation.code} has blocks of {sizes} in {padded}")
    rest = [0] * (len(source) - count - 1)
    amounts = [0, *pads[:, 0].tolist(), *rest, 0, *pads[:, 1].tolist(), *rest]
    x = builder.take(operation, 0)
    if any(amounts):
        x = builder.emit("Pad", [x, builder.integers(amounts)], padded)
    apart = [1]
    for axis, size in enumerate(sizes, start=1):
        apart += [padded[axis] // size, size]
    apart += padded[count + 1 :]
    x = builder.reshaped(x, apart)
    inner, outer = range(2, 2 * count + 1, 2), range(1, 2 * count + 1, 2)
    axes = [0, *inner, *outer, *range(2 * count + 1, len(apart))]
    x = builder.emit("Transpose", [x], [apart[axis] for axis in axes], perm=axes)
    builder.give(operation, builder.reshaped(x, target))


def from_items(builder: Builder, operation: Operation) -> None:
    """BATCH_TO_SPACE_ND undoes that, and crops."""
    source, target = builder.tensor(operation, 0).shape, builder.shape(operation)
    sizes, crops = builder.integers_of(operation, 1), builder.constant(operation, 2)
    count = len(sizes)
    refuse_items(builder, operation, target, sizes, crops)
    if source[0] != int(np.prod(sizes)):
        raise damaged(f"{operation.code} joins {source[0]} items in blocks of {sizes}")
    apart = [1, *sizes, *source[1:]]
    x = builder.emit(
        "Reshape", [builder.take(operation, 0), builder.integers([-1, *apart[1:]])], apart
    )
    axes = [0]
    for axis in range(1, count + 1):
        axes += [count + axis, axis]
    axes += range(2 * count + 1, len(apart))
    x = builder.emit("Transpose", [x], [apart[axis] for axis in axes], perm=axes)
    joined = [1, *(n * size for n, size in zip(source[1:], sizes, strict=False))]
    joined += source[count + 1 :]
    x = builder.reshaped(x, joined)
    if crops.any():
        changed = list(range(1, count + 1))
        ends = [joined[axis] - int(crops[axis - 1, 1]) for axis in changed]
        given = (crops[:, 0].tolist(), ends, changed)
        x = builder.emit("Slice", [x, *(builder.integers(v) for v in given)], target)
    builder.give(operation, x)


def refuse_items(
    builder: Builder, operation: Operation, shape: tuple[int, ...], sizes: list[int],
    rim: np.ndarray[tuple[int, ...], np.dtype[np.generic]],
) -> None:  # fmt: skip
    is_plain = rim.shape == (len(sizes), 2) and len(shape) > len(sizes) and min(sizes) > 0
    if not is_plain or (rim < 0).any():  # type: ignore[operator]
        raise damaged(f"{operation.code} has blocks of {sizes} in {list(shape)}")
    if shape[0] != 1 or builder.batch(builder.place(operation, 0)):
        raise operation.unsupported(
            "makes items of items", "Export the model with dilated convolutions."
        )


TRANSLATIONS: Mapping[str, Translation] = {
    "BATCH_TO_SPACE_ND": from_items,
    "DEPTH_TO_SPACE": block,
    "RESIZE_BILINEAR": resize,
    "RESIZE_NEAREST_NEIGHBOR": resize,
    "SPACE_TO_BATCH_ND": to_items,
    "SPACE_TO_DEPTH": block,
}
