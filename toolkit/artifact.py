"""A finished model file, proven to answer like the model it was compiled from."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_targets.runtime.contract import Signature
from edge_targets.runtime.events import Job
from edge_targets.runtime.predictor import spread
from toolkit.formats import formats
from toolkit.inference import Runner
from toolkit.model import Model
from toolkit.onnx_graph import graph_of, operators

LABELS_EQUAL = 0.995  # share of items that must keep their class
FLOAT_TOLERANCE = 1e-4  # largest difference of a float graph's output, as a share of its spread
INT8_TOLERANCE = 0.25  # one rounding step early in a network can grow to this in a share
EXPLAINED = 0.99  # of the variance of an int8 graph's numbers: a mean alone explains nothing

Outputs = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Parity:
    """How closely two runners answer alike.

    Attributes:
        max_difference: largest difference of any value, as a share of its output's spread.
        label_agreement: share of items with the same class, 0 to 1; None without classes.
        samples: items compared.
        tolerance: what `max_difference` may be.
        explained: share of the original's variance (R²), of the output that has the least;
            None where it is not asked for: in float, of shares of classes, of constants.
    """

    max_difference: float
    label_agreement: float | None
    samples: int
    tolerance: float
    explained: float | None = None

    @property
    def passed(self) -> bool:
        agrees = self.label_agreement is None or self.label_agreement >= LABELS_EQUAL
        follows = self.explained is None or self.explained >= EXPLAINED
        return agrees and follows and self.max_difference <= self.tolerance


def compare(original: Outputs, other: Outputs, signature: Signature, quantized: bool) -> Parity:
    """Every output for the same items, shape (N, ...); not-a-number anywhere never passes."""
    names = [spec.name for spec in signature.outputs]
    worst = max(difference(original[name], other[name]) for name in names)
    first = names[0]
    agreement = None
    if signature.labels:
        same = original[first].argmax(axis=1) == other[first].argmax(axis=1)
        agreement = float(same.mean())
    numbers = names[1:] if signature.labels else names
    found = [explained(original[name], other[name]) for name in numbers if quantized]
    return Parity(
        worst,
        agreement,
        len(original[first]),
        INT8_TOLERANCE if quantized else FLOAT_TOLERANCE,
        min((share for share in found if share is not None), default=None),
    )


def difference(original: NDArray[Any], other: NDArray[Any]) -> float:
    """Largest difference of one output, as a share of the original's spread."""
    wanted = original.astype(np.float64)
    with np.errstate(invalid="ignore"):  # infinity minus infinity is not a number
        gap = float(np.abs(wanted - other.astype(np.float64)).max())
    finite = np.isfinite(wanted).all() and np.isfinite(gap)
    return gap / spread(float(wanted.min()), float(wanted.max())) if finite else float("inf")


def explained(original: NDArray[Any], other: NDArray[Any]) -> float | None:
    """Share of the original's variance that the other has too; None where it has none."""
    wanted = original.astype(np.float64)
    with np.errstate(invalid="ignore", over="ignore"):  # neither is a number that explains
        variance = float(wanted.var(axis=0).sum())
        missed = float(((wanted - other) ** 2).mean(axis=0).sum())
    if not variance > 0:
        return None
    share = 1 - missed / variance
    return share if np.isfinite(share) else 0.0


@dataclass(frozen=True)
class Compiled:
    """The bytes of a finished file and the proof that they are right."""

    data: bytes
    parity: Parity
    quantized: bool


def compile_model(
    model: Model, format_name: str, inputs: NDArray[np.float32], job: Job
) -> Compiled:
    """Compile, then run both on `inputs`, shape (N, ...), and compare every answer."""
    graph = graph_of(model, job)
    data = formats[format_name]().build(graph, model.signature, job).data
    original = Runner(graph, "onnx", model.signature).outputs(inputs, job)
    compiled = Runner(data, format_name, model.signature).outputs(inputs, job)
    quantized = "QuantizeLinear" in operators(graph)
    return Compiled(data, compare(original, compiled, model.signature, quantized), quantized)
