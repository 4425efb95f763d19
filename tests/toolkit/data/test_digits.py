"""The built-in digits, as they are and as a world that has moved."""

import numpy as np
import pytest
from pydantic import ValidationError

from edge_targets.runtime.errors import DataError
from edge_targets.runtime.events import QUIET
from toolkit.data import Dataset
from toolkit.data.sources import source_for
from toolkit.data.sources.digits import Digits, rotated


def read(**parameters: float) -> Dataset:
    return Digits(**parameters).dataset("digits", "digits", None, QUIET)


def test_there_are_1797_scans_of_ten_digits(digits: Dataset) -> None:
    # Alpaydin and Kaynak 1998, UCI: 1,797 items of 64 attributes in the range 0 to 16
    assert source_for("digits") == "digits"
    assert digits.inputs.shape == (1797, 1, 8, 8)
    assert (digits.inputs.min(), digits.inputs.max()) == (0, 16)
    assert np.bincount(digits.targets).tolist() == [
        178, 182, 177, 183, 181, 182, 181, 179, 174, 180,
    ]  # fmt: skip


def test_parts_hold_three_two_and_two_of_ten(digits: Dataset) -> None:
    shares = [digits.count(part) / 1797 for part in ("train", "validation", "test")]

    assert shares == pytest.approx([0.6, 0.2, 0.2], abs=0.01)


def test_the_same_seed_gives_the_same_data() -> None:
    one, other = read(noise=2, seed=3), read(noise=2, seed=3)

    assert one.to_bytes() == other.to_bytes()
    assert read(noise=2, seed=4).to_bytes() != one.to_bytes()


def test_noise_has_the_spread_that_was_asked_for(digits: Dataset) -> None:
    noisy = read(noise=1.5)
    middle = (digits.inputs > 6) & (digits.inputs < 10)  # far from where values are cut off

    added = (noisy.inputs - digits.inputs)[middle]

    assert added.std() == pytest.approx(1.5, rel=0.05)
    assert abs(added.mean()) < 0.05
    assert noisy.inputs.min() >= 0
    assert noisy.inputs.max() <= 16


def test_rotation_turns_counterclockwise() -> None:
    image = np.arange(64, dtype=np.float32).reshape(8, 8)

    assert np.array_equal(rotated(image, 90), np.rot90(image))


def test_a_moved_world_keeps_targets_and_split(digits: Dataset) -> None:
    moved = read(rotation_deg=25, noise=1)

    assert np.array_equal(moved.targets, digits.targets)
    assert np.array_equal(moved.split, digits.split)
    assert abs(moved.inputs - digits.inputs).mean() > 1


@pytest.mark.parametrize("parameter", [{"rotation_deg": 181}, {"noise": -1}, {"noise": 17}])
def test_parameters_have_bounds(parameter: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        Digits(**parameter)


@pytest.mark.parametrize(
    ("target", "source", "said"),
    [
        ("nosuch", Digits(), "'nosuch'"),
        (None, Digits(split_column="foo"), "foo"),
        (None, Digits(split="group"), "group"),
        (None, Digits(split="time", split_column="day"), "day"),
    ],
)
def test_what_has_no_columns_refuses_to_go_by_one(
    target: str | None, source: Digits, said: str
) -> None:
    with pytest.raises(DataError, match=said) as caught:
        source.dataset("digits", "digits", target, QUIET)

    assert "no columns" in str(caught.value)
    assert caught.value.hint
