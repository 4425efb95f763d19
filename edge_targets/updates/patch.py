"""Applies a delta: a new file from an old one and what changed, with bounded memory.

The form of a .sndd file, little-endian:

```
"SNDD" 1 0 0 0 | size of the base | size and sha256 of the result
five streams, each: coder (1 byte) | its size when unpacked | when packed
the packed bytes of the five, one after another
```
The first stream is a table of steps; a step makes the next bytes of the result:

- COPY: as in the base;
- XOR, SUBTRACT: numbers that moved a little, as their difference to the base's, the bytes of equal
  weight side by side (planes), where most are zero;
- SHIFT: pieces of the base, found anywhere in a range, plus differences, plus new bytes between
  them (Percival 2003, "Naive differences of executable code");
- WHOLE: new bytes.

No stream is unpacked at once: the largest piece in memory is a block and a coder's window.
"""

import hashlib
import lzma
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol, cast

from edge_targets.runtime.durable import storing
from edge_targets.runtime.errors import IntegrityError

HEAD = struct.Struct("<8sQQ32s")
STREAM = struct.Struct("<BQQ")
STEP = struct.Struct("<BBHIQqQ")  # kind, width, -, pieces, length, base relative to the last, range
PIECE = struct.Struct("<qqq")  # length of difference, of new bytes; how far to go on in the base
MAGIC = b"SNDD\1\0\0\0"
TABLE, PLANES, PIECES, DIFFERENCES, NEW = range(5)
COPY, XOR, SUBTRACT, SHIFT, WHOLE = range(5)
ZSTD, LZMA_TEXT, LZMA_NUMBERS, STORED = range(4)
FILTERS: dict[int, list[dict[str, int]]] = {
    LZMA_TEXT: [{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 20, "lc": 3, "lp": 0, "pb": 0}],
    LZMA_NUMBERS: [{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 20, "lc": 0, "lp": 0, "pb": 0}],
}
BLOCK = 1 << 18  # bytes of planes side by side; a multiple of every width
WINDOW_LOG = 21  # of zstd: 2 MiB
PACKED = 64 << 10  # bytes read from a stream at a time
MAX_STEPS = 1_000_000

HINT = "The whole package is fetched instead."


class Base(Protocol):
    """The file a delta starts from, at any place."""

    @property
    def size(self) -> int: ...

    def read(self, offset: int, length: int) -> bytes: ...


@dataclass(frozen=True)
class FileBase:
    """A base that lies in one file."""

    file: IO[bytes]

    @property
    def size(self) -> int:
        return self.file.seek(0, os.SEEK_END)

    def read(self, offset: int, length: int) -> bytes:
        self.file.seek(offset)
        return self.file.read(length)


def broken(what: str) -> IntegrityError:
    return IntegrityError(f"The delta cannot be applied: {what}.", HINT)


def apply(delta: Path, base: Base, out: Path, size: int, sha256: str) -> None:
    """Write the result to `out`; it stays only when it is the expected one.

    Raises:
        IntegrityError: the delta is damaged, is for another base, or leads elsewhere.
        StorageError: no room.
    """
    digest = hashlib.sha256()
    try:
        with storing(out), delta.open("rb") as file, out.open("wb") as result:
            reader = Reader(file, delta.stat().st_size)
            if reader.size != size or reader.sha256 != sha256 or reader.base != base.size:
                raise broken("it is between other files")
            for chunk in reader.result(base):
                digest.update(chunk)
                result.write(chunk)
            result.flush()
            os.fsync(result.fileno())
        if digest.hexdigest() != sha256:
            raise broken("the base is not the file it was made from")
    except BaseException:
        out.unlink(missing_ok=True)
        raise


class Reader:
    """A delta's header, and the way to its streams."""

    def __init__(self, file: IO[bytes], total: int) -> None:
        import zstandard

        self.foreign = (zstandard.ZstdError, lzma.LZMAError, EOFError)
        head = file.read(HEAD.size)
        rows = file.read(5 * STREAM.size)
        if len(rows) < 5 * STREAM.size or not head.startswith(MAGIC):
            raise broken("it is none")
        _, self.base, self.size, sha256 = HEAD.unpack(head)
        self.sha256 = sha256.hex()
        at, self.streams = HEAD.size + len(rows), []
        for coder, unpacked, packed in STREAM.iter_unpack(rows):
            if at + packed > total:
                raise broken("it was cut short")
            self.streams.append(Stream(file, at, packed, unpacked, coder))
            at += packed
        if at != total:
            raise broken("something follows its end")

    def result(self, base: Base) -> Iterator[bytes]:
        try:
            yield from self._result(base)
        except self.foreign as error:
            raise broken("its bytes are damaged") from error

    def _result(self, base: Base) -> Iterator[bytes]:
        table = self.streams[TABLE]
        made = end = steps = 0
        while table.left:
            row = STEP.unpack(table.read(STEP.size))
            kind, width, _, pieces, length, relative, reach = row
            start = end + relative
            span = {SHIFT: reach, WHOLE: 0}.get(kind, length)
            made, end, steps = made + length, start + span, steps + 1
            if made > self.size or not 0 <= start <= end <= base.size or steps > MAX_STEPS:
                raise broken("a step leads out of its files")
            if kind == COPY:
                for at, count in blocks(start, length):
                    yield exactly(base, at, count)
            elif kind in (XOR, SUBTRACT):
                if width not in (1, 2, 4, 8) or length % width:
                    raise broken("a number has no such width")
                for at, count in blocks(start, length):
                    planes = self.streams[PLANES].read(count)
                    yield joined(exactly(base, at, count), planes, kind, width)
            elif kind == SHIFT:
                yield from self._shifted(base, start, end, pieces, length)
            elif kind == WHOLE:
                for _, count in blocks(0, length):
                    yield self.streams[NEW].read(count)
            else:
                raise broken("a step is of no known kind")
        if made != self.size:
            raise broken("it ends early")

    def _shifted(
        self, base: Base, start: int, end: int, pieces: int, length: int
    ) -> Iterator[bytes]:
        at = start
        for _ in range(pieces):
            same, new, onward = PIECE.unpack(self.streams[PIECES].read(PIECE.size))
            length -= same + new
            if min(same, new, length) < 0 or not start <= at <= at + same <= end:
                raise broken("a piece leads out of its range")
            for here, count in blocks(at, same):
                yield added(exactly(base, here, count), self.streams[DIFFERENCES].read(count))
            for _, count in blocks(0, new):
                yield self.streams[NEW].read(count)
            at += same + onward
        if length:
            raise broken("pieces are missing")


