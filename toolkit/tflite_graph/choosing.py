"""Parts of values by their places: slices, look-ups, reversals, one-hot."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from toolkit.tflite_graph.builder import Builder, Translation
from toolkit.tflite_graph.parts import Operation, damaged

TO_THE_START = -(1 << 62)  # an end before the first value, whatever their number


@dataclass(frozen=True)
class Cut:
    """What is kept of one axis of the input; `gone`: a single index, without its axis."""

    start: int
    end: int
    step: int
    gone: bool = False

    def whole(self, size: int) -> bool:
        return (self.start, self.end, self.step, self.gone) == (0, size, 1, False)


def strided_slice(builder: Builder, operation: Operation) -> None:
    """Python's slices, written as bounds and five sets of bits."""
    source = builder.tensor(operation, 0).shape
    bounds = [builder.integers_of(operation, index) for index in (1, 2, 3)]
    if len({len(bound) for bound in bounds}) != 1 or not all(bounds[2]):
        raise damaged(f"{operation.code} has bounds for different axes")
    cuts = cuts_of(operation, source, bounds)
    cut(builder, operation, cuts)


def cuts_of(operation: Operation, source: tuple[int, ...], bounds: list[list[int]]) -> list[Cut]:
    names = ("BeginMask", "EndMask", "EllipsisMask", "NewAxisMask", "ShrinkAxisMask")
    begin, end, ellipsis, fresh, shrink = (operation.option(name) for name in names)
    count, cuts = len(bounds[0]), list[Cut]()
    added = sum(1 for i in range(count) if fresh >> i & 1)
    for i, (first, last, step) in enumerate(zip(*bounds, strict=True)):
        if ellipsis >> i & 1:
            missing = len(source) - (count - added - 1)
            cuts += [Cut(0, n, 1) for n in source[len(cuts) : len(cuts) + max(missing, 0)]]
            continue
        if fresh >> i & 1:
            continue  # the shape that the file says has it
        if len(cuts) >= len(source):
            raise damaged(f"{operation.code} cuts axes that are not there")
        size = source[len(cuts)]
        if shrink >> i & 1:
            index = first + size if first < 0 else first
            if not 0 <= index < size:
                raise damaged(f"{operation.code} takes index {first} of {size}")
            cuts.append(Cut(index, index + 1, 1, gone=True))
            continue
        start, stop, stride = slice(
            None if begin >> i & 1 else first, None if end >> i & 1 else last, step
        ).indices(size)
        cuts.append(Cut(start, stop, stride))
    return cuts + [Cut(0, n, 1) for n in source[len(cuts) :]]


def plain_slice(builder: Builder, operation: Operation) -> None:
    source = builder.tensor(operation, 0).shape
    starts, sizes = (builder.integers_of(operation, index) for index in (1, 2))
    if len(starts) != len(source) or len(sizes) != len(source):
        raise damaged(f"{operation.code} has bounds for other axes")
    cuts = [
        Cut(start, n if size == -1 else start + size, 1)
        for start, size, n in zip(starts, sizes, source, strict=True)
    ]
    cut(builder, operation, cuts)


def cut(builder: Builder, operation: Operation, cuts: list[Cut]) -> None:
    source, place = builder.tensor(operation, 0).shape, builder.place(operation, 0)
    changed = [axis for axis, one in enumerate(cuts) if not one.whole(source[axis])]
    for axis in changed:
        builder.refuse_batch(operation, place, axis)
    name, batch = builder.take(operation, 0), builder.batch(place)
    if changed:
        lengths = [len(range(one.start, one.end, one.step)) for one in cuts]
        ends = [TO_THE_START if one.end < 0 else one.end for one in cuts]
        given = [[cuts[a].start for a in changed], [ends[a] for a in changed], changed]
        steps = [cuts[a].step for a in changed]
        inputs = [builder.integers(values) for values in (*given, steps)]
        name = builder.emit("Slice", [name, *inputs], lengths)
    else:
        lengths = list(source)
    shape = builder.shape(operation)
    if tuple(lengths) == shape:
        builder.give(operation, name, batch=batch)
        return
    if batch:
        batch -= sum(one.gone for one in cuts[:batch])
        kept = [n for n, one in zip(lengths, cuts, strict=True) if not one.gone]
        if tuple(kept) != shape:
            raise operation.unsupported(
                "adds an axis where the batch is not first", "Export the model batch first."
            )
        gone = [axis for axis, one in enumerate(cuts) if one.gone]
        name = builder.emit("Squeeze", [name, builder.integers(gone)], shape)
        builder.give(operation, name, batch=batch)
        return
    builder.give(operation, builder.reshaped(name, shape))


