"""What an image is written to: a card that nobody uses, or a file that gets its name when whole."""

import errno
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from edge_targets.flashing.disks import FIND, System, check_disk, check_name
from edge_targets.runtime.durable import storing, sync_folder
from edge_targets.runtime.errors import DeviceError

MAX_IMAGE = 64 << 30  # bytes, unpacked: larger than any image for these boards
GONE = (errno.EIO, errno.ENODEV, errno.ENXIO, errno.ENOMEDIUM, errno.ESTALE)


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

    def check_room(self, size: int) -> None:
        if size > self.room:
            raise DeviceError(
                f"{self.target} is too small: it has {self.room} bytes.",
                "Use a larger card or a smaller image.",
            )

    def put(self, data: bytes, offset: int) -> None:
        end = offset + len(data)
        self.check_room(end)
        with self.using():
            zeros = data == bytes(len(data))
            if zeros and self.path != self.target and self._size() <= offset:
                os.ftruncate(self.handle, end)  # a hole in a new file reads as zeros
                return
            view = memoryview(data)
            while view:
                written = os.pwrite(self.handle, view, offset)
                view, offset = view[written:], offset + written

    def _size(self) -> int:
        return os.fstat(self.handle).st_size

    def sync(self) -> None:
        with self.using():
            os.fsync(self.handle)

    @contextmanager
    def using(self) -> Iterator[None]:
        """A card that was pulled out, or that is broken, is told from a full disk."""
        with storing(self.target):
            try:
                yield
            except OSError as error:
                if error.errno not in GONE:
                    raise
                raise DeviceError(
                    f"{self.target} does not answer any more: {error.strerror}.",
                    "Was it pulled out? Put it in, and write the image again; or use another card.",
                ) from error


@contextmanager
def opened(image: Path, target: Path, confirmed: str | None, system: System) -> Iterator[Medium]:
    """Where the image goes.

    Raises:
        DeviceError: it may not be overwritten.
    """
    with suppress(OSError):
        if image.samefile(target):
            raise DeviceError(f"{target} is the image itself.", FIND)
    try:
        found = target.stat()
    except FileNotFoundError:
        found = None
    except OSError as error:
        raise DeviceError(f"{target} cannot be used: {error.strerror}.", FIND) from error
    if found is None and target.parent == system.root / "dev":
        raise DeviceError(f"There is no disk {target}.", FIND)
    if found is None:
        with _new_file(target) as medium:
            yield medium
    elif system.is_disk(found):
        check_disk(target, found.st_rdev, system)
        check_name(target, found.st_rdev, confirmed, system)
        with _disk(target, found.st_rdev) as medium:
            yield medium
    elif stat.S_ISREG(found.st_mode):
        raise DeviceError(f"{target} is there already; it was left alone.", "Name a new file.")
    else:
        raise DeviceError(f"{target} is neither a disk nor a file.", FIND)


@contextmanager
def _disk(target: Path, number: int) -> Iterator[Medium]:
    try:
        # with O_EXCL the kernel refuses a disk that is in use
        handle = os.open(target, os.O_RDWR | os.O_EXCL)
    except OSError as error:
        hints = {
            errno.EACCES: "Only root may write to disks: try with sudo, or as a member of `disk`.",
            errno.EBUSY: "It is in use: unmount what is on it.",
            errno.EROFS: "It is write-protected: look for a switch on the card.",
        }
        hint = hints.get(error.errno or 0, "Is it still there?")
        raise DeviceError(f"{target} cannot be opened: {error.strerror}.", hint) from error
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
