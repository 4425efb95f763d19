"""The one form a package's zip archive may have (PKWARE APPNOTE 6.3).

Members are stored, not compressed; the date is 1980-01-01; there are no extra fields, comments,
descriptors or gaps. Any zip tool opens such a file, but one content has one sequence of bytes.
Written here and not with `zipfile`, whose bytes differ between Python versions.
"""

import os
import re
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from edge_targets.runtime.errors import IntegrityError

MAX_FILE = 512 << 20  # bytes: what a small device can hold three times (two slots and an upload)
MAX_MEMBERS = 64
CHUNK = 1 << 20  # bytes read at a time: small beside a device's memory
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")  # no separators, nothing hidden, no `..`

# Sections 4.3.7, 4.3.12 and 4.3.16 of the note.
LOCAL = struct.Struct("<4s5H3I2H")
CENTRAL = struct.Struct("<4s6H3I5H2I")
END = struct.Struct("<4s4H2IH")
NEEDED, MADE_BY, DATE = 10, 3 << 8 | 10, 1 << 5 | 1  # version 1.0; on Unix; 1980-01-01
ATTRIBUTES = 0o100644 << 16  # an ordinary file
MAX_TABLE = MAX_MEMBERS * (CENTRAL.size + 3 * 256)  # bytes: more is not read into memory

MEND = "Get the package again from where it was made; do not use this copy."


@dataclass(frozen=True)
class Member:
    """One file of the archive: plain name, bytes, CRC-32."""

    name: str
    size: int
    crc: int


Take = Callable[[Member, Iterator[bytes]], None]  # reads all chunks of one member


def damaged(what: str) -> IntegrityError:
    return IntegrityError(f"{what} is not as it was packed.", MEND)


def check_names(title: str, names: Sequence[str]) -> None:
    """Refuse names that could leave a folder, hide in it, or overwrite each other there."""
    for name in names:
        if not NAME.fullmatch(name):
            raise IntegrityError(
                f"{title}: a member is named {name[:80]!r}; that could write outside its folder.",
                "Do not use this file: it was not made by Sanderling.",
            )
    # two names that differ in case alone are one file on some disks
    if len({name.lower() for name in names}) != len(names):
        raise IntegrityError(
            f"{title} holds two members of one name.",
            "Do not use this file: it was not made by Sanderling.",
        )


def archive(members: Mapping[str, bytes]) -> bytes:
    """The archive of `members`, in their order."""
    listed = [Member(name, len(data), zlib.crc32(data)) for name, data in members.items()]
    parts = [part for one in listed for part in (local_header(one), members[one.name])]
    return b"".join([*parts, tail(listed)])


def local_header(member: Member) -> bytes:
    name, size = member.name.encode("ascii"), member.size
    return LOCAL.pack(b"PK\3\4", NEEDED, 0, 0, 0, DATE, member.crc, size, size, len(name), 0) + name


def tail(members: Sequence[Member]) -> bytes:
    """The directory and the end record."""
    offset, rows = 0, []
    for one in members:
        name, size = one.name.encode("ascii"), one.size
        head = (b"PK\1\2", MADE_BY, NEEDED, 0, 0, 0, DATE, one.crc, size, size, len(name))
        rows.append(CENTRAL.pack(*head, 0, 0, 0, 0, ATTRIBUTES, offset) + name)
        offset += LOCAL.size + len(name) + size
    table, count = b"".join(rows), len(members)
    return table + END.pack(b"PK\5\6", 0, 0, count, count, len(table), offset, 0)


def directory(title: str, handle: BinaryIO) -> list[Member]:
    """What the archive says it holds; nothing of it is believed before `scan` has compared it."""
    size = handle.seek(0, os.SEEK_END)
    if size > MAX_FILE:
        raise IntegrityError(
            f"{title} has {size} bytes; a package has {MAX_FILE} at most.",
            "Do not use this file: it was not made by Sanderling.",
        )
    handle.seek(max(0, size - END.size))
    end = handle.read(END.size)
    if len(end) < END.size or not end.startswith(b"PK\5\6"):
        raise IntegrityError(
            f"{title} is not a package, or it was cut short or added to.",
            "Give a .sndl file; get it again from where it was made.",
        )
    _, _, _, _, count, length, offset, _ = END.unpack(end)
    if count > MAX_MEMBERS or length > MAX_TABLE or offset + length + END.size != size:
        raise damaged(f"{title}: its directory")
    handle.seek(offset)
    table, members, at = handle.read(length), [], 0
    for _ in range(count):
        if at + CENTRAL.size > len(table):
            raise damaged(f"{title}: its directory")
        row = CENTRAL.unpack_from(table, at)
        method, crc, packed, full, name_size, extra, comment = row[4], *row[7:13]
        raw = table[at + CENTRAL.size : at + CENTRAL.size + name_size]
        name = raw.decode("ascii", "backslashreplace")
        if method != 0 or packed != full:
            raise IntegrityError(
                f"{title}: member {name[:80]!r} is compressed ({packed} bytes that claim to be "
                f"{full}); it was not unpacked.",
                "Do not use this file: packages hold nothing compressed.",
            )
        members.append(Member(name, full, crc))
        at += CENTRAL.size + name_size + extra + comment
    check_names(title, [member.name for member in members])
    return members


def scan(title: str, handle: BinaryIO, members: Sequence[Member], take: Take) -> None:
    """Compare the file with the one form of `members`, byte by byte, giving each to `take`."""
    handle.seek(0)
    for member in members:
        expected = local_header(member)
        if handle.read(len(expected)) != expected:
            raise damaged(f"{title}: the header of {member.name}")
        crc, left = 0, member.size

        def chunks(name: str = member.name) -> Iterator[bytes]:
            nonlocal crc, left
            while left:
                chunk = handle.read(min(CHUNK, left))
                if not chunk:
                    raise damaged(f"{title}: {name}")
                crc, left = zlib.crc32(chunk, crc), left - len(chunk)
                yield chunk

        take(member, chunks())
        if left or crc != member.crc:
            raise damaged(f"{title}: {member.name}")
    if handle.read(MAX_TABLE + END.size + 1) != tail(members):
        raise damaged(f"{title}: the directory at its end")
