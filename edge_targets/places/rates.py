"""What one prediction asks of a processor, and how fast a class of processors gives it.

Five things are counted, and two for starting: arithmetic alone predicts badly, for a depthwise
convolution moves nearly as many numbers as it multiplies (Ma et al. 2018, arXiv:1807.11164). The
time is their sum. `toolkit.speeds` finds the rates from measured times.
"""

from collections.abc import Mapping
from dataclasses import astuple, dataclass, replace

FLOAT, INT8 = "float32", "int8"


@dataclass(frozen=True)
class Macs:
    """Multiply-accumulate operations in one number type, by how an engine goes about them.

    Attributes:
        window: of convolutions over more than one pixel.
        point: of products of matrices: 1 × 1 convolutions, dense and recurrent layers.
        depth: of depthwise convolutions, which use what they read only once.
    """

    window: float = 0
    point: float = 0
    depth: float = 0

    @property
    def total(self) -> float:
        return self.window + self.point + self.depth

    def __add__(self, other: "Macs") -> "Macs":
        return Macs(self.window + other.window, self.point + other.point, self.depth + other.depth)


@dataclass(frozen=True)
class Work:
    """What one prediction asks of a processor.

    Attributes:
        floats: operations in float32; `int8` those in int8.
        values: numbers that operators read and write, weights left out.
        weight_bytes: read once in every prediction.
        operators: that the engine runs one after another.
    """

    floats: Macs
    int8: Macs
    values: float
    weight_bytes: float
    operators: int

    @property
    def number_type(self) -> str:
        """What most of it is computed in."""
        return INT8 if self.int8.total > self.floats.total else FLOAT

    def in_int8(self) -> "Work":
        """The same at its best: all operations in int8."""
        return replace(self, floats=Macs(), int8=self.floats + self.int8)

    @property
    def moved(self) -> "Moved":
        return Moved(self.values, self.weight_bytes, self.operators)


@dataclass(frozen=True)
class Moved:
    """What a prediction asks besides arithmetic; see `Work`."""

    values: float
    weight_bytes: float
    operators: float


@dataclass(frozen=True)
class Speed:
    """Nanoseconds for one of each thing in `Work`, and for a call, with so many threads."""

    window: float
    point: float
    depth: float
    value: float
    weight_byte: float
    operator: float
    call: float

    def arithmetic(self, macs: Macs) -> float:
        return macs.window * self.window + macs.point * self.point + macs.depth * self.depth

    def rest(self, moved: Moved) -> float:
        reading = moved.values * self.value + moved.weight_bytes * self.weight_byte
        return reading + moved.operators * self.operator + self.call

    def scaled(self, factor: float) -> "Speed":
        return Speed(*(factor * share for share in astuple(self)))


# How the seven stand to each other on the boards of ncnn's table, a product of matrices 1. It is
# what is assumed of a place of which only one time is known.
USUAL = {
    FLOAT: Speed(0.5, 1.0, 2.5, 12, 1.6, 20e3, 200e3),
    INT8: Speed(1.0, 1.0, 8.0, 80, 2.0, 60e3, 600e3),
}


@dataclass(frozen=True)
class Rates:
    """How fast a class of devices computes: enough for an estimate.

    Attributes:
        speeds: by number type and number of threads; both types are there with the same numbers.
        engines: slowness of the engine of a format, against the one that was measured.
        off: in four of five cases the truth is at most so many times slower or faster.
        source: where the figures are from.
    """

    speeds: Mapping[tuple[str, int], Speed]
    engines: Mapping[str, float]
    off: float
    source: str

    def seconds(self, work: Work, format_name: str, threads: int) -> float:
        known = sorted(count for name, count in self.speeds if name == work.number_type)
        if threads in known:
            found = self._nanoseconds(work, threads)
        else:
            # what threads divide, by the times of the fewest and the most (Amdahl 1967)
            alone, most = (self._nanoseconds(work, count) for count in (known[0], known[-1]))
            spread = 1 - 1 / known[-1]
            share = (1 - most / alone) / spread if spread else 0.0
            found = alone * (1 - share + share / threads)
        return found * self.engines.get(format_name, 1.0) * 1e-9

    def _nanoseconds(self, work: Work, threads: int) -> float:
        floats, int8 = (self.speeds[name, threads] for name in (FLOAT, INT8))
        arithmetic = floats.arithmetic(work.floats) + int8.arithmetic(work.int8)
        return arithmetic + self.speeds[work.number_type, threads].rest(work.moved)


def usual_speed(number_type: str, work: Work, seconds: float) -> Speed:
    """The usual shares, as fast as this one time says."""
    usual = USUAL[number_type]
    macs = work.int8 if number_type == INT8 else work.floats
    return usual.scaled(seconds * 1e9 / (usual.arithmetic(macs) + usual.rest(work.moved)))
