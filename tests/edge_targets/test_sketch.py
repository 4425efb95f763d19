"""What leaves a browser: a sketch whose moments say no more than its counts."""

import math

from hypothesis import given
from hypothesis import strategies as st

from edge_targets.runtime.sketch import Sketch

FINITE = st.floats(-1e6, 1e6)
EDGES = st.lists(FINITE, max_size=8, unique=True).map(sorted)


def filled(edges: list[float], values: list[float]) -> Sketch:
    sketch = Sketch(edges)
    sketch.add(values)
    return sketch


@given(EDGES, st.lists(FINITE | st.just(math.nan), max_size=20))
def test_a_coarse_sketch_has_the_same_counts(edges: list[float], values: list[float]) -> None:
    sketch = filled(edges, values)

    coarse = sketch.coarse()

    assert (coarse.edges, coarse.counts, coarse.nulls) == (edges, sketch.counts, sketch.nulls)
    assert Sketch.from_json(coarse.to_json()) == coarse


@given(st.data(), EDGES.filter(bool), st.lists(FINITE, min_size=1, max_size=20))
def test_values_of_the_same_bins_make_the_same_coarse_sketch(
    data: st.DataObject, edges: list[float], values: list[float]
) -> None:
    sketch = filled(edges, values)
    bounds = [-2e6, *edges, 2e6]
    others = [
        data.draw(st.floats(low, high, exclude_max=True))
        for low, high, count in zip(bounds, bounds[1:], sketch.counts, strict=False)
        for _ in range(count)
    ]

    assert filled(edges, others).coarse() == sketch.coarse()


@given(EDGES.filter(bool), st.lists(FINITE, min_size=1, max_size=20))
def test_its_moments_are_possible(edges: list[float], values: list[float]) -> None:
    coarse = filled(edges, values).coarse()

    assert {coarse.minimum, coarse.maximum} <= set(edges)
    assert coarse.minimum <= coarse.mean + 1e-6
    assert coarse.mean <= coarse.maximum + 1e-6


def test_one_value_is_not_told() -> None:
    coarse = filled([0.0, 4.0, 8.0], [7.3125]).coarse()

    # the bin from 4 to 8, and its middle
    assert (coarse.minimum, coarse.maximum, coarse.total, coarse.squares) == (4, 8, 6, 36)


def test_without_edges_or_values_there_is_nothing_to_tell() -> None:
    assert filled([], [7.3125]).coarse().to_json()["total"] == 0
    assert filled([1.0], []).coarse().to_json()["minimum"] is None
