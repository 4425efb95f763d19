"""Feature steps: fitted on training data alone, and the same in torch and in the exported graph."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edge_targets.runtime.contract import TensorSpec
from edge_targets.runtime.events import QUIET
from toolkit.data import Column, Dataset, Facts
from toolkit.data.audio import audio_spec
from toolkit.features import Feature, features, fit_features
from toolkit.features.impute import Impute
from toolkit.features.one_hot import OneHot
from toolkit.features.scale import Scale
from toolkit.inference import Runner
from toolkit.model import Model, state_of
from toolkit.networks.mlp import Mlp

COLUMNS = (
    Column("age", "number"),
    Column("colour", "category", ("blue", "green", "red")),
    Column("same", "number"),
    Column("empty", "category"),
)
NAN = float("nan")
Array = np.ndarray[Any, Any]


def dataset(count: int = 60) -> Dataset:
    """Ages 20 to 79, three colours, a constant, and a column without a value; some gaps."""
    ages = np.arange(20.0, 20 + count)
    rows = np.stack([ages, np.arange(count) % 3, np.full(count, 0.1), np.full(count, NAN)], axis=1)
    rows[7, 0] = rows[8, 1] = NAN
    facts = Facts("t.csv", TensorSpec("features", (-1, 4)), ("a", "b"), "kind", COLUMNS)
    split = np.where(np.arange(count) < count // 2, 0, 1 + np.arange(count) % 2).astype(np.uint8)
    return Dataset("t", facts, rows.astype(np.float32), np.arange(count) % 2, split)


def facts_of(*columns: Column) -> Facts:
    return Facts("t.csv", TensorSpec("features", (-1, len(columns))), columns=columns)


def applied(steps: tuple[Feature, ...], values: Array) -> Array:
    found = torch.from_numpy(values.astype(np.float32))
    with torch.no_grad():
        for step in steps:
            found = step.module().eval()(found)
    return np.asarray(found)


def test_steps_come_in_order_and_only_where_they_have_something_to_do(digits: Dataset) -> None:
    assert [type(step).__name__ for step in fit_features(dataset())] == [
        "Impute",
        "Scale",
        "OneHot",
    ]
    assert [type(step).__name__ for step in fit_features(digits)] == ["Scale"]


def test_nothing_is_learned_from_what_is_not_training_data() -> None:
    data = dataset()
    moved = data.inputs.copy()
    moved[data.split > 0] = 1e6
    other = Dataset("t", data.facts, moved, data.targets, data.split)

    assert fit_features(other) == fit_features(data)


def test_a_training_column_comes_out_with_mean_0_and_deviation_1() -> None:
    data = dataset()
    inputs = data.part("train")[0]

    found = applied(fit_features(data), inputs)

    known = np.isfinite(inputs[:, 0])
    assert found[known, 0].mean() == pytest.approx(0, abs=1e-5)
    assert found[known, 0].std() == pytest.approx(1, abs=1e-5)


def test_gaps_become_the_median_and_the_most_frequent_category() -> None:
    inputs = np.array([[1, 2], [2, 2], [90, 0], [NAN, NAN]], np.float32)

    step = Impute.fit(inputs, facts_of(*COLUMNS[:2]))

    assert step == Impute(fill=(2.0, 2.0))
    assert applied((step,), inputs)[3].tolist() == [2, 2]


def test_a_category_becomes_one_of_several_inputs_and_an_unknown_one_none() -> None:
    step = OneHot(sizes=(0, 3))
    values = np.array([[7, 0], [8, 2], [9, 3], [9, -1]], np.float32)

    found = applied((step,), values)

    assert step.shape((2,)) == (4,)
    assert found.tolist() == [[7, 1, 0, 0], [8, 0, 0, 1], [9, 0, 0, 0], [9, 0, 0, 0]]


def test_images_are_brought_to_0_to_1(digits: Dataset) -> None:
    [step] = fit_features(digits)

    found = applied((step,), digits.part("train")[0])

    assert step == Scale(minus=(0.0,), times=(1 / 16,))
    assert (found.min(), found.max()) == (0, 1)


def test_images_of_one_colour_stay_as_they_are() -> None:
    step = Scale.fit(np.full((3, 1, 2, 2), 7, np.float32), facts_of())

    assert step == Scale(minus=(7.0,), times=(1.0,))


@given(
    value=st.floats(-(2.0**100), 2.0**100, width=32).filter(lambda v: abs(v) > 2.0**-100),
    count=st.integers(2, 300),
)
def test_a_constant_column_is_not_blown_up(value: float, count: int) -> None:
    inputs = np.full((count, 1), value, np.float32)

    step = Scale.fit(inputs, facts_of(COLUMNS[0]))

    assert step
    assert step.times == (1.0,)
    assert abs(applied((step,), inputs)).max() <= abs(value) * 1e-6


@given(
    values=hnp.arrays(
        np.float32, st.tuples(st.integers(1, 40), st.just(1)), elements=st.floats(width=32)
    )
)
@example(values=np.full((2, 1), 1.7014118e38, np.float32))  # whose sum is no float32
def test_whatever_a_column_holds_scaling_stays_finite(values: Array) -> None:
    steps = [member.fit(values, facts_of(COLUMNS[0])) for member in (Impute, Scale)]
    known = values[np.isfinite(values)][:, None]

    found = applied(tuple(step for step in steps if step), known)

    assert np.isfinite(found).all()


def test_the_exported_graph_prepares_a_table_as_torch_does() -> None:
    data = dataset()
    model = Model(data.signature(), Mlp(hidden=(5,)), fit_features(data), data=data)
    model = model.with_weights(state_of(model.module()))
    rows = np.concatenate(
        [data.inputs, [[NAN] * 4, [1e4, 99, 5, 3], [-1e4, -1, 0.1, NAN]]], dtype=np.float32
    )

    found = Runner.of_model(model, QUIET).first_output(rows, QUIET)

    with torch.no_grad():
        scores = model.module()(torch.from_numpy(rows))
    expected = torch.softmax(scores, dim=1).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert np.isfinite(found).all()


FITTED = ("impute", "log_mel", "one_hot", "scale")  # the others are asked for by name


def made(name: str) -> Feature | None:
    """The step for a table, or for sounds."""
    sounds = np.zeros((4, 1, 800), np.float32)
    return features[name].fit(dataset().inputs, facts_of(*COLUMNS)) or features[name].fit(
        sounds, Facts("words", audio_spec(8000, 800))
    )


@pytest.mark.parametrize("name", FITTED)
def test_every_step_explains_its_fields_and_survives_json(name: str) -> None:
    member = features[name]
    step = made(name)

    assert step
    assert all(field.description for field in member.model_fields.values())
    assert member(**step.model_dump(mode="json")) == step
