"""XGBoost models (Chen & Guestrin 2016), read from what the library itself writes of them."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_targets.runtime.errors import IntegrityError, UnsupportedError, first_line
from toolkit.foreign import ubjson
from toolkit.foreign.ensembles import RAW, Ensemble, Tree, whole
from toolkit.foreign.tables import INPUT

AFTER = {
    "binary:hinge": "scores", "binary:logistic": "two_shares", "binary:logitraw": "scores",
    "count:poisson": "exp", "multi:softmax": "shares", "multi:softprob": "shares",
    "rank:map": "", "rank:ndcg": "", "rank:pairwise": "", "reg:absoluteerror": "",
    "reg:gamma": "exp", "reg:linear": "", "reg:logistic": "sigmoid", "reg:pseudohubererror": "",
    "reg:quantileerror": "", "reg:squarederror": "", "reg:squaredlogerror": "",
    "reg:tweedie": "exp", "survival:aft": "exp", "survival:cox": "exp",
}  # fmt: skip
LOGIT = {"binary:logistic", "reg:logistic"}  # whose base is given as a share
LOG = {name for name, after in AFTER.items() if after == "exp"}


def described(data: bytes, file: Path) -> dict[str, Any]:
    """What a file says, in either form.

    Raises:
        IntegrityError: it is cut short, or neither.
    """
    text = data.lstrip()[:2].strip() == b"{" or data[1:2] == b'"'
    try:
        found = json.loads(data) if text else ubjson.read(data)
    except (ValueError, RecursionError) as error:
        raise IntegrityError(
            f"{file} is a damaged XGBoost file: {first_line(error)[:200]}.",
            "Copy or save the model again.",
        ) from error
    return found if isinstance(found, dict) else {}


def opened(facts: dict[str, Any], file: Path) -> tuple[Any, dict[str, Any]]:
    """The booster, and what it writes of itself; the trees must have been looked at.

    Raises:
        IntegrityError: the library does not read it.
    """
    import xgboost

    try:
        booster = xgboost.Booster({"nthread": 1})
        booster.load_model(bytearray(json.dumps(facts).encode()))
        booster.set_param({"nthread": 1})
        return booster, json.loads(bytes(booster.save_raw("json")))
    except (xgboost.core.XGBoostError, ValueError, TypeError, RecursionError) as error:
        raise IntegrityError(
            f"{file} is a damaged XGBoost file: {first_line(error)[:200]}.",
            "Copy or save the model again.",
        ) from error


def translated(facts: dict[str, Any], columns: int, file: Path) -> tuple[str, Any, Ensemble]:
    """Name of the output, the graph, and the trees in it (none in a linear model).

    Raises:
        UnsupportedError: names the objective or setting that has no translation.
        IntegrityError: the trees are no trees.
    """
    learner = facts["learner"]
    objective = learner["objective"]["name"]
    if objective not in AFTER:
        raise refused(file, f"the objective {objective}", "Train it with one of XGBoost's own.")
    after = AFTER[objective]
    base = base_of(learner, objective)
    booster = learner["gradient_booster"]
    if booster.get("name") == "gblinear":
        empty = Ensemble((), "BRANCH_LT", base, after)
        return *linear(booster["model"], base, after, columns, file), empty
    weights = booster.get("weight_drop")  # of DART: trees do not count alike
    model = booster["gbtree"]["model"] if weights is not None else booster["model"]
    made = [tree_of(tree, int(target), columns, file)
            for tree, target in zip(model["trees"], model["tree_info"], strict=True)]  # fmt: skip
    if weights is not None:
        made = [tree.times(float(w)) for tree, w in zip(made, weights, strict=True)]
    if not made:
        raise refused(file, "no trees", "Train it for at least one round.")
    if max(tree.target for tree in made) >= len(base) or min(tree.target for tree in made) < 0:
        raise damaged(file)
    ensemble = Ensemble(tuple(made), "BRANCH_LT", base, after)
    return *ensemble.graph(columns), ensemble


def base_of(learner: dict[str, Any], objective: str) -> tuple[float, ...]:
    """What every sum starts from, as the trees count: one number for each output."""
    words = learner["learner_model_param"]
    given = [float(one) for one in words["base_score"].strip("[]").split(",")]
    outputs = max(int(words.get("num_class", 0)), int(words.get("num_target", 1)), 1)
    if objective in LOGIT:
        given = [math.log(share / (1 - share)) for share in given]
    if objective in LOG:
        given = [math.log(number) for number in given]
    return tuple(given * outputs if len(given) == 1 else given)


def tree_of(tree: dict[str, Any], target: int, columns: int, file: Path) -> Tree:
    if int(tree["tree_param"].get("size_leaf_vector", 1)) > 1:
        raise refused(file, "trees with several outputs each",
                      "Train it with multi_strategy='one_output_per_tree'.")  # fmt: skip
    if any(tree.get("split_type", ())):
        raise refused(file, "splits by categories", "Train it on categories as numbers.")
    left, right, feature = (
        np.asarray(tree[name], np.int64)
        for name in ("left_children", "right_children", "split_indices")
    )
    numbers = np.asarray(tree["split_conditions"], np.float32)  # of a leaf: what it adds
    made = Tree(left, right, feature, numbers, np.asarray(tree["default_left"], bool),
                numbers, target)  # fmt: skip
    if not made.fits(columns):
        raise damaged(file)
    return made


def linear(
    model: dict[str, Any], base: tuple[float, ...], after: str, columns: int, file: Path
) -> tuple[str, Any]:
    """A linear booster: weights (columns + bias, outputs)."""
    from onnx import helper, numpy_helper

    weights = np.asarray(model["weights"], np.float32)
    if weights.size != (columns + 1) * len(base):
        raise damaged(file)
    weights = weights.reshape(columns + 1, len(base))
    node = helper.make_node("Gemm", [INPUT, "linear.weight", "linear.bias"], [RAW], name="linear",
                            transB=1)  # fmt: skip
    output, graph = whole([node], after, columns)
    stored = {
        "linear.weight": weights[:-1].T,
        "linear.bias": weights[-1] + np.asarray(base, np.float32),
    }
    graph.graph.initializer.extend(
        numpy_helper.from_array(np.ascontiguousarray(values), name)
        for name, values in stored.items()
    )
    return output, graph


def expected(booster: Any, objective: str, columns: list[str] | None) -> Any:
    """What the library answers, in the form of our output."""
    import xgboost

    def answer(rows: NDArray[Any]) -> NDArray[Any]:
        table = xgboost.DMatrix(rows, feature_names=columns, nthread=1)
        after = AFTER[objective]
        raw = objective in {"multi:softmax", "binary:hinge", "binary:logitraw"}
        found = np.asarray(booster.predict(table, output_margin=raw)).reshape(len(rows), -1)
        if objective == "multi:softmax":
            powers = np.exp(found - found.max(axis=1, keepdims=True))
            return np.asarray(powers / powers.sum(axis=1, keepdims=True))
        if after == "two_shares":
            return np.concatenate([1 - found, found], axis=1)
        return np.concatenate([-found, found], axis=1) if after == "scores" else found

    return answer


def refused(file: Path, what: str, hint: str) -> UnsupportedError:
    return UnsupportedError(f"{file} is an XGBoost model with {what}.", hint)


def damaged(file: Path) -> IntegrityError:
    return IntegrityError(
        f"{file} is damaged: its trees do not hang together.", "Copy or save the model again."
    )
