"""Which disk may be overwritten: a removable one that nothing uses, and whose name was typed."""

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from edge_targets.runtime.errors import DeviceError

SECTOR = 512  # bytes: what the kernel counts sizes in, whatever the disk has
FIND = "See `sanderling disks`, and give a whole card such as /dev/sdb or /dev/mmcblk0."


@dataclass(frozen=True)
class System:
    """Where the kernel tells about disks; another root in tests."""

    root: Path = Path("/")

    def is_disk(self, found: os.stat_result) -> bool:
        return stat.S_ISBLK(found.st_mode)

    def block(self, number: int) -> Path:
        """The folder in /sys of the block device with this number."""
        link = self.root / f"sys/dev/block/{os.major(number)}:{os.minor(number)}"
        return link.resolve()

    def disks(self) -> Iterator[Path]:
        """The folder in /sys of every disk that has something in it."""
        for folder in sorted((self.root / "sys/block").glob("*")):
            if (folder / "device").exists() and _number_in(folder / "size"):
                yield folder.resolve()

    def label(self, number: str) -> str:
        """What udev found on a block device: the name of its file system, else the kind."""
        with suppress(OSError):
            text = (self.root / f"run/udev/data/b{number}").read_text("utf-8", "replace")
            found = dict(line[2:].partition("=")[::2] for line in text.splitlines())
            return found.get("ID_FS_LABEL") or found.get("ID_FS_TYPE", "")
        return ""

    def mounts(self) -> Iterator[tuple[str, str]]:
        """Device and folder of everything that is mounted, and what swaps."""
        for line in (self.root / "proc/mounts").read_text().splitlines():
            device, folder = line.split(" ")[:2]
            yield device, folder
        with suppress(OSError):
            for line in (self.root / "proc/swaps").read_text().splitlines()[1:]:
                yield line.split()[0], "swap"


@dataclass(frozen=True)
class Disk:
    """A removable disk, as its owner may know it.

    Attributes:
        name: what has to be typed before it is overwritten.
        path: its device file.
        size_bytes: of all of it.
        model: what its maker calls it.
        holds: a line for each part: name, size, and what udev calls its file system.
        refused: why it cannot be overwritten now; empty when it can.
    """

    name: str
    path: str
    size_bytes: int
    model: str
    holds: tuple[str, ...]
    refused: str = ""


def disks(system: System | None = None) -> tuple[Disk, ...]:
    """The removable disks of this machine; never those that are built in."""
    system = system or System()
    return tuple(_disk(folder, system) for folder in system.disks() if removable(folder))


def _disk(folder: Path, system: System) -> Disk:
    name = folder.name.replace("!", "/")
    path = system.root / "dev" / name
    major, _, minor = _text(folder / "dev").partition(":")
    refused = ""
    try:
        check_disk(path, os.makedev(int(major), int(minor)), system)
    except (DeviceError, ValueError) as error:
        refused = str(error)
    maker = f"{_text(folder / 'device/vendor')} {_text(folder / 'device/model')}".strip()
    parts = sorted(part.parent for part in folder.glob("*/partition"))
    return Disk(
        name,
        str(path),
        _number_in(folder / "size") * SECTOR,
        maker or _text(folder / "device/name"),
        tuple(_part(part, system) for part in parts),
        refused,
    )


def _part(folder: Path, system: System) -> str:
    size = _number_in(folder / "size") * SECTOR
    label = system.label(_text(folder / "dev"))
    return f"{folder.name}: {size / 1e9:.1f} GB {label}".rstrip()


def _text(path: Path) -> str:
    with suppress(OSError):
        return path.read_text("utf-8", "replace").strip()
    return ""


def _number_in(path: Path) -> int:
    text = _text(path)
    return int(text) if text.isascii() and text.isdigit() else 0


def check_name(path: Path, number: int, typed: str | None, system: System) -> None:
    """Refuse a disk whose owner typed another name, or none.

    Raises:
        DeviceError: naming the disk and what is on it.
    """
    if typed is None:
        return
    folder = system.block(number)
    if typed in (folder.name, str(path), str(path.resolve())):
        return
    disk = _disk(folder, system)
    about = ", ".join([disk.model or "a disk", f"{disk.size_bytes / 1e9:.1f} GB", *disk.holds])
    raise DeviceError(
        f"Everything on {disk.name} ({about}) will be lost, and its name was not confirmed.",
        f"If it is the one you mean, type its name: --yes {disk.name}",
    )


def check_disk(path: Path, number: int, system: System) -> None:
    """Refuse a block device whose loss would hurt.

    Raises:
        DeviceError: a partition, a disk that is not removable, or one that is in use.
    """
    folder = system.block(number)
    if not folder.is_dir():
        raise DeviceError(f"The system knows no disk {path}.", FIND)
    if (folder / "partition").exists():
        raise DeviceError(f"{path} is a part of a disk; an image needs all of it.", FIND)
    if not removable(folder):
        raise DeviceError(f"{path} is built into this machine; it is not overwritten.", FIND)
    parts = [folder, *(part.parent for part in folder.glob("*/partition"))]
    for part in parts:
        for holder in sorted((part / "holders").glob("*")):
            raise DeviceError(
                f"{path} is in use: {holder.name} is made of it.",
                "Close that volume first; a disk that holds this system cannot be used.",
            )
    names = {part.name for part in parts}
    numbers = {(part / "dev").read_text().strip() for part in parts if (part / "dev").exists()}
    for device, where in system.mounts():
        if Path(device).name in names or _number(device) in numbers:
            raise DeviceError(
                f"{path} is in use: {device} is mounted at {where}.",
                f"If it is the card you mean: umount {where}, then try again.",
            )


def _number(device: str) -> str:
    """`major:minor` of a device file; empty for names such as `tmpfs`."""
    with suppress(OSError, ValueError):
        found = os.stat(device)  # noqa: PTH116 - the name comes from the kernel
        if stat.S_ISBLK(found.st_mode):
            return f"{os.major(found.st_rdev)}:{os.minor(found.st_rdev)}"
    return ""


def removable(folder: Path) -> bool:
    """Whether a disk can be pulled out: it says so, hangs on USB, or is an SD card.

    Many USB disks and built-in card readers do not set the flag. An eMMC chip, soldered in,
    is of type MMC and not SD.
    """
    with suppress(OSError):
        if (folder / "removable").read_text().strip() == "1":
            return True
    with suppress(OSError):
        if (folder / "device/type").read_text().strip() == "SD":
            return True
    return any(part.startswith("usb") for part in folder.parts)
