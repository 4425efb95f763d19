"""Makes a delta: for each tensor, and for what lies between, whichever way is smallest.

What `patch` applies. A package is taken apart into its members (a stored zip), a model in it into
its tensors; each is compared with the part of the same name in the old file. The search for
shifted pieces (bsdiff) sorts all suffixes, which is slow and takes nine times the memory, so only
so many bytes a delta are given to it.
"""

import hashlib
import io
import lzma
import struct
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from edge_targets.runtime.durable import replace_file
from edge_targets.runtime.errors import DataError
from edge_targets.runtime.events import Job
from edge_targets.updates import patch
from edge_targets.updates.tensors import Range, tensors

LOCAL_HEADER = 30  # bytes, before a member's name (PKWARE APPNOTE 6.3, section 4.3.7)
SORTED = 8 << 20  # bytes that one delta may give to the search for shifted pieces
SAMPLE = 256 << 10  # bytes of a tensor that a way is tried on
NO_NUMBERS = 0  # the width of what is text or structure
SPREAD = 0.1  # of its bytes are left of a part: shifted pieces are looked for too
LEVEL = 19  # of zstd: made once, fetched by every device


@dataclass(frozen=True)
class Made:
    """A delta: its size, and how many bytes of the result each way made."""

    size: int
    ways: dict[str, int]


WAYS = {
    patch.COPY: "unchanged",
    patch.XOR: "xor",
    patch.SUBTRACT: "subtract",
    patch.SHIFT: "shifted",
    patch.WHOLE: "whole",
}


def make(old: Path, new: Path, out: Path, job: Job) -> Made:
    """Write the delta from one package, or any file, to another.

    Raises:
        DataError: one of them cannot be read.
        StorageError: no room.
    """
    try:
        before, after = old.read_bytes(), new.read_bytes()
    except OSError as error:
        raise DataError(f"{error.filename} cannot be read: {error.strerror}.") from error
    maker = Maker(memoryview(before), memoryview(after))
    known = {part.name: part for part in parts(maker.old)}
    for part in job.track(list(parts(maker.new)), "compare with the version before"):
        maker.add(part, known.get(part.name))
    data = maker.packed()
    replace_file(out, data)
    return Made(len(data), maker.ways)


def parts(data: memoryview) -> Iterator[Range]:
    """The whole file in parts, each with the name it is found again by."""
    at = 0
    for member in members(data):
        yield Range(f"before {member.name}", at, member.start, NO_NUMBERS)
        here = member.start
        for one in tensors(member.name, data[member.start : member.end]):
            start, end = member.start + one.start, member.start + one.end
            yield Range(f"{member.name} before {one.name}", here, start, NO_NUMBERS)
            yield Range(f"{member.name}/{one.name}", start, end, one.width)
            here = end
        yield Range(f"{member.name} end", here, member.end, NO_NUMBERS)
        at = member.end
    yield Range("end", at, len(data), NO_NUMBERS)


def members(data: memoryview) -> list[Range]:
    """What a stored zip holds; any other file is one member, which may be a bare model."""
    if bytes(data[4:8]) == b"TFL3":  # first: labels may be zipped to its end
        return [Range(".tflite", 0, len(data))]
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            listed = sorted(archive.infolist(), key=lambda one: one.header_offset)
    except (zipfile.BadZipFile, ValueError, OSError):
        return [Range(".onnx", 0, len(data))]
    found = []
    for info in listed:
        at = info.header_offset
        lengths = (data[at + 26 : at + 28], data[at + 28 : at + 30])
        start = at + LOCAL_HEADER + sum(int.from_bytes(one, "little") for one in lengths)
        found.append(Range(info.filename, start, start + info.compress_size))
    return found


