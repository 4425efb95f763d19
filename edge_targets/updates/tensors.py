"""Where the numbers lie in a model's file, by our own small readers of two formats.

ONNX is Protocol Buffers (https://protobuf.dev/programming-guides/encoding), TFLite a FlatBuffer
(https://flatbuffers.dev/internals). Only ranges of bytes are looked for; a file that is neither,
or is damaged, has none, and a delta of it is made in another way.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

ONNX_WIDTHS = {1: 4, 2: 1, 3: 1, 4: 2, 5: 2, 6: 4, 7: 8, 9: 1, 10: 2, 11: 8, 12: 4, 13: 8, 16: 2}
TFLITE_WIDTHS = {0: 4, 1: 2, 2: 4, 4: 8, 7: 2, 8: 8, 10: 8}  # the others take a byte
MAX_TENSORS = 100_000


@dataclass(frozen=True)
class Range:
    """Bytes `start` to `end` hold a tensor of elements of `width` bytes."""

    name: str
    start: int
    end: int
    width: int = 1


def tensors(name: str, data: memoryview) -> list[Range]:
    """The tensors of a model file, in the order of the file and without overlap."""
    read = onnx if name.endswith(".onnx") else tflite if name.endswith(".tflite") else None
    if read is None:
        return []
    try:
        found = sorted(read(data), key=lambda one: (one.start, one.end))
    except (struct.error, IndexError, ValueError, RecursionError):
        return []
    kept: list[Range] = []
    for one in found[:MAX_TENSORS]:
        if (kept[-1].end if kept else 0) <= one.start < one.end <= len(data):
            kept.append(one)
    return kept


def onnx(data: memoryview) -> Iterator[Range]:
    """Initializers, and the tensors of Constant nodes (onnx.proto3)."""
    for field, start, end in _fields(data, 0, len(data)):
        if field != 7:  # ModelProto.graph
            continue
        for number, (part, at, to) in enumerate(_fields(data, start, end)):
            if part == 5:  # GraphProto.initializer
                yield from _onnx_tensor(data, at, to, f"#{number}")
            elif part == 1:  # GraphProto.node, its attributes, and their tensors
                for inner, first, last in _fields(data, at, to):
                    if inner != 5:
                        continue
                    for attribute, here, there in _fields(data, first, last):
                        if attribute == 5:
                            yield from _onnx_tensor(data, here, there, f"node {number}")


def _onnx_tensor(data: memoryview, start: int, end: int, name: str) -> Iterator[Range]:
    found, kind = None, 0
    for field, at, to in _fields(data, start, end):
        if field == 8:  # TensorProto.name
            name = bytes(data[at:to]).decode("utf-8", "replace") or name
        elif field == 2:  # data_type
            kind = at
        elif field in (4, 9):  # float_data, packed; raw_data
            found = (at, to)
    if found:
        yield Range(name, *found, ONNX_WIDTHS.get(kind, 1))


def _fields(data: memoryview, at: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Number, start and end of each field; of a varint, its value stands for the start."""
    while at < end:
        key, at = _varint(data, at)
        field, wire = key >> 3, key & 7
        if wire == 0:
            value, at = _varint(data, at)
            yield field, value, 0
            continue
        if wire == 2:
            size, at = _varint(data, at)
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
        else:
            raise ValueError("a wire type that is not used")
        if at + size > end:
            raise ValueError("cut short")
        yield field, at, at + size
        at += size


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return value, at
    raise ValueError("a number without end")


def tflite(data: memoryview) -> Iterator[Range]:
    """The buffers that tensors name (schema.fbs of TensorFlow Lite)."""
    if bytes(data[4:8]) != b"TFL3":
        return
    model = _uoffset(data, 0)
    named: dict[int, tuple[str, int]] = {}
    for number, subgraph in enumerate(_tables(data, model, 2)):
        for tensor in _tables(data, subgraph, 0):
            kind, buffer = _scalar(data, tensor, 1, "<b"), _scalar(data, tensor, 2, "<I")
            at, to = _vector(data, tensor, 3)
            text = bytes(data[at:to]).decode("utf-8", "replace")
            named.setdefault(buffer, (f"{number}/{text}", TFLITE_WIDTHS.get(kind, 1)))
    for number, buffer in enumerate(_tables(data, model, 4)):
        at, to = _vector(data, buffer, 0)
        name, width = named.get(number, (f"#{number}", 1))
        if to > at:
            yield Range(name, at, to, width)


def _uoffset(data: memoryview, at: int) -> int:
    return at + int(struct.unpack_from("<I", data, at)[0])


def _slot(data: memoryview, table: int, field: int) -> int:
    """Where a field of a table lies; 0 where it has its default."""
    vtable = table - int(struct.unpack_from("<i", data, table)[0])
    if vtable < 0 or 4 + 2 * field >= struct.unpack_from("<H", data, vtable)[0]:
        return 0
    offset = int(struct.unpack_from("<H", data, vtable + 4 + 2 * field)[0])
    return table + offset if offset else 0


def _scalar(data: memoryview, table: int, field: int, form: str) -> int:
    at = _slot(data, table, field)
    return int(struct.unpack_from(form, data, at)[0]) if at else 0


def _vector(data: memoryview, table: int, field: int) -> tuple[int, int]:
    """The bytes of a vector of bytes, or of a string."""
    at = _slot(data, table, field)
    if not at:
        return 0, 0
    start = _uoffset(data, at)
    return start + 4, start + 4 + int(struct.unpack_from("<I", data, start)[0])


def _tables(data: memoryview, table: int, field: int) -> Iterator[int]:
    at = _slot(data, table, field)
    if not at:
        return
    start = _uoffset(data, at)
    count = int(struct.unpack_from("<I", data, start)[0])
    if count > MAX_TENSORS:
        raise ValueError("too many")
    for number in range(count):
        yield _uoffset(data, start + 4 + 4 * number)
