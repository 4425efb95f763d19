"""Write a system image to a card or a new file, and read it back.

On a card the first chunk, without which nothing boots, is zero until all the others have been
read back and found right: an interrupted, cancelled or failing card never looks finished. A file
gets its name when it is whole.
"""

import gzip
import hashlib
import lzma
import mmap
import os
import stat
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from edge_targets.flashing.disks import FIND, System, check_disk
from edge_targets.runtime.durable import storing, sync_folder
from edge_targets.runtime.errors import (
    Cancelled,
    DataError,
    DeviceError,
    IntegrityError,
    StorageError,
)
from edge_targets.runtime.events import Job

CHUNK = 4 << 20  # bytes: the erase block of many cards; a multiple of any sector
MAX_IMAGE = 64 << 30  # bytes, unpacked: larger than any image for these boards
MAX_XZ_MEMORY = 256 << 20  # bytes: `xz -9` needs 65 MiB to unpack
SYNC_EVERY = 16  # chunks: else the page cache makes progress a lie and cancelling slow


@dataclass(frozen=True)
class Written:
    """An image that was read back and is right; sha256 of the unpacked bytes."""

    bytes_written: int
    sha256: str


@dataclass(frozen=True)
class Medium:
    """What is written to.

    Attributes:
        target: as the user calls it.
        path: where the bytes lie until they are proven.
        handle: open for writing.
        room: in bytes.
    """

    target: Path
    path: Path
    handle: int
    room: int

    def put(self, data: bytes, offset: int) -> None:
        if offset + len(data) > self.room:
            raise DeviceError(
                f"{self.target} is too small: it has {self.room} bytes.",
                "Use a larger card or image.",
            )
        with storing(self.target):
            view = memoryview(data)
            while view:
                written = os.pwrite(self.handle, view, offset)
                view, offset = view[written:], offset + written

    def sync(self) -> None:
        with storing(self.target):
            os.fsync(self.handle)


def write_image(image: Path, target: Path, job: Job, system: System | None = None) -> Written:
    """Write `image` (.img, .img.xz, .img.gz) to a removable disk, or to a file that is made.

    Raises:
        DeviceError: the target may not be overwritten, is too small, or was a card when the job
            was stopped: then it holds a part of the image.
        DataError: the image cannot be read or unpacked.
        IntegrityError: what was read back is not what was written.
        StorageError: the target did not take it.
        Cancelled: nothing has been written, or nothing of it is left.
    """
    with _source(image) as source, _medium(image, target, system or System()) as medium:
        total = image.stat().st_size if image.suffix == ".img" else 0
        job.step("write image", 0, total)
        first = next(source, b"")
        if not first:
            raise DataError(f"{image} is empty.", "Download it again.")
        with _spoiling(medium):
            return _write(first, source, medium, total, job)


def _write(first: bytes, source: Iterator[bytes], medium: Medium, total: int, job: Job) -> Written:
    digest, rest, done = hashlib.sha256(first), hashlib.sha256(), len(first)
    medium.put(bytes(len(first)), 0)
    for number, chunk in enumerate(source):
        job.step("write image", done, total)
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
        with suppress(StorageError):  # the error that brought us here says more
            medium.put(bytes(len(first)), 0)
            medium.sync()
        raise
    return Written(done, digest.hexdigest())


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
    with storing(medium.target), mmap.mmap(-1, CHUNK) as page:  # aligned, as direct reads want it
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


@contextmanager
def _medium(image: Path, target: Path, system: System) -> Iterator[Medium]:
    """Where the image goes: a disk that nobody uses, or a file beside the one to be made."""
    with suppress(OSError):
        if image.samefile(target):
            raise DeviceError(f"{target} is the image itself.", FIND)
    try:
        found = target.stat()
    except FileNotFoundError:
        found = None
    except OSError as error:
        raise DeviceError(f"{target} cannot be used: {error.strerror}.", FIND) from error
    if found is None:
        with _new_file(target) as medium:
            yield medium
    elif system.is_disk(found):
        check_disk(target, found.st_rdev, system)
        with _disk(target, found.st_rdev) as medium:
            yield medium
    elif stat.S_ISREG(found.st_mode):
        raise DeviceError(f"{target} is there already; it was left alone.", "Name a new file.")
    else:
        raise DeviceError(f"{target} is neither a disk nor a file.", FIND)


@contextmanager
def _disk(target: Path, number: int) -> Iterator[Medium]:
    with storing(target):
        # with O_EXCL the kernel refuses a disk that is in use
        handle = os.open(target, os.O_RDWR | os.O_EXCL)
    try:
        if os.fstat(handle).st_rdev != number:
            raise DeviceError(f"{target} was exchanged while we looked.", "Try again.")
        yield Medium(target, target, handle, os.lseek(handle, 0, os.SEEK_END))
    finally:
        os.close(handle)


@contextmanager
def _new_file(target: Path) -> Iterator[Medium]:
    with storing(target):
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    path = Path(name)
    try:
        yield Medium(target, path, handle, MAX_IMAGE)
        with storing(target):
            os.fchmod(handle, 0o644)
            path.rename(target)
            sync_folder(target.parent)
    finally:
        os.close(handle)
        path.unlink(missing_ok=True)


@contextmanager
def _source(image: Path) -> Iterator[Iterator[bytes]]:
    """The unpacked image in chunks of exactly `CHUNK` bytes, but for the last."""
    try:
        file = image.open("rb")
    except OSError as error:
        raise DataError(f"{image} cannot be read: {error.strerror}.", "Check the path.") from error
    with file:
        yield _chunks(image, file)


def _chunks(image: Path, file: IO[bytes]) -> Iterator[bytes]:
    try:
        if image.suffix == ".gz":
            with gzip.GzipFile(fileobj=file) as unpacked:
                yield from iter(lambda: unpacked.read(CHUNK), b"")
        elif image.suffix == ".xz":
            yield from _unxz(file)
        elif image.suffix == ".img":
            yield from iter(lambda: file.read(CHUNK), b"")
        else:
            raise DataError(f"{image} is no image.", "Give a .img, .img.xz or .img.gz file.")
    except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
        raise DataError(
            f"{image} cannot be unpacked: {error}.", "It is damaged or cut short: get it again."
        ) from error


def _unxz(file: IO[bytes]) -> Iterator[bytes]:
    """Unpack in bounded memory; files of several streams, as `xz -T0` and `cat` make, too."""
    pending = bytearray()
    decoder = lzma.LZMADecompressor(memlimit=MAX_XZ_MEMORY)
    data = file.read(CHUNK)
    while True:
        if decoder.eof:
            # zeros may follow a stream, as padding
            data = decoder.unused_data.lstrip(b"\0") or file.read(CHUNK).lstrip(b"\0")
            if not data:
                break
            decoder = lzma.LZMADecompressor(memlimit=MAX_XZ_MEMORY)
        elif decoder.needs_input and not data:
            data = file.read(CHUNK)
            if not data:
                raise EOFError("the end is missing")
        pending += decoder.decompress(data, max_length=CHUNK)
        data = b""
        while len(pending) >= CHUNK:
            yield bytes(pending[:CHUNK])
            del pending[:CHUNK]
    if pending:
        yield bytes(pending)
