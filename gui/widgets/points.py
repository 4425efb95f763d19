"""What the plot of a search shows, in plain facts: points, limits, and the line between."""

from collections.abc import Sequence
from dataclasses import dataclass

from gui.theme import SERIES

GOLD = SERIES[2]  # of the one that was picked


@dataclass(frozen=True)
class Point:
    """One candidate. `low` and `high` are the interval of `y`; `pareto` puts it on the line."""

    trial: int
    x: float
    y: float
    low: float
    high: float
    fits: bool
    pareto: bool
    picked: bool
    words: str


@dataclass(frozen=True)
class Limits:
    """The budget; None where there is none."""

    x: float | None = None
    y: float | None = None


def frontier(points: Sequence[Point]) -> list[Point]:
    """From left to right, those of the Pareto set that lose less than all before them.

    The set is of more than two things, so some of it lie above this line: they are better in
    what the plot does not show.
    """
    line: list[Point] = []
    for point in sorted((p for p in points if p.pareto), key=lambda p: (p.x, p.y)):
        if not line or point.y < line[-1].y:
            line.append(point)
    return line
