"""What each verb gives back; the fields are the keys of `--json`."""

from dataclasses import dataclass
from typing import Any, ClassVar

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
    """One pass, and the ONNX file before and after it.

    Attributes:
        summary: what it did.
        warning: what it did not bring, and what would; empty when it brought something.
        size_before: bytes; `zipped_` after DEFLATE.
        macs_before: multiply-accumulate operations of one prediction.
        latency_before_ms: median of one prediction on this machine, both measured in turn.
        accuracy: after the pass, on unseen items.
    """

    hidden: ClassVar = frozenset({"changed", "parameters_before", "parameters_after"})

    name: str
    summary: str
    changed: bool
    accuracy: float
    size_before: int
    size_after: int
    zipped_before: int
    zipped_after: int
    parameters_before: int
    parameters_after: int
    macs_before: int
    macs_after: int
    latency_before_ms: float
    latency_after_ms: float
    warning: str


@dataclass(frozen=True)
class LayerChange:
    """What one pass did to one layer, or why it left it alone.

    Attributes:
        step: the pass.
        layer: the name that the network gave it.
        done: in words; for a layer that was left alone, the reason.
        bits_before: of a stored weight.
        nonzero_after: share of the weights that are not zero.
    """

    step: str
    layer: str
    op: str
    done: str
    parameters_before: int
    parameters_after: int
    bits_before: int
    bits_after: int
    nonzero_after: float
    macs_before: int
    macs_after: int


@dataclass(frozen=True)
class GroupDrop:
    """What the items of one class or slice lose.

    Attributes:
        kind: `class`, or the name of the column a slice is of.
        drop: accuracy (R² for numbers) before minus after.
        low: bound that the true drop is above, sure for all groups together.
        passed: false when the group surely loses more than the gate allows.
    """

    kind: str
    group: str
    items: int
    before: float
    after: float
    drop: float
    low: float
    passed: bool


@dataclass(frozen=True)
class Verdict:
    """Whether a smaller model is surely good enough, from the same unseen items.

    Attributes:
        metric: accuracy or R².
        drop: before minus after.
        bound: what the true drop is below with `confidence`.
        max_drop: what was allowed.
        items: unseen items compared.
        items_needed: so many would prove the same drop; null when it is proven or too large.
        reason: in words.
        groups: classes and slices, the worst first.
    """

    metric: str
    before: Interval
    after: Interval
    drop: float
    bound: float
    max_drop: float
    confidence: float
    items: int
    items_needed: int | None
    passed: bool
    reason: str
    groups: tuple[GroupDrop, ...] = ()

    @property
    def hidden(self) -> frozenset[str]:
        """What the reason tells in words; classes of which none surely loses too much."""
        quiet = all(group.passed and group.kind == "class" for group in self.groups)
        return frozenset(vars(self)) - {"passed", "reason"} - (set() if quiet else {"groups"})


@dataclass(frozen=True)
class Compressed(Result):
    """What compression brought; `before` and `after` are of the unseen test items.

    Attributes:
        kept: whether the model was stored; one that the gate refused is not.
        steps: the passes.
        layers: what each pass did to each layer.
        gate: the verdict, where --max-drop asked for one.
        strict: whether a pass that changed nothing counts as a failure.
        warnings: what is doubtful about the data.
    """

    hidden: ClassVar = frozenset({"strict"})

    name: str
    source: str
    kept: bool
    before: Interval
    after: Interval
    size_before: int
    size_after: int
    steps: tuple[StepInfo, ...]
    layers: tuple[LayerChange, ...]
    gate: Verdict | None = None
    strict: bool = False
    warnings: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        idle = self.strict and not all(step.changed for step in self.steps)
        return not idle and (self.gate is None or self.gate.passed)


@dataclass(frozen=True)
class LayerDamage:
    """What quantizing one layer alone does.

    Attributes:
        damage: what the metric loses.
        loss: what the mean loss (cross-entropy, or squared error) gains: finer than the metric.
        sqnr_db: signal to quantization noise of the layer's output, in decibels.
        weight_sqnr_db: of the weights of its median output channel.
        weight_low: smallest weight; `weight_high` the largest.
        outlier: largest absolute weight as a multiple of the 99th percentile.
        activation_low: smallest value the layer takes in; `activation_high` the largest.
        recovery: share of the whole loss that comes back when this layer alone stays float; null
            where that was not tried.
        reason: what is likely to blame, and what helps against it.
    """

    hidden: ClassVar = frozenset({"weight_sqnr_db", "recovery"})

    layer: str
    op: str
    damage: float
    loss: float
    sqnr_db: float
    weight_sqnr_db: float
    weight_low: float
    weight_high: float
    outlier: float
    activation_low: float
    activation_high: float
    recovery: float | None = None
    reason: str = ""