def gather(builder: Builder, operation: Operation) -> None:
    """Along an axis of the data, or rows of a constant table by indices that are data."""
    table, chosen = builder.place(operation, 0), builder.place(operation, 1)
    together = int(operation.option("BatchDims"))
    shape, rank = builder.shape(operation), builder.rank(table)
    axis = int(operation.option("Axis"))
    if not -rank <= axis < rank:
        raise damaged(f"{operation.code} works along axis {axis} of {rank}")
    axis %= rank
    if builder.is_constant(table) and not together:
        if axis or builder.is_constant(chosen):
            raise operation.unsupported("looks up constants in constants", "Fold the model first.")
        inputs = [builder.take(operation, 0), builder.take(operation, 1)]
        builder.give(operation, builder.emit("Gather", inputs, shape, axis=0))
        return
    builder.refuse_batch(operation, table, axis)
    if together:
        if axis != together or builder.is_constant(table) or builder.is_constant(chosen):
            raise operation.unsupported(
                "looks up along an axis behind those of the batch", "Export it as ONNX."
            )
        column = (*builder.tensor(operation, 1).shape, 1)
        given = [wide(builder, operation, 1), builder.integers([-1])]
        places = builder.emit("Unsqueeze", given, column)
        inputs = [builder.take(operation, 0), places]
        builder.give(operation, builder.emit("GatherND", inputs, shape, batch_dims=together))
        return
    if not builder.is_constant(chosen):
        raise operation.unsupported(
            "looks up items of the data by data", "Export the model with batch_dims."
        )
    indices = builder.constant(operation, 1)
    inputs = [builder.take(operation, 0), builder.store("indices", indices.astype(np.int64))]
    batch = builder.batch(table)
    if batch > axis:
        batch += indices.ndim - 1
    builder.give(operation, builder.emit("Gather", inputs, shape, axis=axis), batch=batch)


def gather_nd(builder: Builder, operation: Operation) -> None:
    """Of a constant table only: of data, the indices would name the items of a batch."""
    if not builder.is_constant(builder.place(operation, 0)):
        raise operation.unsupported(
            "names the items of a batch", "Export the model with gather along one axis."
        )
    inputs = [builder.take(operation, 0), wide(builder, operation, 1)]
    builder.give(operation, builder.emit("GatherND", inputs, builder.shape(operation)))


def wide(builder: Builder, operation: Operation, index: int) -> str:
    """Indices as int64, as some operators of ONNX want them."""
    from onnx import TensorProto

    name, shape = builder.take(operation, index), builder.tensor(operation, index).shape
    return builder.emit("Cast", [name], shape, to=TensorProto.INT64)


def embedding(builder: Builder, operation: Operation) -> None:
    """EMBEDDING_LOOKUP: indices first, the table second."""
    if not builder.is_constant(builder.place(operation, 1)):
        raise operation.unsupported("has a table that is computed", "Store the table.")
    inputs = [builder.take(operation, 1), builder.take(operation, 0)]
    builder.give(operation, builder.emit("Gather", inputs, builder.shape(operation), axis=0))


def reverse(builder: Builder, operation: Operation) -> None:
    axes = [builder.axis(operation, axis) for axis in builder.integers_of(operation, 1)]
    count = len(axes)
    given = ([-1] * count, [TO_THE_START] * count, axes, [-1] * count)
    inputs = [builder.take(operation, 0), *(builder.integers(values) for values in given)]
    builder.give(operation, builder.emit("Slice", inputs, builder.shape(operation)))


def one_hot(builder: Builder, operation: Operation) -> None:
    shape, rank = builder.shape(operation), builder.rank(builder.place(operation, 0))
    axis = int(operation.option("Axis"))
    axis = rank if axis == -1 else axis
    if not builder.batch(builder.place(operation, 0)) < axis <= rank:
        raise operation.unsupported("has its classes before the batch", "Put them last.")
    depth = builder.integers_of(operation, 1)
    on, off = (builder.constant(operation, index).reshape(-1) for index in (2, 3))
    if len(depth) != 1 or on.size != 1 or off.size != 1:
        raise damaged("ONE_HOT has several depths or values")
    values = builder.store("values", np.concatenate([off, on]))
    size = builder.store("depth", np.array(depth[0], np.int64))
    # a negative index is none here, and counts from the end there
    inputs = [wide(builder, operation, 0), size, values]
    builder.give(operation, builder.emit("OneHot", inputs, shape, axis=axis))


TRANSLATIONS: Mapping[str, Translation] = {
    "EMBEDDING_LOOKUP": embedding,
    "GATHER": gather,
    "GATHER_ND": gather_nd,
    "ONE_HOT": one_hot,
    "REVERSE_V2": reverse,
    "SLICE": plain_slice,
    "STRIDED_SLICE": strided_slice,
}
