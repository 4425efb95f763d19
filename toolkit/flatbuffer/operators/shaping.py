"""Operators that move values and compute nothing."""

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from toolkit.flatbuffer.compiler import Compiler
from toolkit.flatbuffer.graph import Array, Node
from toolkit.flatbuffer.layout import Layout, axis_in, composed, permutation, shape_in
from toolkit.flatbuffer.operators.base import Translation
from toolkit.flatbuffer.operators.dense import takes_shuffled
from toolkit.flatbuffer.operators.windows import pad
from toolkit.flatbuffer.writer import Tensor

PADS: Mapping[str, Literal["edge", "reflect", "wrap"]] = {
    "edge": "edge",
    "reflect": "reflect",
    "wrap": "wrap",
}


def reshape(compiler: Compiler, node: Node) -> None:
    shape = compiler.shape(node.outputs[0])
    if can_shuffle(compiler, node, shape):
        x = compiler.take(node, 0, Layout.LAST)
        compiler.shuffled[node.outputs[0]] = compiler.shape(node.inputs[0])
    else:
        x = compiler.take(node)
    compiler.give(node, compiler.reshape(x, shape))


def can_shuffle(compiler: Compiler, node: Node, shape: tuple[int, ...]) -> bool:
    """Whether a flattening may keep channels-last order, because only layers read it.

    Their weights are shuffled once here, instead of the activation on every run.
    """
    name, [result] = node.inputs[0], node.outputs
    flattens = len(shape) == 2 and shape[0] == compiler.shape(name)[0]
    flattens = flattens and compiler.held(name) is Layout.LAST
    readers = compiler.graph.consumers.get(result, ())
    return (
        flattens
        and result not in compiler.graph.outputs
        and all(
            reader.inputs[0] == result and takes_shuffled(reader, compiler) for reader in readers
        )
    )


def transpose(compiler: Compiler, node: Node) -> None:
    layout = compiler.layout(node)
    x = compiler.take(node, 0, layout)
    rank = len(x.shape)
    axes = node.attributes.get("perm", tuple(reversed(range(rank))))
    back = permutation(rank, layout, Layout.FIRST)
    compiler.give(node, compiler.transpose(x, composed(back, axes)))


def concat(compiler: Compiler, node: Node) -> None:
    shape = compiler.shape(node.outputs[0])
    layout = compiler.layout(node)
    target = compiler.target(node)
    parts = [compiler.take(node, index, layout) for index in range(len(node.inputs))]
    if target:  # the kernel copies codes: they must all mean the same
        parts = [compiler.quantize(part, target) for part in parts]
    axis = axis_in(layout, node.attributes["axis"], len(shape))
    result = (
        compiler.emit(
            "CONCATENATION", parts, shape_in(layout, shape), quantization=target, axis=axis
        )
        if len(parts) > 1
        else parts[0]
    )
    compiler.give(node, result, layout)


def slice_of(compiler: Compiler, x: Tensor, begin: Sequence[int], size: Sequence[int]) -> Tensor:
    """A box out of `x`."""
    if tuple(size) == x.shape:
        return x
    corners = [compiler.writer.constant(tuple(begin)), compiler.writer.constant(tuple(size))]
    return compiler.emit("SLICE", [x, *corners], size, quantization=x.quantization)


def slicing(compiler: Compiler, node: Node) -> None:
    starts, ends, axes, steps = (compiler.constant_input(node, i) for i in (1, 2, 3, 4))
    if starts is None or ends is None:
        raise node.unsupported("lacks its bounds", "Export the model again.")
    layout = compiler.layout(node, 0)
    x = compiler.take(node, 0, layout)
    rank = len(x.shape)
    ranges = [range(size) for size in x.shape]
    places = range(len(starts)) if axes is None else axes.tolist()
    for index, place in enumerate(places):
        axis = axis_in(layout, place, rank)
        step = 1 if steps is None else int(steps[index])
        start, end = int(starts[index]), int(ends[index])
        bounds = slice(start, None if step < 0 and end < -x.shape[axis] else end, step)
        ranges[axis] = ranges[axis][bounds]
    begin, size = [r.start for r in ranges], [len(r) for r in ranges]
    if all(r.step == 1 for r in ranges):
        compiler.give(node, slice_of(compiler, x, begin, size), layout)
        return
    ends_ = [r.start + len(r) * r.step for r in ranges]
    # going down to index 0 ends before it, and -1 would mean the last
    mask = sum(1 << axis for axis, end in enumerate(ends_) if end < 0)
    inputs = [compiler.writer.constant(tuple(v)) for v in (begin, ends_, [r.step for r in ranges])]
    result = compiler.emit(
        "STRIDED_SLICE", [x, *inputs], size, quantization=x.quantization, endMask=mask
    )
    compiler.give(node, result, layout)


