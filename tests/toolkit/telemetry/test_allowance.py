"""A bucket that fills by itself: what goes out of it never exceeds what went in."""

from hypothesis import given
from hypothesis import strategies as st

from toolkit.telemetry.allowance import REQUEST, Allowance


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@given(st.lists(st.tuples(st.floats(0, 60), st.integers(0, 200_000)), max_size=60))
def test_no_more_is_let_in_than_the_burst_and_what_came_since(
    messages: list[tuple[float, int]],
) -> None:
    clock = Clock()
    allowance = Allowance(burst=100_000, refill=1000, clock=clock)
    taken = 0

    for pause, size in messages:
        clock.now += pause
        if allowance.take("digits", size) == 0:
            taken += min(size + REQUEST, 100_000)

        assert taken <= 100_000 + 1000 * clock.now + 1e-6


def test_who_waits_as_long_as_told_is_let_in() -> None:
    clock = Clock()
    allowance = Allowance(burst=10_000, refill=1000, clock=clock)
    assert allowance.take("digits", 8000) == 0

    wait_s = allowance.take("digits", 8000)

    # 9,024 of 10,000 are gone, and as many are asked for: 8,048 bytes are missing at 1,000 a second
    assert wait_s == 8.048
    clock.now += wait_s - 0.01
    assert allowance.take("digits", 8000) > 0
    clock.now += 0.02
    assert allowance.take("digits", 8000) == 0


def test_one_page_that_sends_too_much_costs_another_nothing() -> None:
    allowance = Allowance(burst=10_000, refill=1, clock=Clock())

    assert allowance.take("digits", 9000) == 0
    assert allowance.take("digits", 9000) > 0
    assert allowance.take("wine", 9000) == 0
