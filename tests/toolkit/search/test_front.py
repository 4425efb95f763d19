"""The Pareto set, the order of proof, and what is nearest."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from toolkit.evaluation.gate import Gate
from toolkit.results import Candidate
from toolkit.search import Options
from toolkit.search.front import (
    Scale,
    beats,
    front_of,
    lacks,
    nearest,
    proving_order,
    risk,
    with_front,
)

ONE = Candidate(
    trial=0, model="s-t000", recipe="float", runtime="onnx x1", size_bytes=1000, latency_ms=1.0,
    latency_source="measured here", ram_bytes=2000, drop=0.0, drop_low=-0.01, drop_high=0.01,
    fits=True, pareto=False,
)  # fmt: skip
SCALE = Scale(1000, 1.0)

candidates = st.builds(
    lambda trial, size, latency, drop: replace(
        ONE, trial=trial, size_bytes=size, latency_ms=latency, drop=drop, drop_high=drop + 0.01
    ),
    st.integers(0, 99), st.integers(1, 5), st.sampled_from([1.0, 2.0, 3.0]),
    st.sampled_from([0.0, 0.01, 0.02]),
)  # fmt: skip


@given(st.lists(candidates, min_size=1, max_size=12))
def test_nothing_beats_the_front_and_the_front_beats_the_rest(found: list[Candidate]) -> None:
    front = front_of(found)

    assert front
    assert not any(beats(one, other) for one in found for other in front)
    for one in with_front(found):
        assert one.pareto or any(beats(other, one) for other in front)


@given(st.lists(candidates, min_size=1, max_size=12))
def test_proof_goes_from_safe_and_dear_to_bold_and_cheap(found: list[Candidate]) -> None:
    order = proving_order(found, SCALE)

    costs = [SCALE.cost(one) for one in order]
    risks = [risk(one) for one in order]
    assert costs == sorted(costs, reverse=True)
    assert risks == sorted(risks)
    assert min(costs) == min(SCALE.cost(one) for one in found)


def test_what_does_not_fit_is_not_proven() -> None:
    assert proving_order([replace(ONE, fits=False)], SCALE) == ()


def test_the_nearest_exceeds_the_budget_least() -> None:
    options = Options(max_size=500, max_latency_ms=1.0, gate=Gate(max_drop=0.01))
    large = replace(ONE, size_bytes=560)
    slow = replace(ONE, trial=1, size_bytes=500, latency_ms=1.3)

    assert nearest([slow, large], options) == large
    assert lacks(large, options) == "it is 12 % too large"
    assert lacks(slow, options) == "it is 30 % too slow"
    assert nearest([], options) is None


def test_a_loss_beyond_the_gate_is_told_in_points() -> None:
    poor = replace(ONE, drop=0.031)

    assert lacks(poor, Options(gate=Gate(max_drop=0.01))) == (
        "it loses 3.10 points on the validation items, 1.00 points may be lost"
    )


def test_a_candidate_that_answers_alike_is_tried_before_one_that_won_by_chance() -> None:
    alike = replace(ONE, trial=1, model="s-t001", drop=0, drop_low=-0.012, drop_high=0.012)
    lucky = replace(
        ONE, trial=2, model="s-t002", drop=-0.003, drop_low=-0.018, drop_high=0.011,
        size_bytes=ONE.size_bytes // 2,
    )  # fmt: skip

    order = proving_order([lucky, alike], SCALE)

    assert [one.trial for one in order] == [1, 2]
