"""Writes that a kill or a power cut leaves old or new, never half."""

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edge_targets.runtime.errors import DeviceError, StorageError

HINTS = {
    errno.ENOSPC: "The disk is full: free some space on it, then try again.",
    errno.EDQUOT: "Your share of the disk is used up: free some space, then try again.",
    errno.EROFS: "The disk is read-only: choose another folder, or mount it writable.",
    errno.EACCES: "Check who may write there.",
    errno.EPERM: "Check who may write there.",
}


@contextmanager
def storing(path: Path) -> Iterator[None]:
    """Turn what the system says about a failed write to `path` into a `StorageError`."""
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"{path} could not be written: {error.strerror or error}.",
            HINTS.get(error.errno or 0, "Check the disk and the folder, then try again."),
        ) from error


@contextmanager
def alone(lock: Path, busy: str, hint: str) -> Iterator[None]:
    """Hold the file `lock`; the system lets go of it when this process ends, however it ends.

    Raises:
        DeviceError: somebody else holds it: `busy` says what is under way, `hint` what to do.
        StorageError: the file could not be made.
    """
    import fcntl  # here: a browser's Python has none, and no second process

    with storing(lock):
        lock.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DeviceError(busy, hint) from error
        yield
    finally:
        os.close(handle)


def sync_folder(folder: Path) -> None:
    """Make names in `folder` durable; without it a rename can be undone by a power cut."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def replace_file(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Write `path` so that a reader, now or after a power cut, finds the old or the new."""
    with storing(path):
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        temporary = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fchmod(file.fileno(), mode)
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)
