"""Files in ORT format, written the same way every time.

onnxruntime lists, for every operator, which arguments its kernels are chosen by, and it does so
in the order of a hash table that is salted anew for every file. Nothing else differs between two
files of one model. So the list is taken out, and written again, in order, at the end.

The format is a FlatBuffer of onnxruntime/core/flatbuffers/schema/ort.fbs; the list is its
`KernelTypeStrResolver`: operators, each with names of types, each with arguments.
"""

import struct
from typing import Any

FIRST, SECOND = 4, 6  # fields of a table, as FlatBuffers number them
LIST = 10  # the field of the list in the file's first table
ALIGNMENT = 16  # of weights, counted from the end of the file
GAP = 8  # bytes that may lie between two objects

Kinds = list[tuple[bytes, list[tuple[int, int]]]]  # a type's name, and the arguments of it
Operators = list[tuple[bytes, Kinds]]
Extent = tuple[int, int]


def ordered(data: bytes) -> bytes:
    """The same file whatever the order in which the list was written."""
    from flatbuffers.table import Table

    root = Table(bytearray(data), struct.unpack_from("<I", data)[0])
    if not root.Offset(LIST):
        return data
    content, places = read(Table(root.Bytes, root.Indirect(root.Pos + root.Offset(LIST))))
    _, end = together(places)
    described, own = parts(root)
    front = bytearray(data[:8] + described + own)
    rest = data[end:]
    front.extend(bytes(-(len(front) + len(rest)) % ALIGNMENT))
    block = packed(content)
    at = 8 + len(described)
    struct.pack_into("<I", front, 0, at)
    struct.pack_into("<i", front, at, len(described))
    for field in range(FIRST, len(described), 2):
        offset = root.Offset(field)
        if not offset:
            continue
        target = root.Indirect(root.Pos + offset) - end + len(front)
        if field == LIST:  # a buffer begins with the place of its first table
            target = len(front) + len(rest) + struct.unpack_from("<I", block)[0]
        struct.pack_into("<I", front, at + offset, target - at - offset)
    return bytes(front + rest + block)


def parts(table: Any) -> tuple[bytes, bytes]:
    """What describes a table, filled up to whole words, and its values."""
    start = table.Pos - struct.unpack_from("<i", table.Bytes, table.Pos)[0]
    described, size = struct.unpack_from("<HH", table.Bytes, start)
    head = bytes(table.Bytes[start : start + described])
    return head + bytes(-len(head) % 4), bytes(table.Bytes[table.Pos : table.Pos + size])


def read(top: Any) -> tuple[Operators, list[Extent]]:
    """What the list says, sorted; and the bytes that it takes, object by object."""
    content, places = [], [extent(top), members_extent(top, FIRST)]
    for operator in members(top, FIRST):
        kinds: Kinds = []
        for kind in members(operator, SECOND):
            arguments = members(kind, SECOND)
            places += [members_extent(kind, SECOND), *map(extent, arguments)]
            kinds.append((text(kind, places), sorted(map(argument, arguments))))
            places.append(extent(kind))
        content.append((text(operator, places), sorted(kinds)))
        places += [extent(operator), members_extent(operator, SECOND)]
    return sorted(content), places


def members(table: Any, field: int) -> list[Any]:
    from flatbuffers.table import Table

    start = table.Vector(table.Offset(field)) if table.Offset(field) else 0
    count = table.VectorLen(table.Offset(field)) if start else 0
    return [Table(table.Bytes, table.Indirect(start + 4 * i)) for i in range(count)]


def members_extent(table: Any, field: int) -> Extent:
    if not table.Offset(field):
        return extent(table)
    start = table.Vector(table.Offset(field))
    return start - 4, start + 4 * table.VectorLen(table.Offset(field))


def extent(table: Any) -> Extent:
    """Of a table's values; what describes them stands in front, and may serve others too."""
    described = table.Pos - struct.unpack_from("<i", table.Bytes, table.Pos)[0]
    size: int = struct.unpack_from("<H", table.Bytes, described + 2)[0]
    own = described < table.Pos and table.Pos - described <= SECOND + 2 * GAP
    return described if own else table.Pos, table.Pos + size


def text(table: Any, places: list[Extent]) -> bytes:
    start = table.Pos + table.Offset(FIRST)
    start += struct.unpack_from("<I", table.Bytes, start)[0]
    size: int = struct.unpack_from("<I", table.Bytes, start)[0]
    places.append((start, start + 4 + size + 1))
    return bytes(table.Bytes[start + 4 : start + 4 + size])


def argument(table: Any) -> tuple[int, int]:
    from flatbuffers.number_types import Int8Flags, Uint32Flags

    return table.GetSlot(FIRST, 0, Int8Flags), table.GetSlot(SECOND, 0, Uint32Flags)


def together(places: list[Extent]) -> Extent:
    """The bytes from the first object to the last that lies next to its neighbour.

    A text may be shared with the model, and lie there.
    """
    start, end = min(places)
    for first, last in sorted(places):
        if first - end < GAP:
            end = max(end, last)
    return start, end


def packed(content: Operators) -> bytes:
    from flatbuffers import Builder

    builder = Builder(1024)
    operators = []
    for operator, kinds in content:
        entries = []
        for name, arguments in kinds:
            pairs = []
            for where, index in arguments:
                builder.StartObject(2)
                builder.PrependInt8Slot(0, where, 0)
                builder.PrependUint32Slot(1, index, 0)
                pairs.append(builder.EndObject())
            entries.append(entry(builder, name, pairs))
        operators.append(entry(builder, operator, entries))
    listed = vector(builder, operators)
    builder.StartObject(1)
    builder.PrependUOffsetTRelativeSlot(0, listed, 0)
    builder.Finish(builder.EndObject())
    return bytes(builder.Output())


def entry(builder: Any, name: bytes, members: list[int]) -> int:
    said, listed = builder.CreateString(name), vector(builder, members)
    builder.StartObject(2)
    builder.PrependUOffsetTRelativeSlot(0, said, 0)
    builder.PrependUOffsetTRelativeSlot(1, listed, 0)
    return int(builder.EndObject())


def vector(builder: Any, members: list[int]) -> int:
    builder.StartVector(4, len(members), 4)
    for member in reversed(members):
        builder.PrependUOffsetTRelative(member)
    return int(builder.EndVector())
