"""Datasets: kept and had back, told apart, put together."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edge_targets.runtime.contract import TensorSpec
from edge_targets.runtime.errors import DataError, IntegrityError
from toolkit.data import Column, Dataset, Facts
from toolkit.data.dataset import value_range

COLUMNS = (Column("age", "number"), Column("colour", "category", ("blue", "red")))


def small(**changes: Any) -> Dataset:
    facts = Facts("table.csv", TensorSpec("features", (-1, 2)), ("a", "b"), "kind", COLUMNS)
    inputs = np.array([[1, 0], [2, 1], [np.nan, 0], [4, np.nan]], np.float32)
    return Dataset(
        "small",
        replace(facts, **changes),
        inputs,
        np.array([0, 1, 0, 1]),
        np.array([0, 0, 1, 2], np.uint8),
    )


@given(
    inputs=hnp.arrays(np.float32, (7, 2, 3), elements=st.floats(width=32)),
    targets=hnp.arrays(np.int64, 7, elements=st.integers(0, 5)),
    split=hnp.arrays(np.uint8, 7, elements=st.integers(0, 2)),
)
def test_bytes_give_the_same_dataset_back(inputs: Any, targets: Any, split: Any) -> None:
    data = Dataset("any", small().facts, inputs, targets, split)

    again = Dataset.from_bytes("any", data.facts, data.to_bytes())

    assert np.array_equal(again.inputs, inputs, equal_nan=True)
    assert np.array_equal(again.targets, targets)
    assert np.array_equal(again.split, split)
    assert again.inputs.dtype == np.float32
    assert again.to_bytes() == data.to_bytes()


def test_facts_survive_json_with_what_a_newer_program_added() -> None:
    stored = {**small().facts.to_json(), "licence": "CC BY 4.0"}

    again = Facts.from_json(stored)

    assert again.columns == COLUMNS
    assert again.to_json() == stored


def test_facts_of_a_newer_schema_are_refused() -> None:
    with pytest.raises(IntegrityError, match="schema"):
        Facts.from_json({**small().facts.to_json(), "schema": 2})


def test_parts_are_disjoint_and_complete() -> None:
    data = small()

    assert [len(data.part(p)[0]) for p in ("train", "validation", "test")] == [2, 1, 1]
    assert [data.count(p) for p in ("train", "validation", "test")] == [2, 1, 1]


def test_a_classifier_gives_a_share_a_class_and_a_regression_one_number() -> None:
    classes, numbers = small().signature(), small(labels=(), target="price").signature()

    assert classes.outputs[0].shape == (-1, 2)
    assert classes.labels == ("a", "b")
    assert numbers.outputs[0].shape == (-1, 1)
    assert numbers.outputs[0].columns == ("price",)
    assert numbers.labels == ()


def test_merging_keeps_every_item_in_its_part() -> None:
    one, other = small(), replace(small(), name="more")

    both = one.merged(other)

    assert both.name == "small+more"
    for part in ("train", "validation", "test"):
        assert both.count(part) == one.count(part) + other.count(part)
    assert len(both.inputs) == len(both.targets) == 8


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"labels": ("a", "c")}, "a, c and not a, b"),
        ({"labels": ()}, "numbers and not a, b"),
        ({"input": TensorSpec("features", (-1, 3))}, r"shape \[-1, 3\] and not \[-1, 2\]"),
        (
            {"input": TensorSpec("features", (-1, 2), unit="0-255")},
            "in 0-255 and not float32 values in no unit",
        ),
        ({"input": TensorSpec("features", (-1, 2), "uint8")}, "uint8 values"),
        ({"columns": (COLUMNS[0], Column("colour", "number"))}, r"'colour' \(number\)"),
        (
            {"columns": (COLUMNS[0], Column("colour", "category", ("blue", "green")))},
            "'colour' blue, green and not blue, red",
        ),
    ],
)
def test_data_of_another_kind_is_not_merged_and_the_difference_named(
    changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(DataError, match=said):
        small().merged(small(**changes))


def test_numbers_of_another_target_are_not_merged() -> None:
    price = small(labels=(), target="price")

    with pytest.raises(DataError, match="target 'weight' and not 'price'"):
        price.merged(small(labels=(), target="weight"))


def test_a_range_passes_over_gaps() -> None:
    assert value_range(np.array([3, np.nan, 1, np.inf], np.float32)) == (1, 3)
    assert np.isnan(value_range(np.array([np.nan], np.float32))).all()
