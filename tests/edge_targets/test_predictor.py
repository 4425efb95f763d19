"""Answering on a device: golden outputs are replayed in their size, features keep their names."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_targets.runtime.contract import Signature, Tensor, TensorSpec
from edge_targets.runtime.errors import IntegrityError
from edge_targets.runtime.predictor import Predictor, difference, spread
from edge_targets.runtime.profiler import features
from tests.edge_targets import tiny

numbers = st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=20)


def vector(values: list[float]) -> Tensor:
    return Tensor((len(values),), values)


def unpacked(folder: Path, off: float) -> Path:
    """A package folder whose golden outputs are `off` by so much."""
    files = tiny.members(off=off) | {"manifest.json": tiny.manifest().dump().encode()}
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder


def test_golden_outputs_are_replayed_and_the_difference_is_a_share_of_their_spread(
    tmp_path: Path,
) -> None:
    predictor = Predictor(unpacked(tmp_path, off=1e-5))

    found = predictor.replay()

    shares = tiny.expected(tiny.INPUTS)
    assert found == pytest.approx(1e-5 / (shares.max() - shares.min()), rel=0.05)


def test_golden_outputs_that_are_too_far_off_are_refused(tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match="off here, as a share of their spread") as caught:
        Predictor(unpacked(tmp_path, off=1e-3)).replay()

    assert caught.value.hint


def test_golden_outputs_that_are_small_are_not_all_the_same(tmp_path: Path) -> None:
    folder = unpacked(tmp_path, off=0)
    golden = json.loads((folder / "golden.json").read_text())
    # the model still gives shares; a file that says 1e-5 of each is a thousand times off
    data = golden["outputs"]["probabilities"]["data"]
    golden["outputs"]["probabilities"]["data"] = [1e-5 * value for value in data]
    (folder / "golden.json").write_text(json.dumps(golden))

    with pytest.raises(IntegrityError, match="off here"):
        Predictor(folder).replay()


@given(values=numbers)
def test_nothing_differs_from_itself(values: list[float]) -> None:
    assert difference(vector(values), vector(values)) == 0


@given(values=numbers, unit=st.sampled_from([1e-9, 1e-3, 1e9]))
def test_a_difference_does_not_depend_on_the_unit(values: list[float], unit: float) -> None:
    moved = [value + 1 for value in values]

    found = difference(vector(moved), vector(values))
    scaled = difference(vector([unit * v for v in moved]), vector([unit * v for v in values]))

    # but for zeros alone, which have no unit
    assert scaled == pytest.approx(found if any(values) else unit)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0, 1, 1), (-1.3e-5, 1.3e-5, 2.6e-5), (5, 5, 0.05), (0, 0, 1), (293, 293.1, 2.931)],
)
def test_a_spread_is_how_far_values_lie_apart_or_a_hundredth_of_their_size(
    low: float, high: float, expected: float
) -> None:
    assert spread(low, high) == pytest.approx(expected)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_what_is_no_number_is_no_small_difference(bad: float) -> None:
    for found, expected in (([bad, 1.0], [0.0, 1.0]), ([0.0, 1.0], [bad, 1.0]), ([bad], [bad])):
        assert difference(vector(found), vector(expected)) == math.inf


def table(*columns: str) -> Signature:
    return Signature(
        (TensorSpec("features", (-1, len(columns)), columns=columns),),
        (TensorSpec("probabilities", (-1, 2)), TensorSpec("label", (-1, 1))),
        ("no", "yes"),
    )


def watched(signature: Signature, rows: np.ndarray) -> dict[str, list[float]]:
    shares = Tensor((len(rows), 2), [0.25, 0.75] * len(rows))
    extra = Tensor((len(rows), 1), [7.0] * len(rows))
    inputs = {"features": Tensor(rows.shape, rows.ravel().tolist())}
    return features(signature, inputs, {"probabilities": shares, "label": extra})


def test_columns_keep_their_names_where_nothing_else_has_them() -> None:
    found = watched(table("a", "b"), np.ones((1, 2)))

    assert list(found) == ["a", "b", "confidence", "label", "label.label"]


def test_a_column_that_is_called_like_an_output_is_counted_beside_it() -> None:
    rows = np.array([[10.0, 20.0, 30.0]])

    found = watched(table("label", "confidence", "features.label"), rows)

    assert found == {
        "features.features.label": [10.0],
        "features.confidence": [20.0],
        "features.label": [30.0],
        "confidence": [0.75],
        "label": [1.0],
        "label.label": [7.0],
    }
