"""What comes of making a model, or of taking one over."""

from dataclasses import dataclass
from typing import ClassVar

from toolkit.report import Comparison, Interval, Result
from toolkit.results.workspace import InputInfo


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
class Fit:
    """Whether a model can be compiled to a format, and what stands in the way.

    Attributes:
        reason: the operators, with their nodes, that the format has nothing for.
        mend: what to do about it.
    """

    format: str
    fits: bool
    reason: str = ""
    mend: str = ""


@dataclass(frozen=True)
class Imported(Result):
    """A model that was taken over.

    Attributes:
        format: the importer that read it.
        opset: that the file was written in; null where it has none.
        layout: of pictures it takes: `NCHW`, `NHWC`, or empty where that is not known.
        operators: how often each occurs in the graph.
        metadata: what the file says of itself.
        notes: what was changed, guessed or left out.
    """

    name: str
    format: str
    parameters: int
    opset: int | None
    layout: str
    inputs: tuple[InputInfo, ...]
    outputs: tuple[InputInfo, ...]
    labels: tuple[str, ...]
    operators: dict[str, int]
    metadata: dict[str, str]
    notes: tuple[str, ...]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class NodeInfo:
    """One operator of a graph.

    Attributes:
        name: of its layer, where it has weights; else of the node.
        inputs: values it reads, by name; `outputs` those it makes.
        shape: of its first output, as text, such as `batch×8×16`; empty where it is not known.
        attributes: as text, by name.
        weights: stored inputs: name, shape and type of each, as text.
        bits: of a stored weight; 0 without weights.
    """

    hidden: ClassVar = frozenset({"inputs", "outputs", "attributes", "weights", "dtype"})

    name: str
    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    shape: str
    dtype: str
    attributes: dict[str, str]
    weights: tuple[str, ...]
    parameters: int
    macs: int
    bits: int
    size_bytes: int


@dataclass(frozen=True)
class Inspected(Result):
    """What is in a model file, or in a model or artifact of the workspace.

    Attributes:
        subject: the file or the name that was asked for.
        size_bytes: of the file.
        opset: that it is written in; null where it has none.
        macs: multiply-accumulate operations of one prediction.
        fits: whether it can be compiled, format by format.
        nodes: every operator, in order; empty unless it was asked for.
    """

    subject: str
    format: str
    size_bytes: int
    parameters: int
    macs: int
    opset: int | None
    layout: str
    inputs: tuple[InputInfo, ...]
    outputs: tuple[InputInfo, ...]
    labels: tuple[str, ...]
    operators: dict[str, int]
    metadata: dict[str, str]
    notes: tuple[str, ...]
    fits: tuple[Fit, ...]
    nodes: tuple[NodeInfo, ...] = ()


@dataclass(frozen=True)
class Attached(Result):
    """A model with more steps in its graph, and what it takes and gives now."""

    name: str
    source: str
    before: tuple[str, ...]
    after: tuple[str, ...]
    inputs: tuple[InputInfo, ...]
    outputs: tuple[InputInfo, ...]
    labels: tuple[str, ...]


@dataclass(frozen=True)
class Side:
    """One of two models that are compared."""

    subject: str
    format: str
    size_bytes: int
    zipped_bytes: int
    parameters: int
    macs: int


@dataclass(frozen=True)
class OperatorCount:
    """How often an operator occurs in each of two graphs."""

    operator: str
    first: int
    second: int


@dataclass(frozen=True)
class LayerPair:
    """A layer of the first model and its counterpart in the second.

    Attributes:
        first: its name in the first model; empty where only the second has it.
        second: likewise.
        paired_by: `name`, `weights` (nearly equal numbers), `shape` (and place), or empty.
        shape_first: of the weights, as text; `shape_second` likewise.
        bits_first: of a stored weight; `bits_second` likewise.
        weight_error: difference of the weights, in the first one's order, as a share of the
            first one's size (L2); null where their shapes differ.
        output_error: likewise of what the layer gives on the data; null without data.
    """

    first: str
    second: str
    op: str
    paired_by: str
    shape_first: str
    shape_second: str
    bits_first: int | None
    bits_second: int | None
    weight_error: float | None
    output_error: float | None


@dataclass(frozen=True)
class OutputGap:
    """How far one output of two models lies apart.

    Attributes:
        largest: difference of any value; `relative` as a share of the output's spread.
    """

    output: str
    largest: float
    relative: float


@dataclass(frozen=True)
class Compared(Result):
    """Two models side by side.

    Attributes:
        differ: shortly, in what they differ; empty when they are the same in all.
        outputs: how far the answers lie apart; empty where they cannot be compared.
        label_agreement: share of items with the same class; null without classes or data.
        samples: items they were compared on; 0 without data.
        parting: the first layer whose output differs by more than rounding; empty if none.
    """

    first: Side
    second: Side
    differ: tuple[str, ...]
    operators: tuple[OperatorCount, ...]
    layers: tuple[LayerPair, ...]
    outputs: tuple[OutputGap, ...]
    label_agreement: float | None
    samples: int
    parting: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Retrained(Result):
    """A new model, compared with the old one on every dataset it knows."""

    name: str
    source: str
    comparisons: tuple[Comparison, ...]

    @property
    def ok(self) -> bool:
        return all(row.passed for row in self.comparisons)
