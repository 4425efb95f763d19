"""Records as devices make them."""

import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from edge_targets.runtime.contract import Record
from edge_targets.runtime.sketch import Sketch
from toolkit.telemetry.store import Store

MakeRecord = Callable[..., Record]


@pytest.fixture
def record() -> MakeRecord:
    """Makes a record of two features with eleven values each; any field may be given."""

    def make(minute: int = 0, values: list[float] | None = None, **fields: object) -> Record:
        seen = [i / 10 for i in range(11)] if values is None else values
        sketches = {"light": Sketch([0.25, 0.5, 0.75]), "label": Sketch([0.5])}
        for sketch in sketches.values():
            sketch.add(seen)
        latency = Sketch([1.0, 2.0])
        latency.add([1.5, 2.5])
        basis: dict[str, object] = {
            "id": str(uuid.uuid4()),
            "device": "porch",
            "model": "digits",
            "version": "abc123",
            "started": f"2026-11-20T10:{minute:02d}:00+00:00",
            "ended": f"2026-11-20T10:{minute:02d}:30+00:00",
            "samples": len(seen),
            "sketches": sketches,
            "latency_ms": latency,
        }
        return Record(**(basis | fields))  # type: ignore[arg-type]

    return make


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "telemetry")