def selected(compiler: Compiler, x: Tensor, indices: Array, axis: int) -> Tensor:
    flat = indices.reshape(-1)
    if (np.diff(flat) == 1).all() and flat.size:
        begin = [int(flat[0]) if place == axis else 0 for place in range(len(x.shape))]
        size = [len(flat) if place == axis else n for place, n in enumerate(x.shape)]
        return slice_of(compiler, x, begin, size)
    return gathered(compiler, x, compiler.writer.constant(flat), axis)


def gathered(compiler: Compiler, x: Tensor, indices: Tensor, axis: int) -> Tensor:
    shape = (*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :])
    return compiler.emit("GATHER", [x, indices], shape, quantization=x.quantization, axis=axis)


def split(compiler: Compiler, node: Node) -> None:
    layout = compiler.layout(node, 0)
    x = compiler.take(node, 0, layout)
    rank, start = len(x.shape), 0
    axis = axis_in(layout, node.attributes.get("axis", 0), rank)
    for output, name in enumerate(node.outputs):
        size = shape_in(layout, compiler.shape(name))
        begin = [start if place == axis else 0 for place in range(rank)]
        compiler.give(node, slice_of(compiler, x, begin, size), layout, output)
        start += size[axis]


def padding(compiler: Compiler, node: Node) -> None:
    amounts, axes = compiler.constant_input(node, 1), compiler.constant_input(node, 3)
    value = compiler.constant_input(node, 2)
    layout = compiler.layout(node, 0)
    x = compiler.take(node, 0, layout)
    rank = len(x.shape)
    if amounts is None:
        raise node.unsupported("lacks its amounts", "Export the model again.")
    places = list(range(rank)) if axes is None else axes.tolist()
    pads = [(0, 0)] * rank
    for index, place in enumerate(places):
        pair = (int(amounts[index]), int(amounts[index + len(places)]))
        pads[axis_in(layout, place, rank)] = pair
    mode = node.attributes.get("mode", "constant")
    if mode == "constant":
        x, pads = cropped(compiler, x, pads)
        fill = None if value is None else float(value.reshape(-1)[0])
        result = pad(compiler, x, pads, fill)
    elif mode == "reflect" and min(map(min, pads)) >= 0:
        rims = compiler.writer.constant(np.array(pads, np.int32))
        shape = shape_in(layout, compiler.shape(node.outputs[0]))
        result = compiler.emit("MIRROR_PAD", [x, rims], shape, quantization=x.quantization)
    else:
        result = x
        for axis, (before, after) in enumerate(pads):
            places_ = np.pad(np.arange(x.shape[axis]), (max(before, 0), max(after, 0)), PADS[mode])
            kept = places_[max(-before, 0) : len(places_) - max(-after, 0)].astype(np.int32)
            result = selected(compiler, result, kept, axis)
    compiler.give(node, result, layout)


def cropped(
    compiler: Compiler, x: Tensor, pads: list[tuple[int, int]]
) -> tuple[Tensor, list[tuple[int, int]]]:
    """Without the rims that negative padding takes off, and the padding that is left to do."""
    begin = [max(-before, 0) for before, _ in pads]
    size = [
        n - start - max(-after, 0)
        for n, start, (_, after) in zip(x.shape, begin, pads, strict=True)
    ]
    left = [(max(before, 0), max(after, 0)) for before, after in pads]
    return slice_of(compiler, x, begin, size), left


def expand(compiler: Compiler, node: Node) -> None:
    shape = compiler.shape(node.outputs[0])
    x = compiler.take(node)
    x = compiler.reshape(x, (1,) * (len(shape) - len(x.shape)) + x.shape)
    if x.shape != shape:
        size = compiler.writer.constant(shape)
        x = compiler.emit("BROADCAST_TO", [x, size], shape, quantization=x.quantization)
    compiler.give(node, x)


def tile(compiler: Compiler, node: Node) -> None:
    shape = compiler.shape(node.outputs[0])
    x = compiler.take(node)
    times = tuple(n // size for n, size in zip(shape, x.shape, strict=True))
    if math.prod(times) != 1:
        x = compiler.emit("TILE", [x, compiler.writer.constant(times)], shape)
    compiler.give(node, x)


def size_of(compiler: Compiler, node: Node) -> None:
    count = math.prod(compiler.shape(node.inputs[0]))
    compiler.give(node, compiler.writer.constant(np.array(count, np.int64)))


TRANSLATIONS: Mapping[str, Translation] = {
    **dict.fromkeys(("Flatten", "Reshape", "Squeeze", "Unsqueeze"), reshape),
    "Concat": concat,
    "Expand": expand,
    "Pad": padding,
    "Size": size_of,
    "Slice": slicing,
    "Split": split,
    "Tile": tile,
    "Transpose": transpose,
}
