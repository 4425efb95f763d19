"""What two models, and each pair of their layers, give for the same items."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_targets.runtime.contract import Signature
from edge_targets.runtime.errors import UnsupportedError, first_line
from edge_targets.runtime.events import Job
from edge_targets.runtime.predictor import spread
from toolkit.data.sampling import thinned
from toolkit.diagnosis.values import session_of
from toolkit.results import OutputGap

ITEMS = (32, 1000)  # whose answers are compared, at least and at most
PROBES = 64  # of them, whose values inside are
WORK = 10**11  # multiplications of a comparison: some seconds
BATCH = 64  # items at once; fewer where their values inside take more than the following
VALUE_BYTES = 64 << 20
LARGEST = 1e30  # in place of a gap that is no number: JSON knows none

Array = NDArray[Any]


@dataclass(frozen=True)
class Fed:
    """A graph with what it takes: one array of items, shape (N, ...)."""

    graph: bytes
    signature: Signature
    items: Array

    def thinned(self, most: int) -> "Fed":
        return Fed(self.graph, self.signature, thinned(self.items, most))

    def values(self, names: Sequence[str], size: int) -> Iterator[list[Array]]:
        """The values by these names, batch by batch."""
        name = self.signature.inputs[0].name
        try:
            session = session_of(self.graph, *names)
            for start in range(0, len(self.items), size):
                feeds = {name: self.items[start : start + size]}
                yield [np.asarray(value) for value in session.run(list(names), feeds)]
        except Exception as error:  # onnxruntime's errors share no other base
            raise UnsupportedError(
                f"The runtime refuses the graph: {first_line(error)}.",
                "Update onnxruntime, or export the model with standard operators.",
            ) from error


@dataclass(frozen=True)
class Answers:
    """How far the answers of two models lie apart; `agreement` is None without classes."""

    outputs: tuple[OutputGap, ...]
    agreement: float | None
    samples: int


def taken(signature: Signature, items: Array) -> Array | None:
    """The items as a model takes them, pictures with the channels where it wants them.

    None where it does not take them.
    """
    if len(signature.inputs) != 1:
        return None
    [spec] = signature.inputs
    wanted = spec.shape[1:]
    for turned in variants(items, len(wanted) == items.ndim - 1 == 3):
        if turned.shape[1:] == wanted:
            fed = turned.astype(spec.dtype)
            return (
                np.ascontiguousarray(fed) if np.array_equal(fed, turned, equal_nan=True) else None
            )
    return None


def variants(values: Array, picture: bool) -> list[Array]:
    """As they are; of pictures also with the channels moved to the other end."""
    if not picture:
        return [values]
    return [values, values.transpose(0, 3, 1, 2), values.transpose(0, 2, 3, 1)]


def affordable(macs: int, count: int) -> int:
    least, most = ITEMS
    return min(max(WORK // max(macs, 1), least), most, count)


def answers_of(first: Fed, second: Fed, job: Job) -> Answers:
    """The gap of each output, by name where both have the same names, else by place."""
    names = [[spec.name for spec in fed.signature.outputs] for fed in (first, second)]
    if set(names[0]) == set(names[1]):
        names[1] = names[0]
    gaps = [Gap() for _ in names[0]]
    same = 0
    classes = bool(first.signature.labels) and bool(second.signature.labels)
    batches = zip(first.values(names[0], BATCH), second.values(names[1], BATCH), strict=True)
    for done, (ours, theirs) in enumerate(batches):
        job.step("compare answers", min(done * BATCH, len(first.items)), len(first.items))
        for gap, a, b in zip(gaps, ours, theirs, strict=False):
            gap.add(a, b)
        if classes:
            same += int((ours[0].argmax(axis=-1) == theirs[0].argmax(axis=-1)).sum())
    found = tuple(
        OutputGap(name, gap.largest, gap.relative)
        for name, gap in zip(names[0], gaps, strict=True)
        if gap.known
    )
    count = len(first.items)
    return Answers(found, same / count if classes else None, count)


class Gap:
    """The largest difference of one output so far."""

    def __init__(self) -> None:
        self.known = False
        self.gap = 0.0
        self.low, self.high = np.inf, -np.inf

    def add(self, first: Array, second: Array) -> None:
        candidates = matching(first, second)
        words = {first.dtype.kind, second.dtype.kind} - {*"biuf"}
        if not candidates or not first.size or words:
            return
        self.known = True
        a = first.astype(np.float64)
        with np.errstate(invalid="ignore"):
            gaps = [float(np.abs(a - b.astype(np.float64)).max()) for b in candidates]
        self.gap = max(self.gap, min(gaps)) if np.isfinite(gaps).all() else np.inf
        self.low, self.high = min(self.low, float(a.min())), max(self.high, float(a.max()))

    @property
    def largest(self) -> float:
        return min(self.gap, LARGEST)

    @property
    def relative(self) -> float:
        if not np.isfinite([self.gap, self.low, self.high]).all():
            return LARGEST
        return self.gap / spread(self.low, self.high)


def matching(first: Array, second: Array) -> list[Array]:
    """The second value in every order of its axes in which it has the first one's shape."""
    rest = range(1, second.ndim)
    orders = permutations(rest) if second.ndim <= 4 else [tuple(rest)]
    turned = [second.transpose(0, *order) for order in orders] if second.ndim else [second]
    found = [value for value in turned if value.shape == first.shape]
    if not found and first.shape[:1] == second.shape[:1] and first.size == second.size:
        return [value.reshape(first.shape) for value in turned]
    return found


def layer_errors(
    first: Fed, second: Fed, names: Sequence[tuple[str, str]], job: Job
) -> list[float | None]:
    """The difference of each pair of values as a share of the first one's size (L2).

    None where they are of different shape.
    """
    first, second = first.thinned(PROBES), second.thinned(PROBES)
    ours, theirs = (list(dict.fromkeys(each)) for each in zip(*names, strict=True))
    size = batch_size(first, ours, second, theirs)
    sums: list[list[Array] | None] = [[] for _ in names]
    batches = zip(first.values(ours, size), second.values(theirs, size), strict=True)
    for done, (found, others) in enumerate(batches):
        job.step("compare layers", min(done * size, len(first.items)), len(first.items))
        known = dict(zip(ours, found, strict=True)), dict(zip(theirs, others, strict=True))
        for index, (a, b) in enumerate(names):
            sums[index] = added(sums[index], known[0][a], known[1][b])
    return [error_of(each) for each in sums]


def batch_size(first: Fed, ours: Sequence[str], second: Fed, theirs: Sequence[str]) -> int:
    """As many items as their values inside leave room for; one is tried."""
    one = [
        sum(value.nbytes for value in next(fed.thinned(1).values(names, 1)))
        for fed, names in ((first, ours), (second, theirs))
    ]
    return max(min(VALUE_BYTES // max(sum(one), 1), BATCH), 1)


def added(sums: list[Array] | None, first: Array, second: Array) -> list[Array] | None:
    """Squares of the differences, one sum for each way to bring them together, and of the first."""
    candidates = matching(first, second)
    if sums is None or not candidates:
        return None
    a = first.astype(np.float64)
    squares = [float(((a - b.astype(np.float64)) ** 2).sum()) for b in candidates]
    here = [np.array(squares), np.array(float((a**2).sum()))]
    return [old + new for old, new in zip(sums, here, strict=True)] if sums else here


def error_of(sums: list[Array] | None) -> float | None:
    if not sums:
        return None
    squares, size = sums
    found = float(np.sqrt(squares.min() / (size or 1.0)))
    return found if np.isfinite(found) else None
