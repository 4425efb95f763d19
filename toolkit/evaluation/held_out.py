"""Test items that a model has truly never seen: what it has learned from proves nothing."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_targets.runtime.errors import DataError
from toolkit.data.dataset import PARTS, Dataset

FEWEST = 30  # items: below, an accuracy of 0.9 is only known to 0.15
DISTINCT = 0.5  # share of rows below which equal rows of a table are no sign of an equal item


@dataclass(frozen=True)
class HeldOut:
    """The test part of a dataset without what was learned already.

    Attributes:
        name: of the dataset.
        inputs: float32, shape (N, ...).
        targets: shape (N,).
        left_out: test items that stand among the learned ones.
        rows: where the items stand in the dataset, shape (N,).
    """

    name: str
    inputs: NDArray[np.float32]
    targets: NDArray[Any]
    left_out: int
    rows: NDArray[np.intp]


def held_out(data: Dataset, learned: Sequence[Dataset]) -> HeldOut:
    """The test items of `data` that are in no training or validation part of `learned`.

    An item is known by its inputs, bit by bit. In a table where rows repeat by nature (a few
    categories) equal rows are different items, and nothing is left out.

    Raises:
        DataError: most were learned already, and fewer than `FEWEST` items remain.
    """
    inputs, targets = data.part("test")
    places = np.flatnonzero(data.split == PARTS.index("test"))
    rows = as_bytes(inputs)
    if data.facts.columns and len(np.unique(rows)) < DISTINCT * len(rows):
        return HeldOut(data.name, inputs, targets, 0, places)
    known = [as_bytes(one.part(part)[0]) for one in learned for part in ("train", "validation")]
    seen = np.isin(rows, np.concatenate(known)) if known else np.zeros(len(rows), bool)
    left_out, remain = int(seen.sum()), int((~seen).sum())
    if remain < min(left_out, FEWEST):
        raise DataError(
            f"{left_out} of the {len(rows)} test items of {data.name} were learned already; "
            f"{remain} unseen ones prove nothing.",
            "Name a dataset with items that the model has not learned from.",
        )
    return HeldOut(data.name, inputs[~seen], targets[~seen], left_out, places[~seen])


def as_bytes(inputs: NDArray[np.float32]) -> NDArray[np.void]:
    """Each item as one value that can be compared; equal numbers have equal bytes."""
    width = math.prod(inputs.shape[1:])
    # adding 0 makes -0 a 0, and there are many not-a-numbers
    plain = np.where(np.isnan(inputs), np.float32("nan"), inputs + np.float32(0))
    flat = np.ascontiguousarray(plain.reshape(len(inputs), width), np.float32)
    return flat.view(np.dtype((np.void, width * flat.itemsize))).reshape(-1)
