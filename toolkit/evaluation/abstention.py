"""When a classifier should not answer: selection with guaranteed risk.

Geifman & El-Yaniv 2017, "Selective Classification for Deep Neural Networks" (arXiv:1705.08500),
algorithm SGR: a binary search over the confidences of held-out items for the smallest threshold at
which the error among what is answered stays under the risk. Each step tests with an exact
binomial bound (Clopper & Pearson 1934), at a share of the uncertainty, so that all steps hold at
once: whichever is taken in the end, its promise is kept with the certainty that is stated.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_targets.runtime.contract import Abstention
from edge_targets.runtime.errors import DataError, RecipeError, UnsupportedError

CERTAINTY = 0.95
SUM_OFF = 0.05  # shares of an int8 output are rounded to 1/256 each


def abstention_for(
    shares: NDArray[np.generic],
    targets: NDArray[Any],
    risk: float,
    certainty: float = CERTAINTY,
) -> Abstention:
    """The smallest threshold that keeps the risk.

    Args:
        shares: what the packed model gives for held-out items, shape (N, classes).
        targets: their classes, shape (N,).
        risk: largest share of wrong answers among those given.
        certainty: of the promise.

    Raises:
        RecipeError: a risk that is no share.
        UnsupportedError: outputs that are no shares of classes.
        DataError: no threshold keeps the risk on so many items.
    """
    if not 0 < risk < 1:
        raise RecipeError(f"A risk of {risk:g} cannot be kept.", "Try --abstain 0.02.")
    check_shares(shares)
    rows = shares.reshape(len(shares), -1)
    confidences = rows.max(axis=1).astype(np.float64)
    wrong = rows.argmax(axis=1) != targets
    order = np.argsort(confidences, kind="stable")
    ranked = confidences[order]
    errors = np.cumsum(wrong[order][::-1])[::-1]  # among the items from here on
    steps = math.ceil(math.log2(max(2, len(ranked)))) + 1  # and one for all items
    level = (1 - certainty) / steps

    def keeps(place: int) -> bool:
        return at_most(int(errors[place]), len(ranked) - place, risk) <= level

    found = _smallest(ranked, keeps) if len(ranked) else None
    if found is None:
        needed = math.ceil(math.log(level) / math.log1p(-risk))
        raise DataError(
            f"On {len(ranked)} held-out items no confidence keeps the risk of {risk:g} with a "
            f"certainty of {certainty:g}.",
            f"Allow more risk, train longer, or bring more data: even without one wrong answer "
            f"{needed} confident items are needed.",
        )
    answered = len(ranked) - found
    return Abstention(_between(ranked, found), risk, certainty, answered / len(ranked), len(ranked))


def check_shares(shares: NDArray[np.generic]) -> None:
    values = np.asarray(shares, np.float64).reshape(len(shares), -1)
    if len(values) and (values.min() < 0 or np.abs(values.sum(axis=1) - 1).max() > SUM_OFF):
        raise UnsupportedError(
            "The model's first output is no share of classes: it does not add up to 1.",
            "Put a softmax at its end; then package it with --abstain.",
        )


def _smallest(ranked: NDArray[np.float64], keeps: Callable[[int], bool]) -> int | None:
    """Place of the smallest confidence that `keeps`, of those a binary search meets."""
    if keeps(0):
        return 0
    low, high, found = 0, len(ranked), None
    while high - low > 1:
        middle = (low + high) // 2
        # equal confidences are answered together or not at all
        first = int(np.searchsorted(ranked, ranked[middle], side="left"))
        if keeps(first):
            high = found = first
        else:
            low = middle
    return found


def _between(ranked: NDArray[np.float64], place: int) -> float:
    """Halfway to the next smaller confidence: another engine's rounding moves nothing across."""
    here = float(ranked[place])
    below = float(ranked[place - 1]) if place else 0.0
    return here / 2 + below / 2


def at_most(errors: int, items: int, risk: float) -> float:
    """Probability of so few errors among so many items if each is wrong with that risk."""
    logs = [
        math.lgamma(items + 1) - math.lgamma(k + 1) - math.lgamma(items - k + 1)
        + k * math.log(risk) + (items - k) * math.log1p(-risk)
        for k in range(errors + 1)
    ]  # fmt: skip
    top = max(logs)
    return min(1.0, math.exp(top) * math.fsum(math.exp(one - top) for one in logs))