@dataclass
class Maker:
    """The steps so far, and the streams they read."""

    old: memoryview
    new: memoryview
    streams: list[list[bytes]] = field(default_factory=lambda: [[] for _ in range(5)])
    ways: dict[str, int] = field(default_factory=lambda: dict.fromkeys(WAYS.values(), 0))
    end: int = 0  # in the base, of the step before
    end_before: int = 0  # of the step before that
    copied: int = 0  # bytes of the run of unchanged parts that is still open
    sorted_bytes: int = 0

    def add(self, part: Range, known: Range | None) -> None:
        """One part of the new file, in the smallest way found."""
        if part.start == part.end:
            return
        after = bytes(self.new[part.start : part.end])
        if known is None:
            # a part that is new may have moved from anywhere: the whole old file is the range
            self._shift_or_whole(after, Range("", 0, len(self.old)))
            return
        before = bytes(self.old[known.start : known.end])
        if before == after:
            self._step(patch.COPY, known.start, len(after))
        elif len(before) == len(after):
            self._number(before, after, part.width, known)
        else:
            self._shift_or_whole(after, known)

    def _number(self, before: bytes, after: bytes, width: int, known: Range) -> None:
        """Of equal length: differences number by number, unless another way is smaller."""
        widths = {w for w in (width or 1, 1) if len(after) % w == 0}
        tried = {}
        count = min(len(after), SAMPLE) // 8 * 8 or len(after)
        for kind in (patch.XOR, patch.SUBTRACT):
            for one in widths:
                if count % one == 0:
                    planes = patch.parted(before[:count], after[:count], kind, one)
                    tried[kind, one] = _estimate(planes)
        best = min(tried, key=lambda way: (tried[way], way))
        share = tried[best] / count
        # in a text pieces may be found elsewhere; for numbers the search is slow and finds nothing
        searched = width == NO_NUMBERS and share > SPREAD
        pieces = self._pieces(before, after) if searched else None
        if pieces and _estimate(b"".join(pieces[1])) + len(pieces[0]) < share * len(after):
            self._shift(pieces, known, len(after))
            return
        if share * len(after) > _estimate(after[:count]) / count * len(after):
            self._whole(after)
            return
        kind, width = best
        for at, size in patch.blocks(0, len(after)):
            block = (before[at : at + size], after[at : at + size])
            self.streams[patch.PLANES].append(patch.parted(*block, kind, width))
        self._step(kind, known.start, len(after), width)

    def _shift_or_whole(self, after: bytes, known: Range) -> None:
        pieces = self._pieces(bytes(self.old[known.start : known.end]), after)
        if pieces and _estimate(b"".join(pieces[1])) + len(pieces[0]) < _estimate(after):
            self._shift(pieces, known, len(after))
        else:
            self._whole(after)

    def _pieces(
        self, before: bytes, after: bytes
    ) -> tuple[list[tuple[int, int, int]], tuple[bytes, bytes]] | None:
        """What of `after` lies where in `before`; None when that would take too long."""
        if not before or self.sorted_bytes + len(before) + len(after) > SORTED:
            return None
        import bsdiff4.core

        self.sorted_bytes += len(before) + len(after)
        control, differences, new = bsdiff4.core.diff(before, after)
        # a number has its sign in its highest bit, as in the format of bsdiff 4
        numbers = [
            n if n < 1 << 63 else -(n & ~(1 << 63)) for (n,) in struct.iter_unpack("<Q", control)
        ]
        return list(zip(*[iter(numbers)] * 3, strict=True)), (differences, new)

    def _shift(
        self,
        pieces: tuple[list[tuple[int, int, int]], tuple[bytes, bytes]],
        known: Range,
        length: int,
    ) -> None:
        control, (differences, new) = pieces
        at, used = 0, []
        for same, fresh, onward in control:
            used.append((same, fresh, onward))
            at += same + onward
        if used:  # nobody goes on after the last
            used[-1] = (used[-1][0], used[-1][1], 0)
        self.streams[patch.PIECES] += [patch.PIECE.pack(*piece) for piece in used]
        self.streams[patch.DIFFERENCES].append(differences)
        self.streams[patch.NEW].append(new)
        reach = known.end - known.start
        self._step(patch.SHIFT, known.start, length, pieces=len(used), reach=reach)

    def _whole(self, after: bytes) -> None:
        self.streams[patch.NEW].append(after)
        self._step(patch.WHOLE, self.end, len(after))

    def _step(
        self, kind: int, start: int, length: int, width: int = 0, pieces: int = 0, reach: int = 0
    ) -> None:
        self.ways[WAYS[kind]] += length
        if kind == patch.COPY and self.copied and start == self.end:
            # goes on where the step before ended: one step for both
            start, length = start - self.copied, length + self.copied
            self.streams[patch.TABLE].pop()
            self.end = self.end_before
        self.copied = length if kind == patch.COPY else 0
        self.end_before = self.end
        row = patch.STEP.pack(kind, width, 0, pieces, length, start - self.end, reach)
        self.streams[patch.TABLE].append(row)
        self.end = start + {patch.SHIFT: reach, patch.WHOLE: 0}.get(kind, length)

    def packed(self) -> bytes:
        digest = hashlib.sha256(self.new).digest()
        head = patch.HEAD.pack(patch.MAGIC, len(self.old), len(self.new), digest)
        rows, bodies = [], []
        for parts in self.streams:
            data = b"".join(parts)
            coder, body = _smallest(data)
            rows.append(patch.STREAM.pack(coder, len(data), len(body)))
            bodies.append(body)
        return b"".join([head, *rows, *bodies])


def _smallest(data: bytes) -> tuple[int, bytes]:
    import zstandard

    parameters = zstandard.ZstdCompressionParameters.from_level(
        LEVEL, window_log=patch.WINDOW_LOG, write_checksum=False, write_content_size=False
    )
    tried = {
        patch.STORED: data,
        patch.ZSTD: zstandard.ZstdCompressor(compression_params=parameters).compress(data),
    }
    for coder, filters in patch.FILTERS.items():
        tried[coder] = lzma.compress(data, lzma.FORMAT_RAW, filters=filters)
    best = min(tried, key=lambda coder: (len(tried[coder]), coder))
    return best, tried[best]


def _estimate(data: bytes) -> int:
    """About how many bytes `data` will take."""
    filters = [{**patch.FILTERS[patch.LZMA_NUMBERS][0], "mode": lzma.MODE_FAST, "mf": lzma.MF_HC3}]
    return len(lzma.compress(data, lzma.FORMAT_RAW, filters=filters))
