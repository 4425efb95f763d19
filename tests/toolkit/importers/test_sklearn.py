"""scikit-learn files: they answer as the estimator does; pickles are run for nobody unasked."""

import contextlib
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import BaseEstimator
from sklearn.calibration import CalibratedClassifierCV
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_iris
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import (
    AdaBoostClassifier,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge, RidgeClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import MultiOutputClassifier, MultiOutputRegressor
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier, NearestCentroid
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    StandardScaler,
)
from sklearn.svm import SVC, SVR, LinearSVC
from sklearn.tree import DecisionTreeClassifier

from edge_targets.runtime.errors import EdgeError, IntegrityError, UnsupportedError
from edge_targets.runtime.events import QUIET, Event, Job
from toolkit.guarded import import_model
from toolkit.importers import Given, Source, read_model, recognised
from toolkit.inference import Runner

pytest.importorskip("skl2onnx")
skops_io = pytest.importorskip("skops.io")
Save = Callable[[Any], Path]
ROWS, KIND = load_iris(return_X_y=True)
ROWS = ROWS.astype(np.float32)
NAMES = np.array(["setosa", "versicolor", "virginica"])
SUM = ROWS @ np.array([1.0, 2, 3, 4])


@pytest.fixture
def save(tmp_path: Path) -> Save:
    def write(estimator: Any) -> Path:
        skops_io.dump(estimator, tmp_path / "model.any")
        return tmp_path / "model.any"

    return write


def made(file: Path, rows: Any = ROWS, given: Given = Given()) -> Any:  # noqa: B008 - frozen
    return Runner.of_model(read_model(file, given, QUIET).model, QUIET).first_output(rows, QUIET)


def refused(file: Path, given: Given = Given()) -> EdgeError:  # noqa: B008 - frozen
    with pytest.raises(EdgeError) as caught:
        read_model(file, given, QUIET)
    assert caught.value.hint
    return caught.value


CLASSIFIERS = [
    LogisticRegression(max_iter=500),
    KNeighborsClassifier(3),
    GaussianNB(),
    SVC(probability=False),
    MLPClassifier((5,), max_iter=50, random_state=0),
    DecisionTreeClassifier(),
    RandomForestClassifier(4, random_state=0),
    GradientBoostingClassifier(n_estimators=3, random_state=0),
    HistGradientBoostingClassifier(max_iter=3),
    AdaBoostClassifier(n_estimators=3),
    StackingClassifier([("a", GaussianNB()), ("b", DecisionTreeClassifier(max_depth=2))], cv=2),
    VotingClassifier([("a", GaussianNB()), ("b", DecisionTreeClassifier())], voting="soft"),
    CalibratedClassifierCV(LinearSVC(), cv=2),
    GridSearchCV(DecisionTreeClassifier(random_state=0), {"max_depth": [2, 3]}, cv=2),
    make_pipeline(SimpleImputer(), StandardScaler(), PCA(2), LogisticRegression()),
    make_pipeline(StandardScaler(), LinearDiscriminantAnalysis()),
    OneVsRestClassifier(LogisticRegression()),
]
quiet = pytest.mark.filterwarnings("ignore")  # of training, which is not what is tested


@quiet
@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("estimator", CLASSIFIERS, ids=lambda one: type(one).__name__)
def test_classifiers_give_their_shares_or_scores(save: Save, estimator: Any, classes: int) -> None:
    kind = NAMES[np.minimum(KIND, classes - 1)]
    file = save(estimator.fit(ROWS, kind))

    model = read_model(file, Given(), QUIET).model

    assert model.signature.labels == tuple(NAMES[:classes])
    shares = made(file)
    chosen = NAMES[shares.argmax(axis=1)]
    assert np.mean(chosen == estimator.predict(ROWS)) >= 0.99  # ties may go either way
    if hasattr(estimator, "predict_proba"):
        assert np.mean(np.abs(shares - estimator.predict_proba(ROWS)).max(axis=1) < 1e-4) > 0.99


@quiet
@pytest.mark.parametrize("estimator", [LinearSVC(), RidgeClassifier(), SVC()], ids=str)
def test_two_classes_without_shares_are_two_scores(save: Save, estimator: Any) -> None:
    file = save(estimator.fit(ROWS, KIND == 1))

    found = read_model(file, Given(), QUIET)

    scores = estimator.decision_function(ROWS)
    np.testing.assert_allclose(made(file), np.stack([-scores, scores], axis=1), atol=1e-3)
    assert "no shares" in found.notes[0]
    assert found.model.signature.labels == ("False", "True")