class Stream:
    """One packed stream, read in order."""

    def __init__(self, file: IO[bytes], at: int, packed: int, unpacked: int, coder: int) -> None:
        import zstandard

        if coder not in (ZSTD, STORED, *FILTERS):
            raise broken("a stream is packed in no known way")
        self.file = file
        self.at = at
        self.packed = packed
        self.left = unpacked
        self.coder = coder
        self.unpacker: Any = None
        if coder in FILTERS:
            self.unpacker = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=FILTERS[coder])
        elif coder == ZSTD:
            unpacker = zstandard.ZstdDecompressor(max_window_size=1 << WINDOW_LOG)
            self.unpacker = unpacker.stream_reader(cast("IO[bytes]", _Window(self)), PACKED)

    def read(self, count: int) -> bytes:
        if count > self.left:
            raise broken("a stream is too short")
        self.left -= count
        parts = []
        while count:
            part = self._some(count)
            if not part:
                raise broken("a stream is too short")
            parts.append(part)
            count -= len(part)
        return b"".join(parts)

    def _some(self, count: int) -> bytes:
        if self.coder == STORED:
            return self.raw(count)
        if self.coder == ZSTD:
            return bytes(self.unpacker.read(count))
        while True:
            fed = self.raw(PACKED) if self.unpacker.needs_input else b""
            part = bytes(self.unpacker.decompress(fed, count))
            if part or not fed:
                return part

    def raw(self, count: int) -> bytes:
        """The next packed bytes, at most so many."""
        self.file.seek(self.at)
        found = self.file.read(min(count, self.packed))
        self.at += len(found)
        self.packed -= len(found)
        return found


@dataclass(frozen=True)
class _Window:
    """A stream's packed bytes, as zstandard wants to read them."""

    stream: Stream

    def read(self, count: int) -> bytes:
        return self.stream.raw(count)


def blocks(start: int, length: int) -> Iterator[tuple[int, int]]:
    for at in range(0, length, BLOCK):
        yield start + at, min(BLOCK, length - at)


def exactly(base: Base, at: int, count: int) -> bytes:
    found = base.read(at, count)
    if len(found) != count:
        raise broken("the base was cut short")
    return found


def joined(base: bytes, planes: bytes, kind: int, width: int) -> bytes:
    """Numbers from those of the base and the planes of their differences."""
    import numpy as np

    unsigned = np.dtype(f"<u{width}")
    bytes_of = np.frombuffer(planes, np.uint8).reshape(width, -1)
    difference = np.ascontiguousarray(bytes_of.T).view(unsigned).ravel()
    old = np.frombuffer(base, unsigned)
    if kind == XOR:
        return bytes((old ^ difference).tobytes())
    one = unsigned.type(1)
    # 0, -1, 1, -2, … lie as 0, 1, 2, 3, …: a small step down has no leading ones
    moved = (difference >> one) ^ (np.zeros_like(difference) - (difference & one))
    return bytes((old + moved).tobytes())


def parted(base: bytes, result: bytes, kind: int, width: int) -> bytes:
    """The planes that `joined` takes: its inverse."""
    import numpy as np

    unsigned = np.dtype(f"<u{width}")
    old, new = np.frombuffer(base, unsigned), np.frombuffer(result, unsigned)
    if kind == XOR:
        difference = old ^ new
    else:
        moved = (new - old).view(np.dtype(f"<i{width}"))
        difference = ((moved << 1) ^ (moved >> (8 * width - 1))).view(unsigned)
    return bytes(difference.view(np.uint8).reshape(-1, width).T.tobytes())


def added(base: bytes, differences: bytes) -> bytes:
    import numpy as np

    found = np.frombuffer(base, np.uint8) + np.frombuffer(differences, np.uint8)
    return bytes(found.tobytes())
