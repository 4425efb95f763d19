"""Quality on held-out items, with a confidence interval."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.report import Interval

Z95 = 1.959963984540054  # two-sided 95 % quantile of the normal distribution


def wilson(successes: int, count: int) -> Interval:
    """A share and its 95 % score interval (Wilson 1927), sound also near 0 and 1."""
    if not count:
        return Interval(0.0, 0.0, 1.0)
    share, z2 = successes / count, Z95 * Z95
    centre = (share + z2 / (2 * count)) / (1 + z2 / count)
    half = Z95 * (share * (1 - share) / count + z2 / (4 * count * count)) ** 0.5 / (1 + z2 / count)
    return Interval(share, max(0.0, centre - half), min(1.0, centre + half))


def quality(outputs: NDArray[Any], targets: NDArray[Any], seed: int = 0) -> Interval:
    """Accuracy for class targets; for numbers the share of variance explained (R²).

    R² gets a percentile bootstrap interval (Efron 1979) of 1,000 draws.
    """
    if targets.dtype.kind in "iu":
        return wilson(int((outputs.argmax(axis=1) == targets).sum()), len(targets))
    errors = (outputs.reshape(-1) - targets) ** 2
    rng = np.random.default_rng(seed)
    draws = rng.integers(0, len(targets), (1000, len(targets)))
    spread = np.array([targets[draw].var() or np.nan for draw in draws])
    scores = 1 - errors[draws].mean(axis=1) / spread
    low, high = np.nanquantile(scores, (0.025, 0.975))
    value = 1 - errors.mean() / (targets.var() or np.nan)
    return Interval(float(value), float(low), float(high))


def metric_name(targets: NDArray[Any]) -> str:
    return "accuracy" if targets.dtype.kind in "iu" else "R²"
