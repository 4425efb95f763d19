"""scikit-learn estimators as graphs, by skl2onnx, with one output that is scores or values.

Classifiers give shares in the order of `classes_`; those without shares give what they decide by.
"""

import re
from collections.abc import Iterator
from copy import copy
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_targets.runtime.contract import Signature
from edge_targets.runtime.errors import UnsupportedError, first_line
from toolkit.foreign import proof, samples
from toolkit.foreign.estimator_answers import answers_of
from toolkit.foreign.tables import INPUT, LOOSE, Table, agreement, finished, kept, prove
from toolkit.onnx_graph import OPSET, written
from toolkit.quiet import quiet

ML_OPSET = 3
ENCODERS = {"OneHotEncoder", "OrdinalEncoder", "TargetEncoder"}
INNER = (
    "estimator", "estimator_", "best_estimator_", "final_estimator_", "calibrated_classifiers_",
    "estimators_", "named_steps", "transformers_", "transformer_list",
)  # fmt: skip
Answer = tuple[bytes, Signature, tuple[str, ...]]


def translated(estimator: Any, file: Path) -> Answer:
    """An estimator as graph, proven to answer the same.

    Raises:
        UnsupportedError: names the estimator that has no translation, or a type of input.
    """
    estimator = getattr(estimator, "best_estimator_", estimator)  # of a search
    width = fitted_width(estimator, file)
    parts = list(inside(estimator))
    refuse_strings(parts, file)
    names = tuple(str(name) for name in getattr(estimator, "feature_names_in_", ()))
    notes = prepare(estimator, parts)
    found = [*samples.learned(estimator, list(range(width)))]
    pools: dict[int, NDArray[Any]] = {}
    for column, numbers, _ in found:
        pools[column] = np.append(pools.get(column, []), numbers)
    whole = {column for column, _, only in found if only}
    rows = samples.rows(width, pools, whole)
    with quiet():
        graph = converted(estimator, width, file)
        answer, labels, said = answers_of(estimator, rows, file)
        table = Table(names, width, labels)
        output, graph = output_of(graph, rows, answer(rows), bool(labels), file)
        data, signature = finished(graph, table, output, answer(rows).shape[1])
        gaps = samples.with_gaps(rows)
        return data, signature, (*notes, *said, *prove(data, answer, (rows, gaps), file, LOOSE))


def fitted_width(estimator: Any, file: Path) -> int:
    """How many columns it takes."""
    if not any(hasattr(estimator, word) for word in ("predict", "transform", "decision_function")):
        raise UnsupportedError(
            f"{file} holds {type(estimator).__name__}, which is no estimator of scikit-learn.",
            "Save the fitted estimator or pipeline itself.",
        )
    if not type(estimator).__module__.startswith("sklearn."):
        raise UnsupportedError(
            f"{file} holds {type(estimator).__name__} of {type(estimator).__module__}.",
            "Save models of XGBoost and LightGBM in their own format: model.save_model(…).",
        )
    width = getattr(estimator, "n_features_in_", 0)
    if not width:
        raise UnsupportedError(
            f"{file} holds {type(estimator).__name__} that was not fitted.",
            "Fit it, then save it again.",
        )
    return int(width)


def inside(estimator: Any, depth: int = 0) -> Iterator[Any]:
    """An estimator and all that it is made of."""
    if depth > 20:  # no pipeline is; a file can make one that holds itself
        return
    yield estimator
    for name in INNER:
        found = getattr(estimator, name, None)
        if found is None or isinstance(found, str):
            continue
        many = list(found.values()) if isinstance(found, dict) else found
        many = np.ravel(np.asarray(many, object)) if isinstance(many, np.ndarray) else many
        for one in many if isinstance(many, list | tuple | np.ndarray) else [many]:
            for part in one if isinstance(one, tuple) else [one]:
                if hasattr(part, "get_params"):
                    yield from inside(part, depth + 1)


def refuse_strings(parts: list[Any], file: Path) -> None:
    for part in parts:
        for known in getattr(part, "categories_", ()) if type(part).__name__ in ENCODERS else ():
            if np.asarray(known).dtype.kind not in "iufb":
                raise UnsupportedError(
                    f"{file} takes words: {type(part).__name__} knows {list(known)[:3]} …",
                    "Fit it on categories as numbers, as data sets here hold them.",
                )


def prepare(estimator: Any, parts: list[Any]) -> tuple[str, ...]:
    """Settings that change no answer to known values, but that skl2onnx has no way for."""
    notes = []
    names = list(getattr(estimator, "feature_names_in_", ()))
    for part in parts:
        kind = type(part).__name__
        if kind == "VotingClassifier":
            part.flatten_transform = False
        if kind == "OneHotEncoder" and part.handle_unknown == "error":
            part.handle_unknown = "ignore"
            notes.append("Categories that it has not seen give zeros where it would raise.")
        if kind == "ColumnTransformer":
            by_position(part, names)
    if names:  # it is asked with arrays, whose columns have no names
        for part in parts:
            vars(part).pop("feature_names_in_", None)
    return tuple(dict.fromkeys(notes))


