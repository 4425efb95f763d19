"""What crosses the wire: every JSON object that two programs of ours exchange.

Each noun is a frozen dataclass that reads itself from JSON and writes itself back. What it
does not know it keeps in `extra`, so an older program does not lose a newer one's fields.
`web/src/contract.ts` reads the same objects; `tests/golden` holds one of each.
"""

import json
import math
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar, Self

from edge_targets.runtime import pieces
from edge_targets.runtime.errors import IntegrityError
from edge_targets.runtime.sketch import Sketch

SCHEMA = 1
DTYPES = {
    "BOOL": "bool",
    "INT8": "int8",
    "UINT8": "uint8",
    "INT32": "int32",
    "INT64": "int64",
    "FP32": "float32",
    "FP64": "float64",
}
"""Open Inference Protocol datatypes and the numpy names we use for them."""


@dataclass(frozen=True)
class Wire:
    """Base of the nouns: JSON in, JSON out, unknown fields kept."""

    nested: ClassVar[Mapping[str, Any]] = {}  # field -> how to read its value from JSON
    versioned: ClassVar[bool] = False

    extra: Mapping[str, Any] = field(default_factory=dict, kw_only=True)

    def to_json(self) -> dict[str, Any]:
        known = {f.name: plain(getattr(self, f.name)) for f in fields(self) if f.name != "extra"}
        schema = {"schema": SCHEMA} if self.versioned else {}
        return {**schema, **known, **self.extra}

    @classmethod
    def from_json(cls, data: Any) -> Self:
        """Read one object; an `IntegrityError` names the field that is missing or wrong."""
        if not isinstance(data, dict):
            found = type(data).__name__
            raise IntegrityError(f"{cls.__name__}: expected an object, found {found}.")
        schema = data.get("schema", SCHEMA)
        if schema != SCHEMA:
            raise IntegrityError(
                f"{cls.__name__} has schema {schema!r}; this program reads {SCHEMA}.",
                "Update Sanderling on this machine.",
            )
        known = {f.name for f in fields(cls)} - {"extra"}
        values: dict[str, Any] = {}
        for name in known & set(data):
            try:
                values[name] = cls.nested.get(name, lambda value: value)(data[name])
            except (TypeError, ValueError, KeyError, AttributeError) as error:
                raise IntegrityError(
                    f"{cls.__name__}.{name} cannot be read: {error}.",
                    "The file is damaged or was not made by Sanderling.",
                ) from error
        values["extra"] = {k: v for k, v in data.items() if k not in known and k != "schema"}
        try:
            return cls(**values)
        except TypeError as error:
            raise IntegrityError(
                f"{cls.__name__} is incomplete: {error}.",
                "The file is damaged or was not made by Sanderling.",
            ) from error

    @classmethod
    def parse(cls, text: str | bytes) -> Self:
        try:
            data = pieces.loads(text)
        except (ValueError, RecursionError) as error:
            raise IntegrityError(
                f"{cls.__name__} is not JSON: {error}.",
                "The file is damaged or was not made by Sanderling.",
            ) from error
        return cls.from_json(data)

    def dump(self) -> str:
        """Canonical text: the same object gives the same bytes."""
        return json.dumps(self.to_json(), sort_keys=True, indent=1, allow_nan=False) + "\n"


def plain(value: Any) -> Any:
    """`value` as JSON knows it: objects become dictionaries, tuples become lists."""
    if isinstance(value, Wire | Sketch):
        return value.to_json()
    if isinstance(value, Mapping):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, tuple | list):
        return [plain(inner) for inner in value]
    return value.tolist() if isinstance(value, array) else value


def numbers(values: Sequence[Any]) -> tuple[int, ...]:
    return tuple(int(value) for value in values)


def texts(values: Sequence[Any]) -> tuple[str, ...]:
    return tuple(str(value) for value in values)


@dataclass(frozen=True)
class Tensor:
    """Numbers with a shape, row-major."""

    shape: tuple[int, ...]
    data: Any  # any flat sequence of numbers: a list, an array of the standard library or numpy's

    def __post_init__(self) -> None:
        if math.prod(self.shape) != len(self.data) or min(self.shape, default=0) < 0:
            raise IntegrityError(
                f"A tensor of shape {list(self.shape)} cannot hold {len(self.data)} values.",
                "Send as many values as the shape asks for.",
            )

    def rows(self) -> list[Sequence[float]]:
        """The flat values of each item along the first axis."""
        size = math.prod(self.shape[1:])
        return [self.data[i * size : (i + 1) * size] for i in range(self.shape[0])]

    def to_json(self) -> dict[str, Any]:
        flat = self.data.tolist() if hasattr(self.data, "tolist") else list(self.data)
        return {"shape": list(self.shape), "data": flat}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Tensor":
        return cls(numbers(data["shape"]), data["data"])


