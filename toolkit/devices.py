"""Devices of a workspace: named, made ours, asked, changed and let go."""

import shlex
import shutil
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path

from edge_targets.catalog import targets
from edge_targets.package import public_key
from edge_targets.places.boards import Board
from edge_targets.places.facts import Facts
from edge_targets.places.target import Place, Status
from edge_targets.runtime.errors import DeviceError, UnsupportedError, UsageError
from edge_targets.runtime.events import Job
from toolkit.quantities import check_threads
from toolkit.results import (
    Benched,
    DeviceInfo,
    DeviceRow,
    Devices,
    Logs,
    ProbedDevice,
    ProbeRow,
    RolledBack,
    ServedModel,
)
from toolkit.shipping import others, package_file, place_of, signing_key_of
from toolkit.workspace import Entry, Workspace, check_name

AT_ONCE = 16  # devices asked side by side: most of the time is waiting
MAX_LINES = 10_000  # of a log, in one answer
UNREACHED = 255  # what `ssh` exits with when it is not let in


def add(
    shelves: Workspace, name: str, address: str, target_name: str | None, password: str, job: Job
) -> DeviceInfo:
    """Name a place, make it ours where that needs anything, and ask how it is."""
    check_name(name)
    collector, keys = shelves.settings.collector, shelves.key_file.parent
    target_name = target_name or told_target(address, keys, password, job)
    target = targets[target_name]()
    facts = {"target": target_name, "address": target.check_address(address)}
    before = known_as(shelves, name, facts["address"])
    if target.enrols(facts["address"]):
        trusted = (public_key(signing_key_of(shelves)),)
        target.enrol(Place(name, facts["address"], collector, trusted, keys), password, job)
    if before is None or before.facts["target"] != target_name:
        shelves.put("devices", name, {}, facts, "device add", facts)
    found = status(shelves, name)
    goes_on = () if found.model else (f"sanderling deploy PACKAGE {name}",)
    return replace(found, next=() if found.state == "unreachable" else goes_on)


def known_as(shelves: Workspace, name: str, address: str) -> Entry | None:
    """The device of that name and address, where it is one already.

    Raises:
        DeviceError: the name or the address is that of another device.
    """
    for device in shelves.entries("devices"):
        if (device.name == name) != (device.facts["address"] == address):
            raise DeviceError(
                f"{device.name} is a device already, at {device.facts['address']}.",
                "Take another name and address, or forget it first: "
                f"sanderling device remove {device.name}",
            )
    return shelves.get("devices", name) if name in shelves.names("devices") else None


def status(shelves: Workspace, name: str) -> DeviceInfo:
    device = shelves.get("devices", name)
    target, place = place_of(shelves, device)
    return described(device, target.status(place))


def described(device: Entry, found: Status) -> DeviceInfo:
    condition = found.condition
    # a port that SSH forwards is gone with this process
    forwarded = targets[device.facts["target"]]().enrols(device.facts["address"])
    return DeviceInfo(
        device.name,
        device.facts["target"],
        device.facts["address"],
        found.state,
        "" if forwarded else found.url,
        found.model,
        found.version,
        found.samples,
        found.pending,
        condition.temperature_c,
        condition.throttled,
        condition.memory_available_bytes,
        condition.disk_free_bytes,
        found.last_update,
        found.last_look,
        found.reason,
        tuple(ServedModel(**asdict(one)) for one in found.models),
    )


def row(found: DeviceInfo) -> DeviceRow:
    waits = [one.probation_s for one in found.models if one.probation_s is not None]
    return DeviceRow(
        found.name,
        found.target,
        found.address,
        found.state,
        found.url,
        found.model,
        found.version,
        found.samples,
        found.pending,
        found.temperature_c,
        max(waits, default=None),
    )


def asked(shelves: Workspace, job: Job) -> Devices:
    """All devices, asked side by side: one that does not answer holds up no other."""
    names = shelves.names("devices")
    with ThreadPoolExecutor(max_workers=AT_ONCE) as pool:
        answers = pool.map(lambda name: row(status(shelves, name)), names)
        found = []
        for done, answer in enumerate(answers):
            job.step("ask devices", done, len(names))
            found.append(answer)
    return Devices(tuple(found))


def remove(shelves: Workspace, name: str, uninstall: bool, job: Job) -> None:
    """Forget the name; what runs there goes on, unless it shall be uninstalled."""
    if uninstall:
        target, place = place_of(shelves, shelves.get("devices", name))
        target.withdraw(place, job)
    shelves.forget("devices", name)


def stop(shelves: Workspace, name: str) -> DeviceInfo:
    target, place = place_of(shelves, shelves.get("devices", name))
    target.stop(place)
    return status(shelves, name)


