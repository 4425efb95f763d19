"""How far an activation's codes reach, chosen from what was seen of it.

minmax takes everything. percentile leaves out the outermost values. mse takes the range with
the smallest expected squared error of rounding and clipping (Banner et al. 2019,
arXiv:1810.05723, by search instead of a formula). entropy takes the one whose codes lose the
least information about the histogram (Kullback-Leibler; Migacz 2017, "8-bit inference with
TensorRT").
"""

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from toolkit.quantization.observe import Observation

Calibration = Literal["minmax", "percentile", "entropy", "mse"]
Floats = NDArray[np.float64]

SHARES = np.linspace(1.0, 0.02, 99)  # of the full range, tried by mse and entropy
SOLID = 32  # numbers a bin: their count is then known to a sixth
EMPTY = 1e-9  # a share given to codes that nothing fell on: a logarithm needs one


@dataclass(frozen=True)
class Range:
    """The numbers that the codes stand for reach from `low` to `high`; 0 is among them."""

    low: float
    high: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high)):
            raise ValueError(f"a range ends in numbers, not in {self.low} and {self.high}")
        object.__setattr__(self, "low", min(float(self.low), 0.0))
        object.__setattr__(self, "high", max(float(self.high), 0.0))

    def symmetric(self) -> "Range":
        reach = max(-self.low, self.high)
        return Range(-reach, reach)


@dataclass(frozen=True)
class Encoding:
    """real = scale · (code - zero_point), codes from `least` to `most`."""

    scale: float
    zero_point: int
    least: int
    most: int


def encoding(
    found: Range, bits: int = 8, *, signed: bool = True, symmetric: bool = False
) -> Encoding:
    """The scale and zero point of a range; 0 has a code of its own."""
    least = -(1 << (bits - 1)) if signed else 0
    most = least + (1 << bits) - 1
    if symmetric:
        reach = max(-found.low, found.high)
        scale = safe_scale(reach / ((1 << (bits - 1)) - 1))
        return Encoding(scale, 0 if signed else 1 << (bits - 1), least, most)
    scale = safe_scale((found.high - found.low) / (most - least))
    zero = round(least - found.low / scale)
    return Encoding(scale, min(max(zero, least), most), least, most)


def safe_scale(scale: float) -> float:
    """As float32 holds it; 1 for a value that is always zero."""
    smallest = float(np.finfo(np.float32).tiny)
    if scale <= 0:
        return 1.0
    found = np.float32(max(scale, smallest))
    if found > scale > smallest:  # down: a Clip before it is needless then
        found = np.nextafter(found, np.float32(0))
    return float(found)


def choose(
    seen: Observation,
    method: Calibration = "minmax",
    bits: int = 8,
    symmetric: bool = False,
    percentile: float = 99.99,
) -> Range:
    """The range of one value."""
    full = Range(seen.low, seen.high)
    if full.low == full.high == 0 or method == "minmax":
        return full.symmetric() if symmetric else full
    found = {"percentile": by_percentile, "mse": by_error, "entropy": by_entropy}[method](
        seen, bits, symmetric, percentile
    )
    return found.symmetric() if symmetric else found


def by_percentile(seen: Observation, bits: int, symmetric: bool, percentile: float) -> Range:
    """Half of what is left out lies on each side."""
    outside = (1 - percentile / 100) / 2
    sums = np.cumsum(seen.counts) / max(seen.total, 1)
    below, above = np.searchsorted(sums, [outside, 1 - outside])
    edges = seen.edges
    low, high = float(edges[below]), float(edges[min(int(above) + 1, len(edges) - 1)])
    return within(low, high, seen)


def within(low: float, high: float, seen: Observation) -> Range:
    """Never beyond what was seen; never nothing."""
    found = Range(max(low, seen.low), min(high, seen.high))
    return found if found.low < found.high else Range(seen.low, seen.high)


