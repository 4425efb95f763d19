"""Data read like another dataset: the same number stands for the same category and class."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edge_targets.runtime.errors import DataError
from edge_targets.runtime.events import QUIET, Event, Job
from toolkit.data import Dataset
from toolkit.data.dataset import unlike
from toolkit.data.sources.csv import Csv
from toolkit.data.sources.digits import Digits
from toolkit.data.sources.image_folder import ImageFolder

WriteTable = Callable[..., Path]
COLOURS = ("blue", "green", "red")


def rows(count: int = 24) -> list[list[object]]:
    """A number, a category and one of three classes."""
    return [[i + 0.5, COLOURS[i % 3], "abc"[i // 3 % 3]] for i in range(count)]


@pytest.fixture
def base(table: WriteTable) -> Dataset:
    file = table([["length", "colour", "kind"], *rows()], "base.csv")
    return Csv().dataset("base", str(file), "kind", QUIET)


def field(
    file: Path, like: Dataset, target: str | None = None, job: Job = QUIET, **parameters: Any
) -> Dataset:
    return Csv(**parameters).dataset("field", str(file), target, job, like)


def refused(file: Path, like: Dataset, target: str | None = None, **parameters: Any) -> DataError:
    with pytest.raises(DataError) as caught:
        field(file, like, target, **parameters)
    assert caught.value.hint
    return caught.value


def test_a_table_without_one_category_and_class_keeps_their_numbers(
    base: Dataset, table: WriteTable
) -> None:
    file = table([["length", "colour", "kind"], *[[i, "red", "b"] for i in range(9)]])

    data = field(file, base)

    assert set(data.inputs[:, 1]) == {2}
    assert set(data.targets) == {1}
    assert data.facts.source == str(file)
    assert unlike(base.facts, data.facts) == ""
    assert base.merged(data).count("train") == base.count("train") + data.count("train")


def test_the_order_of_columns_is_the_other_datasets(base: Dataset, table: WriteTable) -> None:
    file = table([["kind", "colour", "length"], *[row[::-1] for row in rows()]])

    data = field(file, base)

    assert np.array_equal(data.inputs, base.inputs)
    assert np.array_equal(data.targets, base.targets)


def test_further_columns_are_left_out_and_told(
    base: Dataset, table: WriteTable, job: Job, events: list[Event]
) -> None:
    file = table([["note", "length", "colour", "kind"], *[["free", *row] for row in rows()]])

    data = field(file, base, job=job)

    assert data.facts.input.columns == ("length", "colour")
    assert any("leave out note" in event.message for event in events)


def test_a_column_to_split_by_is_not_told_as_left_out(
    base: Dataset, table: WriteTable, job: Job, events: list[Event]
) -> None:
    file = table([["day", "length", "colour", "kind"], *[[i, *r] for i, r in enumerate(rows())]])

    data = field(file, base, job=job, split="time", split_column="day")

    assert data.part("test")[0][:, 0].min() > data.part("train")[0][:, 0].max()
    assert not any("leave out" in event.message for event in events)


def test_a_type_is_not_guessed_again(table: WriteTable) -> None:
    header = ["room", "size", "kind"]
    first = table([header, *[[i % 3, i, "ab"[i % 2]] for i in range(12)]], "base.csv")
    known = Csv(categories=("room",)).dataset("base", str(first), "kind", QUIET)
    file = table([header, *[["1.0", "", "ab"[i % 2]] for i in range(12)]])

    data = field(file, known)

    assert set(data.inputs[:, 0]) == {1}
    assert np.isnan(data.inputs[:, 1]).all()


def test_classes_that_are_numbers_are_found_however_they_are_written(table: WriteTable) -> None:
    first = table([["x", "kind"], *[[i, i % 3] for i in range(12)]], "base.csv")
    known = Csv().dataset("base", str(first), "kind", QUIET)

    data = field(table([["x", "kind"], *[[i, "2.0"] for i in range(9)]]), known)

    assert data.labels == ("0", "1", "2")
    assert set(data.targets) == {2}


def test_numbers_to_predict_stay_numbers_when_few_differ(table: WriteTable) -> None:
    first = table([["x", "price"], *[[i, i * 1.5] for i in range(12)]], "base.csv")
    known = Csv().dataset("base", str(first), "price", QUIET)

    data = field(table([["x", "price"], *[[i, 3] for i in range(12)]]), known)

    assert data.task == "regression"
    assert data.targets.dtype == np.float32
    assert set(data.targets) == {3}


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (["1", "violet", "a"], "line 26: 'violet' in column 'colour' is none of blue, green, red"),
        (["1", "red", "z"], "line 26: 'z' in column 'kind' is none of a, b, c"),
        (["long", "red", "a"], "line 26: 'long' in number column 'length'"),
        (["1", "red", ""], "line 26: the target 'kind' is missing"),
    ],
)
def test_a_cell_that_the_other_dataset_does_not_know_is_refused_with_its_line(
    base: Dataset, table: WriteTable, row: list[object], said: str
) -> None:
    file = table([["length", "colour", "kind"], *rows(), row])

    error = refused(file, base)

    assert said in str(error)
    assert "--set" not in error.hint


def test_a_column_that_is_missing_is_refused_with_those_there(
    base: Dataset, table: WriteTable
) -> None:
    error = refused(table([["length", "kind"], *[[i, "a"] for i in range(9)]]), base)

    assert "no column 'colour'; it has length, kind" in str(error)
    assert base.facts.source in error.hint


@pytest.mark.parametrize("parameter", [{"categories": ("length",)}, {"ignore": ("colour",)}])
def test_what_the_other_dataset_settles_cannot_be_chosen(
    base: Dataset, table: WriteTable, parameter: dict[str, Any]
) -> None:
    error = refused(table([["length", "colour", "kind"], *rows()]), base, **parameter)

    assert f"{next(iter(parameter))} cannot be chosen" in str(error)


def test_another_target_is_refused(base: Dataset, table: WriteTable) -> None:
    file = table([["length", "colour", "kind"], *rows()])

    assert "'kind', not 'colour'" in str(refused(file, base, "colour"))
    assert field(file, base, "kind").labels == ("a", "b", "c")


def test_a_table_is_not_read_like_pictures(digits: Dataset, table: WriteTable) -> None:
    error = refused(table([["length", "colour", "kind"], *rows()]), digits)

    assert "is a table; digits is not" in str(error)


def folder(root: Path, *labels: str) -> Path:
    for label in labels:
        (root / label).mkdir(parents=True)
        for number in range(4):
            Image.new("RGB", (6, 4), (number, 0, 0)).save(root / label / f"{number}.png")
    return root


def test_pictures_of_one_class_are_read_in_the_other_datasets_size(tmp_path: Path) -> None:
    first = folder(tmp_path / "base", "cat", "dog", "owl")
    known = ImageFolder(height=5, width=7, colour="grey").dataset("base", str(first), None, QUIET)
    second = folder(tmp_path / "field", "dog")

    data = ImageFolder().dataset("field", str(second), None, QUIET, known)

    assert data.inputs.shape == (4, 1, 5, 7)
    assert data.labels == ("cat", "dog", "owl")
    assert set(data.targets) == {1}
    assert known.merged(data).count("test") == known.count("test") + data.count("test")


def test_a_class_folder_that_the_other_dataset_does_not_have_is_refused(tmp_path: Path) -> None:
    first = folder(tmp_path / "base", "cat", "dog")
    known = ImageFolder().dataset("base", str(first), None, QUIET)
    second = folder(tmp_path / "field", "dog", "fox")

    with pytest.raises(DataError, match="fox") as caught:
        ImageFolder().dataset("field", str(second), None, QUIET, known)

    assert "cat, dog" in caught.value.hint


def test_a_size_cannot_be_chosen_for_pictures_read_like_others(tmp_path: Path) -> None:
    first = folder(tmp_path / "base", "cat", "dog")
    known = ImageFolder().dataset("base", str(first), None, QUIET)

    with pytest.raises(DataError, match="height cannot be chosen"):
        ImageFolder(height=9).dataset("field", str(first), None, QUIET, known)


def test_pictures_are_not_read_like_a_table(base: Dataset, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds pictures"):
        ImageFolder().dataset(
            "field", str(folder(tmp_path / "pictures", "a", "b")), None, QUIET, base
        )


def test_brightness_to_255_is_not_read_like_ink_to_16(digits: Dataset, tmp_path: Path) -> None:
    pictures = folder(tmp_path / "pictures", "3", "7")

    with pytest.raises(DataError, match="0-255 and not float32 values in 0-16"):
        ImageFolder().dataset("field", str(pictures), None, QUIET, digits)


def test_digits_are_only_read_like_digits(digits: Dataset, base: Dataset) -> None:
    moved = Digits(noise=1).dataset("field", "digits", None, QUIET, digits)

    assert digits.merged(moved).count("test") == 2 * digits.count("test")
    with pytest.raises(DataError, match="cannot be read like base"):
        Digits().dataset("field", "digits", None, QUIET, base)
