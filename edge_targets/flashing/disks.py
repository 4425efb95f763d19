"""Which disk may be overwritten: a removable one that nothing uses."""

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from edge_targets.runtime.errors import DeviceError

FIND = "List disks with `lsblk`, and give a whole card such as /dev/sdb or /dev/mmcblk0."


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

    def mounts(self) -> Iterator[tuple[str, str]]:
        """Device and folder of everything that is mounted, and what swaps."""
        for line in (self.root / "proc/mounts").read_text().splitlines():
            device, folder = line.split(" ")[:2]
            yield device, folder
        with suppress(OSError):
            for line in (self.root / "proc/swaps").read_text().splitlines()[1:]:
                yield line.split()[0], "swap"


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
