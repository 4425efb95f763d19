"""Merging in the store is addition: many windows together are one big window."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_targets.runtime.contract import Record
from edge_targets.runtime.sketch import Sketch
from toolkit.telemetry.store import Store

EDGES = [-1.0, 0.0, 2.5]
values = st.lists(st.floats(-1e6, 1e6) | st.just(float("nan")), max_size=20)


@settings(max_examples=25)
@given(
    windows=st.lists(st.tuples(st.sampled_from(["a", "b"]), values), min_size=1, max_size=6),
    compacted=st.integers(0, 6),
)
def test_merged_windows_equal_one_big_window(
    windows: list[tuple[str, list[float]]], compacted: int
) -> None:
    big = {device: Sketch(EDGES) for device, _ in windows}
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder))
        for index, (device, seen) in enumerate(windows):
            big[device].add(seen)
            store.append([_record(index, device, seen)])
            if index == compacted:
                store.compact()
        store.close()
        merged = store.profiles("digits")

    assert merged.keys() == big.keys()
    for device, profile in merged.items():
        sketch, whole = profile.sketches["value"], big[device]
        assert profile.samples == sum(len(seen) for name, seen in windows if name == device)
        assert (sketch.edges, sketch.counts) == (whole.edges, whole.counts)
        assert (sketch.nulls, sketch.minimum, sketch.maximum) == (
            whole.nulls,
            whole.minimum,
            whole.maximum,
        )
        assert sketch.total == pytest.approx(whole.total, abs=1e-6)
        assert sketch.squares == pytest.approx(whole.squares)


def _record(index: int, device: str, seen: list[float]) -> Record:
    sketch = Sketch(EDGES)
    sketch.add(seen)
    time = f"2026-11-20T10:00:{index:02d}Z"
    return Record(
        f"id{index}", device, "digits", "1", time, time, len(seen), {"value": sketch}, Sketch([1.0])
    )
