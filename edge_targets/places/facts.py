"""What a class of places has and how fast it computes, and what one prediction asks of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field


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
    """What the smallest model of a class of devices has.

    Attributes:
        flash_bytes: usable for packages, beside the system.
        cpu: the processor's core, by its maker's name.
        rates: None where nothing is known, or where the device is this very machine.
        clock_hz: of one core, not overclocked; 0 where it varies.
        features: of the instruction set, as Linux names them in `/proc/cpuinfo`.
        qemu_cpu: the name of the core in QEMU, to run or count what it would; empty for none.
        soft_c: degrees Celsius of the chip at which its firmware begins to slow it down;
            `throttle_c` where it slows down all it can. None where nothing is known.
    """

    ram_bytes: int
    flash_bytes: int
    cores: int
    cpu: str
    rates: Rates | None = None
    clock_hz: float = 0
    features: tuple[str, ...] = ()
    qemu_cpu: str = ""
    soft_c: float | None = None
    throttle_c: float | None = None


@dataclass(frozen=True)
class Runtime:
    """What is known to run on a class of devices, and how its wheels are found.

    Attributes:
        pins: version of each package, by its name for pip; empty where nothing is installed.
        pythons: versions of the system's Python, the oldest first.
        machine: as `uname -m` says.
        platforms: pip's tags, the newest first.
        system: Debian packages that must be there, for there is no wheel of them.
    """

    pins: Mapping[str, str] = field(default_factory=dict)
    pythons: tuple[str, ...] = ()
    machine: str = ""
    platforms: tuple[str, ...] = ()
    system: tuple[str, ...] = ()

    def requirements(self, *packages: str) -> tuple[str, ...]:
        """As pip takes them: `name==version` for what is pinned, the bare name for the rest."""
        known = {name: f"{name}=={version}" for name, version in self.pins.items()}
        return tuple(known.get(name, name) for name in packages)


def manylinux(machine: str, newest: int) -> tuple[str, ...]:
    """Tags of wheels that run with glibc 2.`newest` (PEP 600), and of those for any Linux."""
    perennial = tuple(f"manylinux_2_{minor}_{machine}" for minor in range(newest, 16, -1))
    return (*perennial, f"manylinux2014_{machine}", f"linux_{machine}")
