"""Memory cards that make a board a device at its first start."""

from pathlib import Path

from edge_targets.runtime.events import QUIET, Job
from toolkit import results as r
from toolkit.verbs.words import Folder, Given


def flash(
    image: Path,
    disk: Path,
    /,
    *,
    device: Given = None,
    target: Given = None,
    package: Given = None,
    user: str = "pi",
    wifi: Given = None,
    country: Given = None,
    timezone: Given = None,
    keyboard: Given = None,
    locale: Given = None,
    sha256: Given = None,
    system: Given = None,
    yes: Given = None,
    workspace: Folder = None,
    job: Job = QUIET,
) -> r.Flashed:
    """Write a system image to a memory card and read it back to be sure.

    With --device the board becomes that device at its first start, by itself and without a
    network: agent, runtime, keys and package are put on the card. Passwords are never arguments:
    that of the user is in the variable SANDERLING_PASSWORD (without one, only the workspace's key
    logs in), that of the wireless network in SANDERLING_WIFI_PASSPHRASE.

    Args:
        image: .img, as it is or packed as .xz, .zip, .gz or .zst.
        disk: the card's device, such as /dev/sdX, or the name of a new file; a disk in use is
            refused.
        device: the name of the device that the board shall be, here and on the network.
        target: what board it is, that of the package unless given; `sanderling list targets` names
            them.
        package: served from the first start on.
        user: who can log in.
        wifi: the name of a wireless network; a cable unless given.
        country: where that network is, such as DE.
        timezone: such as Europe/Berlin; the image's own unless given.
        keyboard: such as de; the image's own unless given.
        locale: such as de_DE.UTF-8; the image's own unless given.
        sha256: that the image, or the file it is packed in, must have.
        system: bookworm or trixie, where the image does not tell.
        yes: the name of the disk, to overwrite it without being asked.
    """
    from toolkit import flashing, secrets
    from toolkit.workspace import Workspace

    confirmed = yes or secrets.typed_name(disk)
    if not device:
        flashing.refuse_idle(
            target=target, package=package, user=user if user != "pi" else "", wifi=wifi,
            country=country, timezone=timezone, keyboard=keyboard, locale=locale, system=system,
        )  # fmt: skip
        return flashing.write_plain(image, disk, job, confirmed, sha256 or "")
    words = (package, user, wifi, country, timezone, keyboard, locale)
    shelves = Workspace.find(workspace)
    target = flashing.target_of(shelves, target, package)
    wanted = flashing.Wanted(device, target, *(word or "" for word in words))
    return flashing.described(
        disk,
        flashing.flash(
            shelves,
            image,
            disk,
            wanted,
            job,
            confirmed=confirmed,
            sha256=sha256 or "",
            system=system or "",
            password=secrets.password(ask=False),
            passphrase=secrets.wifi_passphrase(),
        ),
        device,
        flashing.opened(wifi or "", secrets.wifi_passphrase()),
    )


def disks(*, workspace: Folder = None, job: Job = QUIET) -> r.Disks:
    """Name the removable disks of this machine, what is on them, and which may be overwritten."""
    from toolkit import flashing

    return flashing.listed()
