"""Operators that pick values by their places, or put them there."""

import math
from collections.abc import Mapping

import numpy as np

from toolkit.flatbuffer.compiler import Compiler
from toolkit.flatbuffer.graph import Array, Node
from toolkit.flatbuffer.operators.base import Translation
from toolkit.flatbuffer.operators.shaping import gathered, selected
from toolkit.flatbuffer.writer import Tensor

SUMS = {"none": False, "add": True}
"""Whether values that meet in one place are added; a file knows no other way."""


def gather(compiler: Compiler, node: Node) -> None:
    """Neighbouring columns as a slice, which every delegate knows; others by their indices."""
    shape = compiler.shape(node.inputs[0])
    axis = node.attributes.get("axis", 0) % len(shape)
    indices = compiler.graph.constants.get(node.inputs[1])
    x = compiler.take(node)
    if indices is None:
        result = gathered(compiler, x, indices_of(compiler, node, shape[axis : axis + 1]), axis)
    else:
        indices = np.where(indices < 0, indices + shape[axis], indices).astype(np.int32)
        result = selected(compiler, x, indices, axis)
    compiler.give(node, compiler.reshape(result, compiler.shape(node.outputs[0])))


def indices_of(compiler: Compiler, node: Node, sizes: tuple[int, ...]) -> Tensor:
    """The second input; below zero, where TFLite's kernels stop, it counts from the end.

    Its last axis holds places in axes of `sizes`, or with one size every number is such a place.
    """
    known = compiler.graph.constants.get(node.inputs[1])
    if known is not None:
        return compiler.writer.constant(np.where(known < 0, known + sizes, known))
    at = compiler.take(node, 1)
    ends = compiler.writer.constant(np.array(sizes if len(sizes) > 1 else sizes[0], np.int32))
    below = compiler.compute("LESS", at, 0, dtype="bool")
    return compiler.compute("SELECT_V2", below, compiler.compute("ADD", at, ends), at)


def gather_nd(compiler: Compiler, node: Node) -> None:
    shape, at = compiler.shape(node.inputs[0]), compiler.shape(node.inputs[1])
    batch = node.attributes.get("batch_dims", 0)
    sizes = shape[batch : batch + at[-1]]
    places = indices_of(compiler, node, sizes)
    if batch:
        places = joined(compiler, grid(at[:-1])[..., :batch], places)
    give_gathered(compiler, node, places)


def gather_elements(compiler: Compiler, node: Node) -> None:
    give_gathered(compiler, node, element_places(compiler, node))


def give_gathered(compiler: Compiler, node: Node, places: Tensor) -> None:
    inputs = [compiler.take(node), places]
    compiler.give(node, compiler.emit("GATHER_ND", inputs, compiler.shape(node.outputs[0])))


def element_places(compiler: Compiler, node: Node) -> Tensor:
    """Each index along one axis together with where it stands in the others."""
    shape, at = compiler.shape(node.inputs[0]), compiler.shape(node.inputs[1])
    axis = node.attributes.get("axis", 0) % len(shape)
    own = grid(at)
    index = indices_of(compiler, node, shape[axis : axis + 1])
    index = compiler.reshape(index, (*at, 1))
    return joined(compiler, own[..., :axis], index, own[..., axis + 1 :])


def grid(shape: tuple[int, ...]) -> Array:
    """The place of each value of a tensor: shape (*shape, rank)."""
    return np.moveaxis(np.indices(shape, np.int32), 0, -1)


def joined(compiler: Compiler, *parts: Tensor | Array) -> Tensor:
    """Coordinates side by side."""
    shape = (*parts[0].shape[:-1], sum(part.shape[-1] for part in parts))
    rows = math.prod(shape[:-1])  # two axes are enough: the kernel does not take any number
    tensors = [
        compiler.reshape(part, (rows, part.shape[-1]))
        if isinstance(part, Tensor)
        else compiler.writer.constant(part.reshape(rows, -1))
        for part in parts
        if part.shape[-1]
    ]
    if len(tensors) == 1:
        return compiler.reshape(tensors[0], shape)
    whole = compiler.emit("CONCATENATION", tensors, (rows, shape[-1]), axis=1)
    return compiler.reshape(whole, shape)


