"""The quality gate: what it lets through, what it refuses, and how it says why."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge_targets.runtime.errors import DataError
from toolkit.evaluation.gate import (
    Gate,
    drop_bounds,
    highest_drop,
    items_needed,
    judge,
    least_provable,
    refuse_unprovable,
)

CLASSES = 4


def answers(targets: NDArray[np.int64], wrong: NDArray[np.intp]) -> NDArray[np.float64]:
    """Outputs that are right for every item but `wrong`."""
    given = targets.copy()
    given[wrong] = (given[wrong] + 1) % CLASSES
    return np.eye(CLASSES)[given]


def labels(count: int) -> NDArray[np.int64]:
    return np.arange(count) % CLASSES


def by_class(targets: NDArray[np.int64]) -> dict[str, NDArray[np.str_]]:
    return {"class": targets.astype(str)}


@given(
    lost=st.integers(0, 40),
    won=st.integers(0, 40),
    rest=st.integers(1, 2000),
    confidence=st.floats(0.6, 0.999),
)
def test_the_bounds_hold_the_drop_between_them(
    lost: int, won: int, rest: int, confidence: float
) -> None:
    before = np.array([True] * lost + [False] * won + [True] * rest)
    after = np.array([False] * lost + [True] * won + [True] * rest)

    bounds = drop_bounds(before, after, confidence)

    assert -1 <= bounds.low <= bounds.drop <= bounds.high <= 1
    assert bounds.drop == pytest.approx((lost - won) / (lost + won + rest))


def test_the_bound_falls_with_items_and_rises_with_losses_and_confidence() -> None:
    assert highest_drop(0, 0, 1000, 0.95) < highest_drop(0, 0, 100, 0.95)
    assert highest_drop(1, 0, 1000, 0.95) > highest_drop(0, 0, 1000, 0.95)
    assert highest_drop(1, 1, 1000, 0.95) > highest_drop(0, 0, 1000, 0.95)
    assert highest_drop(0, 0, 1000, 0.99) > highest_drop(0, 0, 1000, 0.95)


def test_without_any_loss_the_bound_is_that_of_the_rule_of_three_or_a_little_wider() -> None:
    # exact: the largest share that 1000 items without a loss leave possible is 1 - 0.05^(1/1000)
    exact = 1 - 0.05 ** (1 / 1000)

    assert exact <= least_provable(1000, 0.95) <= 1.15 * exact


def test_a_true_drop_at_the_limit_passes_at_most_one_time_in_twenty() -> None:
    rng = np.random.default_rng(7)
    passed = 0
    for _ in range(1000):
        kind = rng.random(500)
        before, after = kind < 0.99, kind >= 0.03  # 3 in 100 are lost, 1 in 100 won

        passed += drop_bounds(before, after, 0.95).high <= 0.02

    assert passed <= 50 + 3 * (1000 * 0.05 * 0.95) ** 0.5  # three deviations of a fair 5 %


def test_the_same_answers_pass_when_there_are_enough_items() -> None:
    targets = labels(400)
    same = answers(targets, np.array([1, 2, 3]))

    verdict = judge(Gate(max_drop=0.01), same, same, targets, by_class(targets))

    assert verdict.passed
    assert verdict.drop == 0
    assert verdict.items == 400
    assert verdict.items_needed is None
    assert "surely loses less than" in verdict.reason
    assert "95 %" in verdict.reason


def test_a_small_loss_on_few_items_is_not_proven_and_the_verdict_says_how_many_would_do() -> None:
    targets = labels(400)
    good, worse = answers(targets, np.array([], int)), answers(targets, np.array([5]))

    verdict = judge(Gate(max_drop=0.01), good, worse, targets, {})

    assert not verdict.passed
    assert verdict.bound > 0.01 > verdict.drop
    needed = verdict.items_needed
    assert needed is not None
    assert highest_drop(needed / 400, 0, needed, 0.95) <= 0.01
    assert highest_drop((needed - 1) / 400, 0, needed - 1, 0.95) > 0.01
    assert f"{needed:,} items would show it" in verdict.reason


def test_one_ruined_class_is_refused_though_the_whole_looks_well() -> None:
    targets = np.concatenate([np.zeros(40, int), 1 + labels(2960) % 3])
    good = answers(targets, np.array([], int))
    ruined = answers(targets, np.arange(20))  # half of class 0: 0.7 points of all

    alone = judge(Gate(max_drop=0.02), good, ruined, targets, {})
    verdict = judge(Gate(max_drop=0.02), good, ruined, targets, by_class(targets))

    assert alone.passed
    assert not verdict.passed
    assert verdict.groups[0].group == "0"
    assert not verdict.groups[0].passed
    assert all(group.passed for group in verdict.groups[1:])
    assert "class 0 loses 50.00 points" in verdict.reason


def test_groups_with_hardly_any_item_are_not_judged() -> None:
    targets = labels(400)
    names = np.array(["rare"] * 4 + ["often"] * 396)
    good, worse = answers(targets, np.array([], int)), answers(targets, np.arange(4))

    verdict = judge(Gate(max_drop=0.5), good, worse, targets, {"speaker": names})

    assert [(group.kind, group.group) for group in verdict.groups] == [("speaker", "often")]


def test_numbers_are_judged_by_the_variance_they_explain() -> None:
    rng = np.random.default_rng(0)
    targets = rng.normal(size=500).astype(np.float32)
    close = (targets + 0.1 * rng.normal(size=500))[:, None]
    far = (targets + 0.5 * rng.normal(size=500))[:, None]

    same = judge(Gate(), close, close, targets, {})
    worse = judge(Gate(), close, far, targets, {})

    assert same.passed
    assert same.metric == "R²"
    assert not worse.passed
    assert worse.drop == pytest.approx(0.24, abs=0.05)  # 0.5² - 0.1², of a variance of 1


def test_answers_that_are_no_numbers_never_pass() -> None:
    targets = np.linspace(0, 1, 50, dtype=np.float32)
    good = targets[:, None]

    verdict = judge(Gate(max_drop=1), good, np.full_like(good, np.nan), targets, {})

    assert not verdict.passed
    assert "cannot be compared" in verdict.reason


def test_too_few_items_for_the_gate_are_refused_before_any_work() -> None:
    with pytest.raises(DataError, match=r"100 unseen items cannot show") as caught:
        refuse_unprovable(Gate(max_drop=0.01), labels(100))

    needed = items_needed(0, 0, 1, Gate(max_drop=0.01))
    assert needed is not None
    assert f"{needed:,} unseen items" in caught.value.hint
    refuse_unprovable(Gate(max_drop=0.01), labels(needed))


def test_no_number_of_items_shows_that_nothing_at_all_is_lost() -> None:
    with pytest.raises(DataError) as caught:
        refuse_unprovable(Gate(max_drop=0), labels(10_000))

    assert "no number of items" in caught.value.hint


def test_judging_without_items_says_so() -> None:
    with pytest.raises(DataError, match="no unseen item"):
        judge(Gate(), np.zeros((0, 2)), np.zeros((0, 2)), np.zeros(0, int), {})
