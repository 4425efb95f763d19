"""Quality with its interval, and the difference of two models on the same items."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from toolkit.evaluation.metrics import metric_name, quality, wilson
from toolkit.evaluation.significance import paired_difference

outcomes = st.integers(1, 60).flatmap(
    lambda count: st.tuples(hnp.arrays(np.bool_, count), hnp.arrays(np.bool_, count))
)


@given(count=st.integers(1, 10_000), share=st.floats(0, 1))
def test_a_share_lies_in_its_interval_which_lies_between_0_and_1(count: int, share: float) -> None:
    found = wilson(round(share * count), count)

    assert 0 <= found.low <= found.value <= found.high <= 1
    assert found.high - found.low > 0


@given(count=st.integers(1, 1000), successes=st.integers(0, 1000))
def test_failures_have_the_mirrored_interval(count: int, successes: int) -> None:
    successes = min(successes, count)
    found, other = wilson(successes, count), wilson(count - successes, count)

    assert found.low == pytest.approx(1 - other.high)
    assert found.high == pytest.approx(1 - other.low)


def test_more_items_make_an_interval_narrower() -> None:
    widths = [found.high - found.low for n in (10, 100, 1000) for found in [wilson(n // 2, n)]]

    assert widths == sorted(widths, reverse=True)


@pytest.mark.parametrize(
    ("successes", "count", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_the_interval_agrees_with_newcombe(
    successes: int, count: int, low: float, high: float
) -> None:
    # Newcombe, Statistics in Medicine 17 (1998), 857-872, table I, method 3
    found = wilson(successes, count)

    assert (found.low, found.high) == pytest.approx((low, high), abs=5e-5)


def test_nothing_measured_says_nothing() -> None:
    found = wilson(0, 0)

    assert (found.low, found.high) == (0, 1)


def test_accuracy_is_the_share_of_items_whose_largest_output_is_their_class() -> None:
    outputs = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.3, 0.7]])

    found = quality(outputs, np.array([0, 1, 1, 1]))

    assert found.value == 0.75
    assert metric_name(np.array([0, 1])) == "accuracy"


def test_a_perfect_prediction_explains_all_and_the_mean_nothing() -> None:
    targets = np.linspace(0, 9, 50, dtype=np.float32)

    perfect = quality(targets[:, None], targets)
    mean = quality(np.full((50, 1), targets.mean()), targets)

    assert (perfect.value, perfect.low, perfect.high) == (1, 1, 1)
    assert mean.value == pytest.approx(0, abs=1e-6)
    assert mean.low <= mean.value
    assert metric_name(targets) == "R²"


def test_explained_variance_agrees_with_a_value_worked_by_hand() -> None:
    # targets 1 2 3 4: mean 2.5, squares about it 5; errors 0 1 0 1: squares 2; 1 - 2/5 = 0.6
    found = quality(np.array([[1.0], [3.0], [3.0], [5.0]]), np.array([1, 2, 3, 4], np.float32))

    assert found.value == pytest.approx(0.6)
    assert found.low <= 0.6 <= found.high


@settings(max_examples=15)  # each one is two bootstraps
@given(
    targets=hnp.arrays(np.float32, 12, elements=st.floats(-100, 100, width=16)),
    scale=st.floats(0.5, 4, width=16),
)
def test_explained_variance_does_not_depend_on_the_unit(
    targets: np.ndarray[Any, Any], scale: float
) -> None:
    outputs = targets[::-1, None].astype(np.float64)

    one, other = quality(outputs, targets), quality(outputs * scale, targets * np.float32(scale))

    assert other.value == pytest.approx(one.value, nan_ok=True, rel=1e-4, abs=1e-4)


def test_a_constant_has_no_variance_to_explain() -> None:
    found = quality(np.zeros((5, 1)), np.full(5, 3, np.float32))

    assert all(math.isnan(value) for value in (found.value, found.low, found.high))


@given(pair=outcomes)
def test_a_difference_turns_its_sign_when_the_models_change_places(pair: Any) -> None:
    old, new = pair

    found, back = paired_difference(old, new), paired_difference(new, old)

    assert found.value == pytest.approx(-back.value)
    assert (found.low, found.high) == pytest.approx((-back.high, -back.low))
    assert found.low < found.high


@given(pair=outcomes)
def test_equal_models_are_never_called_different(pair: Any) -> None:
    found = paired_difference(pair[0], pair[0])

    assert found.value == 0
    assert found.low < 0 < found.high


def test_more_of_the_same_makes_a_difference_surer() -> None:
    old = np.array([True, False, False, False, True])
    new = np.array([True, True, True, False, False])

    few, many = paired_difference(old, new), paired_difference(np.tile(old, 40), np.tile(new, 40))

    assert few.value == pytest.approx(many.value) == 0.2
    assert few.low < 0 < many.low


def test_the_interval_agrees_with_a_published_one() -> None:
    # airway hyper-responsiveness of 21 children before and after a transplantation: 1 both,
    # 1 before only, 7 after only, 12 neither; Agresti-Min interval -0.493 to -0.029
    # (Fagerland, Lydersen and Laake, Statistics in Medicine 33 (2014), 2850-2875, table IV)
    before = np.array([1] * 2 + [0] * 19, bool)
    after = np.array([1, 0] + [1] * 7 + [0] * 12, bool)

    found = paired_difference(after, before)

    assert found.value == pytest.approx(-6 / 21)
    assert (found.low, found.high) == pytest.approx((-0.493, -0.029), abs=5e-4)
