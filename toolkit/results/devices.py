"""What devices tell of themselves, and what comes of things done to them."""

from dataclasses import dataclass
from typing import ClassVar

from toolkit.report import Result


@dataclass(frozen=True)
class ServedModel:
    """A model that a device serves.

    `previous` is the version that a rollback goes back to; `probation_s` the seconds left in
    which a new version must prove itself.
    """

    name: str
    version: str
    format: str
    previous: str
    probation_s: float | None


@dataclass(frozen=True)
class DeviceInfo(Result):
    """`samples` since it started; `pending` records not yet taken by the collector."""

    name: str
    target: str
    address: str
    state: str = "unknown"
    url: str = ""
    model: str = ""
    version: str = ""
    samples: int = 0
    pending: int | None = None
    temperature_c: float | None = None
    throttled: tuple[str, ...] = ()
    memory_available_bytes: int | None = None
    disk_free_bytes: int | None = None
    last_update: str = ""
    last_look: str = ""
    reason: str = ""
    models: tuple[ServedModel, ...] = ()


@dataclass(frozen=True)
class DeviceRow:
    """A device in a list."""

    hidden: ClassVar[frozenset[str]] = frozenset({"url"})

    name: str
    target: str
    address: str
    state: str
    url: str
    model: str
    version: str
    samples: int
    pending: int | None
    temperature_c: float | None
    probation_s: float | None


@dataclass(frozen=True)
class Devices(Result):
    """All devices."""

    devices: tuple[DeviceRow, ...]


@dataclass(frozen=True)
class RolledBack(Result):
    """The version that a device serves again."""

    device: str
    model: str
    version: str


@dataclass(frozen=True)
class Logs(Result):
    """The last lines of a device's log."""

    verbatim: ClassVar[frozenset[str]] = frozenset({"lines"})

    device: str
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Benched(Result):
    """Milliseconds of one prediction on a device, after warm-up."""

    device: str
    package: str
    p50_ms: float
    p90_ms: float
    threads: int
    runs: int


@dataclass(frozen=True)
class Flashed(Result):
    """A memory card that was written and read back.

    `checked` says which bytes had the SHA-256 that was given: those of the `file` or of the
    `image` in it. `device` is what the board will be, and `system` what the image holds then.
    """

    path: str
    bytes_written: int
    sha256: str
    checked: str = ""
    system: str = ""
    device: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class DiskRow:
    """A disk that could be written to, what is on it now, and why it is refused, if it is."""

    name: str
    path: str
    size_bytes: int
    model: str
    holds: tuple[str, ...]
    refused: str


@dataclass(frozen=True)
class Disks(Result):
    """The removable disks of this machine."""

    disks: tuple[DiskRow, ...]
    note: str = ""


@dataclass(frozen=True)
class ProbeRow:
    """Rates of one format, number type and number of threads: nanoseconds for one operation."""

    format: str
    computes_in: str
    threads: int
    matrix_ns: float
    window_ns: float
    depthwise_ns: float
    operator_us: float
    call_us: float


@dataclass(frozen=True)
class ProbedDevice(Result):
    """How fast a device computes, by its own word; predictions for it use it from now on.

    `off` is how many times slower or faster the truth may be, by format.
    """

    device: str
    rates: tuple[ProbeRow, ...]
    off: dict[str, float]