def scatter_nd(compiler: Compiler, node: Node) -> None:
    shape, at = compiler.shape(node.inputs[0]), compiler.shape(node.inputs[1])
    places = indices_of(compiler, node, shape[: at[-1]])
    give_scattered(compiler, node, places)


def scatter_elements(compiler: Compiler, node: Node) -> None:
    places = element_places(compiler, node)
    give_scattered(compiler, node, places)


def give_scattered(compiler: Compiler, node: Node, places: Tensor) -> None:
    """The values on zeros, then either added, or chosen where one was put."""
    way = node.attributes.get("reduction", "none")
    if way not in SUMS:
        raise node.unsupported(f"joins values by {way!r}", "Use reduction = 'add' or none.")
    data, updates = compiler.take(node), compiler.take(node, 2)
    whole = compiler.writer.constant(data.shape)
    put = compiler.emit("SCATTER_ND", [places, updates, whole], data.shape, dtype=data.dtype)
    if SUMS[way]:
        compiler.give(node, compiler.compute("ADD", data, put))
        return
    if twice(compiler, node, places):
        raise node.unsupported("puts two values in one place", "Make its indices differ.")
    marks = compiler.writer.constant(np.ones(updates.shape, np.int32))
    marked = compiler.emit("SCATTER_ND", [places, marks, whole], data.shape, dtype="int32")
    chosen = compiler.compute("GREATER", marked, 0, dtype="bool")
    compiler.give(node, compiler.compute("SELECT_V2", chosen, put, data))


def twice(compiler: Compiler, node: Node, places: Tensor) -> bool:
    """Whether known indices name a place more than once: TFLite would add what meets there."""
    stored = compiler.writer.data.get(places.index)
    if stored is None:
        return False
    rows = np.frombuffer(stored, np.int32).reshape(-1, places.shape[-1])
    return len(np.unique(rows, axis=0)) < len(rows)


def compress(compiler: Compiler, node: Node) -> None:
    condition = compiler.constant_input(node, 1)
    if condition is None:
        raise node.unsupported("lacks its condition", "Export the model again.")
    x, axis = compiler.take(node), node.attributes.get("axis")
    if axis is None:
        x, axis = compiler.reshape(x, (math.prod(x.shape),)), 0
    kept = np.flatnonzero(condition).astype(np.int32)
    compiler.give(node, selected(compiler, x, kept, axis % len(x.shape)))


def reverse_sequence(compiler: Compiler, node: Node) -> None:
    x, lengths = compiler.take(node), compiler.take(node, 1)
    time, batch = node.attributes.get("time_axis", 0), node.attributes.get("batch_axis", 1)
    result = compiler.emit("REVERSE_SEQUENCE", [x, lengths], x.shape, seqDim=time, batchDim=batch)
    compiler.give(node, result)


def triangle(compiler: Compiler, node: Node) -> None:
    offset = compiler.constant_input(node, 1)
    x = compiler.take(node)
    above = node.attributes.get("upper", 1)
    mask = (np.triu if above else np.tril)(
        np.ones(x.shape[-2:], np.bool_), 0 if offset is None else int(offset.item())
    )
    constant = compiler.writer.constant(mask.reshape((1,) * (len(x.shape) - 2) + mask.shape))
    compiler.give(node, compiler.compute("SELECT_V2", constant, x, 0))


def eye_like(compiler: Compiler, node: Node) -> None:
    rows, columns = compiler.shape(node.outputs[0])
    dtype = compiler.graph.dtypes[node.outputs[0]]
    values = np.eye(rows, columns, node.attributes.get("k", 0), dtype)
    compiler.give(node, compiler.writer.constant(values))


TRANSLATIONS: Mapping[str, Translation] = {
    "Compress": compress,
    "EyeLike": eye_like,
    "Gather": gather,
    "GatherElements": gather_elements,
    "GatherND": gather_nd,
    "ReverseSequence": reverse_sequence,
    "Scatter": scatter_elements,
    "ScatterElements": scatter_elements,
    "ScatterND": scatter_nd,
    "Trilu": triangle,
}
