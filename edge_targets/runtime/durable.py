"""Writes that a kill or a power cut leaves old or new, never half."""

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edge_targets.runtime.errors import StorageError

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
