"""What a target is: a class of places with its facts, and the way to put a package there."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from edge_targets.places.facts import Facts, Runtime
from edge_targets.runtime.contract import Manifest
from edge_targets.runtime.errors import UnsupportedError
from edge_targets.runtime.events import Job

NO_AGENT = "Only a device with an agent has that."
COPIES = 3  # of a package on a device: two slots, and the upload or the unpacked trial


@dataclass(frozen=True)
class Place:
    """One place of a target.

    Attributes:
        name: the device's name, in every record it sends.
        address: http://… of an agent, or a folder where a target says so.
        collector: base address of the collector; empty keeps what is set there.
        trusted: public keys, in base64, whose packages the place takes.
        keys: the folder with our SSH key and the known hosts' keys; None where none is needed.
        password: of the user there, for a sudo that asks for it; empty for none.
    """

    name: str
    address: str
    collector: str = ""
    trusted: tuple[str, ...] = ()
    keys: Path | None = None
    password: str = field(default="", repr=False)


@dataclass(frozen=True)
class Served:
    """A model that a place serves.

    Attributes:
        previous: the version that a rollback goes back to; empty when there is none.
        probation_s: seconds left in which a new version must prove itself; None once it is kept.
    """

    name: str
    version: str
    format: str = ""
    previous: str = ""
    probation_s: float | None = None


@dataclass(frozen=True)
class Condition:
    """How the board itself is; what it does not tell is None.

    Attributes:
        temperature_c: of the processor.
        throttled: what slows it down now, such as `under-voltage`.
        load: of the last minute.
    """

    temperature_c: float | None = None
    throttled: tuple[str, ...] = ()
    load: float | None = None
    memory_available_bytes: int | None = None
    disk_free_bytes: int | None = None
    uptime_s: float | None = None


@dataclass(frozen=True)
class Status:
    """How a place is doing.

    Attributes:
        state: `ready`, `empty` (running, no model yet), `stopped` or `unreachable`.
        url: where it listens; empty when it does not.
        model: that was installed last; all of them in `models`.
        samples: items predicted since it started.
        pending: records that wait for the collector; None when that cannot be told now.
        last_update: what came of the last one, for a person; empty before the first.
        last_look: what its last look for an update gave; empty where it follows none.
        reason: why it is unreachable; empty otherwise.
    """

    state: str
    url: str = ""
    model: str = ""
    version: str = ""
    samples: int = 0
    pending: int | None = None
    models: tuple[Served, ...] = ()
    condition: Condition = Condition()
    last_update: str = ""
    reason: str = ""
    last_look: str = ""


@dataclass(frozen=True)
class Deployment:
    """A package that a place serves now; the difference is that of its golden outputs there."""

    url: str
    version: str
    golden_difference: float


@dataclass(frozen=True)
class Bench:
    """What a place measured: milliseconds of one prediction, after warm-up.

    What the place does not tell is None.

    Attributes:
        rss_bytes: the most memory that the process with the engine and the model took.
        temperature_before_c: of the chip in degrees Celsius, before the runs; the other after.
        throttled: whether the firmware slowed it down at the end.
        energy_mj: millijoules of one prediction, of all that the board takes.
    """

    p50_ms: float
    p90_ms: float
    threads: int
    runs: int
    p99_ms: float | None = None
    rss_bytes: int | None = None
    temperature_before_c: float | None = None
    temperature_c: float | None = None
    throttled: bool | None = None
    energy_mj: float | None = None


class Target(ABC):
    """A class of places."""

    title: ClassVar[str]
    formats: ClassVar[tuple[str, ...]]
    facts: ClassVar[Facts]
    runtime: ClassVar[Runtime] = Runtime()  # nothing is installed there
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

    def enrols(self, address: str) -> bool:
        """Whether a place at this address must be made one of ours before it can be used."""
        return False

    def enrol(self, place: Place, password: str, job: Job) -> None:
        """Make the place one of ours: what it needs is put there, and its agent started.

        The password is used once, to have our key trusted there; empty where a key is trusted
        already.

        Raises:
            DeviceError: the place does not answer, or cannot become one.
        """
        raise UnsupportedError(f"A {self.title} cannot be enrolled.", NO_AGENT)

    def withdraw(self, place: Place, job: Job) -> None:  # noqa: B027 - likewise
        """Take everything of ours off the place; nothing where nothing was put there."""

    def rollback(self, place: Place, model: str) -> Served:
        """Serve the version before again; `model` may be empty where there is only one."""
        raise UnsupportedError(f"A {self.title} keeps no version before.", NO_AGENT)

    def drop(self, place: Place, model: str) -> None:
        """Serve a model no longer."""
        raise UnsupportedError(f"A {self.title} serves nothing by itself.", NO_AGENT)

    def logs(self, place: Place, lines: int) -> tuple[str, ...]:
        """The last lines that the agent there wrote."""
        raise UnsupportedError(f"A {self.title} writes no log.", NO_AGENT)

    def configure(self, place: Place, changes: Mapping[str, Any], root: bytes, job: Job) -> None:
        """Change settings of the agent there (`edge_targets.agent.home.Settings` names them).

        `root` is the repository's root.json, which what is pulled is checked against; empty when
        no repository is followed.
        """
        raise UnsupportedError(f"A {self.title} has no settings.", NO_AGENT)

    def shell_words(self, place: Place) -> tuple[str, ...]:
        """The program, with its arguments, that opens a shell there."""
        raise UnsupportedError(f"A {self.title} has no shell of its own.", "Use your own.")

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
