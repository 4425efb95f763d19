"""Telemetry that waits on the device until the collector has it."""

import errno
import json
import sqlite3
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from edge_targets.runtime.contract import Record
from edge_targets.runtime.durable import HINTS
from edge_targets.runtime.errors import DataError, StorageError

MAX_RECORDS = 10_000  # a day of 10 s windows is 8,640
MAX_BYTES = 64 << 20  # all bodies together: small beside the smallest SD card
MAX_RECORD = 900 << 10  # bytes: with its envelope it fits the collector's limit of 1 MiB
VERSION = 1  # of the tables
BUSY_S = 10.0  # how long to wait for another process that has the file open
DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
FULL = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR}

TABLES = """
CREATE TABLE record (
    place INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT UNIQUE NOT NULL,
    size INTEGER NOT NULL, body TEXT NOT NULL
);
CREATE TABLE tally (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
INSERT INTO tally VALUES ('dropped', 0);
"""


@dataclass(frozen=True)
class Waiting:
    """One record as it is sent: its id, and its JSON text."""

    id: str
    body: str


class Spool:
    """A queue of records on disk; what `add` returned from survives a kill and a power cut.

    It holds so many records and bytes at most: the oldest give way, and `dropped` counts them.
    A file that SQLite cannot read is set aside, and a new one begun; `set_aside` then names it.
    """

    def __init__(
        self, path: Path, max_records: int = MAX_RECORDS, max_bytes: int = MAX_BYTES
    ) -> None:
        self.path = path
        self.max_records = max_records
        self.max_bytes = max_bytes
        self.set_aside: Path | None = None
        self.lock = threading.RLock()
        with self._errors():
            self._begin()

    def _begin(self) -> None:
        try:
            self.db = self._connect()
        except sqlite3.Error as error:
            if not _damaged(error):
                raise
            self._replace()

    def _connect(self) -> sqlite3.Connection:
        # autocommit: transactions are ours; one lock keeps threads apart
        db = sqlite3.connect(
            self.path, timeout=BUSY_S, isolation_level=None, check_same_thread=False
        )
        try:
            db.execute("PRAGMA journal_mode=WAL")
            db.execute("PRAGMA synchronous=FULL")  # NORMAL does not sync on commit
            [(health,)] = db.execute("PRAGMA quick_check(1)").fetchall()
            [(version,)] = db.execute("PRAGMA user_version").fetchall()
            if version == 0:
                db.executescript(f"BEGIN;{TABLES}PRAGMA user_version={VERSION};COMMIT;")
            elif version != VERSION or health != "ok":
                raise _unreadable(f"quick_check: {health}, tables of version {version}")
        except BaseException:
            db.close()
            raise
        return db

    def _replace(self) -> None:
        """Begin a new file; the old one stays beside it, in place of one set aside earlier."""
        self.set_aside = self.path.with_name(f"{self.path.name}.damaged")
        for end in ("", "-wal", "-shm"):
            with suppress(FileNotFoundError):
                self.path.with_name(self.path.name + end).replace(f"{self.set_aside}{end}")
        self.db = self._connect()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            full = getattr(error, "sqlite_errorcode", -1) & 0xFF in FULL
            hint = HINTS[errno.ENOSPC if full else errno.EACCES]
            raise StorageError(f"{self.path} did not take the telemetry: {error}.", hint) from error

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self.lock, self._errors():
            try:
                self.db.execute("BEGIN IMMEDIATE")
                yield self.db
                self.db.execute("COMMIT")
            except BaseException as error:
                with suppress(sqlite3.Error):
                    if self.db.in_transaction:
                        self.db.execute("ROLLBACK")
                if isinstance(error, sqlite3.Error) and _damaged(error):
                    self.db.close()
                    self._replace()
                raise

    def add(self, record: Record) -> None:
        """Keep a record; on return it is on the disk.

        Raises:
            DataError: a record no collector would take (too large, or not finite).
            StorageError: the disk did not take it.
        """
        try:
            body = json.dumps(record.to_json(), separators=(",", ":"), allow_nan=False)
        except ValueError as error:
            raise DataError(
                f"Record {record.id} cannot be sent: {error}.", "An input was too large."
            ) from error
        size = len(body.encode())
        if size > MAX_RECORD:
            raise DataError(
                f"Record {record.id} has {size} bytes; {MAX_RECORD} can be sent.",
                "Watch fewer features.",
            )
        with self._transaction() as db:
            db.execute(
                "INSERT OR IGNORE INTO record (id, size, body) VALUES (?, ?, ?)",
                (record.id, size, body),
            )
            self._make_room(db)

    def _make_room(self, db: sqlite3.Connection) -> None:
        [(count, size)] = db.execute("SELECT count(*), sum(size) FROM record").fetchall()
        if count <= self.max_records and size <= self.max_bytes:
            return
        oldest = db.execute("SELECT place, size FROM record ORDER BY place").fetchall()
        gone = 0
        for place, freed in oldest:
            if count - gone <= self.max_records and size <= self.max_bytes:
                break
            db.execute("DELETE FROM record WHERE place = ?", (place,))
            gone, size = gone + 1, size - freed
        db.execute("UPDATE tally SET value = value + ? WHERE name = 'dropped'", (gone,))

    def batch(self, limit: int, max_bytes: int) -> list[Waiting]:
        """The oldest records, at most so many and so many bytes together; at least one if any."""
        found: list[Waiting] = []
        with self._transaction() as db:
            for identity, size, body in db.execute(
                "SELECT id, size, body FROM record ORDER BY place LIMIT ?", (limit,)
            ):
                max_bytes -= size
                if found and max_bytes < 0:
                    break
                found.append(Waiting(identity, body))
        return found

    def forget(self, ids: Collection[str]) -> None:
        """Let go of records that the collector acknowledged."""
        with self._transaction() as db:
            db.executemany("DELETE FROM record WHERE id = ?", [(one,) for one in ids])

    def defer(self, ids: Collection[str]) -> None:
        """Move records to the end, so that one the collector refuses does not block the rest."""
        with self._transaction() as db:
            db.executemany(
                "UPDATE record SET place = (SELECT max(place) + 1 FROM record) WHERE id = ?",
                [(one,) for one in ids],
            )

    @property
    def count(self) -> int:
        """Records that wait."""
        return self._number("SELECT count(*) FROM record")

    @property
    def dropped(self) -> int:
        """Records that gave way to newer ones, ever."""
        return self._number("SELECT value FROM tally WHERE name = 'dropped'")

    def _number(self, question: str) -> int:
        with self._transaction() as db:
            [(number,)] = db.execute(question).fetchall()
        return int(number)

    def close(self) -> None:
        with self.lock, self._errors():
            self.db.close()


def _unreadable(what: str) -> sqlite3.DatabaseError:
    error = sqlite3.DatabaseError(what)
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return error


def _damaged(error: sqlite3.Error) -> bool:
    # the low byte is the kind of error; the rest tells where
    return getattr(error, "sqlite_errorcode", -1) & 0xFF in DAMAGE
