"""Seeded rows for a table model, around what it learned: every branch and category is seen."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

ROWS = 1000
SEED = 20260101
TINY = 1e-30  # LightGBM takes numbers below 1e-35 for zero
MOST_POOL = 4000  # thresholds of one column that are drawn from


def rows(
    columns: int, pools: Mapping[int, NDArray[Any]], whole: Iterable[int] = ()
) -> NDArray[Any]:
    """Rows (`ROWS`, columns) of float32, drawn from the pool of each column, or from all scales.

    Args:
        pools: numbers that matter to the model: thresholds, means.
        whole: columns whose pool is all there is, as of categories.
    """
    rng = np.random.default_rng(SEED)
    scales = 10.0 ** rng.uniform(-2, 1, (ROWS, columns))
    made = rng.standard_normal((ROWS, columns)) * scales
    for column, pool in pools.items():
        numbers = np.unique(np.asarray(pool, np.float64))[:MOST_POOL]
        numbers = numbers[np.isfinite(numbers)]
        if column >= columns or not len(numbers):
            continue
        drawn = rng.choice(numbers, ROWS)
        if column not in whole:
            spread = numbers.std() or abs(numbers[0]) or 1.0
            beside = rng.standard_normal(ROWS) * spread * 0.3
            drawn = drawn + np.where(rng.random(ROWS) < 0.9, beside, 0)
        made[:, column] = drawn
    return np.where(np.abs(made) < TINY, 0, made).astype(np.float32)


def with_gaps(table: NDArray[Any]) -> NDArray[Any]:
    """The same rows with one value in five missing."""
    gaps = np.random.default_rng(SEED).random(table.shape) < 0.2
    return np.where(gaps, np.float32(np.nan), table)


def learned(estimator: Any, columns: list[int]) -> Iterator[tuple[int, NDArray[Any], bool]]:
    """Column, numbers that matter there, and whether only those are known."""
    kind = type(estimator).__name__
    if hasattr(estimator, "steps"):
        for _, step in estimator.steps:
            yield from learned(step, columns)
            if getattr(step, "n_features_in_", 0) != len(columns) or changes(step):
                return
    for _, part, chosen in getattr(estimator, "transformers_", []):
        if not isinstance(part, str) and not isinstance(chosen, str | slice):
            yield from learned(part, [columns[int(i)] for i in positions(chosen)])
    if kind in {"OneHotEncoder", "OrdinalEncoder", "TargetEncoder"}:
        for column, known in zip(columns, estimator.categories_, strict=False):
            yield column, np.asarray(known), True
    mean, scale = getattr(estimator, "mean_", None), getattr(estimator, "scale_", None)
    if isinstance(mean, np.ndarray) and isinstance(scale, np.ndarray) and mean.ndim == 1:
        for column, middle, width in zip(columns, mean, scale, strict=False):
            yield column, middle + width * np.linspace(-2, 2, 9), False
    for low in ("data_min_", "statistics_", "center_"):
        if isinstance(found := getattr(estimator, low, None), np.ndarray) and found.ndim == 1:
            for column, number in zip(columns, found, strict=False):
                yield column, np.asarray([number], np.float64), False
    for features, thresholds in splits(estimator):
        for column in np.unique(features):
            yield columns[int(column)], thresholds[features == column], False


def changes(step: Any) -> bool:
    """Whether later steps see other columns than this one."""
    straight = ("Scaler", "Imputer", "OrdinalEncoder", "PowerTransformer", "QuantileTransformer")
    return not type(step).__name__.endswith(straight)


def positions(chosen: Any) -> Any:
    found = np.asarray(chosen)
    return np.flatnonzero(found) if found.dtype == bool else found


def splits(estimator: Any) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    """Features and thresholds of every tree."""
    inner = np.ravel(np.asarray(getattr(estimator, "estimators_", []), object))
    for one in (estimator, *inner):
        if hasattr(one, "tree_"):
            chosen = one.tree_.feature >= 0
            yield one.tree_.feature[chosen], one.tree_.threshold[chosen]
    for tree in np.ravel(np.asarray(getattr(estimator, "_predictors", []), object)):
        nodes = tree.nodes[tree.nodes["is_leaf"] == 0]
        yield nodes["feature_idx"], nodes["num_threshold"]
