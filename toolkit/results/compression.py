"""What passes did to a model, layer by layer; what a search found."""

from dataclasses import dataclass
from typing import ClassVar

from toolkit.report import Interval, Result


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