def candidates(seen: Observation, symmetric: bool) -> list[Range]:
    """Shrunk on both sides together, and where both matter on each alone."""
    full = Range(seen.low, seen.high)
    both = [Range(full.low * share, full.high * share) for share in SHARES]
    if symmetric or full.low == 0 or full.high == 0:
        return both
    lows = [Range(full.low * share, full.high) for share in SHARES[1:]]
    highs = [Range(full.low, full.high * share) for share in SHARES[1:]]
    return [*both, *lows, *highs]


def by_error(seen: Observation, bits: int, symmetric: bool, percentile: float) -> Range:
    tried = candidates(seen, symmetric)
    errors = [squared_error(seen, found, bits, symmetric) for found in tried]
    return tried[int(np.argmin(errors))]


def squared_error(seen: Observation, found: Range, bits: int = 8, symmetric: bool = False) -> float:
    """Mean squared difference between a value and its code's, by the histogram."""
    used = np.flatnonzero(seen.counts)
    centres = (seen.edges[used] + seen.edges[used + 1]) / 2
    centres = np.clip(centres, seen.low, seen.high)
    code = encoding(found, bits, symmetric=symmetric)
    scale, low, high = code.scale, code.least - code.zero_point, code.most - code.zero_point
    inside = (centres >= low * scale) & (centres <= high * scale)
    width = 2 * seen.reach / len(seen.counts)
    if width < scale:  # the codes' steps are wider than a bin: round its middle
        rounded = np.clip(np.rint(centres / scale), low, high) * scale
        errors = (rounded - centres) ** 2
    else:  # many codes in a bin: the error of rounding is even over a step
        clipped = np.clip(centres, low * scale, high * scale)
        errors = np.where(inside, scale**2 / 12, (clipped - centres) ** 2)
    weights = seen.counts[used]
    return float((errors * weights).sum() / max(weights.sum(), 1))


def by_entropy(seen: Observation, bits: int, symmetric: bool, percentile: float) -> Range:
    coarse = solid(seen)
    levels = 1 << min(bits, 8)
    tried = [found for found in candidates(seen, symmetric) if bins_in(found, coarse) > levels]
    if not tried:  # too few numbers were seen to tell information from chance
        return Range(seen.low, seen.high)
    losses = [divergence(coarse, found, levels) for found in tried]
    return tried[int(np.argmin(losses))]


def solid(seen: Observation) -> Observation:
    """With bins so wide that the counts are more than chance: else clipping always wins.

    Zeros have a code of their own: the many that a ReLU gives say nothing about the range.
    """
    counts = seen.counts.copy()
    zero = len(counts) // 2
    counts[zero] = min(counts[zero], counts[zero + 1])
    while len(counts) > 2 and counts.sum() < SOLID * np.count_nonzero(counts):
        counts = counts.reshape(-1, 2).sum(axis=1)
    return replace(seen, counts=counts)


def bins_in(found: Range, seen: Observation) -> float:
    return (found.high - found.low) * len(seen.counts) / (2 * seen.reach)


def divergence(seen: Observation, found: Range, levels: int) -> float:
    """Kullback-Leibler, from the clipped histogram to the one that the codes can tell apart."""
    middles = (seen.edges[:-1] + seen.edges[1:]) / 2
    kept = (middles >= found.low) & (middles <= found.high)
    first, last = int(np.argmax(kept)), len(kept) - int(np.argmax(kept[::-1]))
    inner = seen.counts[first:last].astype(np.float64)
    clipped = inner.copy()
    clipped[0] += seen.counts[:first].sum()
    clipped[-1] += seen.counts[last:].sum()
    group = np.arange(len(inner)) * levels // len(inner)
    sums = np.bincount(group, inner, levels)
    filled = np.bincount(group, inner > 0, levels)
    level = np.divide(sums, filled, out=np.zeros(levels), where=filled > 0)
    p = clipped / clipped.sum()
    coded = np.where(inner > 0, level[group], 0.0)
    q = np.maximum(coded / max(coded.sum(), 1), EMPTY)
    there = p > 0
    return float((p[there] * np.log(p[there] / q[there])).sum())
