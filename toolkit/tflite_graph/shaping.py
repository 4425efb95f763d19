"""What moves values without computing: other shapes, orders, parts and wholes."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from toolkit.flatbuffer.layout import Layout, permutation
from toolkit.tflite_graph.activations import activated
from toolkit.tflite_graph.builder import Builder, Translation
from toolkit.tflite_graph.numbers import NUMBERS
from toolkit.tflite_graph.parts import Operation, damaged
from toolkit.tflite_graph.reductions import axis_in_file


def reshape(builder: Builder, operation: Operation) -> None:
    """The file says the result's shape; where it was computed from the batch, too."""
    batch = builder.batch(builder.place(operation, 0))
    source, target = builder.tensor(operation, 0).shape, builder.output(operation).shape
    x = builder.take(operation, 0)
    if batch and source[batch] != 1:
        raise operation.unsupported(
            f"gives the shape {list(target)}, where the batch is no axis of its own",
            "Export the model with the batch as first axis of every value.",
        )
    if batch:  # item by item, as a batch of one lies in memory
        axes = [batch, *(axis for axis in range(len(source)) if axis != batch)]
        x = builder.emit("Transpose", [x], [source[axis] for axis in axes], perm=axes)
    builder.give(operation, builder.reshaped(x, target), batch=0)


def transpose(builder: Builder, operation: Operation) -> None:
    axes, shape = builder.integers_of(operation, 1), builder.shape(operation)
    if sorted(axes) != list(range(len(shape))):
        raise damaged(f"TRANSPOSE puts axes into the order {axes}")
    made = builder.emit("Transpose", [builder.take(operation, 0)], shape, perm=axes)
    batch = axes.index(builder.batch(builder.place(operation, 0)))
    builder.give(operation, made, batch=batch)


def concatenation(builder: Builder, operation: Operation) -> None:
    shape = builder.output(operation).shape
    moving = [i for i, p in enumerate(operation.inputs) if not builder.is_constant(p)]
    if not moving:
        raise operation.unsupported("joins constants only", "Export the model with them joined.")
    axis = builder.axis(operation, operation.option("Axis"), moving[0])
    layout = builder.layout(operation)
    names = [
        joinable(builder, operation, i, layout, moving[0]) for i in range(len(operation.inputs))
    ]
    if len(shape) == 4:
        axis = axis_in_file(layout, axis)
    made = builder.emit("Concat", names, builder.shape(operation, layout), axis=axis)
    builder.give(operation, activated(builder, operation, made, shape), layout)


def joinable(
    builder: Builder, operation: Operation, index: int, layout: Layout, moving: int
) -> str:
    """An input to join to others; a constant is repeated for every item."""
    if not builder.is_constant(builder.place(operation, index)):
        return builder.take(operation, index, layout)
    batch = builder.batch(builder.place(operation, moving))
    shape = list(builder.tensor(operation, index).shape)
    if len(shape) != builder.rank(builder.place(operation, moving)) or shape[batch] != 1:
        raise operation.unsupported(
            "joins a constant that has numbers for each item", "Export the model without it."
        )
    name = builder.operand(operation, index, layout, len(shape))
    data = builder.take(operation, moving, layout)
    start = builder.emit("Shape", [data], (1,), start=batch, end=batch + 1)
    axes = permutation(4, Layout.LAST, layout) if len(shape) == 4 else range(len(shape))
    sizes = [shape[axis] for axis in axes]
    parts = [builder.integers(sizes[:batch]), start, builder.integers(sizes[batch + 1 :])]
    target = builder.emit("Concat", parts, (len(shape),), axis=0)
    return builder.emit("Expand", [name, target], sizes)


def pack(builder: Builder, operation: Operation) -> None:
    """Values side by side along a new axis."""
    moving = [i for i, p in enumerate(operation.inputs) if not builder.is_constant(p)]
    if not moving:
        raise operation.unsupported("joins constants only", "Export the model with them joined.")
    shape = builder.shape(operation)
    rank = len(shape)
    axis, batch = operation.option("Axis") % rank, builder.batch(operation.inputs[moving[0]])
    batch += axis <= batch
    single = tuple(1 if i == axis else n for i, n in enumerate(shape))
    names = [
        builder.emit(
            "Unsqueeze",
            [joinable(builder, operation, i, Layout.LAST, moving[0]), builder.integers([axis])],
            single,
        )
        for i in range(len(operation.inputs))
    ]
    made = builder.emit("Concat", names, shape, axis=axis) if len(names) > 1 else names[0]
    builder.give(operation, made, batch=batch)


def unpack(builder: Builder, operation: Operation) -> None:
    """Each index along an axis on its own, that axis gone."""
    source = builder.tensor(operation, 0).shape
    axis = builder.axis(operation, operation.option("Axis"))
    if len(operation.outputs) != source[axis]:
        raise damaged(f"UNPACK gives {len(operation.outputs)} of {source[axis]} values")
    x, batch = builder.take(operation, 0), builder.batch(builder.place(operation, 0))
    for index in range(source[axis]):
        place = builder.store("index", np.array(index, np.int64))
        made = builder.emit("Gather", [x, place], builder.shape(operation, output=index), axis=axis)
        builder.give(operation, made, output=index, batch=batch - (axis < batch))


