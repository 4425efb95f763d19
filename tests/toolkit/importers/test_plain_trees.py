"""Trees as plain tensors: the same answers, in operators that every runtime has."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from edge_targets.runtime.events import QUIET
from toolkit.foreign import trees
from toolkit.foreign.trees import with_plain_trees
from toolkit.formats import formats
from toolkit.importers import Given, read_model
from toolkit.inference import Runner
from toolkit.model import Model
from toolkit.onnx_graph import parse, written

pytest.importorskip("skl2onnx")
skops_io = pytest.importorskip("skops.io")
ROWS, KIND = load_iris(return_X_y=True)
ROWS = ROWS.astype(np.float32)
GAPS = np.where(np.random.default_rng(0).random(ROWS.shape) < 0.2, np.float32(np.nan), ROWS)


def imported(estimator: Any, tmp_path: Path) -> Model:
    skops_io.dump(estimator, tmp_path / "model.skops")
    return read_model(tmp_path / "model.skops", Given(), QUIET).model


def rebuilt(model: Model) -> Model:
    return model.with_graph(written(with_plain_trees(parse(model.graph))))


def domains(model: Model) -> set[str]:
    return {node.domain for node in parse(model.graph).graph.node}


@pytest.mark.parametrize(
    ("estimator", "target"),
    [
        (RandomForestClassifier(5, random_state=0), KIND),
        (RandomForestRegressor(3, random_state=0), np.stack([KIND, -KIND], axis=1)),
        (GradientBoostingClassifier(n_estimators=4), KIND == 1),
        (GradientBoostingClassifier(n_estimators=4), KIND),
        (HistGradientBoostingClassifier(max_iter=4), KIND),
        (RandomForestClassifier(2, max_depth=1, min_samples_leaf=80), KIND),
    ],
    ids=lambda one: type(one).__name__,
)
def test_tensors_answer_as_trees_do(estimator: Any, target: Any, tmp_path: Path) -> None:
    model = imported(estimator.fit(ROWS, target), tmp_path)

    tensors = rebuilt(model)

    assert "ai.onnx.ml" not in domains(tensors)
    rows = np.concatenate([ROWS, ROWS * 3, -ROWS])
    expected = Runner.of_model(model, QUIET).first_output(rows, QUIET)
    found = Runner.of_model(tensors, QUIET).first_output(rows, QUIET)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_missing_values_go_the_way_they_did(tmp_path: Path) -> None:
    model = imported(HistGradientBoostingClassifier(max_iter=4).fit(GAPS, KIND), tmp_path)

    expected = Runner.of_model(model, QUIET).first_output(GAPS, QUIET)
    found = Runner.of_model(rebuilt(model), QUIET).first_output(GAPS, QUIET)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_forest_that_is_too_large_stays_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = imported(RandomForestClassifier(5, random_state=0).fit(ROWS, KIND), tmp_path)
    monkeypatch.setattr(trees, "MOST", 10)

    assert "ai.onnx.ml" in domains(rebuilt(model))


def test_linear_models_and_scalers_are_plain_from_the_start(tmp_path: Path) -> None:
    pipeline = make_pipeline(StandardScaler(), LogisticRegression()).fit(ROWS, KIND)

    model = imported(pipeline, tmp_path)

    assert domains(model) == {""}


@pytest.mark.parametrize("kind", ["linear", "trees"])
def test_tables_run_as_tflite(tmp_path: Path, kind: str) -> None:
    estimator = {
        "linear": make_pipeline(StandardScaler(), LogisticRegression()),
        "trees": RandomForestClassifier(4, max_depth=4, random_state=0),
    }[kind].fit(ROWS, KIND)
    model = rebuilt(imported(estimator, tmp_path))

    built = formats["tflite"]().build(model.graph, model.signature, QUIET)

    runner = Runner(built.data, "tflite", model.signature)
    shares = runner.first_output(ROWS, QUIET)
    np.testing.assert_allclose(shares, estimator.predict_proba(ROWS), atol=1e-5)