@dataclass(frozen=True)
class TensorSpec(Wire):
    """One input or output.

    Attributes:
        name: as in the model file.
        shape: sizes; -1 is free (the batch).
        dtype: numpy's name, such as `float32`.
        meaning: what a value stands for, for a person: "pixel intensity".
        unit: "°C", "0-16", or empty.
        columns: names along the last axis, for tables; empty for images and the like.
    """

    nested: ClassVar = {"shape": numbers, "columns": texts}

    name: str
    shape: tuple[int, ...]
    dtype: str = "float32"
    meaning: str = ""
    unit: str = ""
    columns: tuple[str, ...] = ()


def specs(values: Sequence[Any]) -> tuple[TensorSpec, ...]:
    return tuple(TensorSpec.from_json(value) for value in values)


@dataclass(frozen=True)
class Signature(Wire):
    """What a model takes and gives; `labels` name the classes of its first output."""

    nested: ClassVar = {"inputs": specs, "outputs": specs, "labels": texts}

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class FileFact(Wire):
    """A file by its content: sha256 in hexadecimal, size in bytes."""

    sha256: str
    size: int


def facts(values: Mapping[str, Any]) -> dict[str, FileFact]:
    return {name: FileFact.from_json(value) for name, value in values.items()}


@dataclass(frozen=True)
class Abstention(Wire):
    """Below which confidence a classifier does not answer, and what that was chosen to reach.

    Attributes:
        threshold: an answer whose largest share is smaller is no answer.
        risk: of those answered, so large a share is wrong at most.
        certainty: probability that this holds for more data like the held-out items.
        coverage: share of the held-out items that were answered.
        items: held-out items it was chosen on.
    """

    threshold: float
    risk: float
    certainty: float
    coverage: float
    items: int

    def abstains(self, confidence: float) -> bool:
        """Whether an answer of this largest share is none; no number is none either."""
        return not confidence >= self.threshold


@dataclass(frozen=True)
class Manifest(Wire):
    """What is in a package.

    Attributes:
        name: the model's name, as the device serves it.
        version: the first twelve hexadecimal digits of the model file's sha256.
        target: the catalog name it was packed for.
        format: `onnx` or `tflite`.
        model: file name of the model inside the package.
        signature: what the model takes and gives.
        tolerance: largest difference at which a replayed golden output is the same, as a share
            of that output's spread in golden.json.
        files: every other member of the package.
        lineage: digest of the workspace entry it was made from.
        abstention: when it does not answer; None where it always does.
    """

    nested: ClassVar = {
        "signature": Signature.from_json,
        "files": facts,
        "abstention": lambda value: None if value is None else Abstention.from_json(value),
    }
    versioned: ClassVar = True

    name: str
    version: str
    target: str
    format: str
    model: str
    signature: Signature
    tolerance: float
    files: Mapping[str, FileFact]
    lineage: str = ""
    abstention: Abstention | None = None


def sketches(values: Mapping[str, Any]) -> dict[str, Sketch]:
    return {name: Sketch.from_json(value) for name, value in values.items()}


@dataclass(frozen=True)
class Profile(Wire):
    """The reference that live windows are compared with: one sketch a feature."""

    nested: ClassVar = {"sketches": sketches}
    versioned: ClassVar = True

    samples: int
    sketches: Mapping[str, Sketch]

    def empty(self) -> "Profile":
        """A profile with the same edges that has seen nothing."""
        return replace(self, samples=0, sketches={k: s.empty() for k, s in self.sketches.items()})


def confusions(values: Mapping[str, Any]) -> dict[str, dict[str, int]]:
    return {
        predicted: {actual: int(count) for actual, count in said.items()}
        for predicted, said in values.items()
    }


@dataclass(frozen=True)
class Record(Wire):
    """One telemetry message: what a device saw in one window. Never an input itself.

    Attributes:
        id: unique; the collector keeps one record an id.
        device: the sender's name.
        model: the manifest's name.
        version: the manifest's version.
        started: ISO 8601, UTC.
        ended: ISO 8601, UTC.
        samples: items predicted in the window.
        sketches: one a feature, with the edges of the package's reference profile.
        latency_ms: of whole predictions.
        confusions: by the label that was predicted, how often people said it is which other one.
    """

    nested: ClassVar = {
        "sketches": sketches,
        "latency_ms": Sketch.from_json,
        "confusions": confusions,
    }
    versioned: ClassVar = True

    id: str
    device: str
    model: str
    version: str
    started: str
    ended: str
    samples: int
    sketches: Mapping[str, Sketch]
    latency_ms: Sketch
    confusions: Mapping[str, Mapping[str, int]] = field(default_factory=dict)


@dataclass(frozen=True)
class Golden(Wire):
    """Inputs with the outputs the packed model gave for them where it was packed."""

    nested: ClassVar = {
        "inputs": lambda values: {k: Tensor.from_json(v) for k, v in values.items()},
        "outputs": lambda values: {k: Tensor.from_json(v) for k, v in values.items()},
    }
    versioned: ClassVar = True

    inputs: Mapping[str, Tensor]
    outputs: Mapping[str, Tensor]

    def to_json(self) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            "inputs": {name: tensor.to_json() for name, tensor in self.inputs.items()},
            "outputs": {name: tensor.to_json() for name, tensor in self.outputs.items()},
            **self.extra,
        }
