"""What each verb gives back; the fields are the keys of `--json`."""

from dataclasses import dataclass
from typing import Any

from toolkit.report import Comparison, Interval, Result


@dataclass(frozen=True)
class Initialised(Result):
    """Where the workspace is."""

    workspace: str


@dataclass(frozen=True)
class InputInfo:
    """An input or output tensor; -1 in the shape is free."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    unit: str
    meaning: str


@dataclass(frozen=True)
class ColumnInfo:
    """`low` and `high` are the smallest and largest value; null for categories."""

    name: str
    type: str
    missing: int
    low: float | None
    high: float | None


@dataclass(frozen=True)
class DatasetInfo(Result):
    """What a dataset holds."""

    name: str
    source: str
    rows: int
    task: str
    inputs: tuple[InputInfo, ...]
    labels: tuple[str, ...]
    split: dict[str, int]
    columns: tuple[ColumnInfo, ...]


@dataclass(frozen=True)
class Trained(Result):
    """`validation` and `test` are accuracy, or the share of variance explained."""

    name: str
    network: str
    data: str
    epochs: int
    parameters: int
    metric: str
    validation: Interval
    test: Interval


@dataclass(frozen=True)
class Imported(Result):
    """A model that was taken over, and the operators in its graph."""

    name: str
    format: str
    parameters: int
    inputs: tuple[InputInfo, ...]
    outputs: tuple[InputInfo, ...]
    operators: dict[str, int]


@dataclass(frozen=True)
class StepInfo:
    """One pass; sizes are of the ONNX file, in bytes."""

    name: str
    summary: str
    changed: bool
    size_before: int
    size_after: int


@dataclass(frozen=True)
class Compressed(Result):
    """What compression brought; `before` and `after` are of the test part."""

    name: str
    source: str
    steps: tuple[StepInfo, ...]
    before: Interval
    after: Interval
    size_before: int
    size_after: int


@dataclass(frozen=True)
class ArtifactInfo:
    """A compiled file, and how closely it answers like its model.

    Attributes:
        max_difference: largest difference of any output, as a share of that output's spread.
        label_agreement: share of items with the same class; null without classes.
        explained: variance explained, of int8 numbers without classes; null otherwise.
        samples: items compared.
    """

    name: str
    format: str
    size_bytes: int
    sha256: str
    max_difference: float
    label_agreement: float | None
    explained: float | None
    samples: int
    passed: bool


@dataclass(frozen=True)
class Built(Result):
    """Compiled files."""

    artifacts: tuple[ArtifactInfo, ...]

    @property
    def ok(self) -> bool:
        return all(artifact.passed for artifact in self.artifacts)


@dataclass(frozen=True)
class Packaged(Result):
    """A signed file; `key_id` names the key it is signed with."""

    name: str
    path: str
    target: str
    version: str
    size_bytes: int
    key_id: str


@dataclass(frozen=True)
class Deployed(Result):
    """`golden_difference` is of the device's own answers, as a share of an output's spread."""

    device: str
    package: str
    version: str
    url: str
    golden_difference: float


@dataclass(frozen=True)
class DeviceInfo(Result):
    """`samples` since it started; `pending` records not yet taken by the collector."""

    name: str
    target: str
    address: str
    state: str = "unknown"
    url: str = ""
    model: str = ""
    version: str = ""
    samples: int = 0
    pending: int | None = None


@dataclass(frozen=True)
class Devices(Result):
    """All devices."""

    devices: tuple[DeviceInfo, ...]


@dataclass(frozen=True)
class Bundled(Result):
    """A folder of static files."""

    directory: str
    files: int
    size_bytes: int


@dataclass(frozen=True)
class Retrained(Result):
    """A new model, compared with the old one on every dataset it knows."""

    name: str
    source: str
    comparisons: tuple[Comparison, ...]

    @property
    def ok(self) -> bool:
        return all(row.passed for row in self.comparisons)


@dataclass(frozen=True)
class Item:
    """One line of a list."""

    kind: str
    name: str
    summary: str
    created: str
    digest: str


@dataclass(frozen=True)
class Listing(Result):
    """What there is."""

    items: tuple[Item, ...]


@dataclass(frozen=True)
class Made:
    """One step of a lineage; depth 0 is the thing itself."""

    depth: int
    kind: str
    name: str
    verb: str
    created: str
    digest: str


@dataclass(frozen=True)
class FieldInfo:
    """One parameter that can be set."""

    name: str
    type: str
    default: str
    meaning: str


@dataclass(frozen=True)
class Shown(Result):
    """One thing, and what it was made from."""

    kind: str
    name: str
    facts: dict[str, Any]
    lineage: tuple[Made, ...] = ()
    fields: tuple[FieldInfo, ...] = ()


@dataclass(frozen=True)
class Flashed(Result):
    """A memory card that was written and read back."""

    path: str
    bytes_written: int
    sha256: str


@dataclass(frozen=True)
class Stage:
    """One step of the demo: what was done, and the figures it gave."""

    name: str
    seconds: float
    figures: dict[str, Any]
    passed: bool = True


@dataclass(frozen=True)
class ArtifactRow:
    """A compiled file of the demo; the difference and agreement are to the float original."""

    artifact: str
    accuracy: float
    same_label_as_float: float
    size_bytes: int
    p50_ms: float
    p99_ms: float


@dataclass(frozen=True)
class DriftSummary:
    """The strongest feature of a drift report."""

    traffic: str
    model: str
    feature: str
    test: str
    score: float | None
    threshold: float | None
    alarm: bool


@dataclass(frozen=True)
class Demo(Result):
    """The whole line: what was done, and what came of it."""

    workspace: str
    stages: tuple[Stage, ...]
    artifacts: tuple[ArtifactRow, ...]
    comparisons: tuple[Comparison, ...]
    drift: tuple[DriftSummary, ...]
    seconds: float

    @property
    def ok(self) -> bool:
        return all(stage.passed for stage in self.stages)
