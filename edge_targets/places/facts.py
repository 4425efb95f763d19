"""What a class of places has, and what is known to run there."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from edge_targets.places.rates import Rates


@dataclass(frozen=True)
class Facts:
    """What the smallest model of a class of devices has.

    Attributes:
        flash_bytes: usable for packages, beside the system.
        cpu: the processor's core, by its maker's name.
        rates: None where nothing is known, or where the device is this very machine.
        clock_hz: of one core, not overclocked; 0 where it varies.
        instructions_per_s: that one core executes of a network; 0 where that is not known.
        features: of the instruction set, as Linux names them in `/proc/cpuinfo`.
        qemu_cpu: the name of the core in QEMU, to run or count what it would; empty for none.
        soft_c: degrees Celsius of the chip at which its firmware begins to slow it down;
            `throttle_c` where it slows down all it can. None where nothing is known.
        boards: beginnings of what such a device calls itself in `/proc/device-tree/model`.
    """

    ram_bytes: int
    flash_bytes: int
    cores: int
    cpu: str
    rates: Rates | None = None
    clock_hz: float = 0
    instructions_per_s: float = 0
    features: tuple[str, ...] = ()
    qemu_cpu: str = ""
    soft_c: float | None = None
    throttle_c: float | None = None
    boards: tuple[str, ...] = ()


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
