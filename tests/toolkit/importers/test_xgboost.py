"""XGBoost's own files: they answer as XGBoost does, with values missing too."""

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_targets.runtime.errors import EdgeError, IntegrityError, UnsupportedError
from edge_targets.runtime.events import QUIET, Event, Job
from toolkit.guarded import import_model
from toolkit.importers import Given, Source, read_model, recognised
from toolkit.inference import Runner

xgboost = pytest.importorskip("xgboost")
Save = Callable[..., Path]
NAMES = ["height", "width", "depth"]
RNG = np.random.default_rng(0)
ROWS = RNG.standard_normal((120, 3)).astype(np.float32)
ROWS[RNG.random(ROWS.shape) < 0.15] = np.nan
SUM = np.nan_to_num(ROWS).sum(axis=1)
KIND = np.digitize(SUM, [-0.7, 0.7])


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """Writes a small booster; the table has names for its columns."""

    def write(target: Any = SUM, name: str = "model.json", **words: Any) -> Path:
        table = xgboost.DMatrix(ROWS, label=target, feature_names=NAMES, nthread=1)
        booster = xgboost.train({"nthread": 1, "verbosity": 0, **words}, table, 4)
        booster.save_model(tmp_path / name)
        return tmp_path / name

    return write


def answer(file: Path, **words: Any) -> Any:
    booster = xgboost.Booster()
    booster.load_model(file)
    return booster.predict(xgboost.DMatrix(ROWS, feature_names=NAMES, nthread=1), **words)


def made(file: Path) -> Any:
    return Runner.of_model(read_model(file, Given(), QUIET).model, QUIET).first_output(ROWS, QUIET)


def refused(file: Path) -> EdgeError:
    with pytest.raises(EdgeError) as caught:
        read_model(file, Given(), QUIET)
    assert caught.value.hint
    return caught.value


@pytest.mark.parametrize("name", ["model.json", "model.ubj"])
def test_classes_columns_and_shares_are_taken_over(
    save: Save, name: str, events: list[Event]
) -> None:
    file = save(KIND, name, objective="multi:softprob", num_class=3)
    other = file.rename(file.with_name("any.bin"))

    found = read_model(other, Given(), Job(events.append))

    assert found.model.signature.inputs[0].columns == tuple(NAMES)
    assert found.model.signature.labels == ("0", "1", "2")
    assert found.metadata["objective"] == "multi:softprob"
    assert found.notes == ()
    assert events[-1].done == events[-1].total
    file = other.rename(file)
    np.testing.assert_allclose(made(file), answer(file), atol=1e-5)


@pytest.mark.parametrize(
    "words",
    [
        {"objective": "reg:squarederror"},
        {"objective": "reg:squarederror", "booster": "dart", "rate_drop": 0.5},
        {"objective": "reg:squarederror", "num_parallel_tree": 3, "subsample": 0.5},
        {"objective": "reg:absoluteerror"},
        {"objective": "rank:pairwise"},
        {"objective": "reg:quantileerror", "quantile_alpha": [0.1, 0.9]},
    ],
)
def test_numbers_agree(save: Save, words: dict[str, Any]) -> None:
    target = KIND if "rank" in words["objective"] else SUM
    file = save(target, **words)

    expected = answer(file).reshape(len(ROWS), -1)

    np.testing.assert_allclose(made(file), expected, atol=1e-5)


@pytest.mark.parametrize("objective", ["count:poisson", "reg:gamma", "reg:tweedie"])
def test_numbers_above_zero_agree(save: Save, objective: str) -> None:
    file = save(np.exp(SUM / 3), objective=objective)

    np.testing.assert_allclose(made(file).ravel(), answer(file), rtol=1e-5)


