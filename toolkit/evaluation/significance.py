"""Whether one model is really better than another on the same items."""

import numpy as np
from numpy.typing import NDArray

from toolkit.evaluation.metrics import Z95
from toolkit.report import Interval


def paired_difference(old: NDArray[np.bool_], new: NDArray[np.bool_]) -> Interval:
    """New minus old accuracy on the same items, with a 95 % interval.

    Adjusted Wald interval for matched pairs (Agresti and Min 2005): half an item is added to
    each of the four outcomes, which keeps it honest when only few items differ.
    """
    count = len(old) + 2
    lost = float((old & ~new).sum()) + 0.5
    won = float((new & ~old).sum()) + 0.5
    centre = (won - lost) / count
    half = Z95 * ((won + lost) - (won - lost) ** 2 / count) ** 0.5 / count
    value = float(new.mean() - old.mean())
    return Interval(value, centre - half, centre + half)
