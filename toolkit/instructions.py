"""A compiled file's cost on a target, in instructions of its core, without the device.

The count is exact and the same every time (see `edge_targets.emulation.counting`), so it ranks
candidates that a stopwatch cannot tell apart, and a model that got dearer fails a check. In
milliseconds it is an estimate: over the networks of ncnn's table a board works off instructions
at nearly one rate, whatever the network and the number type (`benchmarks/bench_latency.py`).
"""

import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from edge_targets.catalog import Target, targets
from edge_targets.emulation.counting import PACKAGES, Instructions, count
from edge_targets.runtime.durable import storing
from edge_targets.runtime.errors import UnsupportedError
from edge_targets.runtime.events import QUIET, Job
from toolkit.inference import TEMPORARY
from toolkit.latency import Estimated, Finished, Timing
from toolkit.on_device import artifact_of, finished
from toolkit.report import Check, Report
from toolkit.workspace import Workspace

OFF = 1.35  # four of five networks of a board are nearer to its rate (benchmarks/bench_latency.py)


def instructions(
    data: bytes, format_name: str, target: Target, job: Job = QUIET, kept: Path | None = None
) -> Instructions:
    """Of one prediction by the file, on one thread of the target's core; kept once counted.

    Args:
        kept: the cache; the user's own unless given.

    Raises:
        UnsupportedError: the target has no core that can be emulated, or not this format, or this
            machine lacks a program.
        IntegrityError: the file does not run there.
        DeviceError: the target's packages could not be had.
    """
    known, runtime = target.facts, target.runtime
    if not known.qemu_cpu or runtime.machine != "aarch64":
        raise UnsupportedError(
            f"Instructions of a {target.title} cannot be counted.",
            "Name a target with 64-bit ARM, such as raspberry_pi_4.",
        )
    if format_name not in target.formats or format_name not in PACKAGES:
        raise UnsupportedError(
            f"{target.title} cannot run {format_name!r}, or it cannot be counted.",
            f"Build one of: {', '.join(PACKAGES)}.",
        )
    needed = runtime.requirements("numpy", PACKAGES[format_name])
    with storing(TEMPORARY):
        folder = tempfile.TemporaryDirectory()
    with folder as name:
        file = Path(name) / f"model.{format_name}"
        with storing(file):
            file.write_bytes(data)
        return count(file, format_name, known.qemu_cpu, needed, runtime.platforms, job, kept=kept)


@dataclass(frozen=True)
class Counted:
    """A `Clock`: milliseconds from instructions, for one thread; more threads are estimated."""

    target: Target
    kept: Path | None = field(default=None, compare=False)

    def __call__(self, file: Finished, threads: int, job: Job) -> Timing:
        found = instructions(file.data, file.format, self.target, job, self.kept)
        rate = self.target.facts.instructions_per_s
        if not rate:
            raise UnsupportedError(
                f"How many instructions a {self.target.title} executes in a second is not known.",
                "Search for a board, such as raspberry_pi_4.",
            )
        estimate = Estimated(self.target)
        alone, many = (estimate(file, n, job).latency_ms for n in (1, threads))
        told = f"{found.total:,} instructions of {found.cpu} ({found.runtime})"
        return Timing(found.total / rate * 1e3 * many / alone, told, OFF)


def report(
    shelves: Workspace, name: str, target_name: str, job: Job, allowed: int | None = None
) -> Report:
    """What an artifact costs on a target's core; with `allowed` it fails when that is more."""
    artifact = artifact_of(shelves, name)
    file = finished(shelves, artifact)
    found = instructions(file.data, file.format, targets[target_name](), job)
    total, *kinds = rows(found)
    if allowed is not None:
        total = regression(found, allowed)
    return Report(f"{name} on {target_name}", (total, *kinds))


def regression(found: Instructions, allowed: int) -> Check:
    """A line of a report that fails when a prediction takes more instructions than it may."""
    bound = f"at most {allowed:,} on {found.cpu} with {found.runtime}"
    return Check("instructions", found.total, "", bound, found.total <= allowed)


def rows(found: Instructions) -> tuple[Check, ...]:
    """Lines of a report: the total, and what it is made of."""
    kinds = [Check(f"instructions: {name}", number) for name, number in found.kinds.items()]
    return (Check("instructions", found.total, "", f"{found.cpu}, {found.runtime}"), *kinds)
