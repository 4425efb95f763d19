"""Reference profiles: bins that fit what the values are."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from edge_targets.runtime.contract import Signature, TensorSpec
from edge_targets.runtime.errors import DataError
from edge_targets.runtime.sketch import Sketch
from toolkit.telemetry import reference
from toolkit.telemetry.reference import category_edges, quantile_edges, reference_profile

IMAGES = Signature(
    inputs=(TensorSpec("image", (-1, 1, 4, 4)),),
    outputs=(TensorSpec("probabilities", (-1, 3)),),
    labels=("a", "b", "c"),
)
TABLE = Signature(
    inputs=(TensorSpec("row", (-1, 2), columns=("colour", "weight")),),
    outputs=(TensorSpec("price", (-1, 1)),),
)


def counted(values: np.ndarray, bins: int = 10) -> Sketch:
    sketch = Sketch(quantile_edges(values, bins))
    sketch.add(values.tolist())
    return sketch


def test_continuous_values_get_bins_of_equal_mass_and_empty_ends() -> None:
    values = np.random.default_rng(7).normal(size=1000)

    assert counted(values).counts == [0, *[100] * 10, 0]


def test_a_value_that_is_common_gets_a_bin_of_its_own() -> None:
    values = np.concatenate([np.zeros(400), np.random.default_rng(7).exponential(size=600)])

    sketch = counted(values)

    assert 400 in sketch.counts
    assert sum(sketch.counts) == 1000
    assert max(count for count in sketch.counts if count != 400) <= 150


def test_the_bin_of_a_common_value_forgives_another_engines_rounding() -> None:
    saturated = np.concatenate([np.ones(500), np.linspace(0.3, 0.9, 500)])
    sketch = counted(saturated)
    edges = sketch.edges

    assert np.searchsorted(edges, 1.0) == np.searchsorted(edges, 0.999_999)
    assert np.searchsorted(edges, 1.0) == np.searchsorted(edges, 1.000_001)
    assert np.searchsorted(edges, 1.0) != np.searchsorted(edges, 0.9)


@pytest.mark.parametrize("constant", [0.0, 3.0, -1e-12, 1e300])
def test_a_constant_sees_a_change_on_either_side(constant: float) -> None:
    edges = quantile_edges(np.full(50, constant))
    step = max(abs(constant) * 0.01, 1e-3)

    bins = np.searchsorted(edges, [constant - step, constant, constant + step])

    assert len(set(bins)) == 3


@given(arrays(np.float64, st.integers(0, 60), elements=st.floats(allow_nan=False)))
def test_edges_ascend_are_finite_and_few(values: np.ndarray) -> None:
    finite = values[np.isfinite(values)]

    edges = quantile_edges(finite)

    assert all(math.isfinite(edge) for edge in edges)
    assert all(a < b for a, b in pairwise(edges))
    assert len(edges) <= 25


def test_codes_get_a_bin_each_and_unseen_ones_too() -> None:
    sketch = Sketch(category_edges(np.array([0.0, 1.0, 5.0])))

    sketch.add([-1, 0, 1, 3, 5, 6])

    assert sketch.counts == [1, 1, 1, 1, 1, 1]


def test_a_classifier_is_watched_by_pixels_confidence_and_label() -> None:
    generator = np.random.default_rng(7)
    images = generator.uniform(0, 16, size=(200, 1, 4, 4)).astype(np.float32)
    shares = generator.dirichlet([1, 1, 1], size=200).astype(np.float32)

    profile = reference_profile(IMAGES, {"image": images}, {"probabilities": shares})

    assert profile.samples == 200
    assert set(profile.sketches) == {"image", "image.mean", "image.std", "confidence", "label"}
    assert list(profile.sketches["label"].edges) == [0.5, 1.5]
    assert profile.sketches["label"].counts == np.bincount(shares.argmax(1)).tolist()
    assert profile.sketches["image"].count == 200 * 16
    assert type(profile).parse(profile.dump()) == profile


def test_a_tables_columns_are_watched_each_by_what_they_hold() -> None:
    generator = np.random.default_rng(7)
    rows = np.stack([generator.integers(0, 4, 300), generator.normal(size=300)], 1)
    rows[:30, 1] = np.nan

    profile = reference_profile(TABLE, {"row": rows}, {"price": rows[:, :1] * 2})

    assert list(profile.sketches["colour"].edges) == [-0.5, 0.5, 1.5, 2.5, 3.5]
    assert profile.sketches["weight"].nulls == 30
    assert profile.sketches["weight"].counts == [0, *[27] * 10, 0]
    assert profile.sketches["price"].count == 300


def test_of_many_values_an_even_selection_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reference, "MAX_VALUES", 190)
    images = np.arange(100, dtype=np.float32).reshape(100, 1, 1, 1) * np.ones((1, 1, 4, 4))

    profile = reference_profile(IMAGES, {"image": images}, {"probabilities": images[:, 0, 0, :3]})

    assert profile.samples == 10
    assert profile.sketches["image"].minimum == 0
    assert profile.sketches["image"].maximum == 99


@pytest.mark.parametrize(("images", "shares"), [(0, 0), (3, 2)])
def test_inputs_without_their_outputs_are_refused(images: int, shares: int) -> None:
    with pytest.raises(DataError, match="as many inputs as outputs"):
        reference_profile(
            IMAGES, {"image": np.zeros((images, 1, 4, 4))}, {"probabilities": np.zeros((shares, 3))}
        )
