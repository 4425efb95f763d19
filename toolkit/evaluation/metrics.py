"""Quality on held-out items, with a confidence interval."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.report import Interval

Z95 = 1.959963984540054  # two-sided 95 % quantile of the normal distribution
DRAWS = 1000  # of the bootstrap: an interval's ends are then known to 2 % of its width


def wilson(successes: int, count: int) -> Interval:
    """A share and its 95 % score interval (Wilson 1927), sound also near 0 and 1."""
    if not count:
        return Interval(0.0, 0.0, 1.0)
    share, z2 = successes / count, Z95 * Z95
    centre = (share + z2 / (2 * count)) / (1 + z2 / count)
    half = Z95 * (share * (1 - share) / count + z2 / (4 * count * count)) ** 0.5 / (1 + z2 / count)
    # at 0 and 1 the share is an end itself, but for rounding
    return Interval(share, max(0.0, min(share, centre - half)), min(1.0, max(share, centre + half)))


def are_classes(targets: NDArray[Any]) -> bool:
    """Whether they are numbers of classes, and not numbers to be predicted."""
    return targets.dtype.kind in "iu"


def quality(outputs: NDArray[Any], targets: NDArray[Any], seed: int = 0) -> Interval:
    """Accuracy for class targets; for numbers the share of variance explained (R²).

    R² gets a percentile bootstrap interval (Efron 1979).
    """
    if are_classes(targets):
        return wilson(int((outputs.argmax(axis=1) == targets).sum()), len(targets))
    wanted = targets.astype(np.float64)
    errors = (outputs.reshape(-1) - wanted) ** 2
    if not wanted.var():
        return Interval(math.nan, math.nan, math.nan)  # there is no variance to explain
    rng = np.random.default_rng(seed)
    draws = [rng.integers(0, len(wanted), len(wanted)) for _ in range(DRAWS)]
    scores = [1 - errors[d].mean() / spread for d in draws if (spread := wanted[d].var())]
    low, high = np.quantile(scores, (0.025, 0.975))
    return Interval(float(1 - errors.mean() / wanted.var()), float(low), float(high))


def metric_name(targets: NDArray[Any]) -> str:
    return "accuracy" if are_classes(targets) else "R²"
