"""A dataset: items with their targets, a split, and what each number means."""

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edge_targets.runtime.contract import Signature, TensorSpec, Wire, texts
from edge_targets.runtime.errors import DataError

PARTS = ("train", "validation", "test")
Part = Literal["train", "validation", "test"]


@dataclass(frozen=True)
class Column(Wire):
    """One column of a table; a category is stored as its index in `values`."""

    nested = {"values": texts}  # noqa: RUF012 - a class fact of the wire base

    name: str
    type: str  # "number" or "category"
    values: tuple[str, ...] = ()


def columns_from(values: Sequence[Any]) -> tuple[Column, ...]:
    return tuple(Column.from_json(value) for value in values)


@dataclass(frozen=True)
class Facts(Wire):
    """What a dataset says about itself, apart from its numbers."""

    nested = {  # noqa: RUF012 - a class fact of the wire base
        "input": TensorSpec.from_json,
        "labels": texts,
        "columns": columns_from,
    }
    versioned = True

    source: str
    input: TensorSpec
    labels: tuple[str, ...] = ()  # empty for regression
    target: str = "label"
    columns: tuple[Column, ...] = ()


@dataclass(frozen=True)
class Dataset:
    """Items in memory.

    Attributes:
        name: in the workspace.
        facts: meaning of the numbers.
        inputs: float32, shape (N, ...); a missing value is not-a-number.
        targets: shape (N,); int64 class indices, or float32 for regression.
        split: uint8, shape (N,); index into `PARTS`.
        groups: shape (N,); who or what an item came from, such as a speaker; None when unknown.
    """

    name: str
    facts: Facts
    inputs: NDArray[np.float32]
    targets: NDArray[Any]
    split: NDArray[np.uint8]
    groups: NDArray[np.str_] | None = None

    @property
    def task(self) -> str:
        return "classification" if self.facts.labels else "regression"

    @property
    def labels(self) -> tuple[str, ...]:
        return self.facts.labels

    def part(self, part: Part) -> tuple[NDArray[np.float32], NDArray[Any]]:
        chosen = self.split == PARTS.index(part)
        return self.inputs[chosen], self.targets[chosen]

    def count(self, part: Part) -> int:
        return int((self.split == PARTS.index(part)).sum())

    def signature(self) -> Signature:
        """What a model trained on this takes and gives."""
        if self.labels:
            output = TensorSpec("probabilities", (-1, len(self.labels)), meaning="class share")
        else:
            output = TensorSpec(
                "prediction", (-1, 1), meaning=self.facts.target, columns=(self.facts.target,)
            )
        return Signature((self.facts.input,), (output,), self.labels)

    def merged(self, other: "Dataset") -> "Dataset":
        """Both, part by part.

        Raises:
            DataError: they do not have the same input and classes.
        """
        if why := unlike(self.facts, other.facts):
            raise DataError(
                f"{other.name} has other inputs or classes than {self.name}: {why}.",
                "Bring data with the same columns, categories and classes.",
            )
        return replace(
            self,
            name=f"{self.name}+{other.name}",
            inputs=np.concatenate([self.inputs, other.inputs]),
            targets=np.concatenate([self.targets, other.targets]),
            split=np.concatenate([self.split, other.split]),
            groups=np.concatenate([groups_of(self), groups_of(other)]),
        )

    def to_bytes(self) -> bytes:
        stream = io.BytesIO()
        arrays: dict[str, Any] = {
            "inputs": self.inputs, "targets": self.targets, "split": self.split,
        }  # fmt: skip
        if self.groups is not None:
            arrays["groups"] = self.groups
        np.savez_compressed(stream, **arrays)
        return stream.getvalue()

    @classmethod
    def from_bytes(cls, name: str, facts: Facts, data: bytes) -> "Dataset":
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            groups = arrays.get("groups")
            return cls(name, facts, arrays["inputs"], arrays["targets"], arrays["split"], groups)


def groups_of(data: Dataset) -> NDArray[np.str_]:
    """Of every item; empty names where they are not known."""
    return np.full(len(data.inputs), "") if data.groups is None else data.groups


def unlike(one: Facts, other: Facts) -> str:
    """The first way in which a model of `one` cannot be used with `other`; empty when it can."""
    if one.input.shape != other.input.shape:
        return f"shape {list(other.input.shape)} and not {list(one.input.shape)}"
    mine, theirs = one.input, other.input
    if (mine.dtype, mine.unit) != (theirs.dtype, theirs.unit):
        return f"{measure(theirs)} and not {measure(mine)}"
    if one.labels != other.labels:
        return f"{told(other.labels)} and not {told(one.labels)}"
    if not one.labels and one.target != other.target:
        return f"target {other.target!r} and not {one.target!r}"
    for old, new in zip(one.columns, other.columns, strict=False):
        if (old.name, old.type) != (new.name, new.type):
            return f"column {new.name!r} ({new.type}) and not {old.name!r} ({old.type})"
        if old.values != new.values:
            return f"in column {old.name!r} {told(new.values)} and not {told(old.values)}"
    return ""


def measure(spec: TensorSpec) -> str:
    return f"{spec.dtype} values in {spec.unit or 'no unit'}"


def told(names: Sequence[str], most: int = 12) -> str:
    return ", ".join(names[:most]) + " …" * (len(names) > most) if names else "numbers"


def value_range(values: NDArray[np.float32]) -> tuple[float, float]:
    """Smallest and largest finite value; two not-a-numbers when there is none."""
    finite = values[np.isfinite(values)]
    return (float(finite.min()), float(finite.max())) if finite.size else (math.nan, math.nan)
