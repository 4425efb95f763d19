"""What a device itself measures of finished files, and which of them is the fastest there.

The runtime and the number of threads are chosen by measuring: published figures do not agree on
which runtime is faster, and four threads are slower than one for a small network.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from edge_targets.catalog import targets
from edge_targets.places.target import Bench
from edge_targets.runtime.errors import UnsupportedError, UsageError
from edge_targets.runtime.events import Job
from toolkit import shelf
from toolkit.data.dataset import Dataset
from toolkit.latency import Finished, OnDevice, on_device
from toolkit.quantities import check_threads
from toolkit.report import Check, Report
from toolkit.workspace import Entry, Workspace

UNTOLD = "the device does not tell"
HOT = "its firmware slowed it down: cool it, or give it a better supply"


@dataclass(frozen=True)
class Fastest:
    """The choice, and what it was chosen from, the fastest first.

    Attributes:
        artifact: the name of the file.
        rows: name of the file, and what the device measured.
    """

    artifact: str
    threads: int
    rows: tuple[tuple[str, Bench], ...]

    @property
    def report(self) -> Report:
        lines = [
            Check(f"{name}, {threads_of(bench)}", bench.p50_ms, "ms", f"{bench.runs} runs")
            for name, bench in self.rows
        ]
        return Report(f"fastest: {self.artifact}, {threads_of(self.rows[0][1])}", tuple(lines))


def measure(
    shelves: Workspace, name: str, data_name: str, device_name: str, threads: int, job: Job
) -> Report:
    """Have a device time an artifact; what it serves stays as it is.

    Raises:
        UnsupportedError: it is no artifact, or not for this device.
        DeviceError: the device does not answer.
    """
    check_threads(threads)
    artifact = artifact_of(shelves, name)
    clock = clock_of(shelves, device_name, world_of(shelves, artifact, data_name))
    found = clock.bench(finished(shelves, artifact), threads, job)
    size = Check("size", int(artifact.facts["size_bytes"]), "bytes")
    return Report(f"{name} on {device_name}", (size, *rows(found)))


def fastest(
    shelves: Workspace, names: Sequence[str], data_name: str, device_name: str, job: Job
) -> Fastest:
    """Time every artifact on one thread, on two and on all, and choose.

    Raises:
        UnsupportedError: no artifact is for this device.
        DeviceError: the device does not answer.
    """
    if not names:
        raise UsageError(
            "There is nothing to time.",
            f"Name files made by build: sanderling device fastest {device_name} FILE FILE …",
        )
    device = shelves.get("devices", device_name)
    target = targets[device.facts["target"]]
    artifacts = [artifact_of(shelves, name) for name in names]
    suited = [one for one in artifacts if one.facts["format"] in target.formats]
    if not suited:
        raise UnsupportedError(
            f"{target.title} runs none of {', '.join(names)}.",
            f"Build one of: {', '.join(target.formats)}.",
        )
    counts = sorted({1, min(2, target.facts.cores), target.facts.cores})
    tried = [(one, count) for one in suited for count in counts]
    found = []
    for one, count in job.track(tried, f"time on {device_name}"):
        clock = clock_of(shelves, device_name, world_of(shelves, one, data_name))
        found.append((one.name, clock.bench(finished(shelves, one), count, job)))
    found.sort(key=lambda row: row[1].p50_ms)
    return Fastest(found[0][0], found[0][1].threads, tuple(found))


def rows(found: Bench) -> tuple[Check, ...]:
    """Every figure, also those that the device does not tell."""
    heat = [
        Check("temperature before", found.temperature_before_c, "°C", told(found.temperature_c)),
        Check("temperature after", found.temperature_c, "°C", told(found.temperature_c)),
    ]
    slowed = found.throttled
    word = None if slowed is None else ("yes" if slowed else "no")
    return (
        Check("latency p50", found.p50_ms, "ms", f"{threads_of(found)}, {found.runs} runs"),
        Check("latency p90", found.p90_ms, "ms"),
        Check("latency p99", found.p99_ms, "ms", told(found.p99_ms)),
        Check("memory at most", found.rss_bytes, "bytes", told(found.rss_bytes)),
        *heat,
        Check("throttled", word, "", HOT if slowed else told(slowed)),
        Check("energy of a prediction", found.energy_mj, "mJ", told(found.energy_mj)),
    )


def told(figure: object) -> str:
    return UNTOLD if figure is None else ""


def threads_of(found: Bench) -> str:
    return f"{found.threads} thread" + "s" * (found.threads > 1)


def artifact_of(shelves: Workspace, name: str) -> Entry:
    if name in shelves.names("models") and name not in shelves.names("artifacts"):
        raise UnsupportedError(
            f"{name} is a model, and a device runs finished files.",
            f"Build one first: sanderling build {name}",
        )
    return shelves.get("artifacts", name)


def world_of(shelves: Workspace, artifact: Entry, data_name: str) -> Dataset:
    data = shelf.dataset(shelves, data_name)
    return shelf.fitting(shelf.signature_of(artifact), data, None, judged=False)


def clock_of(shelves: Workspace, device_name: str, world: Dataset) -> OnDevice:
    target_name = shelves.get("devices", device_name).facts["target"]
    return on_device(shelves, target_name, targets[target_name](), device_name, world)


def finished(shelves: Workspace, artifact: Entry) -> Finished:
    [file] = artifact.files
    return Finished(
        b"",  # nobody looks at the graph where a device measures
        shelves.read(artifact, file),
        artifact.facts["format"],
        artifact.facts["quantized"],
        shelf.signature_of(artifact),
    )
