"""Groups of items: classes, columns, who they came from."""

from dataclasses import replace

import numpy as np
import pytest

from edge_targets.runtime.contract import TensorSpec
from edge_targets.runtime.errors import UnknownNameError
from toolkit.data.dataset import Column, Dataset, Facts
from toolkit.evaluation.slices import slices_of

ROWS = np.array([2, 0, 3])


@pytest.fixture
def data() -> Dataset:
    columns = (Column("colour", "category", ("red", "blue")), Column("weight", "number"))
    inputs = np.array([[0, 1], [1, 2], [np.nan, 3], [1, np.nan]], np.float32)
    facts = Facts("x", TensorSpec("row", (-1, 2)), ("yes", "no"), columns=columns)
    return Dataset("x", facts, inputs, np.array([0, 1, 1, 0]), np.zeros(4, np.uint8))


def test_classes_are_always_looked_at(data: Dataset) -> None:
    assert slices_of(data, (), ROWS)["class"].tolist() == ["no", "yes", "yes"]


def test_a_category_is_sliced_by_its_values_and_gaps_are_a_group(data: Dataset) -> None:
    assert slices_of(data, ["colour"], ROWS)["colour"].tolist() == ["missing", "red", "blue"]


def test_a_number_is_sliced_into_bands_of_the_training_items(data: Dataset) -> None:
    # the quarters of 1, 2, 3 lie at 1.5, 2 and 2.5
    assert slices_of(data, ["weight"], ROWS)["weight"].tolist() == [
        "from 2.5",
        "below 1.5",
        "missing",
    ]


def test_items_can_be_sliced_by_who_they_came_from(data: Dataset) -> None:
    grouped = replace(data, groups=np.array(["ann", "ann", "bob", "bob"]))

    assert slices_of(grouped, ["group"], ROWS)["group"].tolist() == ["bob", "ann", "bob"]


def test_a_column_that_is_not_there_is_answered_with_the_nearest(data: Dataset) -> None:
    with pytest.raises(UnknownNameError) as caught:
        slices_of(data, ["color"], ROWS)

    assert "'colour'" in caught.value.hint
    with pytest.raises(UnknownNameError):
        slices_of(data, ["group"], ROWS)
