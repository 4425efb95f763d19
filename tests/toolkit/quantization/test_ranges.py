"""Ranges: 0 is always among them, nothing seen is lost by minmax, mse never loses to it."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from toolkit.quantization.observe import Observation, Tally
from toolkit.quantization.ranges import Calibration, Range, choose, encoding, squared_error

METHODS: tuple[Calibration, ...] = ("minmax", "percentile", "entropy", "mse")
numbers = st.floats(-1e4, 1e4, width=32).filter(lambda v: v == 0 or abs(v) > 1e-6)
series = arrays(np.float32, st.integers(1, 60), elements=numbers)


def seen(*batches: Any) -> Observation:
    tally = Tally()
    for batch in batches:
        tally.take(np.asarray(batch, np.float32))
    return tally.result()


@settings(max_examples=40)
@given(values=series, method=st.sampled_from(METHODS), symmetric=st.booleans())
def test_every_range_holds_zero_and_nothing_that_was_not_seen(
    values: Any, method: Calibration, symmetric: bool
) -> None:
    found = choose(seen(values), method, symmetric=symmetric)

    low, high = min(float(values.min()), 0), max(float(values.max()), 0)
    reach = max(-low, high)
    assert found.low <= 0 <= found.high
    assert found.low >= (-reach if symmetric else low) - 1e-5 * reach
    assert found.high <= (reach if symmetric else high) + 1e-5 * reach
    if symmetric:
        assert found.low == -found.high


@settings(max_examples=40)
@given(values=series)
def test_the_mse_range_never_has_a_larger_error_than_minmax(values: Any) -> None:
    observation = seen(values)

    full, best = (choose(observation, method) for method in ("minmax", "mse"))

    assert squared_error(observation, best) <= squared_error(observation, full)


@given(
    low=st.floats(-1e3, 0),
    high=st.floats(0, 1e3),
    signed=st.booleans(),
    bits=st.sampled_from([8, 16]),
)
def test_zero_has_a_code_and_values_inside_come_back_within_a_step(
    low: float, high: float, signed: bool, bits: int
) -> None:
    code = encoding(Range(low, high), bits, signed=signed)
    values = np.linspace(low, high, 11)

    stored = np.clip(np.rint(values / code.scale) + code.zero_point, code.least, code.most)
    real = (stored - code.zero_point) * code.scale

    assert code.least <= code.zero_point <= code.most
    assert np.abs(real - values).max() <= code.scale * 1.001
    assert code.most - code.least == 2**bits - 1


def test_a_range_by_hand() -> None:
    """From 0 to 5.1 in 255 steps is 0.02 each; 0 is the lowest code."""
    code = encoding(Range(0, 5.1))

    assert code.scale == pytest.approx(0.02)
    assert (code.least, code.zero_point, code.most) == (-128, -128, 127)
    assert encoding(Range(0, 5.1), signed=False).zero_point == 0
    assert encoding(Range(-1, 5.1), 16, symmetric=True).zero_point == 0


def test_the_largest_code_does_not_reach_beyond_the_range() -> None:
    """Else a Clip at 6 before it would not be needless, and no kernel takes it in."""
    for high in (6.0, 1.0, 0.1, 3.3):
        code = encoding(Range(0, high))

        assert np.float32(code.scale) * np.float32(255) <= np.float32(high)


@pytest.mark.parametrize("method", METHODS)
def test_a_constant_and_nothing_but_zeros_survive(method: Calibration) -> None:
    three, zeros = choose(seen([3.0] * 50), method), choose(seen([0.0] * 50), method)

    assert three.low == 0
    assert three.high == pytest.approx(3, rel=0.02)
    assert zeros == Range(0, 0)
    assert encoding(zeros).scale > 0


def test_one_outlier_among_many_is_clipped_by_all_but_minmax() -> None:
    values = np.random.default_rng(0).normal(0, 1, 200_000)
    values[7] = 200

    found = {method: choose(seen(values), method, percentile=99.9).high for method in METHODS}

    assert found["minmax"] == 200
    assert found["percentile"] == pytest.approx(3.29, rel=0.05)  # of a normal, 0.05 % above
    # (200 - c)² / 200000 is lost by clipping at c, (c + 4)² / (12 · 255²) by rounding: 158
    assert found["mse"] == pytest.approx(158, abs=3)
    assert found["entropy"] < 100


def test_a_flat_spread_is_left_whole_by_mse_and_entropy() -> None:
    values = np.random.default_rng(0).uniform(-1, 1, 200_000)

    for method in ("mse", "entropy"):
        found = choose(seen(values), method)

        assert found.high == pytest.approx(1, abs=0.03)
        assert found.low == pytest.approx(-1, abs=0.03)


def test_the_zeros_that_a_relu_gives_do_not_narrow_the_range() -> None:
    values = np.maximum(np.random.default_rng(0).normal(0, 1, 200_000), 0)

    assert choose(seen(values), "entropy").high > 2.5


def test_a_range_that_does_not_end_is_refused() -> None:
    with pytest.raises(ValueError, match="ends in numbers"):
        Range(0, float("inf"))
