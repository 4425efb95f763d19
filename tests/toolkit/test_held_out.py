"""A model is judged by what it has never seen: an item it has learned from is left out."""

from dataclasses import replace

import numpy as np
import pytest

from edge_targets.runtime.contract import TensorSpec
from edge_targets.runtime.errors import DataError
from edge_targets.runtime.events import QUIET
from toolkit.data import Dataset, Facts
from toolkit.data.dataset import Column
from toolkit.data.sources.digits import Digits
from toolkit.evaluation.held_out import as_bytes, held_out


def made(rows: np.ndarray, columns: tuple[Column, ...] = ()) -> Dataset:
    """Rows of which every fifth is for validation and every fifth for test."""
    names = tuple(column.name for column in columns)
    facts = Facts("made", TensorSpec("x", (-1, rows.shape[1]), columns=names), columns=columns)
    split = np.array([0, 0, 0, 1, 2], np.uint8)[np.arange(len(rows)) % 5]
    return Dataset("made", facts, rows.astype(np.float32), np.arange(len(rows)) * 1.0, split)


def test_what_was_split_fairly_is_kept_whole(digits: Dataset) -> None:
    found = held_out(digits, [digits])

    assert found.left_out == 0
    assert np.array_equal(found.inputs, digits.part("test")[0])
    assert np.array_equal(found.targets, digits.part("test")[1])


def test_the_same_items_split_otherwise_are_found(digits: Dataset) -> None:
    other = Digits(seed=1).dataset("d1", "digits", None, QUIET)

    found = held_out(other, [digits])

    known = {item.tobytes() for part in ("train", "validation") for item in digits.part(part)[0]}
    assert found.left_out + len(found.inputs) == other.count("test")
    assert found.left_out == sum(item.tobytes() in known for item in other.part("test")[0]) > 250
    assert not any(item.tobytes() in known for item in found.inputs)
    assert len(found.targets) == len(found.inputs)


def test_a_test_item_that_also_stands_in_the_training_part_is_left_out() -> None:
    rows = np.random.default_rng(0).normal(size=(200, 3))
    rows[4], rows[9], rows[14] = rows[0], rows[3], rows[19]  # learned, learned, a test item

    assert held_out(made(rows), [made(rows)]).left_out == 2
    assert held_out(made(rows), []).left_out == 0


def test_too_few_unseen_items_are_refused(digits: Dataset) -> None:
    everything = replace(digits, split=np.zeros_like(digits.split))

    with pytest.raises(DataError, match="359 of the 359 test items of digits") as caught:
        held_out(digits, [everything])

    assert caught.value.hint


def test_one_repeated_row_does_not_spoil_a_small_dataset() -> None:
    rows = np.random.default_rng(0).normal(size=(60, 3))
    rows[4] = rows[0]

    found = held_out(made(rows), [made(rows)])

    assert (found.left_out, len(found.inputs)) == (1, 11)


def test_rows_of_a_table_that_repeat_by_nature_are_different_items() -> None:
    rows = np.arange(300)[:, None] % 7
    colours = (Column("colour", "category", tuple("abcdefg")),)

    assert held_out(made(rows, colours), [made(rows, colours)]).left_out == 0
    with pytest.raises(DataError, match="60 of the 60"):
        held_out(made(rows), [made(rows)])  # not so images


def test_equal_numbers_are_the_same_item_whatever_their_bits() -> None:
    rows = np.array([[0.0, np.nan, 1], [-0.0, -np.nan, 1], [0, np.nan, 2]], np.float32)

    one, same, other = as_bytes(rows)

    assert one == same != other