def split(builder: Builder, operation: Operation) -> None:
    """SPLIT gives equal parts, and has its axis first; SPLIT_V parts of given sizes."""
    given = 1 if operation.code == "SPLIT" else 0
    found = builder.integers_of(operation, 0 if given else 2)
    if len(found) != 1:
        raise damaged(f"{operation.code} works along {len(found)} axes")
    axis = builder.axis(operation, found[0], given)
    shapes = [builder.shape(operation, output=i) for i in range(len(operation.outputs))]
    if any(len(shape) <= axis for shape in shapes):
        raise damaged(f"{operation.code} gives parts of other shapes")
    sizes = builder.integers([shape[axis] for shape in shapes])
    names = builder.emit_many("Split", [builder.take(operation, given), sizes], shapes, axis=axis)
    for index, name in enumerate(names):
        builder.give(operation, name, output=index)


def padding(builder: Builder, operation: Operation) -> None:
    amounts = builder.constant(operation, 1)
    rank, place = len(builder.output(operation).shape), builder.place(operation, 0)
    if amounts.shape != (rank, 2) or (amounts < 0).any():
        raise damaged(f"{operation.code} has paddings {amounts.tolist()}")
    if amounts[builder.batch(place)].any():
        builder.refuse_batch(operation, place, builder.batch(place))
    layout = builder.held(place)
    if rank == 4:
        amounts = amounts[list(permutation(4, Layout.LAST, layout))]
    inputs = [builder.take(operation, 0, layout)]
    inputs.append(builder.integers([int(v) for v in amounts.T.reshape(-1)]))
    if operation.code == "PADV2":
        dtype = builder.output(operation).dtype
        number = builder.constant(operation, 2)
        is_real = builder.output(operation).quantized or dtype not in NUMBERS
        number = number.astype(np.float32 if is_real else NUMBERS[dtype])
        inputs.append(builder.store("fill", number.reshape(())))
    made = builder.emit("Pad", inputs, builder.shape(operation, layout))
    builder.give(operation, made, layout)


def mirror(builder: Builder, operation: Operation) -> None:
    """MIRROR_PAD: with the outermost value once (reflected) or twice (symmetric)."""
    amounts = builder.constant(operation, 1)
    shape, place = list(builder.tensor(operation, 0).shape), builder.place(operation, 0)
    twice = int(operation.option("Mode") == 1)
    most = np.array(shape).reshape(-1, 1) - (not twice)
    if amounts.shape != (len(shape), 2) or (amounts < 0).any() or (amounts > most).any():
        raise damaged(f"{operation.code} has paddings {amounts.tolist()}")
    name = builder.take(operation, 0)
    for axis, (before, after) in enumerate(amounts.tolist()):
        if not before and not after:
            continue
        builder.refuse_batch(operation, place, axis)
        line = np.arange(shape[axis])
        mode: Any = "symmetric" if twice else "reflect"
        places = np.pad(line, (before, after), mode=mode)
        shape[axis] = len(places)
        name = builder.emit("Gather", [name, builder.store("places", places)], shape, axis=axis)
    builder.give(operation, name)


def tile(builder: Builder, operation: Operation) -> None:
    times, place = builder.integers_of(operation, 1), builder.place(operation, 0)
    if len(times) != builder.rank(place):
        raise damaged(f"TILE repeats {len(times)} axes of {builder.rank(place)}")
    if times[builder.batch(place)] != 1:
        builder.refuse_batch(operation, place, builder.batch(place))
    inputs = [builder.take(operation, 0), builder.integers(times)]
    builder.give(operation, builder.emit("Tile", inputs, builder.shape(operation)))


def broadcast(builder: Builder, operation: Operation) -> None:
    """The file says the result's shape; one at the batch keeps it."""
    shape, place = list(builder.shape(operation)), builder.place(operation, 0)
    source = builder.tensor(operation, 0).shape
    if len(source) != len(shape) or source[builder.batch(place)] != shape[builder.batch(place)]:
        raise operation.unsupported(
            "repeats items of a batch", "Export the model with the batch as a free first axis."
        )
    shape[builder.batch(place)] = 1
    inputs = [builder.take(operation, 0), builder.integers(shape)]
    builder.give(operation, builder.emit("Expand", inputs, builder.shape(operation)))


TRANSLATIONS: Mapping[str, Translation] = {
    **dict.fromkeys(("EXPAND_DIMS", "RESHAPE", "SQUEEZE"), reshape),
    "BROADCAST_TO": broadcast,
    "CONCATENATION": concatenation,
    "MIRROR_PAD": mirror,
    "PACK": pack,
    "PAD": padding,
    "PADV2": padding,
    "SPLIT": split,
    "SPLIT_V": split,
    "TILE": tile,
    "TRANSPOSE": transpose,
    "UNPACK": unpack,
}
