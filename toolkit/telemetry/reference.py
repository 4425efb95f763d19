"""Make the reference profile that travels in a package: which bins, and what they hold."""

import math
from collections.abc import Iterator, Mapping
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from edge_targets.runtime.contract import Abstention, Profile, Signature, Tensor
from edge_targets.runtime.errors import DataError
from edge_targets.runtime.profiler import features
from edge_targets.runtime.sketch import Sketch
from toolkit.data.sampling import evenly

BATCH = 256  # items turned into Python numbers at a time
MAX_VALUES = 2_000_000  # read for one profile: some seconds of the standard library's arithmetic
MAX_CATEGORIES = 32
MARGIN = 0.1  # of the range: what lies further out than that falls into bins of its own

Floats = NDArray[np.float64]


def reference_profile(
    signature: Signature,
    inputs: Mapping[str, NDArray[np.generic]],
    outputs: Mapping[str, NDArray[np.generic]],
    bins: int = 10,
    abstention: Abstention | None = None,
) -> Profile:
    """What a model's inputs and outputs look like, counted by the code that devices count with.

    Args:
        signature: of the model.
        inputs: by name, items along the first axis; held-out ones, not those trained on.
        outputs: what the model gave for them.
        bins: about as many per continuous feature, of equal mass.
        abstention: when the model does not answer, which is watched too.

    Of large inputs an even selection of items is read, `samples` says how many.
    """
    items = _items(signature, inputs, outputs)
    sketches: dict[str, Sketch] = {}
    batches = list(_batches(signature, inputs, outputs, items, abstention))
    for name in batches[0]:
        values = np.concatenate([batch[name] for batch in batches])
        yes_or_no = name == "abstained" and abstention is not None
        sketches[name] = Sketch([0.5] if yes_or_no else _edges(signature, name, values, bins))
        sketches[name].add(values.tolist())
    return Profile(len(items), sketches)


def _items(
    signature: Signature,
    inputs: Mapping[str, NDArray[np.generic]],
    outputs: Mapping[str, NDArray[np.generic]],
) -> NDArray[np.intp]:
    tensors = [inputs[spec.name] for spec in signature.inputs]
    tensors += [outputs[spec.name] for spec in signature.outputs]
    lengths = {len(tensor) for tensor in tensors}
    if len(lengths) != 1 or not min(lengths):
        raise DataError(
            f"A reference profile needs as many inputs as outputs, not {sorted(lengths)}.",
            "Give one output for every input, and at least one.",
        )
    [count] = lengths
    width = sum(tensor[0].size for tensor in tensors)
    return evenly(count, max(1, MAX_VALUES // max(width, 1)))


def _batches(
    signature: Signature,
    inputs: Mapping[str, NDArray[np.generic]],
    outputs: Mapping[str, NDArray[np.generic]],
    items: NDArray[np.intp],
    abstention: Abstention | None,
) -> Iterator[dict[str, Floats]]:
    for start in range(0, len(items), BATCH):
        chosen = items[start : start + BATCH]
        found = features(
            signature,
            {spec.name: _tensor(inputs[spec.name][chosen]) for spec in signature.inputs},
            {spec.name: _tensor(outputs[spec.name][chosen]) for spec in signature.outputs},
            abstention,
        )
        yield {name: np.asarray(values, np.float64) for name, values in found.items()}


def _tensor(array: NDArray[np.generic]) -> Tensor:
    return Tensor(array.shape, array.ravel().tolist())


def _edges(signature: Signature, name: str, values: Floats, bins: int) -> list[float]:
    finite = values[np.isfinite(values)]
    if name == "label" and signature.labels:
        return [i + 0.5 for i in range(len(signature.labels) - 1)]
    if any(name in spec.columns for spec in signature.inputs) and is_coded(finite):
        return category_edges(finite)
    return quantile_edges(finite, bins)


def is_coded(values: Floats) -> bool:
    """Whether values look like codes of categories: few different integers."""
    distinct = np.unique(values)
    return 0 < len(distinct) <= MAX_CATEGORIES and bool(np.all(distinct == np.round(distinct)))


def category_edges(values: Floats) -> list[float]:
    """Edges half a step around each code, so that a code never seen has a bin to fall into."""
    distinct = np.unique(values)
    return np.unique(np.concatenate([distinct - 0.5, distinct + 0.5])).tolist()  # type: ignore[no-any-return]


def quantile_edges(values: Floats, bins: int = 10) -> list[float]:
    """Edges of about `bins` bins of equal mass, and one bin more at each end for outliers.

    A value that fills a bin by itself gets one of its own. Edges lie halfway between values
    that occur, so that another engine's rounding moves nothing across them.
    """
    if not len(values):
        return [0.0]  # nothing is known: negative or not is all that can be told apart
    distinct, counts = np.unique(values, return_counts=True)
    borders = _borders(counts, len(values) / bins)
    seen = distinct.tolist()
    low, high = seen[0], seen[-1]
    inner = [seen[i - 1] / 2 + seen[i] / 2 for i in borders]  # halved first: no overflow
    # a constant has no range: let a thousandth of it be the scale
    margin = MARGIN * (high - low) or max(abs(low) * 1e-3, 1e-6)
    edges = [low - margin, *inner, high + margin]
    # neighbours closer than a float can part leave one edge
    return [a for a, b in pairwise([*edges, math.inf]) if a < b and math.isfinite(a)]


def _borders(counts: NDArray[np.intp], target: float) -> list[int]:
    """Indexes of the distinct values that begin a new bin; the first bin begins by itself."""
    heavy = counts >= target
    starts: set[int] = set()
    # runs of light values between heavy ones are cut into pieces of equal mass
    changes = np.flatnonzero(heavy[1:] | heavy[:-1]) + 1
    starts.update(int(i) for i in changes)
    limits = [0, *sorted(starts), len(counts)]
    for start, stop in pairwise(limits):
        mass = np.cumsum(counts[start:stop])
        pieces = max(1, round(float(mass[-1]) / target))
        cuts = np.searchsorted(mass, mass[-1] * np.arange(1, pieces) / pieces) + 1
        starts.update(start + int(cut) for cut in cuts if cut < stop - start)
    return sorted(starts)
