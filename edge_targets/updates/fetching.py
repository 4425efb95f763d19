"""Files of a repository, from wherever they come, believed in nothing: bounded and hashed."""

import hashlib
import os
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from edge_targets.runtime.durable import storing, sync_folder
from edge_targets.runtime.errors import DeviceError, IntegrityError, StorageError

CHUNK = 64 << 10  # bytes
SPARE = 16 << 20  # bytes of disk that a download leaves free


class MissingError(DeviceError):
    """There is no such file."""


@dataclass(frozen=True)
class Limits:
    """What a download may take.

    Attributes:
        bytes_per_s: at most; 0 is no limit.
        slowest_bytes_per_s: less than this over `patience_s` is no download but an attack.
        timeout_s: for one answer of the network.
        attempts: each goes on where the one before ended.
    """

    bytes_per_s: int = 0
    slowest_bytes_per_s: int = 500
    patience_s: float = 30.0
    timeout_s: float = 15.0
    attempts: int = 3


class Source(Protocol):
    """Where a repository's files come from."""

    @property
    def name(self) -> str: ...

    def read(self, path: str, offset: int = 0) -> tuple[int, Iterator[bytes]]:
        """Where the bytes begin (at `offset`, or at 0 when that cannot be), and the bytes."""
        ...


@dataclass(frozen=True)
class Folder:
    """A copy of a repository on a disk, such as a stick."""

    folder: Path

    @property
    def name(self) -> str:
        return str(self.folder)

    def read(self, path: str, offset: int = 0) -> tuple[int, Iterator[bytes]]:
        file = self.folder / path
        try:
            # not blocking: what is named like a file may be a pipe that nobody writes to
            handle = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError as error:
            raise MissingError(
                f"{self.name} has no {path}: {error.strerror}.", "Copy the whole repository."
            ) from error
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            os.close(handle)
            raise MissingError(f"{file} is no file.", "Copy the whole repository.")
        return offset, self._chunks(handle, offset)

    def _chunks(self, handle: int, offset: int) -> Iterator[bytes]:
        with os.fdopen(handle, "rb") as file:
            try:
                file.seek(offset)
                while chunk := file.read(CHUNK):
                    yield chunk
            except OSError as error:
                raise DeviceError(
                    f"{self.name} cannot be read: {error.strerror}.", "Is the stick still there?"
                ) from error


def read_bytes(source: Source, path: str, limit: int) -> bytes:
    """A small file whole.

    Raises:
        IntegrityError: it has more than `limit` bytes.
    """
    _, chunks = source.read(path)
    parts, size = [], 0
    for chunk in chunks:
        parts.append(chunk)
        size += len(chunk)
        if size > limit:
            raise endless(source, path, limit)
    return b"".join(parts)


def endless(source: Source, path: str, limit: int) -> IntegrityError:
    return IntegrityError(
        f"{source.name} sends more than {limit} bytes for {path}; it was cut off.",
        "Nothing of it is used. Is the repository's server still yours?",
    )


def download(source: Source, path: str, size: int, sha256: str, out: Path, attempts: int) -> int:
    """Get a file of known size and hash; what an interrupted download left is gone on with.

    Returns the bytes that were fetched.

    Raises:
        DeviceError: it did not come; what came stays, to be gone on with.
        IntegrityError: it is not what was signed; nothing of it stays.
        StorageError: no room.
    """
    with storing(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        room = shutil.disk_usage(out.parent).free
    there = out.stat().st_size if out.exists() else 0
    if size - there > room - SPARE:
        raise StorageError(
            f"{path} has {size} bytes; {out.parent} has {room} left.", "Free some space on it."
        )
    fetched = 0
    for attempt in range(attempts):
        there = out.stat().st_size if out.exists() else 0
        try:
            if there < size:
                fetched += _append(source, path, size, out, there)
        except MissingError:
            raise
        except DeviceError:
            if attempt == attempts - 1:
                raise
            continue
        if out.stat().st_size == size and _digest(out) == sha256:
            sync_folder(out.parent)
            return fetched
        short = out.stat().st_size < size
        if not short:
            out.unlink()
            # what was there before may be at fault: once more from the beginning
            if not there:
                raise IntegrityError(
                    f"{path} of {source.name} is not what was signed.",
                    "Nothing of it is used. Publish it again.",
                )
    raise DeviceError(f"{source.name} did not send all of {path}.", "It is tried again.")


def _append(source: Source, path: str, size: int, out: Path, there: int) -> int:
    start, chunks = source.read(path, there)
    fetched = 0
    with storing(out), out.open("r+b" if start else "wb") as file:
        file.seek(start)
        at = start
        for chunk in chunks:
            at += len(chunk)
            fetched += len(chunk)
            if at > size:
                file.truncate(0)
                raise endless(source, path, size)
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())
    return fetched


def _digest(file: Path) -> str:
    with storing(file), file.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
