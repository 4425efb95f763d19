"""LightGBM models (Ke et al. 2017), read from the text that the library writes of them."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_targets.runtime.errors import IntegrityError, UnsupportedError, first_line
from toolkit.foreign.ensembles import Ensemble, Tree

AFTER = {
    "binary": "two_shares", "cross_entropy": "sigmoid", "fair": "", "gamma": "exp", "huber": "",
    "lambdarank": "", "mape": "", "multiclass": "shares", "multiclassova": "each_share",
    "poisson": "exp", "quantile": "", "rank_xendcg": "", "regression": "", "regression_l1": "",
    "tweedie": "exp",
}  # fmt: skip
CATEGORICAL, DEFAULT_LEFT = 1, 2  # bits of decision_type
MISSING_ZERO, MISSING_NAN = 1, 2  # above them
LISTS: dict[str, type[int] | type[float]] = {  # of a tree
    "split_feature": int, "threshold": float, "decision_type": int, "left_child": int,
    "right_child": int, "leaf_value": float,
}  # fmt: skip
Block = dict[str, str]


def opened(text: str, file: Path) -> Any:
    """The booster.

    Raises:
        IntegrityError: the library does not read it.
    """
    import lightgbm

    try:
        return lightgbm.Booster(model_str=text)
    except (lightgbm.basic.LightGBMError, ValueError, TypeError) as error:
        raise IntegrityError(
            f"{file} is a damaged LightGBM file: {first_line(error)[:200]}.",
            "Copy or save the model again.",
        ) from error


def blocks(text: str) -> list[Block]:
    """The head of a file and every tree, as keys and values."""
    made: list[Block] = [{}]
    for line in text.splitlines():
        if line.startswith("end of trees"):
            break
        key, equals, value = line.partition("=")
        if key == "Tree":
            made.append({})
        elif equals or line == "average_output":
            made[-1][key] = value
    return made


def translated(text: str, file: Path) -> Ensemble:
    """The trees and what their sum becomes.

    Raises:
        UnsupportedError: names the objective or setting that has no translation.
        IntegrityError: the trees are no trees.
    """
    head, *trees = blocks(text)
    objective, words = objective_of(head)
    each = int(head["num_tree_per_iteration"])
    if objective not in AFTER or "sqrt" in words:
        raise refused(file, f"the objective {head.get('objective', 'none')}",
                      "Train it with regression, binary or multiclass.")  # fmt: skip
    if not trees:
        raise refused(file, "no trees", "Train it for at least one round.")
    if each != int(head["num_class"]) or len(trees) % each or "end of trees" not in text:
        raise damaged(file)
    factor = float(words.get("sigmoid", 1)) if objective in {"binary", "multiclassova"} else 1.0
    if "average_output" in head:  # of a random forest
        factor *= each / len(trees)
    columns = int(head["max_feature_idx"]) + 1
    made = [
        tree_of(tree, index % each, columns, file).times(factor) for index, tree in enumerate(trees)
    ]
    return Ensemble(tuple(made), "BRANCH_LEQ", (0.0,) * each, AFTER[objective])


def objective_of(head: Block) -> tuple[str, dict[str, str]]:
    objective, *settings = head.get("objective", "none").split()
    return objective, dict(word.partition(":")[::2] for word in settings)


def rewritten(text: str) -> str:
    """The same model in words of ours, once `translated` has found nothing wrong with it.

    The library ends the whole program where a list is too short or a number is none: it reads
    trees in threads of its own, where nothing catches the error.
    """
    head, *trees = blocks(text)
    columns, each = int(head["max_feature_idx"]) + 1, int(head["num_class"])
    objective, words = objective_of(head)
    numbers = [f"{name}:{float(value):g}" for name, value in words.items() if value]
    bodies = [body_of(index, tree) for index, tree in enumerate(trees)]
    lines = [
        "tree", "version=v4", f"num_class={each}", f"num_tree_per_iteration={each}",
        "label_index=0", f"max_feature_idx={columns - 1}",
        f"objective={' '.join([objective, *numbers])}",
        *(["average_output"] if "average_output" in head else []),
        "feature_names=" + " ".join(f"c{index}" for index in range(columns)),
        "feature_infos=" + " ".join(["none"] * columns),
        "tree_sizes=" + " ".join(str(len(body)) for body in bodies),
    ]  # fmt: skip
    return "\n".join(lines) + "\n\n" + "".join(bodies) + "end of trees\n"


def body_of(index: int, tree: Block) -> str:
    lines = [f"Tree={index}", f"num_leaves={int(tree['num_leaves'])}", "num_cat=0"]
    for name, dtype in LISTS.items():
        lines.append(f"{name}=" + " ".join(repr(dtype(n)) for n in listed(tree, name, dtype)))
    return "\n".join([*lines, "is_linear=0", "shrinkage=1", "", "", ""])


def tree_of(tree: Block, target: int, columns: int, file: Path) -> Tree:
    if int(tree.get("num_cat", 0)):
        raise refused(file, "splits by categories", "Train it on categories as numbers.")
    if int(tree.get("is_linear", 0)):
        raise refused(file, "linear trees", "Train it with linear_tree=false.")
    values = listed(tree, "leaf_value", float)
    if int(tree["num_leaves"]) != len(values):
        raise damaged(file)
    inner = len(values) - 1
    feature, kinds = (
        listed(tree, "split_feature", np.int64),
        listed(tree, "decision_type", np.int64),
    )
    threshold = listed(tree, "threshold", np.float64)
    sides = [listed(tree, name, np.int64) for name in ("left_child", "right_child")]
    if not inner:  # a tree that never split
        feature, kinds, threshold, sides = feature[:0], kinds[:0], threshold[:0], [feature[:0]] * 2
    if {len(part) for part in (feature, kinds, threshold, *sides)} != {inner}:
        raise damaged(file)
    # a leaf is written as the complement of its place; here leaves stand behind all splits
    left, right = (np.where(side < 0, inner + ~side, side) for side in sides)
    missing = (kinds >> 2) & 3
    if (kinds & CATEGORICAL).any():
        raise refused(file, "splits by categories", "Train it on categories as numbers.")
    zero_left = threshold >= 0  # a missing value counts as zero, unless training saw some
    default = (kinds & DEFAULT_LEFT) > 0
    if ((missing == MISSING_ZERO) & (default != zero_left)).any():
        raise refused(file, "zeros that count as missing", "Train it with zero_as_missing=false.")
    made = Tree(
        np.append(left, np.full(inner + 1, -1)),
        np.append(right, np.full(inner + 1, -1)),
        np.append(feature, np.zeros(inner + 1, np.int64)),
        np.append(threshold, np.zeros(inner + 1)),
        np.append(np.where(missing == MISSING_NAN, default, zero_left), np.zeros(inner + 1, bool)),
        np.append(np.zeros(inner), values),
        target,
    )
    if not made.fits(columns):
        raise damaged(file)
    return made


def listed(tree: Block, name: str, dtype: Any) -> NDArray[Any]:
    numbers = np.asarray([dtype(word) for word in tree.get(name, "").split()], dtype)
    # a threshold may be infinite: it parts what is there from what is missing
    if np.isnan(numbers).any() or (name == "leaf_value" and np.isinf(numbers).any()):
        raise ValueError(f"{name} is no number")
    return numbers


def expected(booster: Any, after: str) -> Any:
    """What the library answers, in the form of our output."""

    def answer(rows: NDArray[Any]) -> NDArray[Any]:
        table = rows.astype(np.float64)
        found = np.asarray(booster.predict(table, num_threads=1)).reshape(len(rows), -1)
        return np.concatenate([1 - found, found], axis=1) if after == "two_shares" else found

    return answer


def refused(file: Path, what: str, hint: str) -> UnsupportedError:
    return UnsupportedError(f"{file} is a LightGBM model with {what}.", hint)


def damaged(file: Path) -> IntegrityError:
    return IntegrityError(
        f"{file} is damaged: its trees do not hang together.", "Copy or save the model again."
    )
