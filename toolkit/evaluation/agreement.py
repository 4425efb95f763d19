"""How often two models give the same class, as a share that is surely not overstated."""

import math

STEPS = 60  # of a bisection: more than a float's digits


def surely_at_least(successes: int, count: int, confidence: float = 0.95) -> float:
    """The exact lower bound of a share (Clopper and Pearson 1934), one-sided.

    The share at which as many successes or more would have a chance of just 1 - `confidence`.
    """
    if successes <= 0 or count <= 0:
        return 0.0
    low, high = 0.0, successes / count
    for _ in range(STEPS):
        middle = (low + high) / 2
        if chance_of_as_many(successes, count, middle) < 1 - confidence:
            low = middle
        else:
            high = middle
    return low


def chance_of_as_many(successes: int, count: int, share: float) -> float:
    """Of `count` items so many or more, when each has a chance of `share`."""
    if not 0 < share < 1:
        return float(share >= 1)
    if successes > count / 2:  # the shorter of the two sums
        return math.fsum(_exactly(k, count, share) for k in range(successes, count + 1))
    return 1 - math.fsum(_exactly(k, count, share) for k in range(successes))


def _exactly(successes: int, count: int, share: float) -> float:
    ways = math.lgamma(count + 1) - math.lgamma(successes + 1) - math.lgamma(count - successes + 1)
    odds = successes * math.log(share) + (count - successes) * math.log1p(-share)
    return math.exp(ways + odds)
