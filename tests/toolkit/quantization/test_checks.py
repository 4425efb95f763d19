"""Warnings about calibration items: each for its fault, none for good ones."""

import numpy as np
import pytest

from toolkit.data import Dataset
from toolkit.model import Model
from toolkit.quantization.checks import calibration_warnings


def test_good_items_raise_no_warning(exported: Model, digits: Dataset) -> None:
    items, targets = digits.part("train")

    assert calibration_warnings(exported, items[:256], targets[:256]) == ()


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (lambda x: x[:0], "no calibration item"),
        (lambda x: x[:5], "Only 5 calibration items"),
        (lambda x: np.repeat(x[:1], 64, axis=0), "All 64 calibration items are equal"),
        (lambda x: x * 16, "reach from 0 to 256; the model learned from 0 to 16"),
        (lambda x: x / 255, "Were they scaled already"),
        (lambda x: np.where(x > 15, np.inf, x), "are infinite"),
        (lambda x: x * np.float32(np.nan), "No calibration item holds a number"),
    ],
)
def test_each_fault_is_named_with_its_numbers(
    exported: Model, digits: Dataset, fault: object, words: str
) -> None:
    assert callable(fault)
    items = fault(digits.part("train")[0][:128]).astype(np.float32)

    assert any(words in text for text in calibration_warnings(exported, items))


def test_classes_without_an_item_are_named(exported: Model, digits: Dataset) -> None:
    items, targets = digits.part("train")
    chosen = targets < 7

    [text] = calibration_warnings(exported, items[chosen], targets[chosen])

    assert text == "3 of 10 classes have no calibration item: 7, 8, 9."


def test_a_model_that_answers_the_same_to_everything_is_told(
    exported: Model, digits: Dataset
) -> None:
    items = (digits.part("train")[0][:64] * 1e-9).astype(np.float32)

    found = calibration_warnings(exported.with_data(None), items)

    assert any("same answer to all 64" in text for text in found)
