"""LightGBM's own files: they answer as LightGBM does, with values missing too."""

import contextlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_targets.runtime.errors import EdgeError, IntegrityError
from edge_targets.runtime.events import QUIET, Event, Job
from toolkit.importers import Given, read_model
from toolkit.inference import Runner

lightgbm = pytest.importorskip("lightgbm")
Save = Callable[..., Path]
NAMES = ["height", "width", "depth"]
RNG = np.random.default_rng(0)
ROWS = RNG.standard_normal((150, 3)).astype(np.float32)
ROWS[:, 2] = ROWS[:, 2].round(1)
SUM = ROWS.sum(axis=1)
GAPS = np.where(RNG.random(ROWS.shape) < 0.15, np.float32(np.nan), ROWS)
KIND = np.digitize(SUM, [-0.7, 0.7])


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """Writes a small booster; the table has names for its columns."""

    def write(target: Any = SUM, rows: Any = GAPS, categories: Any = "auto", **words: Any) -> Path:
        settings = {"verbosity": -1, "num_threads": 1, "min_data_in_leaf": 3, **words}
        group = [len(rows)] if "rank" in str(words) else None
        names = [f"c{i}" for i in range(rows.shape[1])] if rows.shape[1] != 3 else NAMES
        table = lightgbm.Dataset(
            rows, target, group=group, feature_name=names, categorical_feature=categories
        )
        lightgbm.train(settings, table, 4).save_model(tmp_path / "model.any")
        return tmp_path / "model.any"

    return write


def answer(file: Path, rows: Any) -> Any:
    booster = lightgbm.Booster(model_str=file.read_text())
    return booster.predict(rows.astype(np.float64), num_threads=1)


def made(file: Path, rows: Any) -> Any:
    return Runner.of_model(read_model(file, Given(), QUIET).model, QUIET).first_output(rows, QUIET)


def refused(file: Path) -> EdgeError:
    with pytest.raises(EdgeError) as caught:
        read_model(file, Given(), QUIET)
    assert caught.value.hint
    return caught.value


@pytest.mark.parametrize("objective", ["multiclass", "multiclassova"])
def test_classes_columns_and_shares_are_taken_over(
    save: Save, objective: str, events: list[Event]
) -> None:
    file = save(KIND, objective=objective, num_class=3)

    found = read_model(file, Given(), Job(events.append))

    assert found.model.signature.inputs[0].columns == tuple(NAMES)
    assert found.model.signature.labels == ("0", "1", "2")
    assert "multiclass" in found.metadata["objective"]
    assert events[-1].done == events[-1].total
    np.testing.assert_allclose(made(file, GAPS), answer(file, GAPS), atol=1e-5)


@pytest.mark.parametrize(
    "words",
    [
        {"objective": "regression"},
        {"objective": "regression", "boosting": "dart"},
        {"objective": "regression", "boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.5},
        {"objective": "regression", "use_missing": False},
        {"objective": "regression_l1"},
        {"objective": "quantile"},
        {"objective": "huber"},
        {"objective": "lambdarank"},
    ],
)
def test_numbers_agree(save: Save, words: dict[str, Any]) -> None:
    file = save(KIND if words["objective"] == "lambdarank" else SUM, **words)

    np.testing.assert_allclose(made(file, GAPS).ravel(), answer(file, GAPS), atol=1e-5)


@pytest.mark.parametrize("objective", ["poisson", "gamma", "tweedie"])
def test_numbers_above_zero_agree(save: Save, objective: str) -> None:
    file = save(np.exp(SUM / 3), objective=objective)

    np.testing.assert_allclose(made(file, GAPS).ravel(), answer(file, GAPS), rtol=1e-5)


@pytest.mark.parametrize("sigmoid", [1, 2.5])
def test_two_classes_are_two_shares(save: Save, sigmoid: float) -> None:
    file = save(SUM > 0, objective="binary", sigmoid=sigmoid)

    np.testing.assert_allclose(made(file, GAPS)[:, 1], answer(file, GAPS), atol=1e-5)


def test_missing_values_that_training_never_saw_are_zeros(save: Save) -> None:
    file = save(rows=ROWS)

    np.testing.assert_allclose(made(file, GAPS).ravel(), answer(file, GAPS), atol=1e-5)


def test_a_threshold_itself_goes_the_way_it_does_in_lightgbm(save: Save) -> None:
    numbers = np.repeat(np.linspace(0, 1, 40, dtype=np.float32), 3).reshape(-1, 1)
    file = save(numbers.ravel(), rows=numbers, min_data_in_bin=1)
    text = file.read_text()
    found = re.findall(r"^threshold=(.*)$", text, re.MULTILINE)
    exact = np.array([float(word) for line in found for word in line.split()])
    near = exact.astype(np.float32)
    rows = np.concatenate([np.nextafter(near, np.float32(way)) for way in (-9, 9)] + [near])

    model = read_model(file, Given(), QUIET).model

    mine = Runner.of_model(model, QUIET).first_output(rows.reshape(-1, 1), QUIET).ravel()
    np.testing.assert_allclose(mine, answer(file, rows.reshape(-1, 1)), atol=1e-6)


def test_trees_that_never_split_are_a_constant(save: Save) -> None:
    file = save(np.zeros(len(ROWS)) + 3)

    np.testing.assert_allclose(made(file, ROWS), 3, atol=1e-6)


def test_what_cannot_be_taken_over_is_named(save: Save) -> None:
    table = np.abs(ROWS.round()) % 4
    words = {"min_data_per_group": 1, "cat_smooth": 0.1}
    categories = save(table[:, 0] % 2, rows=table, categories=[0], **words)
    assert "categories" in str(refused(categories))
    assert "linear trees" in str(refused(save(linear_tree=True)))
    assert "regression sqrt" in str(refused(save(np.abs(SUM), reg_sqrt=True)))
    zeros = save(rows=np.where(np.abs(ROWS) < 0.5, 0, ROWS) + 0.0, zero_as_missing=True)
    assert "zeros that count as missing" in str(refused(zeros))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("left_child=", "left_child=0 "),
        ("leaf_value=", "leaf_value=1 "),
        ("num_tree_per_iteration=1", "num_tree_per_iteration=0"),
        ("max_feature_idx=2", "max_feature_idx=0"),
        ("split_feature=", "split_feature=9999999999999999999999 "),
    ],
)
def test_damage_is_found_before_the_library_reads_it(save: Save, old: str, new: str) -> None:
    file = save()
    file.write_text(file.read_text().replace(old, new, 1))

    assert isinstance(refused(file), IntegrityError)


def test_a_tree_that_loops_is_refused(save: Save) -> None:
    file = save()
    file.write_text(re.sub(r"left_child=-?\d+", "left_child=0", file.read_text()))

    assert isinstance(refused(file), IntegrityError)


def test_half_a_file_is_refused(save: Save) -> None:
    file = save()
    data = file.read_bytes()
    for share in (0.1, 0.4, 0.6):
        file.write_bytes(data[: int(len(data) * share)])

        assert isinstance(refused(file), IntegrityError)


def test_mutations_give_a_model_or_two_clear_lines(save: Save) -> None:
    file = save(KIND, objective="multiclass", num_class=3)
    data = file.read_bytes().partition(b"end of trees")[0]
    rng = np.random.default_rng(5)
    for _ in range(100):
        mutant = bytearray(data)
        for place in rng.integers(20, len(data), 3):
            mutant[place] = rng.choice([*b"0123456789-. =e\n"])
        file.write_bytes(bytes(mutant) + b"end of trees\n")
        with contextlib.suppress(EdgeError):
            read_model(file, Given(), QUIET)
