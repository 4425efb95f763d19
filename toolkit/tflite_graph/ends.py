"""What a graph takes and gives: real numbers, the batch first."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from edge_targets.runtime.contract import DTYPES
from edge_targets.runtime.errors import UnsupportedError
from toolkit.flatbuffer.layout import Layout
from toolkit.tflite_graph.builder import Builder
from toolkit.tflite_graph.names import value_name
from toolkit.tflite_graph.numbers import NUMBERS
from toolkit.tflite_graph.parts import Operation, Tensor


@dataclass(frozen=True)
class End:
    """An input or output: the shape of one item, and the tensor of the file that it is."""

    name: str
    shape: tuple[int, ...]
    numpy: np.dtype[Any]
    place: int


@dataclass(frozen=True)
class Ends:
    """In the file's order."""

    inputs: tuple[End, ...]
    outputs: tuple[End, ...]


def opened(builder: Builder) -> Ends:
    """Names and shapes, refused where nothing stands for them."""
    file = builder.file
    taken, given = (
        tuple(end_of(builder, place, word) for place in places)
        for places, word in ((file.inputs, "input"), (file.outputs, "output"))
    )
    for end in (*taken, *given):
        note(builder, end)
    return Ends(taken, given)


def end_of(builder: Builder, place: int, otherwise: str) -> End:
    tensor = builder.file.tensors[place]
    dtype = np.dtype(np.float32 if tensor.quantized else NUMBERS.get(tensor.dtype, np.float16))
    if dtype.name not in DTYPES.values():
        raise UnsupportedError(
            f"The TFLite file takes or gives {tensor.dtype.lower()} in {tensor.name!r}.",
            "Export a model that takes and gives float32 numbers, or integers.",
        )
    if not tensor.shape or 0 in tensor.shape:
        raise UnsupportedError(
            f"{tensor.name!r} has the shape {list(tensor.shape)}: there is no axis for a batch.",
            "Export the model with a batch of one as first axis.",
        )
    name = builder.unique(value_name(tensor.name) or otherwise)
    return End(name, item_shape(tensor), dtype, place)


def item_shape(tensor: Tensor) -> tuple[int, ...]:
    """Without the batch; where the first axis is none, all of it is an item."""
    return tensor.shape[1:] if tensor.shape[0] == 1 else tensor.shape


def note(builder: Builder, end: End) -> None:
    tensor = builder.file.tensors[end.place]
    if tensor.quantized:
        assert tensor.scales is not None
        scale, zero = float(tensor.scales.scale[0]), int(tensor.scales.zero[0])
        builder.notes.append(
            f"{end.name!r} holds real numbers here; the file has them as {tensor.dtype.lower()} "
            f"codes: {scale:.6g} · (code {-zero:+d})."
        )
    if end.shape == tensor.shape:
        builder.notes.append(
            f"{end.name!r} has no batch in the file: its whole shape {list(end.shape)} is an item."
        )


def open_input(builder: Builder, end: End) -> None:
    tensor = builder.file.tensors[end.place]
    name = end.name
    builder.shapes[name] = (1, *end.shape)
    if end.shape == tensor.shape:
        name = builder.reshaped(name, tensor.shape)
    builder.values[end.place, Layout.LAST] = builder.paired(name, tensor, tensor.shape)


def close_output(builder: Builder, end: End, closed: set[str]) -> None:
    """The output under its own name, in the file's layout, the batch first.

    `closed`: names of the outputs before it, and now of this one.
    """
    from onnx import helper

    reading = Operation("the output", (end.place,), (end.place,), None)
    if builder.is_constant(end.place):
        raise reading.unsupported("is a constant", "Export a model that computes something.")
    source, tensor = builder.take(reading, 0), builder.file.tensors[end.place]
    batch = builder.batch(end.place)
    if batch:
        raise reading.unsupported(
            f"{end.name!r} has its batch as axis {batch}", "Export the model batch first."
        )
    if end.shape == tensor.shape:
        source = builder.emit("Reshape", [source, builder.integers((-1, *end.shape))], ())
        builder.shapes.pop(source)
    last = builder.nodes[-1] if builder.nodes else None
    read = source in closed or any(source in node.input for node in builder.nodes)
    if last is not None and list(last.output) == [source] and not read:
        last.output[0] = end.name
        builder.values[end.place, Layout.LAST] = end.name
    else:
        node = builder.unique("output")
        builder.nodes.append(helper.make_node("Identity", [source], [end.name], name=node))
    builder.shapes[end.name] = (1, *end.shape)
    closed.add(end.name)
