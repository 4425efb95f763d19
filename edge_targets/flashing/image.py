"""Write a system image to a card or a new file, and read it back.

On a card the first chunk, without which nothing boots, is zero until all the others have been
read back and found right: an interrupted, cancelled or failing card never looks finished. A file
gets its name when it is whole.
"""

import hashlib
import mmap
import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from edge_targets.flashing.boot import Edit, boot_partition, edited
from edge_targets.flashing.checksum import check_file, checking, expected_digest
from edge_targets.flashing.disks import System
from edge_targets.flashing.medium import Medium, opened
from edge_targets.flashing.sources import CHUNK, in_chunks, packed_size, unpacked
from edge_targets.flashing.table import Table, read_table
from edge_targets.runtime.errors import (
    Cancelled,
    DataError,
    DeviceError,
    EdgeError,
    IntegrityError,
)
from edge_targets.runtime.events import Job

SYNC_EVERY = 16  # chunks: else the page cache makes progress a lie and cancelling slow
SLACK = 1 << 30  # bytes after the last partition; more of them is a bomb, not an image


@dataclass(frozen=True)
class Written:
    """An image that was read back and is right.

    Attributes:
        bytes_written: the unpacked size.
        sha256: of what is on the card now.
        checked: which bytes had the SHA-256 that was given: "file", "image", or none: "".
        system: of the image, where a device was set up: "bookworm" or "trixie".
        files: how many were put on its boot partition.
    """

    bytes_written: int
    sha256: str
    checked: str = ""
    system: str = ""
    files: int = 0


def write_image(
    image: Path,
    target: Path,
    job: Job,
    system: System | None = None,
    *,
    sha256: str = "",
    confirmed: str | None = None,
    edit: Edit | None = None,
) -> Written:
    """Write `image` (raw, or packed by xz, zip, gz or zst) to a removable disk or a new file.

    Args:
        image: what to write.
        target: the disk, or the file to make.
        job: is told of progress, and may stop it.
        system: the machine whose disks these are.
        sha256: of the image or of the file it is packed in; a `.sha256` file beside it is taken
            unless given.
        confirmed: the name of the disk, as its owner typed it; None where nobody was asked.
        edit: changes the boot partition, which it is given as a file.

    Raises:
        DeviceError: the target may not be overwritten, is too small, or was a card when the job
            was stopped: then it holds a part of the image.
        DataError: the image cannot be read or unpacked, or is none.
        IntegrityError: the image is another than was said, or what was read back is not what was
            written.
        StorageError: the target did not take it.
        Cancelled: nothing has been written, or nothing of it is left.
    """
    expected = expected_digest(image, sha256)
    with unpacked(image) as pieces, opened(image, target, confirmed, system or System()) as medium:
        whole = bool(expected) and check_file(image, expected, job)
        inside = bool(expected) and not whole
        chunks = in_chunks(checking(pieces, image, expected) if inside else pieces)
        job.step("write image", 0, packed_size(image))
        first = next(chunks, b"")
        if not first:
            raise DataError(f"{image} is empty.", "Download it again.")
        table = read_table(first, image)
        medium.check_room(table.end)
        stream = sized(chain([first], chunks), table, image)
        boot = edited(stream, boot_partition(table, image), edit, job) if edit else None
        with boot or nullcontext(stream) as ready, _spoiling(medium):
            written, digest = _write(in_chunks(ready), medium, table.end, job)
    return Written(written, digest, "file" if whole else "image" if inside else "")


def sized(pieces: Iterator[bytes], table: Table, image: Path) -> Iterator[bytes]:
    """The same pieces, which must be as long as the partition table says."""
    done = 0
    for piece in pieces:
        done += len(piece)
        if done > table.end + SLACK:
            raise DataError(
                f"{image} is far longer than its partition table says.",
                "It is damaged, or made to fill disks: get it from its maker.",
            )
        yield piece
    if done < table.end:
        raise DataError(
            f"{image} is cut short: it has {done} of {table.end} bytes.", "Get it again."
        )


def _write(chunks: Iterator[bytes], medium: Medium, total: int, job: Job) -> tuple[int, str]:
    first = next(chunks)
    digest, rest, done = hashlib.sha256(first), hashlib.sha256(), len(first)
    medium.put(bytes(len(first)), 0)
    for number, chunk in enumerate(chunks):
        job.step("write image", done, max(done, total))  # more may follow the last partition
        medium.put(chunk, done)
        if number % SYNC_EVERY == 0:
            medium.sync()
        digest.update(chunk)
        rest.update(chunk)
        done += len(chunk)
    medium.sync()
    _compare(medium, len(first), done, rest.digest(), job)
    try:
        medium.put(first, 0)
        medium.sync()
        _compare(medium, 0, len(first), hashlib.sha256(first).digest(), job)
    except BaseException:
        with suppress(EdgeError):  # the error that brought us here says more
            medium.put(bytes(len(first)), 0)
            medium.sync()
        raise
    return done, digest.hexdigest()


@contextmanager
def _spoiling(medium: Medium) -> Iterator[None]:
    """Who stops a card half-way must hear that it cannot be used; of a file nothing is left."""
    try:
        yield
    except (Cancelled, KeyboardInterrupt) as error:
        if medium.path != medium.target:
            raise
        raise DeviceError(
            f"Stopped: {medium.target} holds a part of the image and cannot be used.",
            "Write an image to it again, from the beginning.",
        ) from error


def _compare(medium: Medium, start: int, end: int, expected: bytes, job: Job) -> None:
    """Read back past the page cache, from the medium itself where the system allows it."""
    digest = hashlib.sha256()
    with medium.using(), mmap.mmap(-1, CHUNK) as page:  # aligned, as direct reads want it
        handle = _open_direct(medium.path, page)
        try:
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
            for at in range(start, end, CHUNK):
                job.step("read back", at, end)
                count = min(os.preadv(handle, [page], at), end - at)
                digest.update(page[:count])
        finally:
            os.close(handle)
    job.step("read back", end, end)
    if digest.digest() != expected:
        raise IntegrityError(
            f"{medium.target} does not hold what was written to it.",
            "The card is worn out or not what it claims to be: use another one.",
        )


def _open_direct(path: Path, page: mmap.mmap) -> int:
    with suppress(OSError):  # not every file system can; some say so only when asked to read
        handle = os.open(path, os.O_RDONLY | os.O_DIRECT)
        try:
            os.preadv(handle, [page], 0)
        except OSError:
            os.close(handle)
        else:
            return handle
    return os.open(path, os.O_RDONLY)
