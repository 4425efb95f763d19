"""A package's bytes, from the folder it was unpacked to: one content has one sequence of bytes.

So a device that serves a version has the file a delta starts from, without room for a copy.
"""

import zlib
from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path

from edge_targets.package.archive import CHUNK, Member, local_header, tail
from edge_targets.runtime.contract import Manifest
from edge_targets.runtime.errors import IntegrityError


class Repacked:
    """Reads like the file; `size` is its length.

    Raises:
        IntegrityError: something of it is missing.
    """

    def __init__(self, folder: Path, first: tuple[str, str]) -> None:
        self.pieces: list[bytes | Path] = []
        self.starts: list[int] = []
        self.size = 0
        listed = []
        try:
            manifest = Manifest.parse((folder / first[0]).read_bytes())
            for name in (*first, *sorted(manifest.files)):
                member = Member(name, (folder / name).stat().st_size, _crc(folder / name))
                listed.append(member)
                self._add(local_header(member), len(local_header(member)))
                self._add(folder / name, member.size)
        except OSError as error:
            raise IntegrityError(
                f"{folder} is incomplete: {error.strerror}.", "Deploy the package again."
            ) from error
        self._add(tail(listed), len(tail(listed)))

    def _add(self, piece: bytes | Path, size: int) -> None:
        if size:
            self.pieces.append(piece)
            self.starts.append(self.size)
            self.size += size

    def read(self, offset: int, length: int) -> bytes:
        return b"".join(self._read(offset, min(length, self.size - offset)))

    def _read(self, offset: int, length: int) -> Iterator[bytes]:
        number = bisect_right(self.starts, offset) - 1
        while length > 0 and number < len(self.pieces):
            piece, within = self.pieces[number], offset - self.starts[number]
            if isinstance(piece, bytes):
                found = piece[within : within + length]
            else:
                end = self.starts[number + 1]  # the tail follows every file
                with piece.open("rb") as file:
                    file.seek(within)
                    found = file.read(min(length, end - offset))
            if not found:
                return
            yield found
            offset, length = offset + len(found), length - len(found)
            number += offset == (self.starts[number + 1] if number + 1 < len(self.starts) else -1)


def _crc(file: Path) -> int:
    crc = 0
    with file.open("rb") as handle:
        while chunk := handle.read(CHUNK):
            crc = zlib.crc32(chunk, crc)
    return crc
