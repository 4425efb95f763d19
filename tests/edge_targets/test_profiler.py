"""Counting many at once with numpy gives what counting one by one in plain Python gives."""

import math
import threading
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge_targets.runtime import counting
from edge_targets.runtime.contract import (
    Abstention,
    Manifest,
    Profile,
    Record,
    Signature,
    Tensor,
    TensorSpec,
)
from edge_targets.runtime.predictor import Predictor
from edge_targets.runtime.profiler import Profiler
from edge_targets.runtime.sketch import Sketch
from edge_targets.runtime.watching import LANES, MAX_AN_ITEM, features, lane_sum, thinned
from tests.edge_targets import tiny
from tests.edge_targets.test_predictor import unpacked

Arrays = Mapping[str, NDArray[np.generic]]
SPREAD = st.sampled_from([1e-3, 1.0, 1e3])
ABSTENTION = Abstention(0.6, 0.05, 0.95, 0.9, 100)


def signature(width: int, size: int, classes: int) -> Signature:
    """A table, an image, shares and plain numbers: every kind of feature there is."""
    return Signature(
        (TensorSpec("table", (-1, width)), TensorSpec("image", (-1, 1, size, size))),
        (TensorSpec("shares", (-1, classes)), TensorSpec("numbers", (-1, 2))),
        tuple(f"class {index}" for index in range(classes)),
    )


def batch(draw: np.random.Generator, model: Signature, items: int, scale: float) -> Arrays:
    """Numbers with gaps and infinities among them, many of them right on an edge."""
    table = np.round(draw.normal(0, scale, (items, model.inputs[0].shape[1])), 1)
    table[draw.random(table.shape) < 0.1] = np.nan
    table[draw.random(table.shape) < 0.05] = np.inf
    shares = draw.dirichlet(np.ones(model.outputs[0].shape[1]), items)
    if draw.random() < 0.2:
        shares[0, -1] = np.nan
    image = draw.normal(0, scale, (items, *model.inputs[1].shape[1:]))
    if draw.random() < 0.3:
        image[...] = draw.normal()  # one value: its mean is an edge's neighbour
    kind = draw.choice(["float32", "float64"])
    numbers = draw.integers(-5, 5, (items, 2))
    found = {"table": table, "image": image, "shares": shares}
    return {**{k: v.astype(kind) for k, v in found.items()}, "numbers": numbers}


def tensors(values: Arrays, names: tuple[TensorSpec, ...]) -> dict[str, Tensor]:
    return {
        spec.name: Tensor(values[spec.name].shape, values[spec.name].reshape(-1)) for spec in names
    }


