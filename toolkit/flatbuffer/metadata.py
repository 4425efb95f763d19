"""TFLite metadata: what a file says of itself to other apps (schema "M001", version 1.0.0).

A flatbuffer of its own lies in one of the model's buffers, named TFLITE_METADATA; the files it
speaks of are a zip archive behind the model. Tables are written by their places in the schema:
https://github.com/tensorflow/tflite-support, metadata_schema.fbs.
"""

import io
import re
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from edge_targets.runtime.contract import Signature, TensorSpec
from edge_targets.runtime.errors import IntegrityError
from toolkit.flatbuffer.tables import DAMAGE, Table, at, offsets, root, table

ENTRY = "TFLITE_METADATA"
IDENTIFIER = b"M001"
PARSER = "1.0.0"  # the oldest that knows every field written here
LABELS = "labels.txt"
AXIS_LABELS, VALUE_LABELS = 2, 3  # AssociatedFileType
FEATURES = 1  # ContentProperties: an image would have to be channels-last
NORMALIZATION = 1  # ProcessUnitOptions
MODEL_FIELDS = 8  # of the TFLite schema's Model
VERSION, GRAPHS, BUFFERS, ENTRIES = 0, 2, 4, 6  # fields of it
ALIGNMENT = 16  # bytes: what the schema asks for stored data
MOST_TEXT = 1 << 20  # bytes of a label file: 100,000 labels
RANGE = re.compile(r"(-?\d+(?:\.\d+)?)\s*[-–…]\s*(-?\d+(?:\.\d+)?)")


