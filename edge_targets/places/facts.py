"""What a class of places has and how fast it computes, and what one prediction asks of it."""

from collections.abc import Mapping
from dataclasses import dataclass


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
