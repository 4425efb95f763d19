"""How good, how equal, how big and how fast: one report for a model or a finished file."""

from dataclasses import dataclass

from edge_targets.runtime.events import Job
from toolkit.artifact import EXPLAINED, LABELS_EQUAL, compare
from toolkit.data.dataset import Dataset
from toolkit.evaluation.held_out import HeldOut
from toolkit.evaluation.metrics import metric_name, quality
from toolkit.inference import Runner
from toolkit.report import Check


@dataclass(frozen=True)
class Subject:
    """What is measured: a loaded file, its size, and the original it must equal, if any."""

    runner: Runner
    size_bytes: int
    original: Runner | None = None
    quantized: bool = False


def measure(subject: Subject, data: Dataset, unseen: HeldOut, job: Job) -> tuple[Check, ...]:
    """Quality on the unseen items; parity on every item of `data`; size; latency of one item."""
    targets = unseen.targets
    found = quality(subject.runner.first_output(unseen.inputs, job), targets)
    rows = [
        Check(metric_name(targets), found.value, "", f"{found.low:.4f} to {found.high:.4f} (95 %)"),
        Check("test items", len(targets)),
        Check("already learned, left out", unseen.left_out),
        Check("size", subject.size_bytes, "bytes"),
    ]
    if subject.original:
        rows += _parity(subject, data, job)
    latency = subject.runner.latency(unseen.inputs, job)
    threads = f"{latency.threads} thread" + "s" * (latency.threads > 1)
    return (
        *rows,
        Check("latency p50", latency.p50_ms, "ms", f"{threads}, {latency.runs} runs"),
        Check("latency p90", latency.p90_ms, "ms"),
        Check("latency p99", latency.p99_ms, "ms"),
    )


def _parity(subject: Subject, data: Dataset, job: Job) -> list[Check]:
    assert subject.original
    before = subject.original.outputs(data.inputs, job)
    after = subject.runner.outputs(data.inputs, job)
    parity = compare(before, after, subject.runner.signature, subject.quantized)
    held = parity.max_difference <= parity.tolerance
    bound = f"at most {parity.tolerance} of an output's spread"
    rows = [Check("largest difference", parity.max_difference, "", bound, held)]
    for name, share, least in (
        ("same label", parity.label_agreement, LABELS_EQUAL),
        ("variance explained", parity.explained, EXPLAINED),
    ):
        if share is not None:
            rows.append(Check(name, share, "", f"at least {least}", share >= least))
    return rows
