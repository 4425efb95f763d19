"""A gate with a bound, not a point: "loses at most 1 point, with 95 % confidence".

The same unseen items are answered before and after, so that what both get wrong says nothing.
For classes the bound comes from Tango's score interval for paired shares (1998, Statistics in
Medicine 17:891), the one whose error stays at its nominal rate when few items differ; for numbers
from the paired bootstrap (Efron 1979). Besides, no class and no slice may surely lose more than
what is allowed: for all of them together the error stays the same (Bonferroni).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from edge_targets.runtime.errors import DataError
from toolkit.evaluation.metrics import DRAWS, are_classes, metric_name, quality
from toolkit.results import GroupDrop, Verdict

# Items added against the gate: without them the exact chance of a false pass is up to 6.3 % at
# 95 %; with them at most 5 %, for 30 to 3000 items (benchmarks/bench_gate.py computes it).
CORRECTION = 0.3
STEPS = 60  # of a bisection: more than a float's digits
MOST_ITEMS = 10_000_000  # beyond, more items are no advice
FEWEST = 5  # items of a group: fewer say nothing about it


class Gate(BaseModel):
    """What a change to a model may cost, and how sure that must be."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_drop: Annotated[
        float, Field(ge=0, le=1, description="Share of accuracy (or R²) that may be lost.")
    ] = 0.01
    confidence: Annotated[
        float, Field(ge=0.5, lt=1, description="How sure it must be that no more is lost.")
    ] = 0.95


@dataclass(frozen=True)
class Bounds:
    """A drop, and what it surely is above and below; each bound holds with the confidence."""

    drop: float
    low: float
    high: float


def drop_bounds(before: NDArray[np.bool_], after: NDArray[np.bool_], confidence: float) -> Bounds:
    """Of accuracy; which items were right before and after, both of shape (N,)."""
    lost, won = int((before & ~after).sum()), int((after & ~before).sum())
    count = len(before)
    low = -highest_drop(won, lost, count, confidence)
    return Bounds((lost - won) / count, low, highest_drop(lost, won, count, confidence))


def highest_drop(lost: float, won: float, count: int, confidence: float) -> float:
    """The largest drop that the outcome of `count` items does not rule out."""
    quantile = NormalDist().inv_cdf(confidence)
    low, high = (lost - won) / count, 1.0
    for _ in range(STEPS):
        middle = (low + high) / 2
        if ruled_out(middle, lost, won, count, quantile):
            high = middle
        else:
            low = middle
    return high


def ruled_out(drop: float, lost: float, won: float, count: int, quantile: float) -> bool:
    """Whether so few losses would be a surprise if the true drop were `drop`."""
    gap = count * drop - (lost - won) - CORRECTION
    if gap <= 0:
        return False
    # the share of won items that is most likely under that drop
    linear = (lost + won) * (1 - drop) - 2 * drop * (count - lost)
    root = math.sqrt(linear**2 + 8 * count * won * drop * (1 - drop))
    share = (linear + root) / (4 * count)
    return gap >= quantile * math.sqrt(count * max(2 * share + drop * (1 - drop), 0))


def least_provable(count: int, confidence: float) -> float:
    """The bound when not one of `count` items is lost: no smaller drop can be shown with them."""
    return highest_drop(0, 0, count, confidence)


def refuse_unprovable(gate: Gate, targets: NDArray[Any]) -> None:
    """Do nothing when these items could show what the gate asks for.

    Raises:
        DataError: even a model that loses nothing could not pass.
    """
    count = len(targets)
    if not are_classes(targets):
        return
    least = least_provable(count, gate.confidence) if count else 1.0
    if least > gate.max_drop:
        needed = items_needed(0, 0, 1, gate)
        raise DataError(
            f"{count} unseen items cannot show a drop below {points(least)} with "
            f"{percent(gate.confidence)} confidence; {points(gate.max_drop)} is what may be lost.",
            f"Bring at least {needed:,} unseen items, or allow more with --max-drop."
            if needed
            else "Allow more with --max-drop: no number of items shows that nothing is lost.",
        )


def items_needed(lost: float, won: float, count: int, gate: Gate) -> int | None:
    """How many items with the same shares would pass; None when no number would."""
    if (lost - won) / count >= gate.max_drop:
        return None
    low, high = 1, MOST_ITEMS
    if not passes(high, lost, won, count, gate):
        return None
    while low < high:
        middle = (low + high) // 2
        if passes(middle, lost, won, count, gate):
            high = middle
        else:
            low = middle + 1
    return high


def passes(items: int, lost: float, won: float, count: int, gate: Gate) -> bool:
    scale = items / count
    return highest_drop(lost * scale, won * scale, items, gate.confidence) <= gate.max_drop


