"""What comes of packing, of sending it to devices, and of the whole line."""

from dataclasses import dataclass
from typing import Any

from toolkit.report import Comparison, Result
from toolkit.results.compression import Verdict


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
class BundlePart:
    """Of a bundle: `sent_bytes` are what a browser fetches when its host compresses (brotli)."""

    name: str
    files: int
    size_bytes: int
    sent_bytes: int


@dataclass(frozen=True)
class Bundled(Result):
    """A folder of static files.

    `sent_bytes` are those of its parts together, without "other engines": a browser runs one.
    """

    directory: str
    files: int
    size_bytes: int
    sent_bytes: int = 0
    parts: tuple[BundlePart, ...] = ()


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
