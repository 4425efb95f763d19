"""Turn predictions into profiles: one window after another is counted against a reference."""

import time
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime

from edge_targets.runtime.contract import Manifest, Profile, Record, Tensor
from edge_targets.runtime.counting import MAX_ROWS, Arrays, Buffer, numpy_here
from edge_targets.runtime.errors import UnknownNameError
from edge_targets.runtime.sketch import Sketch
from edge_targets.runtime.watching import features

__all__ = ["Profiler", "features", "milliseconds_since"]

LATENCY_EDGES_MS = tuple(0.05 * 1.5**i for i in range(24))  # 0.05 ms to 0.6 s in steps of 1.5


class Profiler:
    """Counts one window of predictions against the edges of a reference profile.

    Where numpy is, predictions wait in a small buffer and are counted many at a time; else each
    is counted at once, by plain Python. The counts are the same.
    """

    def __init__(
        self, manifest: Manifest, reference: Profile, device: str, plain: bool = False
    ) -> None:
        self.manifest = manifest
        self.reference = reference
        self.device = device
        numpy = None if plain else numpy_here()
        self.buffer = Buffer(numpy, manifest.signature, manifest.abstention) if numpy else None
        self._open()

    def _open(self) -> None:
        self.started = datetime.now(UTC)
        self.samples = 0
        self.sketches = {name: sketch.empty() for name, sketch in self.reference.sketches.items()}
        self.latency_ms = Sketch(LATENCY_EDGES_MS)
        self.latencies: list[float] = []
        self.confusions: dict[str, dict[str, int]] = {}
        if self.buffer is not None:
            self.buffer.open(self.sketches)

    def observe(
        self, inputs: Mapping[str, Tensor], outputs: Mapping[str, Tensor], latency_ms: float
    ) -> None:
        """Count one batch; `latency_ms` is for the whole of it."""
        if self.buffer is not None:
            as_array = self.buffer.as_array
            taken = {name: as_array(tensor) for name, tensor in inputs.items()}
            given = {name: as_array(tensor) for name, tensor in outputs.items()}
            self.observe_arrays(taken, given, latency_ms)
            return
        found = features(self.manifest.signature, inputs, outputs, self.manifest.abstention)
        for name, sketch in self.sketches.items():
            sketch.add(found.get(name, ()))
        self._observed(next(iter(outputs.values())).shape[0], latency_ms)

    def observe_arrays(self, inputs: Arrays, outputs: Arrays, latency_ms: float) -> None:
        """The same for numpy arrays."""
        if self.buffer is None:
            self.observe(tensors(inputs), tensors(outputs), latency_ms)
            return
        self.buffer.add(inputs, outputs)
        self._observed(len(next(iter(outputs.values()))), latency_ms)

    def _observed(self, items: int, latency_ms: float) -> None:
        self.samples += items
        self.latencies.append(latency_ms)
        if len(self.latencies) >= MAX_ROWS:
            self._count_latencies()

    def _count_latencies(self) -> None:
        self.latency_ms.add(self.latencies)
        self.latencies.clear()

    def feedback(self, predicted: str, actual: str) -> None:
        """Count that a person said: what was called `predicted` is `actual`.

        Raises:
            UnknownNameError: one of them is no label of the model; nothing else may be said.
        """
        for label in (predicted, actual):
            if label not in self.manifest.signature.labels:
                raise UnknownNameError("label", label, self.manifest.signature.labels)
        said = self.confusions.setdefault(predicted, {})
        said[actual] = said.get(actual, 0) + 1

    def close(self) -> Record | None:
        """End the window and begin the next; None when nothing was predicted or said in it."""
        if self.buffer is not None:
            self.buffer.flush()
        self._count_latencies()
        if not self.samples and not self.confusions:
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
            sketches=self.sketches,
            latency_ms=self.latency_ms,
            confusions=self.confusions,
        )
        self._open()
        return record


def tensors(arrays: Arrays) -> dict[str, Tensor]:
    return {name: Tensor(array.shape, array.reshape(-1)) for name, array in arrays.items()}


def milliseconds_since(start: float) -> float:
    """Since `start`, a reading of `time.perf_counter()`."""
    return (time.perf_counter() - start) * 1e3