def profile(model: Signature, values: Arrays, edges: int) -> Profile:
    """Edges that are values which occur: where the two ways would part first."""
    seen = features(
        model, tensors(values, model.inputs), tensors(values, model.outputs), ABSTENTION
    )
    sketches = {}
    for name, found in seen.items():
        finite = sorted({value for value in found if math.isfinite(value)})
        sketches[name] = Sketch(finite[:: max(1, len(finite) // edges)] or [0.0])
    return Profile(0, sketches)


@settings(max_examples=40)
@given(
    seed=st.integers(0, 2**32 - 1),
    width=st.integers(1, 5),
    size=st.sampled_from([1, 3, 8, 9, 17, 40]),
    classes=st.integers(2, 12),
    sizes=st.lists(st.integers(1, 20), min_size=1, max_size=8),
    scale=SPREAD,
    edges=st.sampled_from([3, 12, 60]),
)
def test_many_at_once_are_counted_as_one_by_one(
    seed: int, width: int, size: int, classes: int, sizes: list[int], scale: float, edges: int
) -> None:
    draw = np.random.default_rng(seed)
    model = signature(width, size, classes)
    batches = [batch(draw, model, items, scale) for items in sizes]
    reference = profile(model, batches[0], edges)
    manifest = Manifest("m", "1", "t", "onnx", "m", model, 0.0, {}, abstention=ABSTENTION)

    fast, plain = (counted(manifest, reference, batches, way) for way in (False, True))

    assert fast.samples == plain.samples == sum(sizes)
    assert fast.sketches.keys() == plain.sketches.keys()
    for name, expected in plain.sketches.items():
        assert_same(name, fast.sketches[name], expected)


def counted(manifest: Manifest, reference: Profile, batches: list[Arrays], plain: bool) -> Record:
    profiler = Profiler(manifest, reference, "d", plain)
    model = manifest.signature
    for values in batches:
        profiler.observe(tensors(values, model.inputs), tensors(values, model.outputs), 1.0)
    record = profiler.close()
    assert record is not None
    return record


def assert_same(name: str, found: Sketch, expected: Sketch) -> None:
    """Counts, gaps and ends to the last bit; sums but for the order of adding."""
    assert found.counts == expected.counts, name
    assert (found.nulls, found.minimum, found.maximum) == (
        expected.nulls,
        expected.minimum,
        expected.maximum,
    ), name
    size = math.sqrt(expected.squares * max(expected.count, 1))
    assert found.total == pytest.approx(expected.total, rel=1e-12, abs=1e-12 * size), name
    assert found.squares == pytest.approx(expected.squares, rel=1e-12), name


@given(
    values=st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=4 * LANES),
    copies=st.integers(1, 5),
)
def test_lanes_are_added_in_one_order(values: list[float], copies: int) -> None:
    rows = np.array([values] * copies)

    found = counting.lane_sums(np, rows)

    assert found.tolist() == [lane_sum(values)] * copies
    assert lane_sum(values) == pytest.approx(math.fsum(values), rel=1e-9, abs=1e-6)


@given(edge=st.floats(-1e40, 1e40), near=st.floats(-3, 3, width=32))
def test_an_edge_parts_narrower_numbers_as_it_parts_wide_ones(edge: float, near: float) -> None:
    with np.errstate(over="ignore"):
        value = np.float32(edge) + np.float32(near)
        [narrow] = counting.edges_in(np, [edge], np.dtype(np.float32))

    assert bool(value >= narrow) == (float(value) >= edge)


def test_few_and_many_values_are_binned_alike() -> None:
    edges = np.array([0.0, 1.0, 1.0, 2.0])  # an edge twice: its bin stays empty
    values = np.tile([-1.0, 0.0, 0.5, 1.0, 1.5, 2.0, 3.0], 100)

    many = counting.binned(np, edges, values, np.empty(700, bool))

    few = counting.binned(np, edges, values[:7], np.empty(7, bool))
    assert many == [100 * count for count in few]
    assert many == [100, 200, 0, 200, 200]


def test_what_waits_is_bounded() -> None:
    profiler = Profiler(tiny.manifest(), Profile(0, {"a": Sketch([0.0])}), "d")
    assert profiler.buffer
    inputs = {"x": Tensor((2, 3), tiny.INPUTS.reshape(-1))}
    outputs = {"probabilities": Tensor((2, 2), np.full(4, 0.5, np.float32))}
    most = 0

    for _ in range(counting.MAX_ROWS):
        profiler.observe(inputs, outputs, 1.0)
        most = max(most, *(one.used for one in profiler.buffer.tensors))

    assert most == profiler.buffer.room == counting.MAX_ROWS
    record = profiler.close()
    assert record
    assert record.samples == record.sketches["a"].count == 2 * counting.MAX_ROWS
    assert record.latency_ms.count == counting.MAX_ROWS


def test_an_array_that_its_owner_writes_into_again_was_counted_as_it_was() -> None:
    profiler = Profiler(tiny.manifest(), Profile(0, {"a": Sketch([0.0])}), "d")
    frame = tiny.INPUTS.copy()

    for column in (1.0, -1.0):
        frame[:, 0] = column
        outputs = {"probabilities": Tensor((2, 2), np.full(4, 0.5, np.float32))}
        profiler.observe({"x": Tensor((2, 3), frame.reshape(-1))}, outputs, 1.0)

    record = profiler.close()
    assert record
    assert record.sketches["a"].counts == [2, 2]


def test_items_of_another_size_are_counted_with_those_before() -> None:
    model = Signature((TensorSpec("x", (-1, -1, 1)),), (TensorSpec("y", (-1, 1)),))
    manifest = Manifest("m", "1", "t", "onnx", "m", model, 0.0, {})
    profiler = Profiler(manifest, Profile(0, {"x": Sketch([0.5]), "y": Sketch([0.5])}), "d")

    for length in (2, 3, 3, 2):
        answers = {"y": Tensor((1, 1), np.ones(1))}
        profiler.observe({"x": Tensor((1, length, 1), np.ones(length))}, answers, 1.0)

    record = profiler.close()
    assert record
    assert record.sketches["x"].counts == [0, 10]
    assert record.sketches["y"].counts == [0, 4]


def test_a_batch_that_is_larger_than_the_buffer_is_counted() -> None:
    profiler = Profiler(tiny.manifest(), Profile(0, {"a": Sketch([0.0])}), "d")
    few, many = tiny.INPUTS, np.tile(tiny.INPUTS, (counting.MAX_ROWS, 1))

    for rows in (few, many):
        shares = Tensor((len(rows), 2), np.full(2 * len(rows), 0.5, np.float32))
        inputs = {"x": Tensor(rows.shape, rows.reshape(-1))}
        profiler.observe(inputs, {"probabilities": shares}, 1.0)

    record = profiler.close()
    assert record
    assert record.sketches["a"].counts == [1 + len(many) // 2] * 2


def test_an_output_that_is_one_for_a_whole_batch_is_counted_once() -> None:
    model = Signature(
        (TensorSpec("x", (-1, 2)),), (TensorSpec("y", (-1, 1)), TensorSpec("z", (1,)))
    )
    manifest = Manifest("m", "1", "t", "onnx", "m", model, 0.0, {})
    profiler = Profiler(manifest, Profile(0, {"y": Sketch([0.5]), "z": Sketch([0.5])}), "d")

    for _ in range(3):
        outputs = {"y": Tensor((4, 1), np.ones(4)), "z": Tensor((1,), np.ones(1))}
        profiler.observe({"x": Tensor((4, 2), np.ones(8))}, outputs, 1.0)

    record = profiler.close()
    assert record
    assert (record.sketches["y"].count, record.sketches["z"].count) == (12, 3)


@pytest.mark.parametrize("size", [1, 64, 784, 1024, 1025, 3072, 150_528, 7919])
def test_large_items_are_read_at_places_of_every_channel(size: int) -> None:
    places = range(0, size, thinned(size))

    assert min(size, MAX_AN_ITEM / 2) <= len(places) <= MAX_AN_ITEM
    if size > 12:
        assert {place % 3 for place in places} == {0, 1, 2}


def test_threads_that_ask_while_windows_close_lose_nothing(tmp_path: Path) -> None:
    predictor = Predictor(unpacked(tmp_path, off=0))
    inputs = {"x": Tensor((2, 3), tiny.INPUTS.reshape(-1))}
    records: list[Record | None] = []

    def ask() -> None:
        for _ in range(300):
            predictor.predict(inputs)

    askers = [threading.Thread(target=ask) for _ in range(3)]
    for asker in askers:
        asker.start()
    while any(asker.is_alive() for asker in askers):
        records.append(predictor.close_window())
    records.append(predictor.close_window())

    found = [record for record in records if record]
    assert sum(record.samples for record in found) == 3 * 300 * 2
    assert sum(record.sketches["a"].count for record in found) == 3 * 300 * 2
    assert sum(record.latency_ms.count for record in found) == 3 * 300