@dataclass(frozen=True)
class RepairStep:
    """One attempt to mend a layer: how, and what the whole model is then.

    Attributes:
        layer: its name; `all` for what is done to the whole graph.
        accuracy: of the whole model on the validation items (R² for numbers); `loss` likewise.
        kept: whether it helped, within the budget, more than what is cheaper.
    """

    layer: str
    how: str
    accuracy: float
    loss: float
    size_bytes: int
    kept: bool


@dataclass(frozen=True)
class Diagnosed(Result):
    """Which layers suffer from quantization, the worst first.

    Attributes:
        model: the float model that was looked at.
        before: of the float model on unseen test items; `after` of the quantized one.
        mended: of the repaired one; null when nothing was repaired.
        layers: damage on the validation items.
        reason: what was found, or why the repair ended, in words.
        repaired: name of the repaired model; empty when there is none, or the gate refused it.
        recipe: of the repaired model, TOML.
        recovered: share of the lost quality that the repair brought back; null without repair.
        gate: the verdict on the repaired model, or on the quantized one.
        repair: whether one was asked for.
        warnings: what is doubtful about the data, or was left out.
    """

    model: str
    before: Interval
    after: Interval
    size_before: int
    size_after: int
    reason: str
    layers: tuple[LayerDamage, ...]
    repairs: tuple[RepairStep, ...] = ()
    mended: Interval | None = None
    size_mended: int | None = None
    repaired: str = ""
    recipe: str = ""
    recovered: float | None = None
    gate: Verdict | None = None
    repair: bool = False
    warnings: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """A diagnosis is done when it is told; a repair when the gate holds."""
        return not self.repair or self.gate is None or self.gate.passed


@dataclass(frozen=True)
class Candidate:
    """One trial of a search.

    Attributes:
        trial: its number in the study.
        model: its name in the workspace.
        recipe: the passes in short.
        runtime: format and threads, such as `tflite x1`.
        drop: of the metric on the validation items; `drop_low` and `drop_high` its 95 % interval.
        latency_ms: median of one prediction; `latency_source` says where it comes from.
        ram_bytes: that the runtime needs for the model.
        fits: whether it keeps to the budget.
        pareto: whether nothing else is better in one thing and as good in the others.
    """

    hidden: ClassVar = frozenset({"trial", "latency_source", "drop_low", "drop_high", "pareto"})

    trial: int
    model: str
    recipe: str
    runtime: str
    size_bytes: int
    latency_ms: float
    latency_source: str
    ram_bytes: int
    drop: float
    drop_low: float
    drop_high: float
    fits: bool
    pareto: bool


@dataclass(frozen=True)
class Searched(Result):
    """The outcome of a search.

    Attributes:
        study: its name; the same command goes on where it was.
        trials: finished in all; `stopped` early ones, `failed` ones.
        pick: name of the model chosen; empty when nothing fits.
        reason: why this one; or what is nearest and what it lacks.
        recipe: of the pick, TOML.
        gate: the verdict on the test items, which the search has not seen.
        report: the HTML file; `picture` the PNG.
        front: the Pareto set on the validation items, and the pick, which is the best that is
            proven and may lie behind it.
    """

    hidden: ClassVar = frozenset({"recipe"})

    study: str
    trials: int
    stopped: int
    failed: int
    pick: str
    reason: str
    recipe: str
    gate: Verdict | None
    report: str
    picture: str
    front: tuple[Candidate, ...]

    @property
    def ok(self) -> bool:
        return bool(self.pick)


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
    """A signed file; `key_id` names the key it is signed with.

    `gate` is the verdict where --max-drop asked for one; refused, there is no file.
    """

    name: str
    path: str
    target: str
    version: str
    size_bytes: int
    key_id: str
    gate: Verdict | None = None

    @property
    def ok(self) -> bool:
        return self.gate is None or self.gate.passed


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