def rollback(shelves: Workspace, name: str, model: str) -> RolledBack:
    """Have a device serve the version before; its record here follows where it is known."""
    device = shelves.get("devices", name)
    target, place = place_of(shelves, device)
    served = target.rollback(place, model)
    packed = package_of(shelves, device, served.name, served.version)
    facts = {**device.facts, "version": served.version}
    parents = others(shelves, device, served.name)
    if packed:
        facts["package"], parents = packed.name, (packed, *parents)
    shelves.put("devices", name, {}, facts, "rollback", {"model": model}, parents)
    return RolledBack(name, served.name, served.version, next=(f"sanderling device status {name}",))


def package_of(shelves: Workspace, device: Entry, served: str, version: str) -> Entry | None:
    """What a device serves, as far as it is known here.

    The same file may be packed for several targets, and has the same version in all of them.
    """
    wanted = (served, version, device.facts["target"])
    for entry in shelves.entries("packages"):
        if (entry.facts["served_as"], entry.facts["version"], entry.facts["target"]) == wanted:
            return entry
    return None


def drop(shelves: Workspace, name: str, model: str) -> DeviceInfo:
    device = shelves.get("devices", name)
    target, place = place_of(shelves, device)
    target.drop(place, model)
    left = others(shelves, device, model)
    shelves.put("devices", name, {}, device.facts, "device drop", {"model": model}, left)
    return status(shelves, name)


def logs(shelves: Workspace, name: str, lines: int) -> Logs:
    if not 1 <= lines <= MAX_LINES:
        raise UsageError(f"A log is not read by {lines} lines.", f"Use --lines 1 to {MAX_LINES}.")
    target, place = place_of(shelves, shelves.get("devices", name))
    return Logs(name, target.logs(place, lines))


def bench(shelves: Workspace, name: str, package_name: str, threads: int, job: Job) -> Benched:
    """Time a package on a device beside what it serves."""
    check_threads(threads)
    device, packed = shelves.get("devices", name), shelves.get("packages", package_name)
    key = public_key(signing_key_of(shelves))
    target, place = place_of(shelves, device, key)
    with tempfile.TemporaryDirectory() as folder:
        found = target.bench(package_file(shelves, packed, folder), place, threads, job)
    return Benched(name, package_name, found.p50_ms, found.p90_ms, found.threads, found.runs)


def probe(shelves: Workspace, name: str, job: Job) -> ProbedDevice:
    """Learn how fast a device computes."""
    from toolkit.probes import probe_device

    found = probe_device(shelves, name, job)
    rows = [
        ProbeRow(
            form, kind, threads, speed.point, speed.window, speed.depth,
            speed.operator / 1e3, speed.call / 1e3,
        )
        for form, rates in found.rates.items()
        for (kind, threads), speed in rates.speeds.items()
    ]  # fmt: skip
    return ProbedDevice(name, tuple(rows), {form: r.off for form, r in found.rates.items()})


def shell(shelves: Workspace, name: str) -> None:
    """A person's own shell there; it ends as they end it."""
    target, place = place_of(shelves, shelves.get("devices", name))
    words = target.shell_words(place)
    if not shutil.which(words[0]):
        raise UnsupportedError(
            f"The program {words[0]} is not installed.", f"Install it, or use: {shlex.join(words)}"
        )
    if subprocess.run(words, check=False).returncode == UNREACHED:
        raise DeviceError(
            f"There is no shell on {name}.", f"See `sanderling device status {name}`."
        )


def told_target(address: str, keys: Path, password: str, job: Job) -> str:
    """What a board says it is, as a name of the catalog."""
    if address.startswith("ssh://") and "@" not in address:
        raise UsageError(
            f"{address} does not say who you are there.", "Give user and host, such as pi@kitchen."
        )
    if "@" not in address:
        raise UsageError(
            f"What is at {address} cannot be told from its address.",
            "Say it with --target; `sanderling list targets` names them.",
        )
    from edge_targets.enrolment.probe import probe_at, suggest

    job.step("look at the board")
    return suggest(probe_at(address, keys, password, job), known_boards())


def known_boards() -> dict[str, Facts]:
    """What is known of each target that is a board."""
    found = {name: targets[name] for name in targets.names()}
    return {name: target.facts for name, target in found.items() if issubclass(target, Board)}


def name_of(address: str) -> str:
    """A name for the device at `pi@HOST`: the host's own."""
    host = address.rpartition("@")[2].rpartition("://")[2].partition(":")[0].partition(".")[0]
    if not host or "@" not in address:
        raise UsageError(
            f"{address} alone is no device.",
            "Give a name and an address, or pi@HOST: sanderling device add pi@kitchen",
        )
    return host.lower()
