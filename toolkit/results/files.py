"""What comes of compiling a model, and of proving that it answers like its source."""

from dataclasses import dataclass
from typing import ClassVar

from toolkit.report import Check, Result
from toolkit.results.models import Fit


@dataclass(frozen=True)
class ArtifactInfo:
    """A compiled file, and how closely it answers like its model.

    Attributes:
        max_difference: largest difference of any output, as a share of that output's spread.
        label_agreement: share of items with the same class; null without classes.
        explained: variance explained, of int8 numbers without classes; null otherwise.
        samples: items compared.
        checks: every check of the file: shapes, types, real and adversarial inputs, determinism.
        partitions: pieces that the runtime's accelerated kernels take; null where it has none.
        accelerated: share of the operators in them; null likewise.
        not_accelerated: operators outside of them.
        notes: how the file came about, and what was tried in vain.
    """

    hidden: ClassVar = frozenset({"checks", "sha256"})

    name: str
    format: str
    size_bytes: int
    sha256: str
    max_difference: float
    label_agreement: float | None
    explained: float | None
    samples: int
    passed: bool
    checks: tuple[Check, ...] = ()
    partitions: int | None = None
    accelerated: float | None = None
    not_accelerated: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Built(Result):
    """Compiled files; `left_out` are usual formats that have nothing for some operator."""

    artifacts: tuple[ArtifactInfo, ...]
    left_out: tuple[Fit, ...] = ()

    @property
    def ok(self) -> bool:
        return all(artifact.passed for artifact in self.artifacts)


@dataclass(frozen=True)
class Witness:
    """How one runtime answers, against the reference.

    Attributes:
        place: the member that ran it, such as `litert` or `ort_web`.
        format: of the file it ran.
        version: of the runtime.
        state: `agrees`, `differs`, `reference`, or `left out` with the reason in `note`.
        samples: items compared.
        largest: difference of any value; `relative` as a share of its output's spread.
        bound: what `relative` may be.
        agreement: share of items with the same class; null without classes.
        agreement_least: the share that it surely is (95 %, Clopper and Pearson 1934).
        parting: the first layer where they part, when they do.
    """

    place: str
    format: str
    version: str
    state: str
    samples: int
    largest: float | None
    relative: float | None
    bound: float | None
    agreement: float | None
    agreement_least: float | None
    parting: str = ""
    note: str = ""

    @property
    def passed(self) -> bool:
        return self.state != "differs"


@dataclass(frozen=True)
class Certificate(Result):
    """The same inputs through every runtime that is there.

    Attributes:
        model: that was verified; `digest` of its entry in the workspace.
        created: ISO 8601, UTC.
        reference: the place that the others are held against.
        inputs: where the inputs come from, in words.
    """

    model: str
    digest: str
    created: str
    reference: str
    inputs: str
    witnesses: tuple[Witness, ...]

    @property
    def ok(self) -> bool:
        return all(witness.passed for witness in self.witnesses)
