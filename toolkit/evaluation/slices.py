"""Groups of items to look at one by one: classes, columns of a table, who an item came from."""

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edge_targets.runtime.errors import UnknownNameError
from toolkit.data.dataset import Dataset

GROUP = "group"
BANDS = 4  # of a number column: quarters of the training items


def slices_of(
    data: Dataset, names: Sequence[str], rows: NDArray[np.intp]
) -> dict[str, NDArray[np.str_]]:
    """The group of each item in `rows`, by class and by every column in `names`.

    Raises:
        UnknownNameError: the data has no such column.
    """
    found = {"class": np.array(data.labels)[data.targets[rows]]} if data.labels else {}
    columns = [column.name for column in data.facts.columns]
    known = columns + [GROUP] * (data.groups is not None)
    for name in names:
        if name not in known:
            raise UnknownNameError("column to slice by", name, known)
        if name == GROUP and data.groups is not None:
            found[name] = data.groups[rows]
        else:
            found[name] = column_groups(data, columns.index(name), rows)
    return found


def column_groups(data: Dataset, index: int, rows: NDArray[np.intp]) -> NDArray[np.str_]:
    """A category's value, or the band that a number falls into."""
    column, values = data.facts.columns[index], data.inputs[rows, index]
    missing = np.isnan(values)
    if column.type == "category":
        named = np.array([*column.values, "missing"])
        place = np.where(missing, len(column.values), np.nan_to_num(values)).astype(int)
        return np.asarray(named[place])
    learned = data.part("train")[0][:, index]
    edges = np.unique(
        np.quantile(learned[np.isfinite(learned)], np.linspace(0, 1, BANDS + 1)[1:-1])
    )
    bounds = [f"{edge:.4g}" for edge in edges]
    texts = [
        f"below {bounds[0]}",
        *(f"{a} to {b}" for a, b in itertools.pairwise(bounds)),
    ]
    texts += [f"from {bounds[-1]}", "missing"]
    place = np.where(missing, len(edges) + 1, np.searchsorted(edges, values, side="right"))
    return np.asarray(np.array(texts)[place])