@dataclass(frozen=True)
class Metadata:
    """What a file says of itself.

    Attributes:
        labels: of the classes of the first output that has some.
        means: what its user takes off the first input, a number for all or one a channel.
        deviations: what its user divides the first input by, likewise.
        inputs: names for people, in the order of the model's inputs.
        outputs: likewise.
    """

    name: str
    description: str
    labels: tuple[str, ...]
    means: tuple[float, ...]
    deviations: tuple[float, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def with_metadata(data: bytes, signature: Signature, title: str) -> bytes:
    """The same model with what its signature says; labels lie in the archive behind it.

    The old file stays as it is inside the new one, under a new first table: nothing is packed
    again, so what is aligned stays aligned.
    """
    import flatbuffers

    old = root(data)
    builder = flatbuffers.Builder(len(data) + (1 << 16))
    place = embedded(builder, data)
    content = description(signature, title, *(names_of(old, slot) for slot in (1, 2)))
    builder.Prep(ALIGNMENT, len(content))
    buffer = table(builder, 1, {0: builder.CreateByteVector(content)})
    buffers = [place(one.position) for one in old.tables(BUFFERS)]
    name = builder.CreateString(ENTRY)
    entry = table(builder, 2, {0: name}, numbers={1: len(buffers)})
    kept = [place(one.position) for one in old.tables(ENTRIES) if one.text(0) != ENTRY]
    fields = {
        slot: place(old.target(slot))
        for slot in range(1, MODEL_FIELDS)
        if slot not in {BUFFERS, ENTRIES} and old.has(slot)
    }
    fields[BUFFERS] = offsets(builder, [*buffers, buffer])
    fields[ENTRIES] = offsets(builder, [*kept, entry])
    model = table(builder, MODEL_FIELDS, fields, numbers={VERSION: old.number(VERSION, "<I")})
    builder.Finish(model, b"TFL3")
    return bytes(builder.Output()) + archive(signature.labels, len(builder.Output()))


def embedded(builder: Any, data: bytes) -> Callable[[int], int]:
    """Put a whole file where the builder stands; gives where each of its bytes lies now."""
    builder.Prep(ALIGNMENT, len(data))
    builder.head -= len(data)
    builder.Bytes[builder.head : builder.head + len(data)] = data
    start = builder.Offset()
    return lambda position: int(start - position)


def names_of(model: Table, slot: int) -> list[str]:
    """The inputs (slot 1) or outputs (2) of the file's graph, in its order."""
    [graph, *_] = model.tables(GRAPHS)
    start, count = graph.vector(slot)
    tensors = graph.tables(0)
    return [tensors[at(graph.data, "<i", start + 4 * i)].text(3) for i in range(count)]


def description(
    signature: Signature, title: str, inputs: Sequence[str], outputs: Sequence[str]
) -> bytes:
    import flatbuffers

    builder = flatbuffers.Builder(1 << 10)
    specs = {spec.name: spec for spec in (*signature.inputs, *signature.outputs)}
    labels = {signature.outputs[0].name: signature.labels}
    takes = [tensor(builder, specs[name], (), is_input=True) for name in inputs]
    gives = [tensor(builder, specs[name], labels.get(name, ()), is_input=False) for name in outputs]
    graph = table(builder, 4, {2: offsets(builder, takes), 3: offsets(builder, gives)})
    words = {0: builder.CreateString(title), 7: builder.CreateString(PARSER)}
    model = table(builder, 8, {**words, 3: offsets(builder, [graph])})
    builder.Finish(model, IDENTIFIER)
    return bytes(builder.Output())


def tensor(builder: Any, spec: TensorSpec, labels: Sequence[str], *, is_input: bool) -> int:
    """One input or output: its name, its meaning, and how numbers go in or labels come out."""
    told = spec.meaning + (f" ({spec.unit})" if spec.unit else "")
    content = table(builder, 2, {1: table(builder, 0, {})}, small={0: FEATURES})
    fields = {0: builder.CreateString(spec.name), 3: content}
    if told:
        fields[1] = builder.CreateString(told)
    if is_input and spec.dtype.startswith("float"):  # the graph normalizes by itself
        fields[4] = offsets(builder, [normalization(builder, 0.0, 1.0)])
    found = RANGE.fullmatch(spec.unit)
    if found:
        low, high = (floats(builder, [float(bound)]) for bound in found.groups())
        fields[5] = table(builder, 2, {0: high, 1: low})
    if labels:
        words = {
            0: builder.CreateString(LABELS),
            1: builder.CreateString("The classes, one a line."),
        }
        file = table(builder, 3, words, small={2: AXIS_LABELS})
        fields[6] = offsets(builder, [file])
    return table(builder, 7, fields)


def normalization(builder: Any, mean: float, deviation: float) -> int:
    parameters = {0: floats(builder, [mean]), 1: floats(builder, [deviation])}
    options = table(builder, 2, parameters)
    return table(builder, 2, {1: options}, small={0: NORMALIZATION})


def floats(builder: Any, values: Sequence[float]) -> int:
    import numpy as np

    return int(builder.CreateNumpyVector(np.array(values, np.float32)))


def archive(labels: Sequence[str], before: int) -> bytes:
    """The label file as a zip archive to append behind `before` bytes; the same every time."""
    if not labels:
        return b""
    text = "".join(" ".join(label.splitlines()) + "\n" for label in labels)
    stream = io.BytesIO()
    stream.seek(before)  # the archive counts from the beginning of the whole file
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as file:  # readers map it as it lies
        file.writestr(zipfile.ZipInfo(LABELS, (1980, 1, 1, 0, 0, 0)), text)
    return stream.getvalue()[before:]


def read_metadata(data: bytes) -> Metadata | None:
    """What a TFLite file says of itself; None when it says nothing.

    Raises:
        IntegrityError: what it says points outside of it, or claims more than it holds.
    """
    try:
        found = content_of(data)
        return None if found is None else metadata_of(root(found), data)
    except DAMAGE as error:
        raise IntegrityError(
            "The metadata of this TFLite file is damaged.",
            "Copy the file again, or export it without metadata.",
        ) from error


def content_of(data: bytes) -> bytes | None:
    if data[4:8] != b"TFL3":
        return None
    model = root(data)
    for entry in model.tables(ENTRIES):
        if entry.text(0) == ENTRY:
            content = model.tables(BUFFERS)[entry.number(1, "<I")].content(0)
            return content if content[4:8] == IDENTIFIER else None
    return None


def metadata_of(model: Table, data: bytes) -> Metadata:
    graphs = model.tables(3)
    inputs, outputs = (graphs[0].tables(slot) if graphs else [] for slot in (2, 3))
    means, deviations = normalization_of(inputs[0]) if inputs else ((), ())
    return Metadata(
        name=model.text(0),
        description=model.text(1),
        labels=labels_of(outputs, data),
        means=means,
        deviations=deviations,
        inputs=tuple(one.text(0) for one in inputs),
        outputs=tuple(one.text(0) for one in outputs),
    )


def normalization_of(tensor: Table) -> tuple[tuple[float, ...], tuple[float, ...]]:
    for unit in tensor.tables(4):
        if unit.number(0, "<B") == NORMALIZATION and unit.has(1):
            options = unit.table(1)
            return options.floats(0), options.floats(1)
    return (), ()


def labels_of(outputs: Sequence[Table], data: bytes) -> tuple[str, ...]:
    names = [
        file.text(0)
        for output in outputs
        for file in output.tables(6)
        if file.number(2, "<b") in {AXIS_LABELS, VALUE_LABELS}
    ]
    if not names or not zipfile.is_zipfile(io.BytesIO(data)):
        return ()
    with zipfile.ZipFile(io.BytesIO(data)) as file, file.open(names[0]) as stream:
        text = stream.read(MOST_TEXT + 1)
    if len(text) > MOST_TEXT:
        raise ValueError("a label file of more than a megabyte")
    return tuple(line.strip() for line in text.decode().splitlines() if line.strip())
