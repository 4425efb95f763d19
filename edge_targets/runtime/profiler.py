"""Turn predictions into profiles: which numbers are watched, and how they are counted."""

import math
import time
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from edge_targets.runtime.contract import Manifest, Profile, Record, Signature, Tensor
from edge_targets.runtime.sketch import Sketch

LATENCY_EDGES_MS = tuple(0.05 * 1.5**i for i in range(24))  # 0.05 ms to 0.6 s in steps of 1.5


def features(
    signature: Signature, inputs: Mapping[str, Tensor], outputs: Mapping[str, Tensor]
) -> dict[str, list[float]]:
    """The watched numbers of a batch, by feature name.

    A table's input gives one feature a column; any other input gives all its values and each
    item's mean and standard deviation. A classifier's output gives `confidence` (the largest
    share) and `label` (its index); any other output one feature a column. A name that is taken
    gets its tensor's before it: an input column `label` is `features.label`.
    """
    given: dict[str, list[float]] = {}
    for spec in signature.outputs:
        tensor = outputs[spec.name]
        if signature.labels and spec == signature.outputs[0]:
            rows = [list(row) for row in tensor.rows()]
            given["confidence"] = [float(max(row)) for row in rows]
            given["label"] = [float(row.index(max(row))) for row in rows]
        else:
            given |= apart(columns(spec.name, spec.columns, tensor), spec.name, given)
    found: dict[str, list[float]] = {}
    for spec in signature.inputs:
        tensor = inputs[spec.name]
        table = len(spec.shape) == 2
        seen = columns(spec.name, spec.columns, tensor) if table else summary(spec.name, tensor)
        found |= apart(seen, spec.name, found.keys() | given.keys())
    return found | given


def apart(
    seen: Mapping[str, list[float]], owner: str, taken: Collection[str]
) -> dict[str, list[float]]:
    """The same features under names that are not taken."""
    found: dict[str, list[float]] = {}
    for title, values in seen.items():
        name = title
        while name in taken or (name != title and name in seen):
            name = f"{owner}.{name}"
        found[name] = values
    return found


def columns(name: str, names: Sequence[str], tensor: Tensor) -> dict[str, list[float]]:
    rows = tensor.rows()
    width = math.prod(tensor.shape[1:])
    titles = names or [f"{name}[{i}]" for i in range(width)] if width != 1 else names or [name]
    return {title: [float(row[i]) for row in rows] for i, title in enumerate(titles)}


def summary(name: str, tensor: Tensor) -> dict[str, list[float]]:
    values: list[float] = []
    means, deviations = [], []
    for raw in tensor.rows():
        # Python's own numbers: sums of float32 would differ from one machine to the next
        row = [float(value) for value in raw]
        values += row
        mean = sum(row) / len(row)
        means.append(mean)
        deviations.append(math.sqrt(sum((value - mean) ** 2 for value in row) / len(row)))
    return {name: values, f"{name}.mean": means, f"{name}.std": deviations}


class Profiler:
    """Counts one window of predictions against the edges of a reference profile."""

    def __init__(self, manifest: Manifest, reference: Profile, device: str) -> None:
        self.manifest = manifest
        self.reference = reference
        self.device = device
        self._open()

    def _open(self) -> None:
        self.started = datetime.now(UTC)
        self.window = self.reference.empty()
        self.latency_ms = Sketch(LATENCY_EDGES_MS)

    @property
    def samples(self) -> int:
        return self.window.samples

    def observe(
        self, inputs: Mapping[str, Tensor], outputs: Mapping[str, Tensor], latency_ms: float
    ) -> None:
        """Count one batch; `latency_ms` is for the whole of it."""
        found = features(self.manifest.signature, inputs, outputs)
        for name, sketch in self.window.sketches.items():
            sketch.add(found.get(name, ()))
        items = next(iter(outputs.values())).shape[0]
        self.window = replace(self.window, samples=self.window.samples + items)
        self.latency_ms.add([latency_ms])

    def close(self) -> Record | None:
        """End the window and begin the next; None when nothing was predicted in it."""
        if not self.samples:
            self._open()
            return None
        record = Record(
            id=str(uuid.uuid4()),
            device=self.device,
            model=self.manifest.name,
            version=self.manifest.version,
            started=self.started.isoformat(),
            ended=datetime.now(UTC).isoformat(),
            samples=self.samples,
            sketches=self.window.sketches,
            latency_ms=self.latency_ms,
        )
        self._open()
        return record


def milliseconds_since(start: float) -> float:
    """Since `start`, a reading of `time.perf_counter()`."""
    return (time.perf_counter() - start) * 1e3