@quiet
@pytest.mark.parametrize(
    "estimator",
    [
        LinearRegression(),
        make_pipeline(MinMaxScaler(), Ridge()),
        SVR(),
        RandomForestRegressor(3, random_state=0),
        GradientBoostingRegressor(n_estimators=3),
        HistGradientBoostingRegressor(max_iter=3),
        HistGradientBoostingRegressor(max_iter=3, loss="poisson"),
    ],
    ids=lambda one: type(one).__name__,
)
def test_regressors_give_one_column(save: Save, estimator: Any) -> None:
    file = save(estimator.fit(ROWS, SUM))

    found = read_model(file, Given(), QUIET).model

    assert found.signature.outputs[0].shape == (-1, 1)
    assert found.signature.labels == ()
    np.testing.assert_allclose(made(file).ravel(), estimator.predict(ROWS), rtol=1e-4)


def test_several_targets_are_several_columns(save: Save) -> None:
    estimator = MultiOutputRegressor(Ridge()).fit(ROWS, np.stack([SUM, -SUM], axis=1))
    file = save(estimator)

    np.testing.assert_allclose(made(file), estimator.predict(ROWS), rtol=1e-4)


def test_other_kinds_have_an_answer_too(save: Save) -> None:
    outliers = IsolationForest(n_estimators=4, random_state=0).fit(ROWS)
    np.testing.assert_allclose(
        made(save(outliers)).ravel(), outliers.decision_function(ROWS), atol=1e-4
    )
    groups = KMeans(3, n_init=1, random_state=0).fit(ROWS)
    assert made(save(groups)).argmax(axis=1).tolist() == groups.predict(ROWS).tolist()
    turned = PCA(2).fit(ROWS)
    np.testing.assert_allclose(made(save(turned)), turned.transform(ROWS), atol=1e-4)


def test_histograms_answer_alike_where_values_are_missing(save: Save) -> None:
    rows = np.where(np.random.default_rng(0).random(ROWS.shape) < 0.2, np.float32(np.nan), ROWS)
    estimator = HistGradientBoostingClassifier(max_iter=5).fit(rows, KIND)
    file = save(make_pipeline(FunctionTransformer(), estimator).fit(rows, KIND))

    np.testing.assert_allclose(made(file, rows), estimator.predict_proba(rows), atol=1e-5)


def mixed() -> tuple[Any, Any]:
    """Rows of two numbers and two categories, and a pipeline for them."""
    rng = np.random.default_rng(0)
    table = np.column_stack([rng.normal(50, 20, (80, 2)), rng.integers(0, 4, (80, 2))])
    table = table.astype(np.float32)
    parts = [
        ("numbers", make_pipeline(SimpleImputer(), StandardScaler()), [0, 1]),
        ("words", OneHotEncoder(), [2]),
        ("order", OrdinalEncoder(), [3]),
    ]
    model = make_pipeline(ColumnTransformer(parts), DecisionTreeClassifier(max_depth=4))
    return table, model.fit(table, table[:, 0] + 10 * table[:, 2] > 60)


def test_columns_of_several_kinds(save: Save) -> None:
    table, model = mixed()
    file = save(model)

    found = read_model(file, Given(), QUIET)

    np.testing.assert_allclose(made(file, table), model.predict_proba(table), atol=1e-5)
    assert any("not seen" in note for note in found.notes)


def test_columns_keep_their_names(save: Save) -> None:
    table, model = mixed()
    names = np.array(["age", "weight", "town", "size"], dtype=object)
    parts = model.steps[0][1]
    parts.feature_names_in_ = names  # as after fitting on a data frame
    by_name = [(name, part, [names[i] for i in chosen]) for name, part, chosen in
               parts.transformers_]  # fmt: skip
    parts.transformers_ = parts.transformers = by_name
    parts._columns = [chosen for _, _, chosen in by_name]

    found = read_model(save(model), Given(), QUIET).model

    assert found.signature.inputs[0].columns == tuple(names)
    expected = mixed()[1].predict_proba(table)
    mine = Runner.of_model(found, QUIET).first_output(table, QUIET)
    np.testing.assert_allclose(mine, expected, atol=1e-5)


# --------------------------------------------------------------------------------- what is refused


