"""Write a system image to a card or a file, and read it back.

The first chunk, without which nothing boots, is zero until all the others have been read back
and found right: an interrupted, cancelled or failing card never looks finished.
"""

import gzip
import hashlib
import lzma
import mmap
import os
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from edge_targets.flashing.disks import FIND, System, check_disk
from edge_targets.runtime.durable import storing, sync_folder
from edge_targets.runtime.errors import DataError, DeviceError, IntegrityError
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


def write_image(image: Path, target: Path, job: Job, system: System | None = None) -> Written:
    """Write `image` (.img, .img.xz, .img.gz) to a removable disk or an ordinary file.

    Raises:
        DeviceError: the target may not be overwritten, or is too small.
        DataError: the image cannot be read or unpacked.
        IntegrityError: what was read back is not what was written.
        StorageError: the target did not take it.
    """
    with _source(image) as source, _target(target, system or System()) as (handle, room):
        return _write(image, source, target, handle, room, job)


def _write(
    image: Path, source: Iterator[bytes], target: Path, handle: int, room: int, job: Job
) -> Written:
    digest, rest = hashlib.sha256(), hashlib.sha256()
    first, done, total = b"", 0, image.stat().st_size
    for number, chunk in enumerate(source):
        job.step("write image", done, total if image.suffix == ".img" else 0)
        if done + len(chunk) > room:
            raise DeviceError(
                f"{target} is too small: it has {room} bytes.", "Use a larger card or image."
            )
        digest.update(chunk)
        with storing(target):
            _pwrite(handle, bytes(len(chunk)) if number == 0 else chunk, done)
            if number % SYNC_EVERY == 0:
                os.fsync(handle)
        if number == 0:
            first = chunk
        else:
            rest.update(chunk)
        done += len(chunk)
    if not done:
        raise DataError(f"{image} is empty.", "Download it again.")
    with storing(target):
        if stat.S_ISREG(os.fstat(handle).st_mode):
            os.ftruncate(handle, done)
        os.fsync(handle)
    _compare(target, len(first), done, rest.digest(), job)
    try:
        with storing(target):
            _pwrite(handle, first, 0)
            os.fsync(handle)
        _compare(target, 0, len(first), hashlib.sha256(first).digest(), job)
    except BaseException:
        with suppress(OSError):  # the error that brought us here says more
            _pwrite(handle, bytes(len(first)), 0)
            os.fsync(handle)
        raise
    return Written(done, digest.hexdigest())


def _pwrite(handle: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(handle, view, offset)
        view, offset = view[written:], offset + written


def _compare(target: Path, start: int, end: int, expected: bytes, job: Job) -> None:
    """Read back past the page cache, from the medium itself where the system allows it."""
    digest = hashlib.sha256()
    with storing(target), mmap.mmap(-1, CHUNK) as page:  # aligned, as direct reads want it
        handle = _open_direct(target, page)
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
            f"{target} does not hold what was written to it.",
            "The card is worn out or not what it claims to be: use another one.",
        )


def _open_direct(target: Path, page: mmap.mmap) -> int:
    with suppress(OSError):  # not every file system can; some say so only when asked to read
        handle = os.open(target, os.O_RDONLY | os.O_DIRECT)
        try:
            os.preadv(handle, [page], 0)
        except OSError:
            os.close(handle)
        else:
            return handle
    return os.open(target, os.O_RDONLY)


@contextmanager
def _target(target: Path, system: System) -> Iterator[tuple[int, int]]:
    """The target, open for writing and not used by others, and the bytes it has room for."""
    try:
        found = target.stat()
    except FileNotFoundError:
        found = None
    if found and stat.S_ISBLK(found.st_mode):
        check_disk(target, found.st_rdev, system)
        flags = os.O_RDWR | os.O_EXCL  # on a disk: the kernel refuses one that is in use
    elif found is None or stat.S_ISREG(found.st_mode):
        flags = os.O_RDWR | os.O_CREAT
    else:
        raise DeviceError(f"{target} is neither a disk nor a file.", FIND)
    with storing(target):
        handle = os.open(target, flags, 0o644)
        if found is None:
            sync_folder(target.parent)
    try:
        disk = stat.S_ISBLK(os.fstat(handle).st_mode)
        if disk and found and os.fstat(handle).st_rdev != found.st_rdev:
            raise DeviceError(f"{target} was exchanged while we looked.", "Try again.")
        yield handle, os.lseek(handle, 0, os.SEEK_END) if disk else MAX_IMAGE
    finally:
        os.close(handle)


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
