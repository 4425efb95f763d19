"""Flatbuffer tables by the places of their fields, for schemas without generated code.

Reading trusts nothing: what points outside of the bytes raises one of `DAMAGE`, and no list or
text is longer than anything real.
"""

import struct
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

DAMAGE = (
    struct.error, ValueError, LookupError, OverflowError, OSError, RuntimeError, EOFError,
    zipfile.BadZipFile, zlib.error,
)  # fmt: skip
"""What reading beyond the bytes raises, here and in an archive behind them."""

MOST = 1 << 16  # items of a list, bytes of a text: a model has thousands of buffers at most


def root(data: bytes) -> "Table":
    return Table(data, at(data, "<I", 0))


def at(data: bytes, form: str, position: int) -> Any:
    if position < 0:
        raise ValueError("a place before the beginning")
    return struct.unpack_from(form, data, position)[0]


@dataclass(frozen=True)
class Table:
    """A table at a position; fields that are not there read as empty or zero."""

    data: bytes
    position: int

    def field(self, slot: int) -> int:
        """Where a field lies; 0 when it is not there."""
        shape = self.position - at(self.data, "<i", self.position)
        within = 4 + 2 * slot
        if within >= at(self.data, "<H", shape):
            return 0
        place = at(self.data, "<H", shape + within)
        return self.position + place if place else 0

    def has(self, slot: int) -> bool:
        return self.field(slot) > 0

    def number(self, slot: int, form: str) -> Any:
        place = self.field(slot)
        return at(self.data, form, place) if place else 0

    def target(self, slot: int) -> int:
        """Where a field points to."""
        place = self.field(slot)
        return int(place + at(self.data, "<I", place))

    def table(self, slot: int) -> "Table":
        return Table(self.data, self.target(slot))

    def vector(self, slot: int, most: int = MOST) -> tuple[int, int]:
        """Where a list begins, and how many items it has."""
        if not self.has(slot):
            return 0, 0
        place = self.target(slot)
        count = int(at(self.data, "<I", place))
        if count > most:
            raise ValueError(f"a list of {count} items")
        return place + 4, count

    def tables(self, slot: int) -> list["Table"]:
        start, count = self.vector(slot)
        places = range(start, start + 4 * count, 4)
        return [Table(self.data, place + at(self.data, "<I", place)) for place in places]

    def floats(self, slot: int) -> tuple[float, ...]:
        start, count = self.vector(slot)
        return tuple(at(self.data, "<f", start + 4 * index) for index in range(count))

    def content(self, slot: int, most: int | None = None) -> bytes:
        start, count = self.vector(slot, len(self.data) if most is None else most)
        if start + count > len(self.data):
            raise ValueError("a list beyond the end")
        return self.data[start : start + count]

    def text(self, slot: int) -> str:
        return self.content(slot, MOST).decode()


def table(
    builder: Any,
    slots: int,
    fields: Mapping[int, int],
    *,
    numbers: Mapping[int, int] | None = None,
    small: Mapping[int, int] | None = None,
) -> int:
    """Write a table with so many slots: `fields` point, `numbers` are uint32, `small` bytes."""
    builder.StartObject(slots)
    for slot, offset in fields.items():
        builder.PrependUOffsetTRelativeSlot(slot, offset, 0)
    for slot, value in (numbers or {}).items():
        builder.PrependUint32Slot(slot, value, 0)
    for slot, value in (small or {}).items():
        builder.PrependUint8Slot(slot, value, 0)
    return int(builder.EndObject())


def offsets(builder: Any, targets: Sequence[int]) -> int:
    """Write a list of what was written before."""
    builder.StartVector(4, len(targets), 4)
    for target in reversed(targets):
        builder.PrependUOffsetTRelative(target)
    return int(builder.EndVector())