class Runs:
    """Unpickling this writes a file."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> Any:
        return Path.touch, (self.place,)


class Mine(BaseEstimator):  # type: ignore[misc]
    def fit(self, *_: Any) -> "Mine":
        self.n_features_in_ = 4
        return self

    def predict(self, rows: Any) -> Any:
        return rows[:, 0]


@pytest.mark.parametrize("packing", [0, "zlib", "gzip", "bz2", "xz"])
def test_a_pickle_is_not_run_unless_it_is_trusted(tmp_path: Path, packing: Any) -> None:
    import joblib

    file, place = tmp_path / "model.any", tmp_path / "ran"
    joblib.dump(Runs(place), file, compress=(packing, 3) if packing else 0)

    error = refused(file)

    assert isinstance(error, UnsupportedError)
    assert "runs whatever code" in str(error)
    assert "skops" in error.hint
    assert "--trust" in error.hint
    assert not place.exists()


@pytest.mark.parametrize("protocol", range(2, 6))
def test_a_trusted_pickle_is_read_with_a_warning(tmp_path: Path, protocol: int) -> None:
    estimator = DecisionTreeClassifier().fit(ROWS, KIND)
    file = tmp_path / "model.any"
    file.write_bytes(pickle.dumps(estimator, protocol))
    trusted = Given(trust=True)

    assert "ran whatever code" in read_model(file, trusted, QUIET).warnings[0]
    np.testing.assert_allclose(made(file, ROWS, trusted), estimator.predict_proba(ROWS), atol=1e-6)


def test_files_of_torch_are_left_to_others(tmp_path: Path) -> None:
    import torch

    for packed in (True, False):
        file = tmp_path / "weights.any"
        torch.save({"w": torch.ones(2)}, file, _use_new_zipfile_serialization=packed)

        with contextlib.suppress(UnsupportedError):
            assert recognised(Source.of(file)) != "sklearn"


def test_types_of_others_are_named(save: Save) -> None:
    error = refused(save(Mine().fit()))

    assert "Mine" in str(error)
    assert "harmless" in str(error)


def test_functions_of_others_are_named(save: Save) -> None:
    import os

    error = refused(save(Pipeline([("f", FunctionTransformer(os.system)), ("m", Ridge())])))

    assert "posix.system" in str(error)


@pytest.mark.parametrize(
    ("estimator", "said"),
    [
        (Ridge(), "was not fitted"),
        (NearestCentroid().fit(ROWS, KIND), "there is no way for NearestCentroid"),
        (MultiOutputClassifier(GaussianNB()).fit(ROWS, np.stack([KIND, KIND], 1)), "(2 outputs)"),
        (OneHotEncoder().fit(np.array([["a"], ["b"]], object)), "takes words"),
    ],
)
def test_what_cannot_be_taken_over_is_named(save: Save, estimator: Any, said: str) -> None:
    assert said in str(refused(save(estimator)))


def test_splits_by_categories_are_refused(tmp_path: Path) -> None:
    estimator = HistGradientBoostingClassifier(max_iter=2, categorical_features=[3])
    file = tmp_path / "model.pkl"
    file.write_bytes(pickle.dumps(estimator.fit(ROWS.round(), KIND)))

    assert "splits by categories" in str(refused(file, Given(trust=True)))


def test_other_objects_are_named(save: Save, tmp_path: Path) -> None:
    assert "holds dict" in str(refused(save({"a": 1})))
    file = tmp_path / "model.pkl"
    file.write_bytes(pickle.dumps(Mine().fit()))
    assert "Mine" in str(refused(file, Given(trust=True)))
    file.write_bytes(b"\x80\x04cno_such_module\nThing\n.")
    assert "'no_such_module'" in str(refused(file, Given(trust=True)))


def test_it_is_read_in_a_process_with_limits(save: Save, events: list[Event]) -> None:
    found = import_model(save(GaussianNB().fit(ROWS, KIND)), Given(), Job(events.append))

    assert found.metadata["estimator"] == "GaussianNB"
    assert events[-1].done == events[-1].total


def test_mutations_give_a_model_or_two_clear_lines(save: Save) -> None:
    file = save(make_pipeline(StandardScaler(), GaussianNB()).fit(ROWS, KIND))
    data = file.read_bytes()
    rng = np.random.default_rng(5)
    for _ in range(60):
        mutant = bytearray(data)
        for place in rng.integers(0, len(data), 4):
            mutant[place] = rng.integers(256)
        file.write_bytes(mutant[: len(data) if rng.integers(4) else rng.integers(len(data))])
        with contextlib.suppress(EdgeError):
            read_model(file, Given(), QUIET)


def test_a_schema_out_of_shape_is_refused(save: Save) -> None:
    file = save(StandardScaler().fit(ROWS))
    with zipfile.ZipFile(file) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    for damage in (b"{}", b"[", b'{"__module__": "os", "__class__": "system"}'):
        parts["schema.json"] = damage
        with zipfile.ZipFile(file, "w") as archive:
            for name, part in parts.items():
                archive.writestr(name, part)

        assert isinstance(refused(file), IntegrityError | UnsupportedError)
