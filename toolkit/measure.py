"""How good, how equal, how big and how fast: one report for a model or a finished file."""

from dataclasses import dataclass

from edge_targets.runtime.events import Job
from toolkit.artifact import LABELS_EQUAL, compare
from toolkit.data.dataset import Dataset
from toolkit.evaluation.metrics import metric_name, quality
from toolkit.inference import Runner
from toolkit.report import Check


@dataclass(frozen=True)
class Subject:
    """What is measured: a loaded file, its size, and the original it must equal, if any."""

    runner: Runner
    size_bytes: int
    original: Runner | None = None
    tolerance: float = 0.0


def measure(subject: Subject, data: Dataset, job: Job) -> tuple[Check, ...]:
    """Quality on the test part; parity on every item of `data`; size; latency of one item."""
    inputs, targets = data.part("test")
    found = quality(subject.runner.first_output(inputs, job), targets)
    rows = [
        Check(metric_name(targets), found.value, "", f"{found.low:.4f} to {found.high:.4f} (95 %)"),
        Check("test items", len(targets)),
        Check("size", subject.size_bytes, "bytes"),
    ]
    if subject.original:
        rows += _parity(subject, data, job)
    job.step("time single predictions", 0, 1)
    latency = subject.runner.latency(inputs)
    job.step("time single predictions", 1, 1)
    threads = f"{latency.threads} thread" + "s" * (latency.threads > 1)
    return (
        *rows,
        Check("latency p50", latency.p50_ms, "ms", f"{threads}, {latency.runs} runs"),
        Check("latency p90", latency.p90_ms, "ms"),
        Check("latency p99", latency.p99_ms, "ms"),
    )


def _parity(subject: Subject, data: Dataset, job: Job) -> list[Check]:
    assert subject.original
    classes = bool(subject.runner.signature.labels)
    before = subject.original.first_output(data.inputs, job)
    after = subject.runner.first_output(data.inputs, job)
    parity = compare(before, after, classes, subject.tolerance)
    held = parity.max_difference <= subject.tolerance
    rows = [
        Check("largest difference", parity.max_difference, "", f"at most {subject.tolerance}", held)
    ]
    if parity.label_agreement is not None:
        equal = parity.label_agreement >= LABELS_EQUAL
        bound = f"at least {LABELS_EQUAL}"
        rows.append(Check("same label", parity.label_agreement, "", bound, equal))
    return rows
