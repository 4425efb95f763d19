"""What a drift test is: a score of two sketches, and the score from which it is an alarm."""

from abc import ABC, abstractmethod
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from edge_targets.runtime.sketch import Sketch

PRIOR = 0.5  # values each bin is given beforehand (Jeffreys), so that no share is zero


class DriftTest(BaseModel, ABC):
    """Scores how far live values have moved from a reference with the same edges.

    A score is 0 when the shares agree and never negative. Missing values count as one more
    bin: a sensor that fails has drifted, too.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    alpha: Annotated[
        float,
        Field(
            gt=0,
            lt=1,
            description="Chance of at least one false alarm in a report on quiet traffic.",
        ),
    ] = 0.01

    @abstractmethod
    def score(self, reference: Sketch, live: Sketch) -> float:
        """How far `live` has moved; 0 when either of the two is empty."""

    @abstractmethod
    def threshold(
        self, reference_samples: int, live_samples: int, bins: int, comparisons: int = 1
    ) -> float:
        """The score above which it is an alarm; infinity when there is nothing to compare.

        Args:
            reference_samples: independent items behind the reference. Items, not values: the
                pixels of one image say much the same.
            live_samples: the same, of the live window.
            bins: that are occupied on either side, missing values included.
            comparisons: that share `alpha` (Bonferroni), all of one report.
        """


def occupied(reference: Sketch, live: Sketch) -> tuple[list[int], list[int]]:
    """Counts of both sides, missing values last, without the bins that both left empty."""
    if list(reference.edges) != list(live.edges):
        raise ValueError("sketches with different edges cannot be compared")
    pairs = zip([*reference.counts, reference.nulls], [*live.counts, live.nulls], strict=True)
    found = [pair for pair in pairs if any(pair)]
    return [old for old, _ in found], [new for _, new in found]


def shares(counts: list[int], prior: float = 0.0) -> list[float]:
    """The share of each bin, each given `prior` values beforehand."""
    total = sum(counts) + prior * len(counts)
    return [(count + prior) / total for count in counts]
