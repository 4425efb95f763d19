"""Compare what devices saw with the reference of the package they run, device by device."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import itemgetter

from edge_targets.runtime.contract import Profile
from edge_targets.runtime.errors import RecipeError
from edge_targets.runtime.sketch import Sketch
from toolkit.drift import DriftTest, drift_tests
from toolkit.drift.base import occupied
from toolkit.report import Result

FLEET = "fleet"
ALPHA = 0.01  # one false alarm in a hundred quiet reports
MIN_SAMPLES = 100  # fewer, and only a landslide would be told from chance


@dataclass(frozen=True)
class Fleet:
    """The devices that run one version of a model.

    Attributes:
        version: of the package.
        reference: that is in the package.
        live: what each device saw, merged over the windows in question.
    """

    version: str
    reference: Profile
    live: Mapping[str, Profile]


@dataclass(frozen=True)
class DriftRow:
    """One comparison.

    Attributes:
        device: a device's name, or `fleet` for all that run the version together.
        version: of the package that it ran.
        feature: as in the reference profile.
        test: the drift test's name.
        score: 0 when the shares agree; None when they were not compared.
        threshold: an alarm above it; None when they were not compared.
        alarm: whether the score is above the threshold.
        samples: live items behind the score.
        nulls: share of the live values that were missing, from 0 to 1; None without values.
        note: why there is no score.
    """

    device: str
    version: str
    feature: str
    test: str
    score: float | None
    threshold: float | None
    alarm: bool
    samples: int
    nulls: float | None
    note: str = ""


@dataclass(frozen=True)
class Drift(Result):
    """Whether a model's devices still see what it was made for.

    Attributes:
        model: its name.
        alarm: whether any row raises one.
        rows: a row a version, device, feature and test, in this order; the fleet last.
        alpha: chance of any false alarm in the whole report, for independent items.
        comparisons: that were made; they share `alpha`.
        note: why nothing could be compared.
        feedback: what visitors of the browser page said of the answers, in a line.
    """

    model: str
    alarm: bool
    rows: tuple[DriftRow, ...]
    alpha: float
    comparisons: int
    note: str = ""
    feedback: str = ""

    @property
    def ok(self) -> bool:
        return not self.alarm


def watch(
    fleets: Sequence[Fleet],
    tests: Sequence[DriftTest] = (),
    alpha: float = ALPHA,
    min_samples: int = MIN_SAMPLES,
    model: str = "",
) -> Drift:
    """Score every device by itself: two drifting devices in a hundred vanish in the sum.

    Args:
        fleets: one a version; a device that changed versions may be in several.
        tests: every known one unless told; their own `alpha` gives way to this one.
        alpha: chance of any false alarm in the whole report.
        min_samples: a device with fewer items is listed, and not scored.
        model: its name, for the report.
    """
    check_alpha(alpha)
    tests = tests or [drift_tests[name]() for name in drift_tests.names()]
    tests = [test.model_validate({**test.model_dump(), "alpha": alpha}) for test in tests]
    pairs = [pair for fleet in fleets for pair in _pairs(fleet, min_samples)]
    comparisons = sum(not pair.note for pair in pairs) * len(tests)
    notes = sorted({pair.note for pair in pairs})
    rows = tuple(row for pair in pairs for row in pair.rows(tests, comparisons))
    return Drift(
        model=model,
        alarm=any(row.alarm for row in rows),
        rows=rows,
        alpha=alpha,
        comparisons=comparisons,
        note="" if comparisons else f"Nothing was compared: {', '.join(notes) or 'no device'}.",
    )


def check_alpha(alpha: float) -> float:
    if not 0 < alpha < 1:
        raise RecipeError(f"alpha is a chance between 0 and 1, not {alpha}.", "Try 0.01.")
    return alpha


def _pairs(fleet: Fleet, min_samples: int) -> "Iterator[_Pair]":
    groups = sorted(fleet.live.items(), key=itemgetter(0))
    if len(groups) > 1:
        groups.append((FLEET, together(fleet.reference, fleet.live)))
    for device, profile in groups:
        for feature in fleet.reference.sketches:
            yield _Pair(fleet, device, feature, profile, min_samples)


def together(reference: Profile, live: Mapping[str, Profile]) -> Profile:
    """The sum of all devices that counted with the reference's edges."""
    samples = 0
    sketches = {name: sketch.empty() for name, sketch in reference.sketches.items()}
    for profile in live.values():
        found = {name: profile.sketches.get(name, sketches[name].empty()) for name in sketches}
        if any(list(found[name].edges) != list(sketches[name].edges) for name in sketches):
            continue
        samples += profile.samples
        for name, sketch in found.items():
            sketches[name].merge(sketch)
    return Profile(samples, sketches)


class _Pair:
    """One feature of one device beside its reference."""

    def __init__(
        self, fleet: Fleet, device: str, feature: str, live: Profile, min_samples: int
    ) -> None:
        reference = fleet.reference
        self.version = fleet.version
        self.device = device
        self.feature = feature
        self.live = live
        old = reference.sketches[feature]
        new = live.sketches.get(feature, old.empty())
        self.reference_samples = _items(reference, old)
        self.samples = _items(live, new)
        self.old = thinned(old, self.reference_samples)
        self.new = thinned(new, self.samples)
        values = new.count + new.nulls
        self.nulls = new.nulls / values if values else None
        self.note = self._obstacle(min_samples)

    def _obstacle(self, min_samples: int) -> str:
        if list(self.old.edges) != list(self.new.edges):
            return "counted with other edges than the reference"
        if not self.reference_samples:
            return "no values in the reference"
        if self.live.samples < min_samples:
            return "too few samples"
        if not self.samples:
            return "no values"
        return ""

    def rows(self, tests: Sequence[DriftTest], comparisons: int) -> Iterator[DriftRow]:
        for test in tests:
            score, threshold = self._score(test, comparisons)
            yield DriftRow(
                device=self.device,
                version=self.version,
                feature=self.feature,
                test=drift_tests.name_of(test),
                score=score,
                threshold=threshold,
                alarm=score is not None and threshold is not None and score > threshold,
                samples=self.live.samples,
                nulls=self.nulls,
                note=self.note,
            )

    def _score(self, test: DriftTest, comparisons: int) -> tuple[float | None, float | None]:
        if self.note:
            return None, None
        bins = len(occupied(self.old, self.new)[0])
        threshold = test.threshold(self.reference_samples, self.samples, bins, comparisons)
        return test.score(self.old, self.new), threshold if math.isfinite(threshold) else None


def thinned(sketch: Sketch, items: int) -> Sketch:
    """The same shares with counts of items: drift tests take every count for independent."""
    values = sketch.count + sketch.nulls
    if values <= items:
        return sketch
    counts = [round(count * items / values) for count in sketch.counts]
    return replace(sketch, counts=counts, nulls=round(sketch.nulls * items / values))


def _items(profile: Profile, sketch: Sketch) -> int:
    """Independent items behind a sketch: many values of one item count as one."""
    return min(profile.samples, sketch.count + sketch.nulls)
