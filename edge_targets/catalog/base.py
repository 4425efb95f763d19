"""What a target is: a class of places with its facts, and the way to put a package there."""

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from edge_targets.package import verify
from edge_targets.runtime.contract import Manifest
from edge_targets.runtime.errors import DeviceError, EdgeError, UnsupportedError
from edge_targets.runtime.events import Job
from edge_targets.transport import check_address, get_json, post_json, put_package

COPIES = 3  # of a package on a device: two slots, and the upload or the unpacked trial
STATES = ("ready", "empty")  # of an agent that answers
FOLDER = "Give a folder of yours, such as ./desk."
FLUSH_S = 60.0  # a day of windows, in batches, to a collector nearby


@dataclass(frozen=True)
class Facts:
    """What the smallest model of a class of devices has; bytes that are usable for packages."""

    ram_bytes: int
    flash_bytes: int
    cores: int
    cpu: str


@dataclass(frozen=True)
class Place:
    """One place of a target.

    Attributes:
        name: the device's name, in every record it sends.
        address: http://… of an agent, or a folder where a target says so.
        collector: base address of the collector; empty keeps what is set there.
        trusted: public keys, in base64, whose packages the place takes.
    """

    name: str
    address: str
    collector: str = ""
    trusted: tuple[str, ...] = ()


@dataclass(frozen=True)
class Status:
    """How a place is doing.

    Attributes:
        state: `ready`, `empty` (running, no model yet), `stopped` or `unreachable`.
        url: where it listens; empty when it does not.
        samples: items predicted since it started.
        pending: records that wait for the collector; None when that cannot be told now.
    """

    state: str
    url: str = ""
    model: str = ""
    version: str = ""
    samples: int = 0
    pending: int | None = None


@dataclass(frozen=True)
class Deployment:
    """A package that a place serves now; the difference is that of its golden outputs there."""

    url: str
    version: str
    golden_difference: float


class Target(ABC):
    """A class of places."""

    title: ClassVar[str]
    formats: ClassVar[tuple[str, ...]]
    facts: ClassVar[Facts]

    def fits(self, manifest: Manifest, size_bytes: int) -> None:
        """Do nothing for a package that this target can take.

        Raises:
            UnsupportedError: it has another format, or is too large.
        """
        if manifest.format not in self.formats:
            raise UnsupportedError(
                f"{self.title} cannot run {manifest.format!r} ({manifest.name}).",
                f"Build one of: {', '.join(self.formats)}.",
            )
        room = min(self.facts.flash_bytes // COPIES, self.facts.ram_bytes)
        if size_bytes > room:
            raise UnsupportedError(
                f"{manifest.name} has {size_bytes} bytes; {self.title} has room for {room}.",
                "Make it smaller, for example with quantize_int8 or prune_channels.",
            )

    @abstractmethod
    def check_address(self, address: str) -> str:
        """The address as it is kept; that of a folder is made absolute. Asks nobody.

        Raises:
            DeviceError: no place of this target can have it.
        """

    @abstractmethod
    def deploy(self, package: Path, place: Place, job: Job) -> Deployment:
        """Put a package there and have it tried; the one before stays when that fails."""

    @abstractmethod
    def status(self, place: Place) -> Status:
        """How the place is doing; one that cannot be asked is `unreachable`. Never raises."""

    @abstractmethod
    def stop(self, place: Place) -> None:
        """End what runs there."""

    @abstractmethod
    def flush(self, place: Place) -> int:
        """Have telemetry sent now; how many records still wait."""


class AgentTarget(Target):
    """A target where our agent runs; `http://…` is the address of one that listens already."""

    def check_address(self, address: str) -> str:
        if not address.startswith(("http://", "https://")):
            raise DeviceError(
                f"{address!r} is not the address of a {self.title}.",
                "Start the agent there (python -m edge_targets.agent --root FOLDER --host 0.0.0.0) "
                "and give the http://… that its agent.json names.",
            )
        check_address(address)
        return address

    def find(self, place: Place) -> str | None:
        """The base address of the place's agent; None when it is known not to run."""
        return AgentTarget.check_address(self, place.address).rstrip("/")

    def ready(self, place: Place, job: Job) -> str:
        """The address of an agent that answers, started when that is possible."""
        job.step("reach device")
        url = self.find(place)
        if url is None:
            raise DeviceError(f"{place.name} is stopped.", "Deploy a package to start it.")
        get_json(f"{url}/v2/health/live")
        return url

    def deploy(self, package: Path, place: Place, job: Job) -> Deployment:
        job.step("check package")
        self.fits(verify(package, place.trusted), package.stat().st_size)
        url = self.ready(place, job)
        answer = put_package(f"{url}/v1/package", package, job)
        try:
            version, difference = str(answer["version"]), float(answer["golden_difference"])
        except (KeyError, TypeError, ValueError) as error:
            raise no_agent(url) from error
        return Deployment(url, version, difference)

    def status(self, place: Place) -> Status:
        url: str | None = ""
        try:
            url = self.find(place)
            return read_status(url, get_json(f"{url}/v1/status")) if url else Status("stopped")
        except EdgeError:
            return Status("unreachable", url or "")

    def stop(self, place: Place) -> None:
        if url := self.find(place):
            post_json(f"{url}/v1/stop")

    def flush(self, place: Place) -> int:
        url = self.find(place)
        if url is None:
            raise DeviceError(f"{place.name} is stopped.", "Deploy a package to start it.")
        pending = whole(post_json(f"{url}/v1/flush", timeout_s=FLUSH_S).get("pending"))
        if pending is None:
            raise no_agent(url)
        return pending


def read_status(url: str, found: Mapping[str, Any]) -> Status:
    """What an agent answered; a `DeviceError` when no agent answers so."""
    state, model, version = found.get("state"), found.get("model"), found.get("version")
    samples = whole(found.get("samples"))
    if state not in STATES or samples is None:
        raise no_agent(url)
    if not isinstance(model, str) or not isinstance(version, str):
        raise no_agent(url)
    return Status(state, url, model, version, samples, whole(found.get("pending")))


def no_agent(url: str) -> DeviceError:
    return DeviceError(f"{url} is not a Sanderling agent.", "Check the address.")


def whole(value: Any) -> int | None:
    """A count from outside; None for what is none."""
    good = isinstance(value, int) and not isinstance(value, bool) and value >= 0
    return value if good else None


def folder_at(address: str) -> Path:
    """The folder that an address names, absolute; it need not be there.

    Raises:
        DeviceError: it names none.
    """
    if not address.strip():
        raise DeviceError("The address is empty.", FOLDER)
    try:
        return Path(os.path.realpath(Path(address).expanduser()))
    except (ValueError, RuntimeError) as error:  # a null byte; ~ of nobody
        raise DeviceError(f"{address!r} is not the path of a folder.", FOLDER) from error


def check_folder(address: str) -> Path:
    """The same, of a folder that is there or can be made."""
    folder = folder_at(address)
    above = next(path for path in (folder, *folder.parents) if os.path.lexists(path))
    if not above.is_dir():
        raise DeviceError(f"{above} is not a folder.", FOLDER)
    if not os.access(above, os.W_OK | os.X_OK):
        raise DeviceError(f"You may not write in {above}.", FOLDER)
    return folder
