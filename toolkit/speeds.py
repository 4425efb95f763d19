"""The speed of a processor from measured times of a few networks, and how sure that is.

Least relative error with seven shares that may not be negative (Lawson and Hanson 1974), drawn
towards the usual ones: a few networks cannot tell seven things apart, and what they do not tell
stays as it usually is (ridge regression towards a prior, Hoerl and Kennard 1970).
"""

from collections.abc import Sequence
from dataclasses import astuple, dataclass

import numpy as np
from numpy.typing import NDArray

from edge_targets.places.rates import INT8, USUAL, Speed, Work

PULL = 0.3  # of the usual, in networks: found on ncnn's table, where 0.03 to 1 differ little
ROUNDS, SWEEPS = 12, 40  # until nothing moves any more
LEAST = 0.03  # relative error: smaller ones weigh no more, or one network would decide all
COVERED = 0.8  # share of the truth that an error bar must hold
FEWEST = 2  # times that tell anything about how far off one is

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Fit:
    """A speed, and how far off it is for a network that was not measured.

    Attributes:
        off: four of five networks that were left out took at most so many times more or less.
        errors: of every network that was left out, the logarithm of estimate over truth.
        residuals: the same of those that were not.
    """

    speed: Speed
    off: float
    errors: tuple[float, ...]
    residuals: tuple[float, ...]


def columns(work: Work, number_type: str) -> Array:
    """What takes time, in the order of `Speed`."""
    macs = work.int8 if number_type == INT8 else work.floats
    moved = [work.values, work.weight_bytes, work.operators, 1.0]
    return np.array([macs.window, macs.point, macs.depth, *moved], np.float64)


def fitted(
    works: Sequence[Work], seconds: Sequence[float], number_type: str, pull: float = PULL
) -> Fit:
    """The speed that explains these times, each network also predicted from the others.

    Args:
        works: of networks that compute in `number_type` only.
        seconds: that each takes.
        pull: of the usual shares, in networks.
    """
    rows = np.array([columns(work, number_type) for work in works])
    times = np.asarray(seconds, np.float64) * 1e9
    errors = [
        float(np.log(rows[i] @ shares(rows[others], times[others], number_type, pull) / times[i]))
        for i in range(len(times))
        if len(times) >= FEWEST
        for others in [np.arange(len(times)) != i]
    ]
    found = shares(rows, times, number_type, pull)
    residuals = tuple(map(float, np.log(rows @ found / times)))
    return Fit(Speed(*map(float, found)), bar(errors), tuple(errors), residuals)


def bar(errors: Sequence[float]) -> float:
    """So many times off are four of five, counted so that a new one is too (Vovk 2005)."""
    if not errors:
        return float("inf")
    ordered = sorted(abs(error) for error in errors)
    place = int(np.ceil(COVERED * (len(ordered) + 1))) - 1
    return float(np.exp(ordered[min(place, len(ordered) - 1)]))


def shares(rows: Array, times: Array, number_type: str, pull: float) -> Array:
    """Nanoseconds of each column."""
    usual = np.array(astuple(USUAL[number_type]))
    scale = float(np.median(times / (rows @ usual)))
    relative = rows * usual * scale / times[:, None]  # times the factors below it is 1
    factors, weights = np.ones(len(usual)), np.ones(len(times))
    for _ in range(ROUNDS):  # least absolute errors: one strange network must not bend the rest
        factors = bounded(relative, weights, factors, pull)
        weights = 1 / np.maximum(np.abs(relative @ factors - 1), LEAST)
        weights /= weights.mean()
    return np.asarray(factors * usual * scale)


def bounded(relative: Array, weights: Array, start: Array, pull: float) -> Array:
    """Factors of at least 0, near 1, by coordinate descent (Hildreth 1957)."""
    weighted = relative * weights[:, None]
    square = weighted.T @ relative + pull * np.eye(len(start))
    wanted = weighted.sum(axis=0) + pull
    found = start.copy()
    for _ in range(SWEEPS):
        for i in range(len(found)):
            step = (wanted[i] - square[i] @ found) / square[i, i]
            found[i] = max(0.0, found[i] + step)
    return found
