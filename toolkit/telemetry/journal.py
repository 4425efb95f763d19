"""An append-only journal of records: one JSON line each, on the disk before it is told of.

Every writer has a segment of its own and holds a lock on it while it lives, so several
collectors may share a folder and a compaction can tell whose segments are finished.
"""

import fcntl
import json
import logging
import os
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from edge_targets.runtime.contract import Record
from edge_targets.runtime.durable import sync_folder
from edge_targets.runtime.errors import IntegrityError
from toolkit.telemetry.durable import make_folder, write_all

log = logging.getLogger(__name__)


class Journal:
    """The segments of one folder, and the one that this writer appends to. Not thread-safe."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.size = 0  # bytes in our own open segment
        self._path: Path | None = None
        self._descriptor = -1

    def append(self, lines: Iterable[bytes]) -> None:
        """Write lines and wait until they are on the disk.

        On an `OSError` none of them counts as written, and all earlier ones are unharmed.
        """
        data = b"".join(line + b"\n" for line in lines)
        if self._path is None:
            self._open()
        try:
            write_all(self._descriptor, data)
            os.fsync(self._descriptor)
        except OSError:
            self._abandon()
            raise
        self.size += len(data)

    def _open(self) -> None:
        make_folder(self.folder)
        while self._path is None:
            # ordered by time, so that of two records with one id the first is kept
            name = f"segment-{time.time_ns():020d}-{uuid.uuid4().hex[:8]}.jsonl"
            path = self.folder / name
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
            self._descriptor = os.open(path, flags, 0o644)
            with suppress(BlockingIOError):
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if path.exists():
                    self._path = path
                    break
            # a compaction saw the file before we held it, and is removing it
            os.close(self._descriptor)
        self.size = 0
        sync_folder(self.folder)

    def _abandon(self) -> None:
        """After a failed write the end of the segment is unknown: cut it off, begin anew."""
        with suppress(OSError):
            os.ftruncate(self._descriptor, self.size)
            os.fsync(self._descriptor)
        if self.size == 0 and self._path is not None:
            with suppress(OSError):
                self._path.unlink()
        self.rotate()

    def rotate(self) -> None:
        """Finish our segment; the next append opens another."""
        if self._path is not None:
            os.close(self._descriptor)
        self._path = None
        self.size = 0

    def segments(self) -> list[Path]:
        return sorted(self.folder.glob("segment-*.jsonl"))

    @contextmanager
    def finished(self) -> Iterator[list[Path]]:
        """The segments that nobody writes to any more, held for the caller alone."""
        held: list[tuple[int, Path]] = []
        try:
            for path in self.segments():
                try:
                    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
                except FileNotFoundError:  # its writer could not fill it, and took it away
                    continue
                held.append((descriptor, path))
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    os.close(descriptor)
                    held.pop()
            yield [path for _, path in held]
        finally:
            for descriptor, _ in held:
                os.close(descriptor)

    def remove(self, paths: Iterable[Path]) -> None:
        for path in paths:
            path.unlink(missing_ok=True)
        sync_folder(self.folder)

    def keep_damaged(self, path: Path) -> None:
        """Set a segment aside in which a complete line cannot be read."""
        path.rename(path.with_suffix(".damaged"))
        sync_folder(self.folder)


def read_segment(path: Path) -> tuple[list[Record], int]:
    """The records of a segment, and how many complete lines could not be read.

    A torn last line was never acknowledged and is left out without a word. A segment that is
    gone was compacted a moment ago: its records lie in the Parquet files by now.
    """
    try:
        *lines, _torn = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return [], 0
    records, damaged = [], 0
    for number, line in enumerate(lines, start=1):
        try:
            records.append(Record.from_json(json.loads(line)))
        except (ValueError, RecursionError, IntegrityError) as error:
            log.warning("%s, line %d cannot be read: %s", path, number, error)
            damaged += 1
    return records, damaged
