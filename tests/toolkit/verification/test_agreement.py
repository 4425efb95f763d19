"""A share that is surely not overstated."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolkit.evaluation.agreement import chance_of_as_many, surely_at_least


@settings(max_examples=30)
@given(count=st.integers(1, 400), data=st.data())
def test_the_bound_lies_below_the_share_and_rises_with_it(count: int, data: st.DataObject) -> None:
    successes = data.draw(st.integers(0, count))

    low = surely_at_least(successes, count)

    assert 0 <= low <= successes / count
    assert low <= surely_at_least(successes, count, 0.9)
    assert low <= surely_at_least(min(successes + 1, count), count)
    if successes:
        assert chance_of_as_many(successes, count, low) == pytest.approx(0.05, abs=1e-6)


def test_when_all_agree_it_is_the_root_of_what_is_doubted() -> None:
    # all of n at the share p: p ** n = 0.05
    for count in (1, 20, 500):
        assert surely_at_least(count, count) == pytest.approx(0.05 ** (1 / count))
    assert surely_at_least(0, 10) == 0


def test_it_is_the_bound_of_the_tables() -> None:
    # 8 of 10 at p = 0.4931: 45 p^8 q^2 + 10 p^9 q + p^10 = 0.0404 + 0.0087 + 0.0009 = 0.05
    assert surely_at_least(8, 10) == pytest.approx(0.4931, abs=5e-5)