def by_position(part: Any, names: list[Any]) -> None:
    """Columns by number instead of by name: the graph has one input."""
    own = list(getattr(part, "feature_names_in_", names))

    def numbers(chosen: Any) -> Any:
        if isinstance(chosen, str):
            return [own.index(chosen)]
        if isinstance(chosen, list | tuple | np.ndarray) and any(
            isinstance(c, str) for c in chosen
        ):
            return [own.index(name) for name in chosen]
        return chosen

    part.transformers_ = [(name, one, numbers(chosen)) for name, one, chosen in part.transformers_]
    part.transformers = [(name, one, numbers(chosen)) for name, one, chosen in part.transformers]
    part._columns = [chosen for _, _, chosen in part.transformers]
    part._transformer_to_input_indices = {
        name: chosen if isinstance(chosen, list) else list(np.arange(len(own))[chosen])
        for name, _, chosen in part.transformers_
    }


def converted(estimator: Any, width: int, file: Path) -> Any:
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import FloatTensorType

    from toolkit.foreign.histograms import register

    register()
    words: dict[str, Any] = {
        "initial_types": [(INPUT, FloatTensorType([None, width]))],
        "target_opset": {"": OPSET, "ai.onnx.ml": ML_OPSET},
    }
    estimator = with_twin(estimator)
    options = {id(estimator): {"zipmap": False}} if hasattr(estimator, "classes_") else {}
    try:
        try:
            return convert_sklearn(estimator, options=options, **words)
        except NameError:  # those that never give a map have no such option
            return convert_sklearn(estimator, **words)
    except (MemoryError, ModuleNotFoundError, UnsupportedError):
        raise
    except Exception as error:  # the converter's errors share no other base
        raise UnsupportedError(
            f"{file} cannot be translated: {why(error)}.",
            "Use another estimator in its place: linear models, nearest neighbours, support "
            "vectors, trees, forests, boosting and small networks can be.",
        ) from error


def with_twin(estimator: Any) -> Any:
    """Discriminant analysis of two classes as the logistic regression that it equals.

    skl2onnx doubles its scores.
    """
    from sklearn.linear_model import LogisticRegression

    if hasattr(estimator, "steps"):
        last = with_twin(estimator.steps[-1][1])
        if last is estimator.steps[-1][1]:
            return estimator
        made = copy(estimator)
        made.steps = [*estimator.steps[:-1], (estimator.steps[-1][0], last)]
        return made
    if type(estimator).__name__ != "LinearDiscriminantAnalysis" or len(estimator.classes_) != 2:
        return estimator
    twin = LogisticRegression()
    for name in ("classes_", "coef_", "intercept_", "n_features_in_"):
        setattr(twin, name, getattr(estimator, name))
    return twin


def why(error: Exception) -> str:
    """What the converter says; where it only lacks a kind of estimator, which."""
    missing = re.search(r"for type '<class '[\w.]*?(\w+)'>'", str(error))
    return f"there is no way for {missing[1]}" if missing else first_line(error)[:200]


def output_of(
    graph: Any, rows: NDArray[Any], expected: NDArray[Any], classes: bool, file: Path
) -> tuple[str, Any]:
    """The output that holds the answer, alone; a score or its negative is made one a class."""
    import onnx

    names = [made.name for made in graph.graph.output]
    best = names[-1]
    if len(names) > 1 or not classes:
        names = [name for name in names if name != "label"] or names
        best = names[-1]
    slim = kept(graph, best)
    found = proof.answers(written(slim), {INPUT: rows}, file)[0]
    found = found.reshape(len(found), -1)
    if found.shape == expected.shape and agreement(found, expected) > agreement(-found, expected):
        return best, slim
    if found.shape == expected.shape and agreement(-found, expected) > 0.5:
        slim.graph.node.append(onnx.helper.make_node("Neg", [best], ["scores_of_classes"]))
        return "scores_of_classes", renamed(slim, "scores_of_classes")
    if expected.shape[1] != 2:
        return best, slim
    for index in range(found.shape[1]):
        for sign in (1.0, -1.0):
            if agreement(sign * found[:, index], expected[:, 1]) > 0.5:
                return both_ways(slim, best, index, sign)
    return best, slim


def both_ways(graph: Any, score: str, index: int, sign: float) -> tuple[str, Any]:
    """A score of the second class as (-score, score)."""
    from onnx import helper, numpy_helper

    graph.graph.initializer.extend(
        [
            numpy_helper.from_array(np.array([index]), "score_at"),
            numpy_helper.from_array(np.array([[-sign, sign]], np.float32), "score_ways"),
        ]
    )
    graph.graph.node.extend(
        [
            helper.make_node("Gather", [score, "score_at"], ["score_alone"], axis=1),
            helper.make_node("Mul", ["score_alone", "score_ways"], ["scores"]),
        ]
    )
    return "scores", renamed(graph, "scores")


def renamed(graph: Any, output: str) -> Any:
    graph.graph.output[0].name = output
    return graph
