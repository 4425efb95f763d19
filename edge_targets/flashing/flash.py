"""Write an image to a card and have it become a device of ours at its first start."""

from dataclasses import replace
from pathlib import Path

from edge_targets.flashing import enrol
from edge_targets.flashing.cloud_init import cloud_init
from edge_targets.flashing.disks import System
from edge_targets.flashing.fat import Fat
from edge_targets.flashing.first_boot import FirstBoot
from edge_targets.flashing.firstrun import firstrun
from edge_targets.flashing.image import Written, write_image
from edge_targets.flashing.systems import Found, found_in
from edge_targets.runtime.errors import DataError, UnsupportedError
from edge_targets.runtime.events import Job


def flash(
    image: Path,
    disk: Path,
    payload: Path | None,
    first_boot: FirstBoot | None,
    job: Job,
    *,
    confirmed: str | None = "",
    sha256: str = "",
    system: str = "",
    host: System | None = None,
) -> Written:
    """Write `image` to `disk`, a removable one or a file that is made, and prove it.

    Args:
        image: as it was downloaded, packed or not.
        disk: what is overwritten.
        payload: the folder that installs the agent; None for a device without one.
        first_boot: who the device is; None leaves the image as it is.
        job: is told of progress, and may stop it.
        confirmed: the name of the disk, as its owner typed it; a file needs none.
        sha256: of the image or of the file it is packed in.
        system: "bookworm" or "trixie", where the image does not tell.
        host: the machine whose disks these are.

    Raises:
        DataError, UnsupportedError: the image is none that can be set up this way.
        DeviceError, IntegrityError, StorageError, Cancelled: see `write_image`.
    """
    if payload and not first_boot:
        raise DataError("A package needs a device to be on.", "Give the device a name.")
    if payload and not (payload / "install.py").is_file():
        raise DataError(f"{payload} is no payload: it has no install.py.", "Make it again.")
    done: list[tuple[Found, int]] = []

    def edit(path: Path) -> None:
        if first_boot:
            job.step("set up device")
            done.append(set_up(Fat(path), payload, first_boot, system))

    written = write_image(
        image,
        disk,
        job,
        host,
        sha256=sha256,
        confirmed=confirmed,
        edit=edit if first_boot else None,
    )
    if not done:
        return written
    [(found, files)] = done
    return replace(written, system=found.system, files=files)


def set_up(fat: Fat, payload: Path | None, first: FirstBoot, system: str = "") -> tuple[Found, int]:
    """Put payload and configuration on a boot partition; what it is of, and how many files."""
    found = found_in(fat, system)
    if payload and not found.wide:
        raise UnsupportedError(
            "The image is a 32-bit one; the agent needs 64 bits.",
            "Take the 64-bit (arm64) image of Raspberry Pi OS.",
        )
    if payload and payload.name != enrol.PAYLOAD:
        raise DataError(f"{payload} must be named {enrol.PAYLOAD}.", "Make it again.")
    told = cloud_init if found.system == "trixie" else firstrun
    files = told(first, fat.read("cmdline.txt"))
    return found, fat.put(files | enrol.FILES, payload)
