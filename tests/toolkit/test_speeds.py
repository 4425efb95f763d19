"""Rates from measured times: what was planted is found, and the error bar holds what it says."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_targets.places.rates import FLOAT, INT8, USUAL, Macs, Speed, Work
from toolkit.speeds import bar, columns, fitted

PLANTED = Speed(0.05, 0.1, 0.5, 1.0, 0.2, 3e3, 4e4)


def works(count: int, seed: int = 0) -> list[Work]:
    rng = np.random.default_rng(seed)
    return [
        Work(
            Macs(*(rng.random(3) * [5e8, 5e8, 5e7])), Macs(), rng.random() * 2e7,
            rng.random() * 2e7, int(rng.integers(5, 200)),
        )
        for _ in range(count)
    ]  # fmt: skip


def seconds(speed: Speed, work: Work) -> float:
    return (speed.arithmetic(work.floats) + speed.rest(work.moved)) * 1e-9


def test_a_network_that_was_left_out_is_predicted() -> None:
    known = works(25)

    fit = fitted(known, [seconds(PLANTED, work) for work in known], FLOAT, pull=1e-3)

    assert np.median(np.abs(fit.errors)) < 0.01
    assert fit.off < 1.05
    assert fit.speed.window == pytest.approx(PLANTED.window, rel=0.05)


def test_one_strange_network_does_not_bend_the_rest() -> None:
    known = works(25)
    times = [seconds(PLANTED, work) for work in known]

    fit = fitted(known, [times[0] * 10, *times[1:]], FLOAT)

    assert np.median(np.abs(fit.errors)) < 0.05
    assert math.exp(-fit.errors[0]) == pytest.approx(10, rel=0.1)


@pytest.mark.parametrize("number_type", [FLOAT, INT8])
@pytest.mark.parametrize("count", [1, 3])
def test_a_few_networks_scale_the_usual_shares(number_type: str, count: int) -> None:
    known = works(count)
    if number_type == INT8:
        known = [work.in_int8() for work in known]
    slow = USUAL[number_type].scaled(7)
    times = [float(columns(work, number_type) @ np.array(list(vars(slow).values()))) * 1e-9
             for work in known]  # fmt: skip

    fit = fitted(known, times, number_type)

    assert fit.speed.point == pytest.approx(7 * USUAL[number_type].point, rel=0.01)


@given(st.lists(st.floats(-2, 2), min_size=5, max_size=60))
@settings(max_examples=40)
def test_the_bar_holds_four_of_five(errors: list[float]) -> None:
    off = bar(errors)

    inside = sum(abs(error) <= math.log(off) + 1e-12 for error in errors)
    assert inside >= 0.8 * len(errors)


def test_nothing_is_sure_without_a_comparison() -> None:
    assert bar(()) == math.inf
