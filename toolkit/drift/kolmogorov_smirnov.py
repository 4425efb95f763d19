"""Two-sample Kolmogorov-Smirnov test (Smirnov, Annals of Mathematical Statistics 19, 1948)."""

import math
from itertools import accumulate
from typing import Annotated

from pydantic import Field

from edge_targets.runtime.sketch import Sketch
from toolkit.drift.base import DriftTest, occupied, shares


class KolmogorovSmirnov(DriftTest):
    """Largest distance between the two cumulative shares, taken at the edges of the bins.

    Between edges the true distance may be larger, so the alarm errs on the quiet side.
    """

    practical: Annotated[
        float,
        Field(ge=0, le=1, description="Smallest distance worth an alarm, whatever the window."),
    ] = 0.1

    def score(self, reference: Sketch, live: Sketch) -> float:
        old, new = occupied(reference, live)
        if not any(old) or not any(new):
            return 0.0
        pairs = zip(accumulate(shares(old)), accumulate(shares(new)), strict=True)
        return max(abs(p - q) for p, q in pairs)

    def threshold(
        self,
        reference_samples: int,
        live_samples: int,
        bins: int,  # plays no part: the distribution is free of them
        comparisons: int = 1,
    ) -> float:
        if min(reference_samples, live_samples) <= 0:
            return math.inf
        noise = 1 / reference_samples + 1 / live_samples
        # Smirnov's limit, first term: P(D > d) = 2 exp(-2 d^2 / noise)
        tail = self.alpha / max(comparisons, 1)
        return max(self.practical, math.sqrt(-math.log(tail / 2) / 2 * noise))