def judge(
    gate: Gate,
    before: NDArray[Any],
    after: NDArray[Any],
    targets: NDArray[Any],
    slices: Mapping[str, NDArray[np.str_]],
) -> Verdict:
    """Compare two models' first outputs for the same unseen items.

    Args:
        gate: what may be lost.
        before: of the original, shape (N, ...); `after` of the smaller model.
        targets: shape (N,).
        slices: names of each item's group, shape (N,), by what they are groups of.
    """
    if not len(targets):
        raise DataError("There is no unseen item to judge with.", "Bring data with a test part.")
    bounds = bounds_of(before, after, targets, gate.confidence)
    groups = group_drops(gate, before, after, targets, slices)
    ruined = [group for group in groups if not group.passed]
    held = bounds.high <= gate.max_drop
    needed = None
    if are_classes(targets) and not held:
        right = [outputs.argmax(axis=1) == targets for outputs in (before, after)]
        lost, won = int((right[0] & ~right[1]).sum()), int((right[1] & ~right[0]).sum())
        needed = items_needed(lost, won, len(targets), gate)
    return Verdict(
        metric_name(targets),
        quality(before, targets),
        quality(after, targets),
        bounds.drop,
        bounds.high,
        gate.max_drop,
        gate.confidence,
        len(targets),
        needed,
        held and not ruined,
        reason(gate, bounds, len(targets), needed, ruined),
        groups,
    )


def bounds_of(
    before: NDArray[Any], after: NDArray[Any], targets: NDArray[Any], confidence: float
) -> Bounds:
    if are_classes(targets):
        return drop_bounds(
            before.argmax(axis=1) == targets, after.argmax(axis=1) == targets, confidence
        )
    wanted = targets.astype(np.float64)
    errors = [(outputs.reshape(-1) - wanted) ** 2 for outputs in (before, after)]
    gained = errors[1] - errors[0]  # divided by the variance it is the loss of R²
    if not wanted.var() or not np.isfinite(gained).all():
        return Bounds(math.nan, -math.inf, math.inf)
    rng = np.random.default_rng(0)
    draws = (rng.integers(0, len(wanted), len(wanted)) for _ in range(DRAWS))
    drops = [gained[d].mean() / spread for d in draws if (spread := wanted[d].var())]
    low, high = np.quantile(drops, (1 - confidence, confidence))
    return Bounds(float(gained.mean() / wanted.var()), float(low), float(high))


def group_drops(
    gate: Gate,
    before: NDArray[Any],
    after: NDArray[Any],
    targets: NDArray[Any],
    slices: Mapping[str, NDArray[np.str_]],
) -> tuple[GroupDrop, ...]:
    """Every group that has enough items, the one that loses most first."""
    chosen = [
        (kind, str(group), names == group)
        for kind, names in slices.items()
        for group in np.unique(names)
        if (names == group).sum() >= FEWEST
    ]
    if not chosen:
        return ()
    confidence = 1 - (1 - gate.confidence) / len(chosen)
    rows = []
    for kind, group, items in chosen:
        parts = before[items], after[items], targets[items]
        bounds = bounds_of(*parts, confidence)
        old, new = (quality(part, parts[2]).value for part in parts[:2])
        passed = not bounds.low > gate.max_drop
        count = int(items.sum())
        rows.append(GroupDrop(kind, group, count, old, new, bounds.drop, bounds.low, passed))
    return tuple(sorted(rows, key=lambda row: (row.passed, -row.low, -row.drop)))


def reason(
    gate: Gate, bounds: Bounds, count: int, needed: int | None, ruined: list[GroupDrop]
) -> str:
    if not math.isfinite(bounds.drop):
        return "cannot be compared: the targets do not vary, or an answer is not a number"
    sure = f"with {percent(gate.confidence)} confidence on {count:,} unseen items"
    if bounds.low > gate.max_drop:
        return f"{change(bounds.drop)}, more than the {points(gate.max_drop)} allowed"
    if ruined:
        worst = ruined[0]
        return (
            f"{worst.kind} {worst.group} loses {points(worst.drop)} of its {worst.items} items, "
            f"surely more than {points(max(worst.low, gate.max_drop))}"
        )
    if bounds.high <= gate.max_drop:
        return f"{change(bounds.drop)}, surely loses less than {points(bounds.high)} {sure}"
    more = f"; about {needed:,} items would show it" if needed else ""
    return (
        f"{change(bounds.drop)}, and may lose up to {points(bounds.high)} {sure}; "
        f"{points(gate.max_drop)} may be lost{more}"
    )


def change(drop: float) -> str:
    return f"gains {points(-drop)}" if drop < 0 else f"loses {points(drop)}"


def points(share: float) -> str:
    """A share in percentage points."""
    return f"{100 * share:.2f} points"


def percent(share: float) -> str:
    return f"{100 * share:g} %"
