"""The files of a repository on the publisher's disk, named by their hashes, never half there."""

import hashlib
import os
import tempfile
from collections.abc import Collection
from pathlib import Path

from edge_targets.runtime.durable import storing, sync_folder
from edge_targets.runtime.errors import IntegrityError

CHUNK = 1 << 20  # bytes


def place(directory: Path, path: str, digest: str) -> Path:
    """Where the file of a target's path lies."""
    folder, _, name = path.rpartition("/")
    return directory / "targets" / folder / f"{digest}.{name}"


def store(directory: Path, path: str, source: Path) -> tuple[int, str]:
    """Copy a file to its place, durably; its size and sha256.

    Raises:
        IntegrityError: it is empty.
        StorageError: no room; nothing of it is seen.
    """
    folder = place(directory, path, "").parent
    digest, size = hashlib.sha256(), 0
    with storing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=".new.", dir=folder)
        try:
            with os.fdopen(handle, "wb") as copy, source.open("rb") as original:
                while chunk := original.read(CHUNK):
                    digest.update(chunk)
                    size += len(chunk)
                    copy.write(chunk)
                copy.flush()
                os.fchmod(copy.fileno(), 0o644)
                os.fsync(copy.fileno())
            if not size:
                raise IntegrityError(f"{source} is empty.", "Package the model again.")
            Path(name).replace(place(directory, path, digest.hexdigest()))
        finally:
            Path(name).unlink(missing_ok=True)  # nothing is there after the rename
        while folder != directory:  # the names of new folders must last too
            sync_folder(folder)
            folder = folder.parent
        sync_folder(directory)
    return size, digest.hexdigest()


def sweep(directory: Path, kept: Collection[Path], before: float) -> None:
    """Remove what was last written `before` (seconds since 1970) and is not to be kept."""
    found = [*(directory / "metadata").glob("*.json"), *(directory / "targets").rglob("*.*")]
    for file in found:
        # every root stays: a device that slept for years follows them one by one
        if file in kept or file.name.endswith(".root.json") or not file.is_file():
            continue
        if file.stat().st_mtime < before:
            file.unlink(missing_ok=True)
