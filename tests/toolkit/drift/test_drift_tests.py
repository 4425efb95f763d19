"""Laws of every drift test, one number from outside each, and calibrated false alarms."""

import math
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_targets.runtime.sketch import Sketch
from toolkit.drift import DriftTest, drift_tests
from toolkit.drift.kolmogorov_smirnov import KolmogorovSmirnov
from toolkit.drift.psi import Psi, chi_square_quantile

every_test = pytest.mark.parametrize("name", drift_tests.names())
histograms = st.lists(st.integers(0, 1000), min_size=4, max_size=4)


def sketch(counts: list[int], nulls: int = 0) -> Sketch:
    return Sketch([float(i) for i in range(len(counts) - 1)], list(counts), nulls)


def normal(shift: float) -> Sketch:
    """A thousand values that follow the normal distribution without any chance."""
    made = Sketch([NormalDist().inv_cdf(i / 10) for i in range(1, 10)])
    made.add(shift + NormalDist().inv_cdf((i + 0.5) / 1000) for i in range(1000))
    return made


def test_the_thin_house_has_these_members() -> None:
    assert {"psi", "kolmogorov_smirnov"} <= set(drift_tests.names())


@every_test
@given(one=histograms, other=histograms, nulls=st.integers(0, 50))
def test_scores_are_zero_against_oneself_and_never_negative(
    name: str, one: list[int], other: list[int], nulls: int
) -> None:
    test = drift_tests[name]()

    assert test.score(sketch(one, nulls), sketch(one, nulls)) == 0
    assert test.score(sketch(one), sketch(other, nulls)) >= 0


@every_test
@given(small=st.floats(0, 2), step=st.floats(0.02, 1))
def test_scores_grow_with_the_shift(name: str, small: float, step: float) -> None:
    test = drift_tests[name]()
    quiet = normal(0)

    assert test.score(quiet, normal(small)) <= test.score(quiet, normal(small + step))
    assert test.score(quiet, normal(-small)) <= test.score(quiet, normal(-small - step))


@every_test
@given(share=st.floats(0.05, 0.9))
def test_missing_values_are_a_drift(name: str, share: float) -> None:
    test = drift_tests[name]()
    failing = normal(0)
    failing.nulls = round(1000 * share / (1 - share))

    assert test.score(normal(0), failing) >= share * 0.9


@every_test
@given(
    reference=st.integers(1, 10**6),
    live=st.integers(1, 10**6),
    bins=st.integers(1, 100),
    comparisons=st.integers(1, 10**6),
)
def test_thresholds_rise_with_comparisons_and_fall_with_samples(
    name: str, reference: int, live: int, bins: int, comparisons: int
) -> None:
    test = drift_tests[name]()

    threshold = test.threshold(reference, live, bins, comparisons)

    assert 0 < threshold < math.inf
    assert threshold <= test.threshold(reference, live, bins, comparisons + 1)
    assert threshold >= test.threshold(reference, live + 1, bins, comparisons)


@every_test
def test_an_empty_side_scores_zero_and_can_raise_no_alarm(name: str) -> None:
    test = drift_tests[name]()

    assert test.score(sketch([1, 2]), sketch([0, 0])) == 0
    assert test.score(sketch([0, 0]), sketch([1, 2])) == 0
    assert test.threshold(100, 0, 5) == math.inf
    assert test.threshold(0, 100, 5) == math.inf


@every_test
def test_other_edges_cannot_be_compared(name: str) -> None:
    with pytest.raises(ValueError, match="different edges"):
        drift_tests[name]().score(Sketch([0.0]), Sketch([1.0]))


@every_test
def test_every_field_is_described_and_survives_a_trip(name: str) -> None:
    cls = drift_tests[name]

    assert all(field.description for field in cls.model_fields.values())
    assert cls(**cls().model_dump()) == cls()


def test_psi_by_hand() -> None:
    # with half a value beforehand the shares are 1/2, 1/2 and 1/6, 5/6:
    # (1/6 - 1/2) ln(1/3) + (5/6 - 1/2) ln(5/3) = (ln 3 + ln 5 - ln 3) / 3 = ln 5 / 3
    assert Psi().score(sketch([1, 1]), sketch([0, 2])) == pytest.approx(math.log(5) / 3)


def test_kolmogorov_smirnov_by_hand() -> None:
    # cumulative shares 1/4, 2/4, 1 and 2/4, 3/4, 1
    assert KolmogorovSmirnov().score(sketch([1, 1, 2]), sketch([2, 1, 1])) == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("tail", "freedom", "value"),
    [(0.05, 9, 16.919), (0.01, 9, 21.666), (0.001, 3, 16.266), (1e-4, 19, 50.795)],
)
def test_chi_square_quantiles_agree_with_printed_tables(
    tail: float, freedom: int, value: float
) -> None:
    assert chi_square_quantile(tail, freedom) == pytest.approx(value, rel=0.02)


def test_the_threshold_of_kolmogorov_smirnov_agrees_with_printed_tables() -> None:
    # 1.358 * sqrt((n + m) / (n m)) at 5 %
    test = KolmogorovSmirnov(alpha=0.05, practical=0)

    assert test.threshold(200, 200, 10) == pytest.approx(1.358 / 10, rel=1e-3)


QUIET_WINDOWS = 2000
SHAPES = {
    "equal": np.full(10, 0.1),
    "skewed": np.array([0.4, 0.25, 0.15, 0.1, 0.05, 0.03, 0.02]),
}


def rate(test: DriftTest, reference: np.ndarray, live: np.ndarray, sizes: tuple[int, int]) -> float:
    """The share of windows that raise an alarm; every window has a reference of its own."""
    generator = np.random.default_rng(11)
    alarms = 0
    for _ in range(QUIET_WINDOWS):
        old = sketch(generator.multinomial(sizes[0], reference).tolist())
        new = sketch(generator.multinomial(sizes[1], live).tolist())
        alarms += test.score(old, new) > test.threshold(*sizes, bins=len(reference))
    return alarms / QUIET_WINDOWS


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("sizes", [(1000, 100), (2000, 2000)])
def test_quiet_windows_raise_as_many_false_alarms_as_stated(
    shape: str, sizes: tuple[int, int]
) -> None:
    quiet, alpha = SHAPES[shape], 0.05
    # three standard errors of a share of 0.05 among 2,000 are 0.015
    psi, smirnov = Psi(alpha=alpha, practical=0), KolmogorovSmirnov(alpha=alpha, practical=0)

    assert 0.01 <= rate(psi, quiet, quiet, sizes) <= alpha + 0.015
    assert rate(smirnov, quiet, quiet, sizes) <= alpha + 0.015


@every_test
def test_a_shift_of_one_standard_deviation_is_found_in_a_hundred_samples(name: str) -> None:
    test = drift_tests[name](alpha=0.001)
    shifted = np.array(normal(1).counts) / 1000

    assert rate(test, SHAPES["equal"], SHAPES["equal"], (1000, 100)) <= 0.005
    assert rate(test, SHAPES["equal"], shifted, (1000, 100)) >= 0.95
