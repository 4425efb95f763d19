"""A histogram that two machines can compare without sharing a single input."""

import math
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise, repeat
from operator import mul
from typing import Any


@dataclass
class Sketch:
    """Counts of values between fixed edges, plus moments; merging is addition.

    Attributes:
        edges: ascending, in the unit of the values; k edges make k + 1 bins, of which the
            first and the last are open.
        counts: one per bin, shape (k + 1,).
        nulls: values that were missing or not finite.
        minimum: smallest finite value; infinity when there was none.
        maximum: largest finite value; minus infinity when there was none.
        total: sum of the finite values.
        squares: sum of their squares.
    """

    edges: Sequence[float]
    counts: list[int] = field(default_factory=list)
    nulls: int = 0
    minimum: float = math.inf
    maximum: float = -math.inf
    total: float = 0.0
    squares: float = 0.0

    def __post_init__(self) -> None:
        self.counts = self.counts or [0] * (len(self.edges) + 1)
        if len(self.counts) != len(self.edges) + 1:
            raise ValueError(f"{len(self.edges)} edges need {len(self.edges) + 1} counts")

    @property
    def count(self) -> int:
        """How many finite values were seen."""
        return sum(self.counts)

    @property
    def mean(self) -> float:
        return self.total / self.count if self.count else math.nan

    def add(self, values: Iterable[float]) -> None:
        given = list(values)
        finite = [value for value in given if math.isfinite(value)]
        self.nulls += len(given) - len(finite)
        if not finite:
            return
        # a picture has a thousand values: each loop that Python's own functions walk is far cheaper
        for place in map(bisect_right, repeat(self.edges), finite):
            self.counts[place] += 1
        self.minimum = min(self.minimum, min(finite))
        self.maximum = max(self.maximum, max(finite))
        self.total += sum(finite)
        self.squares += sum(map(mul, finite, finite))

    def merge(self, other: "Sketch") -> None:
        """Add what `other` saw; both must have the same edges."""
        if list(self.edges) != list(other.edges):
            raise ValueError("sketches with different edges cannot be merged")
        self.counts = [a + b for a, b in zip(self.counts, other.counts, strict=True)]
        self.nulls += other.nulls
        self.minimum = min(self.minimum, other.minimum)
        self.maximum = max(self.maximum, other.maximum)
        self.total += other.total
        self.squares += other.squares

    def empty(self) -> "Sketch":
        """A sketch with the same edges that has seen nothing."""
        return Sketch(self.edges)

    def coarse(self) -> "Sketch":
        """The same counts, with moments as they alone tell them.

        The moments of few values give those values away; these give away their bins.
        """
        ends = self.edges or [0.0]
        bounds = [ends[0], *self.edges, ends[-1]]  # an open bin has one edge, and ends there
        filled = [place for place, count in enumerate(self.counts) if count]
        middles = [low / 2 + high / 2 for low, high in pairwise(bounds)]
        weighed = list(zip(self.counts, middles, strict=True))
        return replace(
            self,
            minimum=bounds[filled[0]] if filled else math.inf,
            maximum=bounds[filled[-1] + 1] if filled else -math.inf,
            total=sum(count * middle for count, middle in weighed),
            squares=sum(count * middle * middle for count, middle in weighed),
        )

    def shares(self, prior: float = 0.5) -> list[float]:
        """The share of values in each bin, each bin given `prior` values beforehand.

        Half a value (Jeffreys' prior) keeps every share above zero, so that logarithms of
        ratios stay finite.
        """
        total = self.count + prior * len(self.counts)
        return [(count + prior) / total for count in self.counts]

    def to_json(self) -> dict[str, Any]:
        return {
            "edges": list(self.edges),
            "counts": self.counts,
            "nulls": self.nulls,
            "minimum": self.minimum if self.count else None,
            "maximum": self.maximum if self.count else None,
            "total": self.total,
            "squares": self.squares,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Sketch":
        low, high = data["minimum"], data["maximum"]
        return cls(
            edges=[float(edge) for edge in data["edges"]],
            counts=[int(count) for count in data["counts"]],
            nulls=int(data["nulls"]),
            minimum=math.inf if low is None else float(low),
            maximum=-math.inf if high is None else float(high),
            total=float(data["total"]),
            squares=float(data["squares"]),
        )