def test_two_classes_are_two_shares(save: Save) -> None:
    file = save(SUM > 0, objective="binary:logistic")

    np.testing.assert_allclose(made(file)[:, 1], answer(file), atol=1e-5)
    np.testing.assert_allclose(made(file).sum(axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("objective", ["binary:logitraw", "binary:hinge"])
def test_what_gives_no_shares_gives_scores_and_says_so(save: Save, objective: str) -> None:
    file = save(SUM > 0, objective=objective)

    found = read_model(file, Given(), QUIET)

    margin = answer(file, output_margin=True)
    np.testing.assert_allclose(made(file), np.stack([-margin, margin], axis=1), atol=1e-5)
    assert "no shares" in found.notes[0]


def test_softmax_gives_shares_whose_largest_is_its_answer(save: Save) -> None:
    file = save(KIND, objective="multi:softmax", num_class=3)

    assert made(file).argmax(axis=1).tolist() == answer(file).tolist()


def test_several_targets_are_several_columns(save: Save) -> None:
    file = save(np.stack([SUM, -SUM], axis=1), objective="reg:squarederror")

    np.testing.assert_allclose(made(file), answer(file), atol=1e-5)


def test_a_linear_booster_is_a_product(save: Save) -> None:
    file = save(booster="gblinear", objective="reg:squarederror")

    full = np.isfinite(ROWS).all(axis=1)
    np.testing.assert_allclose(made(file)[full].ravel(), answer(file)[full], atol=1e-5)
    assert "missing (NaN)" in read_model(file, Given(), QUIET).notes[0]


def test_a_threshold_itself_goes_the_way_it_does_in_xgboost(tmp_path: Path) -> None:
    numbers = np.arange(8, dtype=np.float32).reshape(-1, 1)
    table = xgboost.DMatrix(numbers, label=numbers.ravel(), nthread=1)
    booster = xgboost.train({"nthread": 1, "min_child_weight": 0, "max_depth": 4}, table, 2)
    file = tmp_path / "exact.json"
    booster.save_model(file)

    model = read_model(file, Given(), QUIET).model

    halves = np.linspace(0, 8, 33, dtype=np.float32).reshape(-1, 1)
    mine = Runner.of_model(model, QUIET).first_output(halves, QUIET).ravel()
    np.testing.assert_allclose(mine, booster.predict(xgboost.DMatrix(halves)), atol=1e-5)


def test_what_cannot_be_taken_over_is_named(save: Save) -> None:
    vectors = save(np.stack([SUM, -SUM], axis=1), multi_strategy="multi_output_tree")
    assert "several outputs each" in str(refused(vectors))

    table = xgboost.DMatrix(
        np.abs(np.nan_to_num(ROWS)).round() % 4, label=SUM, nthread=1,
        feature_types=["c", "q", "q"], enable_categorical=True,
    )  # fmt: skip
    words = {"nthread": 1, "max_cat_to_onehot": 1}
    xgboost.train(words, table, 4).save_model(vectors)
    assert "categories" in str(refused(vectors))

    facts = json.loads(save().read_text())
    facts["learner"]["objective"]["name"] = "reg:mine"
    vectors.write_text(json.dumps(facts))
    assert isinstance(refused(vectors), UnsupportedError | IntegrityError)


def test_trees_that_loop_are_refused(save: Save) -> None:
    file = save()
    facts = json.loads(file.read_text())
    facts["learner"]["gradient_booster"]["model"]["trees"][0]["left_children"][0] = 0
    file.write_text(json.dumps(facts))

    assert isinstance(refused(file), IntegrityError)


def test_json_of_another_kind_is_not_taken(tmp_path: Path) -> None:
    file = tmp_path / "other.json"
    file.write_text('{"model": {"learner": 1}}')

    with pytest.raises(UnsupportedError, match="not a model file"):
        recognised(Source.of(file))


def test_it_is_read_in_a_process_with_limits(save: Save) -> None:
    found = import_model(save(SUM > 0, objective="binary:logistic"), Given(), QUIET)

    assert found.model.signature.labels == ("0", "1")


def test_mutations_give_a_model_or_two_clear_lines(save: Save) -> None:
    file = save(KIND, objective="multi:softprob", num_class=3)
    data = file.read_bytes()
    rng = np.random.default_rng(5)
    for _ in range(100):
        mutant = bytearray(data)
        for place in rng.integers(0, len(data), 3):
            mutant[place] = rng.choice([*b'0123456789-.e"[]{},'])
        file.write_bytes(mutant[: len(data) if rng.integers(4) else rng.integers(len(data))])
        with contextlib.suppress(EdgeError):
            read_model(file, Given(), QUIET)
