"""A finished model file, proven to answer like the model it was compiled from."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_targets.runtime.contract import Signature
from edge_targets.runtime.events import Job
from edge_targets.runtime.predictor import spread
from toolkit.checking import Pair, checks_of
from toolkit.delegation import Delegation, delegation_of, left_in_float
from toolkit.formats import Wish, formats
from toolkit.inference import Inputs, Runner, named
from toolkit.model import Model
from toolkit.onnx_graph import graph_of, operators
from toolkit.report import Check, plain
from toolkit.results import ArtifactInfo

LABELS_EQUAL = 0.995  # share of items that must keep their class
FLOAT_TOLERANCE = 1e-4  # largest difference of a float graph's output, as a share of its spread
INT8_TOLERANCE = 0.25  # one rounding step early in a network can grow to this in a share
USUAL = Wish()
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
    if original.shape != other.shape:  # numpy would stretch the one to the other
        return float("inf")
    if not original.size:
        return 0.0
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
    """The bytes of a finished file and the proof that they are right.

    Attributes:
        quantized: whether it computes in int8, or its model does.
        checks: of form, odd inputs and determinism; `parity` is on real ones.
        delegation: what the runtime's accelerated kernels take; None where it has none apart.
        notes: how the file came about.
    """

    data: bytes
    parity: Parity
    quantized: bool
    checks: tuple[Check, ...] = ()
    delegation: Delegation | None = None
    notes: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        return self.parity.passed and all(check.passed is not False for check in self.checks)

    def noted(self, note: str) -> "Compiled":
        return replace(self, notes=(*self.notes, note)) if note else self

    def facts(self) -> dict[str, Any]:
        """What is kept of it in the workspace."""
        found = self.delegation
        return {
            "quantized": self.quantized,
            "size_bytes": len(self.data),
            "parity": {
                # JSON knows no infinity
                "max_difference": min(self.parity.max_difference, sys.float_info.max),
                "label_agreement": self.parity.label_agreement,
                "samples": self.parity.samples,
                "tolerance": self.parity.tolerance,
                "explained": self.parity.explained,
                "passed": self.parity.passed,
            },
            "checks": plain(self.checks),
            "delegation": plain(found) if found else None,
            "notes": list(self.notes),
        }

    def info(self, name: str, format_name: str, sha256: str) -> ArtifactInfo:
        """What a user is told of it."""
        found = self.delegation
        return ArtifactInfo(
            name,
            format_name,
            len(self.data),
            sha256,
            self.parity.max_difference,
            self.parity.label_agreement,
            self.parity.explained,
            self.parity.samples,
            self.passed,
            self.checks,
            found.partitions if found else None,
            found.accelerated if found else None,
            found.left if found else (),
            self.notes,
        )


def compile_model(
    model: Model, format_name: str, inputs: Inputs, job: Job, wish: Wish = USUAL
) -> Compiled:
    """Compile, run both on `inputs`, compare every answer, and check the file besides."""
    graph = graph_of(model, job)
    items = named(inputs, model.signature)
    member = formats[format_name].of(wish)
    written = member.build(graph, model.signature, job, samples(model, [*items]))

    def opened() -> Runner:
        return Runner(written.data, format_name, model.signature)

    source, compiled = Runner(graph, "onnx", model.signature), opened()
    before, after = (one.outputs(items, job) for one in (source, compiled))
    notes = written.notes
    delegation = delegation_of(written.data) if member.engine == "tflite" else None
    quantized = is_quantized(graph, delegation)
    if member.suffix == ".onnx" and quantized and (left := left_in_float(written.data)):
        notes = (*notes, f"ONNX Runtime computes in float all the same: {', '.join(left)}.")
    parity = compare(before, after, model.signature, quantized)
    job.step("check the file", 0, 1)
    pair = Pair(
        model.signature, items, source, compiled, before, after, parity.tolerance, member.lossy
    )
    checks = checks_of(pair, opened)
    job.step("check the file", 1, 1)
    return Compiled(written.data, parity, quantized, checks, delegation, notes)


def is_quantized(graph: bytes, delegation: Delegation | None) -> bool:
    """Whether the model computes in int8, or the file that was made from it."""
    return "QuantizeLinear" in operators(graph) or bool(delegation and delegation.integer)


def samples(model: Model, inputs: Sequence[str]) -> Outputs | None:
    """What a format may calibrate with: what the model learned from, and nothing made up.

    It is not the part that the file is judged by.
    """
    if model.data is None or not model.data.count("train") or len(inputs) > 1:
        return None
    return {name: model.data.part("train")[0] for name in inputs}
