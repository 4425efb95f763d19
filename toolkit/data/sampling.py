"""A few items that stand for many."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def evenly(count: int, most: int) -> NDArray[np.intp]:
    """Places of at most `most` among `count`, evenly from all: data often come class by class."""
    return np.linspace(0, count - 1, min(most, count)).astype(np.intp)


def thinned(items: NDArray[Any], most: int) -> NDArray[Any]:
    """At most `most` of the items, shape (N, ...), in their order."""
    return np.take(items, evenly(len(items), most), axis=0)
