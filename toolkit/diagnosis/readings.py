"""How good a graph is on a fixed set of items: the metric, and a finer loss."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_targets.runtime.contract import Signature
from edge_targets.runtime.errors import DataError
from edge_targets.runtime.events import Job
from toolkit.data.dataset import PARTS, Dataset
from toolkit.data.sampling import evenly
from toolkit.diagnosis.values import answers
from toolkit.evaluation.held_out import FEWEST, as_bytes
from toolkit.evaluation.metrics import are_classes, quality

ITEMS = (200, 2000)  # of a trial: an accuracy of 0.9 is then known to 0.04, or to 0.013
LAYERS = (16, 64)  # tried one by one
WORK = 10**12  # multiplications of all these trials together: some minutes
BROKEN = 1e6  # the loss of answers that are no numbers: above any, and still one to subtract
LEAST_SHARE = 1e-6  # of the right class: one item that is surely wrong costs at most 14


@dataclass(frozen=True)
class Items:
    """What trials are compared on: their places in the dataset, inputs (N, ...), targets (N,)."""

    rows: NDArray[np.intp]
    inputs: NDArray[np.float32]
    targets: NDArray[Any]

    def thinned(self, most: int) -> "Items":
        """At most so many, evenly from all."""
        chosen = evenly(len(self.rows), most)
        return Items(self.rows[chosen], self.inputs[chosen], self.targets[chosen])


@dataclass(frozen=True)
class Budget:
    """How much is tried; it does not depend on the machine, so that the outcome does not."""

    items: int
    layers: int


@dataclass(frozen=True)
class Reading:
    """One graph on the items.

    Attributes:
        outputs: the first one, shape (N, ...).
        quality: accuracy or R².
        loss: cross-entropy, or the squared error as a share of the targets' variance.
        size_bytes: of the graph.
    """

    outputs: NDArray[Any]
    quality: float
    loss: float
    size_bytes: int


def choosing_items(data: Dataset, learned: Dataset | None) -> Items:
    """The validation items, without those that the model was trained with.

    The test items stay aside: what was chosen with them could not be judged with them.

    Raises:
        DataError: too few remain to compare anything on.
    """
    rows = np.flatnonzero(data.split == PARTS.index("validation"))
    if learned is not None and not data.facts.columns:  # rows of a table repeat by nature
        known = np.isin(as_bytes(data.inputs[rows]), as_bytes(learned.part("train")[0]))
        rows = rows[~known]
    if len(rows) < FEWEST:
        raise DataError(
            f"{data.name} has {len(rows)} validation items that the model has not learned from: "
            f"too few to tell the layers apart; it takes {FEWEST} or more.",
            "Bring more data, or a larger validation_share.",
        )
    return Items(rows, data.inputs[rows], data.targets[rows])


def affordable(macs: int, layers: int) -> Budget:
    """Fewer items, then fewer layers, the more a model has to multiply."""
    least, most = ITEMS
    items = min(max(WORK // max(macs * min(layers, LAYERS[1]), 1), least), most)
    fewest, all_of_them = LAYERS
    return Budget(items, min(max(WORK // max(macs * items, 1), fewest), all_of_them))


def read(graph: bytes, signature: Signature, items: Items, job: Job) -> Reading:
    outputs = answers(graph, signature.outputs[0].name, signature.inputs[0], items.inputs, job)
    found = quality(outputs, items.targets).value
    return Reading(outputs, found, mean_loss(outputs, items.targets), len(graph))


def mean_loss(outputs: NDArray[Any], targets: NDArray[Any]) -> float:
    """Cross-entropy of shares or raw scores; for numbers 1 - R²."""
    if not np.isfinite(outputs).all():
        return BROKEN
    if not are_classes(targets):
        wanted = targets.astype(np.float64)
        return float(((outputs.reshape(-1) - wanted) ** 2).mean() / (wanted.var() or 1.0))
    shares = outputs.astype(np.float64)
    if shares.min() < 0 or np.abs(shares.sum(axis=1) - 1).max() > 0.05:  # raw scores
        shares = np.exp(shares - shares.max(axis=1, keepdims=True))
        shares /= shares.sum(axis=1, keepdims=True)
    right = shares[np.arange(len(targets)), targets]
    return float(-np.log(np.maximum(right, LEAST_SHARE)).mean())


def part_of(job: Job, message: str, done: int, total: int) -> Job:
    """A job for one of many trials: it tells where the whole is, and stops with it."""
    return Job(lambda event: job.step(message, done, total))
