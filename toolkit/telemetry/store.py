"""Telemetry on disk: durable before it is acknowledged, and every record once.

New records go to a journal; a compaction moves them into Parquet files by day. A record is in
one of the two at any moment, in both for an instant: then its id tells.
"""

import errno
import json
import logging
import os
import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_targets.runtime.contract import Profile, Record
from edge_targets.runtime.durable import storing
from edge_targets.runtime.errors import IntegrityError, StorageError
from toolkit.telemetry import queries
from toolkit.telemetry.checks import check
from toolkit.telemetry.durable import locked, make_folder
from toolkit.telemetry.feedback import Feedback
from toolkit.telemetry.journal import Journal, read_segment
from toolkit.telemetry.parquet import clear_leftovers, day_of, write_part
from toolkit.telemetry.queries import Window, ids_in_parts, opened

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

log = logging.getLogger(__name__)

JOURNAL_LIMIT = 4 << 20  # bytes: some 2,000 records of a dozen features, read back in a blink


class Store:
    """The telemetry in one folder. Threads and processes may share it; reading changes nothing.

    Errors: `IntegrityError` names the record that is malformed; `StorageError` when the disk
    takes no more, which harms nothing that was accepted.
    """

    def __init__(self, folder: Path, journal_limit: int = JOURNAL_LIMIT) -> None:
        self.folder = folder
        self.journal_limit = journal_limit
        self._journal = Journal(folder / "journal")
        self._ids: set[str] = set()  # in our open segment
        self._lock = threading.Lock()

    def append(self, records: Iterable[Record]) -> list[str]:
        """Keep records; returns their ids once they are on the disk.

        All of them or none. One that is kept already is accepted again and not stored again.
        """
        lines: dict[str, bytes] = {}
        for index, record in enumerate(records):
            raw = record.to_json()
            check(raw, f"record {index}")
            lines.setdefault(record.id, _line(raw, index))
        with self._lock:
            fresh = [record_id for record_id in lines if record_id not in self._ids]
            if fresh:
                try:
                    self._journal.append(lines[record_id] for record_id in fresh)
                except OSError as error:
                    # what the abandoned segment holds is no longer ours to know
                    self._ids.clear()
                    raise self._refusal(error) from error
            self._ids.update(fresh)
            full = self._journal.size > self.journal_limit
        if full:
            self.tidy(wait=False)
        return list(lines)

    def _refusal(self, error: OSError) -> StorageError:
        return StorageError(
            f"The telemetry in {self.folder} cannot be written: {error.strerror or error}.",
            "Free space on that disk. Devices keep what was not accepted and send it again.",
        )

    def tidy(self, wait: bool = True) -> None:
        """Compact, unless the disk has no room for it: then the journal goes on keeping all."""
        try:
            self._compact(wait)
        except StorageError as error:
            log.warning("Compaction is put off: %s", error)

    def compact(self) -> None:
        """Move what the journal holds into Parquet files.

        Killed at any point it can be run again: a segment goes only after its records are
        durable elsewhere, and what is there already is not written a second time.
        """
        self._compact(wait=True)

    def _compact(self, wait: bool) -> None:
        with self._lock:
            self._journal.rotate()
            self._ids.clear()
        if not self._journal.segments():
            return
        try:
            with locked(self.folder / "compact.lock", wait) as alone:
                if alone:
                    self._move()
        except OSError as error:
            raise self._refusal(error) from error

    def _move(self) -> None:
        clear_leftovers(self.folder)
        with self._journal.finished() as segments:
            records: dict[str, Record] = {}
            damaged = []
            for segment in segments:
                found, unreadable = read_segment(segment)
                for record in found:
                    records.setdefault(record.id, record)
                if unreadable:
                    damaged.append(segment)
            known = ids_in_parts(self.folder, records)
            days: defaultdict[date, list[Record]] = defaultdict(list)
            for record in records.values():
                if record.id not in known:
                    days[day_of(record)].append(record)
            for day in sorted(days):
                write_part(self.folder, day, days[day])
            for segment in damaged:
                self._journal.keep_damaged(segment)
            self._journal.remove(segments)

    def close(self) -> None:
        """Let go of the journal; a later append opens it again."""
        with self._lock:
            self._journal.rotate()
            self._ids.clear()

    def _pending(self) -> list[Record]:
        records: dict[str, Record] = {}
        for segment in self._journal.segments():
            for record in read_segment(segment)[0]:
                records.setdefault(record.id, record)
        return list(records.values())

    def check_writable(self) -> None:
        """Make the folder where it is missing; a `StorageError` when nothing could be kept."""
        with storing(self.folder):
            make_folder(self._journal.folder)
            for folder in (self.folder, self._journal.folder):
                if not os.access(folder, os.W_OK | os.X_OK):
                    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    @contextmanager
    def _opened(self, since: datetime | None = None) -> Iterator["DuckDBPyConnection"]:
        try:
            with opened(self.folder, self._pending(), since) as connection:
                yield connection
        except OSError as error:
            raise StorageError(
                f"The telemetry in {self.folder} cannot be read: {error.strerror or error}.",
                "Check who may read it.",
            ) from error

    def count(self) -> int:
        """How many records are kept."""
        with self._opened() as connection:
            return queries.count(connection)

    def devices(self, model: str) -> list[str]:
        """The names of all devices that ever reported on a model."""
        with self._opened() as connection:
            return queries.devices(connection, model)

    def versions(self, model: str, since: datetime | None = None) -> set[tuple[str, str]]:
        """Each device with each version of a model that it reported on, since then."""
        with self._opened(since) as connection:
            return queries.versions(connection, model, since)

    def feedback(self, model: str, since: datetime | None = None) -> Feedback:
        """What people said of a model's answers, since then."""
        with self._opened(since) as connection:
            return queries.feedback(connection, model, since)

    def windows(self, model: str) -> list[Window]:
        """Every window of a model in the order of time."""
        with self._opened() as connection:
            return queries.windows(connection, model)

    def profiles(
        self,
        model: str,
        version: str | None = None,
        since: datetime | None = None,
        last: int | None = None,
    ) -> dict[str, Profile]:
        """What each device saw, merged over its windows.

        Windows add up only when they were counted with the same edges, so a device's older
        windows of another version or another reference profile are left out.

        Args:
            model: the manifest's name.
            version: only this one; without it, the one each device reported last.
            since: only windows that ended then or later; a time with a zone.
            last: only so many of each device's newest windows.
        """
        with self._opened(since) as connection:
            return queries.profiles(connection, model, version, since, last)


def _line(raw: Mapping[str, Any], index: int) -> bytes:
    try:
        return json.dumps(raw, separators=(",", ":"), allow_nan=False).encode()
    except (TypeError, ValueError) as error:  # in a field that only its sender knows
        raise IntegrityError(f"record {index}: {error}.", "Correct the sender.") from error
