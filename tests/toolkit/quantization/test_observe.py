"""Watching a graph: all is seen once, whatever the batches; a growing histogram loses nothing."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from edge_targets.runtime.errors import Cancelled, UnsupportedError
from edge_targets.runtime.events import QUIET, Event, Job
from toolkit.quantization.observe import BINS, Tally, observe

numbers = st.floats(-1e6, 1e6, width=32).filter(lambda v: v == 0 or abs(v) > 1e-20)
batches = st.lists(arrays(np.float32, st.integers(1, 20), elements=numbers), min_size=1, max_size=5)


@given(parts=batches)
def test_a_histogram_counts_everything_and_its_bins_hold_what_they_say(parts: Any) -> None:
    tally = Tally()
    for part in parts:
        tally.take(part)
    found, values = tally.result(), np.concatenate(parts)

    assert found.total == len(values)
    assert (found.low, found.high) == (values.min(), values.max())
    width = 2 * found.reach / BINS
    below = np.cumsum(found.counts)
    for place in (BINS // 4, BINS // 2, 3 * BINS // 4):
        edge = found.edges[place]
        counted = below[place - 1]
        assert (values < edge - width).sum() <= counted <= (values <= edge + width).sum()


def test_widening_merges_two_bins_into_one() -> None:
    tally = Tally()
    tally.take(np.array([1.0, -1.0, 0.5], np.float32))
    tally.take(np.array([3.9], np.float32))  # reaches 4 after doubling twice

    found = tally.result()

    assert found.reach == 4
    assert found.counts.sum() == 4
    assert found.counts[BINS * 5 // 8 - 1 : BINS * 5 // 8 + 1].sum() == 1  # 1.0 lies at 5/8


@pytest.mark.parametrize("graph", ["chain"], indirect=True)
def test_every_value_is_seen_over_all_items(
    graph: bytes, items: Callable[..., Any], run: Callable[..., Any]
) -> None:
    inputs = items(graph, 70)

    found = observe(graph, inputs, QUIET)

    assert {"x", "c0", "r0", "r2", "p", "g", "y"} <= set(found)
    assert "0.weight" not in found
    assert found["x"].low == inputs.min()
    assert found["x"].total == inputs.size
    answers = run(graph, inputs)
    assert found["y"].high == pytest.approx(float(answers.max()), rel=1e-5)
    np.testing.assert_allclose(found["y"].channel_mean, answers.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(found["x"].channel_low, inputs.min(axis=(0, 2, 3)))


@pytest.mark.parametrize("graph", ["perceptron"], indirect=True)
def test_what_is_no_number_is_counted_apart(graph: bytes, items: Callable[..., Any]) -> None:
    inputs = items(graph, 5)
    inputs[2, 3] = np.nan

    found = observe(graph, inputs, QUIET)

    assert found["x"].broken == 1
    assert np.isfinite([found["x"].low, found["x"].high]).all()
    assert found["y"].broken == 3


@pytest.mark.parametrize("graph", ["chain"], indirect=True)
def test_watching_reports_and_can_be_stopped(
    graph: bytes, items: Callable[..., Any], job: Job, events: list[Event]
) -> None:
    observe(graph, items(graph, 100), job)

    assert events[-1].done == events[-1].total == 100
    job.cancel()
    with pytest.raises(Cancelled):
        observe(graph, items(graph, 100), job)


@pytest.mark.parametrize("graph", ["chain"], indirect=True)
def test_no_items_and_items_of_another_shape_are_refused(
    graph: bytes, items: Callable[..., Any]
) -> None:
    with pytest.raises(UnsupportedError, match="no item") as caught:
        observe(graph, items(graph, 1)[:0], QUIET)
    assert caught.value.hint

    with pytest.raises(UnsupportedError, match="does not run") as caught:
        observe(graph, np.zeros((2, 3, 9, 7), np.float32), QUIET)
    assert caught.value.hint
