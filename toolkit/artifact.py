"""A finished model file, proven to answer like the model it was compiled from."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_targets.runtime.events import Job
from toolkit.formats import formats
from toolkit.inference import Runner
from toolkit.model import Model
from toolkit.onnx_graph import graph_of, operators

LABELS_EQUAL = 0.995  # share of items that must keep their class
FLOAT_TOLERANCE = 1e-4  # largest difference of a float graph's outputs, in their size
INT8_TOLERANCE = 0.25  # one rounding step early in a network can grow to this in a share


@dataclass(frozen=True)
class Parity:
    """How closely two runners answer alike.

    Attributes:
        max_difference: largest absolute difference of any output value.
        label_agreement: share of items with the same class, 0 to 1; None without classes.
        samples: items compared.
        tolerance: what `max_difference` may be.
    """

    max_difference: float
    label_agreement: float | None
    samples: int
    tolerance: float

    @property
    def passed(self) -> bool:
        agrees = self.label_agreement is None or self.label_agreement >= LABELS_EQUAL
        return agrees and self.max_difference <= self.tolerance


def compare(one: NDArray[Any], other: NDArray[Any], classes: bool, tolerance: float) -> Parity:
    """Two outputs for the same items, shape (N, ...); not-a-number anywhere never passes."""
    with np.errstate(invalid="ignore"):  # infinity minus infinity is one of them
        gaps = np.abs(one.astype(np.float64) - other.astype(np.float64))
    worst = float("inf") if np.isnan(gaps).any() else float(gaps.max())
    same = float((one.argmax(axis=1) == other.argmax(axis=1)).mean()) if classes else None
    return Parity(worst, same, len(one), tolerance)


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
    data = formats[format_name]().build(graph, model.signature, job)
    original = Runner(graph, "onnx", model.signature).first_output(inputs, job)
    compiled = Runner(data, format_name, model.signature).first_output(inputs, job)
    quantized = "QuantizeLinear" in operators(graph)
    tolerance = (INT8_TOLERANCE if quantized else FLOAT_TOLERANCE) * size_of(original)
    classes = bool(model.signature.labels)
    return Compiled(data, compare(original, compiled, classes, tolerance), quantized)


def size_of(values: NDArray[Any]) -> float:
    """What a tolerance is multiplied by: 1 for shares, the largest value for larger numbers."""
    return max(1.0, float(np.abs(values[np.isfinite(values)]).max(initial=0.0)))
