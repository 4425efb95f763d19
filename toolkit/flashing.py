"""A memory card that makes a board a device of a workspace at its first start."""

import tempfile
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from edge_targets.agent.home import Settings
from edge_targets.catalog import targets
from edge_targets.enrolment.payload import write_payload
from edge_targets.flashing.disks import disks
from edge_targets.flashing.enrol import PAYLOAD
from edge_targets.flashing.first_boot import FirstBoot, Wifi, hash_password
from edge_targets.flashing.flash import flash as write
from edge_targets.flashing.image import Written
from edge_targets.flashing.systems import look
from edge_targets.package import public_key
from edge_targets.runtime.errors import UnsupportedError, UsageError
from edge_targets.runtime.events import Job
from edge_targets.transport.hostkeys import FILE, HostKeys
from toolkit.devices import known_as
from toolkit.results import DiskRow, Disks, Flashed
from toolkit.shipping import package_file, signing_key_of
from toolkit.workspace import Entry, Workspace, check_name

SSH_PORT = 22


@dataclass(frozen=True)
class Wanted:
    """Who the board shall be; empty words leave what the image has.

    Attributes:
        device: its name, here and on the network.
        target: its catalog name.
        package: served from the first start on.
        user: who can log in.
        wifi: the name of a wireless network; empty for a cable.
        country: where that is, such as DE.
    """

    device: str
    target: str
    package: str = ""
    user: str = "pi"
    wifi: str = ""
    country: str = ""
    timezone: str = ""
    keyboard: str = ""
    locale: str = ""


def flash(
    shelves: Workspace,
    image: Path,
    disk: Path,
    wanted: Wanted,
    job: Job,
    *,
    confirmed: str,
    sha256: str = "",
    system: str = "",
    password: str = "",
    passphrase: str = "",
) -> Written:
    """Write the card, and remember the device under the address that it will have.

    Args:
        shelves: the workspace whose key may log in there, and whose packages it takes.
        image: of Raspberry Pi OS, as it was downloaded.
        disk: the card, or a file to make.
        wanted: who the board shall be.
        job: is told of progress, and may stop it.
        confirmed: the name of the disk, as its owner typed it.
        sha256: of the image or of the file it is packed in.
        system: "bookworm" or "trixie", where the image does not tell.
        password: of the user; without one only keys log in.
        passphrase: of the wireless network; without one it is open.
    """
    facts = {"target": wanted.target, "address": f"ssh://{wanted.user}@{wanted.device}.local"}
    known_as(shelves, wanted.device, facts["address"])
    first = _first_boot(shelves, wanted, password, passphrase)
    target, packed = targets[wanted.target](), _package(shelves, wanted)
    if not target.runtime.pins:
        raise UnsupportedError(
            f"A card is for a board; {target.title} is none.", "Choose a board with --target."
        )
    python = look(image, job, system).python
    settings = Settings(
        device=wanted.device,
        target=wanted.target,
        collector=shelves.settings.collector,
        soft_c=target.facts.soft_c or Settings.soft_c,
    )
    with ExitStack() as kept:
        folder = Path(kept.enter_context(tempfile.TemporaryDirectory()))
        file = package_file(shelves, packed, str(folder)) if packed else None
        trusted = (public_key(signing_key_of(shelves)),)
        write_payload(
            folder / PAYLOAD,
            settings,
            trusted,
            target,
            python,
            target.formats,  # not that of the package alone: others may follow it
            job,
            file,
        )
        done = write(
            image,
            disk,
            folder / PAYLOAD,
            first,
            job,
            confirmed=confirmed,
            sha256=sha256,
            system=system,
        )
    # a new card makes itself a new key, and we know why
    HostKeys(shelves.key_file.parent / FILE).forget(f"{wanted.device}.local", SSH_PORT)
    parents = (packed,) if packed else ()
    if packed:
        facts |= {"package": packed.name, "version": packed.facts["version"]}
    shelves.put("devices", wanted.device, {}, facts, "flash", facts, parents)
    return done


def refuse_idle(**said: str | None) -> None:
    """Refuse options that change nothing on a card that is nobody's."""
    if idle := [f"--{option}" for option, value in said.items() if value]:
        raise UsageError(
            f"{', '.join(idle)}: only a card of a device has that.",
            "Add --device NAME, or leave it out to write the image as it is.",
        )


def write_plain(image: Path, disk: Path, job: Job, confirmed: str, sha256: str) -> Flashed:
    """Write the image as it is."""
    return described(disk, write(image, disk, None, None, job, confirmed=confirmed, sha256=sha256))


def opened(wifi: str, passphrase: str) -> tuple[str, ...]:
    """What to say of a network that is joined without a passphrase."""
    if not wifi or passphrase:
        return ()
    return (f"{wifi} is joined as an open network: SANDERLING_WIFI_PASSPHRASE is not set.",)


def described(disk: Path, done: Written, device: str = "", notes: tuple[str, ...] = ()) -> Flashed:
    goes_on = (f"sanderling device status {device}",) if device else ()
    return Flashed(
        str(disk),
        done.bytes_written,
        done.sha256,
        done.checked,
        done.system,
        device,
        notes,
        next=goes_on,
    )


def target_of(shelves: Workspace, target: str | None, package: str | None) -> str:
    """What was said, or what the package is for."""
    if target:
        return target
    if not package:
        raise UsageError("Which board the card is for is not said.", "Add --target or --package.")
    return str(shelves.get("packages", package).facts["target"])


def listed() -> Disks:
    found = tuple(DiskRow(**asdict(one)) for one in disks())
    return Disks(found, "" if found else "No removable disk is plugged in.")


def _first_boot(shelves: Workspace, wanted: Wanted, password: str, passphrase: str) -> FirstBoot:
    from edge_targets.transport.login import own_key

    if wanted.wifi and not wanted.country:
        raise UsageError(
            "The country of the wireless network is missing.",
            "Give it, such as --country DE: a radio stays off without it.",
        )
    key = own_key(shelves.key_file.parent)
    wifi = Wifi.joining(wanted.wifi, passphrase, wanted.country) if wanted.wifi else None
    return FirstBoot(
        check_name(wanted.device),
        wanted.user,
        hash_password(password) if password else "",
        (key.export_public_key().decode().strip(),),
        wifi,
        wanted.timezone,
        wanted.keyboard,
        wanted.locale,
    )


def _package(shelves: Workspace, wanted: Wanted) -> Entry | None:
    if not wanted.package:
        return None
    packed = shelves.get("packages", wanted.package)
    if packed.facts["target"] != wanted.target:
        raise UnsupportedError(
            f"{wanted.package} is for {packed.facts['target']}, not for {wanted.target}.",
            f"Package the artifact again with --target {wanted.target}.",
        )
    return packed
