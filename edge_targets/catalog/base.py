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
class Work:
    """What one prediction asks of a processor.

    Attributes:
        float_macs: multiply-accumulate operations in float32; `int8_macs` those in int8.
        operators: that the engine runs one after another.
        weight_bytes: read once in every prediction.
    """

    float_macs: int
    int8_macs: int
    operators: int
    weight_bytes: int


@dataclass(frozen=True)
class Rates:
    """How fast a class of devices computes, from published figures: enough for an estimate.

    Attributes:
        float_macs: multiply-accumulate operations a second on one thread; `int8_macs` in int8.
        bytes_per_s: that memory delivers.
        parallel: share of the arithmetic that more threads divide (Amdahl 1967).
        operator_s: seconds for starting an operator; `call_s` for a prediction.
        engines: slowness of the engine of a format, the fastest 1.
        off: so many times slower or faster the truth may be.
        source: where the figures are from.
    """

    float_macs: float
    int8_macs: float
    bytes_per_s: float
    parallel: float
    operator_s: float
    call_s: float
    engines: Mapping[str, float]
    off: float
    source: str

    def seconds(self, work: Work, format_name: str, threads: int) -> float:
        """Arithmetic or memory, whichever holds up the other (Williams et al. 2009, roofline)."""
        alone = work.float_macs / self.float_macs + work.int8_macs / self.int8_macs
        shared = alone * (1 - self.parallel + self.parallel / threads)
        # threads meet after every operator, which costs about as much as starting it
        starts = self.call_s + work.operators * self.operator_s * (2 if threads > 1 else 1)
        longest = max(shared, work.weight_bytes / self.bytes_per_s)
        return (longest + starts) * self.engines.get(format_name, 1.0)


@dataclass(frozen=True)
class Facts:
    """What the smallest model of a class of devices has; bytes that are usable for packages.

    `rates` are None where nothing is known, or where the device is this very machine.
    """

    ram_bytes: int
    flash_bytes: int
    cores: int
    cpu: str
    rates: Rates | None = None


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


@dataclass(frozen=True)
class Bench:
    """What a place measured: milliseconds of one prediction, after warm-up."""

    p50_ms: float
    p90_ms: float
    threads: int
    runs: int


class Target(ABC):
    """A class of places."""

    title: ClassVar[str]
    formats: ClassVar[tuple[str, ...]]
    facts: ClassVar[Facts]
    opset: ClassVar[int] = 20  # the newest that the runtime there reads; onnxruntime 1.17 and later

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

    def bench(self, package: Path, place: Place, threads: int, job: Job) -> Bench:
        """Have the place time a package; what it serves stays as it is.

        Raises:
            UnsupportedError: nothing there can be asked to.
        """
        raise UnsupportedError(
            f"A {self.title} cannot be asked to time a model.",
            "Leave --device out to have the latency estimated.",
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

    def bench(self, package: Path, place: Place, threads: int, job: Job) -> Bench:
        job.step("check package")
        self.fits(verify(package, place.trusted), package.stat().st_size)
        url = self.ready(place, job)
        answer = put_package(f"{url}/v1/bench/{threads}", package, job)
        try:
            p50, p90 = float(answer["p50_ms"]), float(answer["p90_ms"])
            return Bench(p50, p90, int(answer["threads"]), int(answer["runs"]))
        except (KeyError, TypeError, ValueError) as error:
            raise no_agent(url) from error

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
