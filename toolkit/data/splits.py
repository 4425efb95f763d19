"""Divide items into train, validation and test so that a test item is truly unseen."""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edge_targets.runtime.errors import DataError

Split = Literal["stratified", "group", "time"]


def split_items(
    targets: NDArray[Any],
    by: Split = "stratified",
    keys: NDArray[Any] | None = None,
    shares: tuple[float, float] = (0.2, 0.2),
    seed: int = 0,
) -> NDArray[np.uint8]:
    """The part of each item: 0 train, 1 validation, 2 test, shape (N,).

    Args:
        targets: integers are classes, whose shares every stratified part keeps.
        by: `stratified` draws at random; `group` keeps items with equal keys together;
            `time` takes the latest keys for test and the ones before them for validation.
        keys: one an item, for `group` and `time`.
        shares: of validation and of test.
        seed: of the random draw.
    """
    count = len(targets)
    if by == "stratified":
        classes = targets if targets.dtype.kind in "iu" else np.zeros(count, int)
        split = _stratified(classes, shares, np.random.default_rng(seed))
    else:
        if keys is None:
            raise DataError(
                f"A split by {by} needs a column to split by.",
                "Name it with --set split_column=COLUMN.",
            )
        split = _by_key(keys, by, shares, np.random.default_rng(seed))
    refuse_empty(split)
    return split


def split_rest(
    targets: NDArray[Any], held_out: NDArray[np.bool_], validation_share: float, seed: int = 0
) -> NDArray[np.uint8]:
    """The same where the data says which items are the test part; the rest is drawn by class."""
    split = np.full(len(targets), 2, np.uint8)
    rng = np.random.default_rng(seed)
    split[~held_out] = _stratified(targets[~held_out], (validation_share, 0), rng)
    refuse_empty(split)
    if unlearned := set(targets.tolist()) - set(targets[split == 0].tolist()):
        raise DataError(
            f"Class number {min(unlearned)} has no item outside the test part.",
            "Bring more of its items, or hold out fewer.",
        )
    return split


def refuse_empty(split: NDArray[np.uint8]) -> None:
    empty = [
        name for i, name in enumerate(("train", "validation", "test")) if not (split == i).any()
    ]
    if empty:
        raise DataError(
            f"{len(split)} items are too few: the {empty[0]} part would be empty.",
            "Bring more data, or change validation_share and test_share.",
        )


def _stratified(
    classes: NDArray[Any], shares: tuple[float, float], rng: np.random.Generator
) -> NDArray[np.uint8]:
    split = np.zeros(len(classes), np.uint8)
    for value in np.unique(classes):
        members = rng.permutation(np.flatnonzero(classes == value))
        validation, test = (round(share * len(members)) for share in shares)
        test = min(test, len(members) - validation - 1)  # a class nobody trains on is none
        split[members[:validation]] = 1
        split[members[validation : validation + test]] = 2
    return split


def _by_key(
    keys: NDArray[Any], by: str, shares: tuple[float, float], rng: np.random.Generator
) -> NDArray[np.uint8]:
    values, inverse, sizes = np.unique(keys, return_inverse=True, return_counts=True)
    order = rng.permutation(len(values)) if by == "group" else np.arange(len(values))
    # walk from the end: equal keys never straddle a border
    ends = np.cumsum(sizes[order][::-1])[::-1]
    after = np.concatenate([ends[1:], [0]]) / len(keys)
    part = np.where(after < shares[1], 2, np.where(after < sum(shares), 1, 0))
    split = np.empty(len(values), np.uint8)
    split[order] = part
    return split[inverse]
