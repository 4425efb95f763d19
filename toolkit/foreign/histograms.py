"""Histogram gradient boosting (Ke et al. 2017) as one ensemble: skl2onnx has no working way."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_targets.runtime.errors import UnsupportedError
from toolkit.foreign.ensembles import Tree, attributes


def register() -> None:
    """Teach skl2onnx the two estimators, wherever they stand in a pipeline."""
    from skl2onnx import update_registered_converter
    from skl2onnx.common.shape_calculator import (
        calculate_linear_classifier_output_shapes,
        calculate_linear_regressor_output_shapes,
    )
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    update_registered_converter(
        HistGradientBoostingClassifier,
        "SklearnHistGradientBoostingClassifier",
        calculate_linear_classifier_output_shapes,
        convert_classifier,
        options={"zipmap": [True, False, "columns"], "output_class_labels": [False, True],
                 "raw_scores": [True, False], "nocl": [True, False]},
    )  # fmt: skip
    update_registered_converter(
        HistGradientBoostingRegressor,
        "SklearnHistGradientBoostingRegressor",
        calculate_linear_regressor_output_shapes,
        convert_regressor,
    )


def convert_classifier(scope: Any, operator: Any, container: Any) -> None:
    model = operator.raw_operator
    label, shares = (variable.full_name for variable in operator.outputs)
    raw = ensemble(scope, operator, container)
    if len(model.classes_) > 2:
        container.add_node("Softmax", [raw], [shares], op_version=13, axis=1)
    else:
        one = scope.get_unique_variable_name("one")
        container.add_initializer(one, 1, [1], [1.0])
        second, first = (scope.get_unique_variable_name(stem) for stem in ("second", "first"))
        container.add_node("Sigmoid", [raw], [second], op_version=13)
        container.add_node("Sub", [one, second], [first], op_version=14)
        container.add_node("Concat", [first, second], [shares], op_version=13, axis=1)
    # the place of the class; nobody asks for it: labels are in the signature
    container.add_node("ArgMax", [shares], [label], op_version=13, axis=1, keepdims=0)


def convert_regressor(scope: Any, operator: Any, container: Any) -> None:
    [output] = (variable.full_name for variable in operator.outputs)
    raw = ensemble(scope, operator, container)
    log = operator.raw_operator.loss in {"poisson", "gamma"}
    container.add_node("Exp" if log else "Identity", [raw], [output], op_version=13)


def ensemble(scope: Any, operator: Any, container: Any) -> str:
    """The sum of all trees and the baseline, one column for each tree of a round."""
    model = operator.raw_operator
    if getattr(model, "is_categorical_", None) is not None and np.any(model.is_categorical_):
        raise UnsupportedError(
            f"{type(model).__name__} splits by categories (categorical_features).",
            "Fit it on them as numbers: categorical_features=None.",
        )
    rounds = model._predictors
    trees = [tree_of(one.nodes, target) for each in rounds for target, one in enumerate(each)]
    raw: str = scope.get_unique_variable_name("raw")
    baseline = np.ravel(model._baseline_prediction)
    container.add_node(
        "TreeEnsembleRegressor",
        [operator.inputs[0].full_name],
        [raw],
        op_domain="ai.onnx.ml",
        op_version=3,
        name=scope.get_unique_operator_name("TreeEnsembleRegressor"),
        n_targets=len(rounds[0]),
        base_values=[float(value) for value in baseline],
        **attributes(trees, "BRANCH_LEQ"),
    )
    return raw


def tree_of(nodes: NDArray[Any], target: int) -> Tree:
    leaf = nodes["is_leaf"].astype(bool)
    left, right = (np.where(leaf, -1, nodes[side].astype(np.int64)) for side in ("left", "right"))
    return Tree(
        left,
        right,
        nodes["feature_idx"].astype(np.int64),
        nodes["num_threshold"],
        nodes["missing_go_to_left"].astype(bool),
        nodes["value"],
        target,
    )
