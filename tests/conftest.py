"""What most tests need: a job that is listened to, real data, a trained model, a workspace."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

from edge_targets.runtime.events import QUIET, Event, Job
from toolkit.data import Dataset
from toolkit.data.sources import sources
from toolkit.features import fit_features
from toolkit.model import Model
from toolkit.networks.small_cnn import SmallCnn
from toolkit.onnx_graph import graph_of
from toolkit.training import Settings, fit
from toolkit.workspace import Workspace

WriteTable = Callable[..., Path]

settings.register_profile("any machine", deadline=None)  # a slow one is no fault
settings.load_profile("any machine")


@pytest.fixture
def events() -> list[Event]:
    """What `job` has said so far."""
    return []


@pytest.fixture
def job(events: list[Event]) -> Job:
    return Job(events.append)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A fresh one."""
    return Workspace.create(tmp_path / "workspace")


@pytest.fixture(scope="session")
def digits() -> Dataset:
    """All 1,797 scans, as they are."""
    return sources["digits"]().dataset("digits", "digits", None, QUIET)


@pytest.fixture(scope="session")
def trained(digits: Dataset) -> Model:
    """A small network that knows the digits well."""
    network = SmallCnn(channels=(8, 16), hidden=32)
    blank = Model(digits.signature(), network, fit_features(digits), data=digits)
    return fit(blank, Settings(epochs=8), QUIET).model


@pytest.fixture(scope="session")
def exported(trained: Model) -> Model:
    """The same as a finished graph: it takes a second to export."""
    return trained.with_graph(graph_of(trained, QUIET))


@pytest.fixture
def table(tmp_path: Path) -> WriteTable:
    """Writes a text, or rows of cells, as a table file."""

    def write(rows: str | list[list[object]], name: str = "table.csv") -> Path:
        if not isinstance(rows, str):
            rows = "".join(",".join(str(cell) for cell in row) + "\n" for row in rows)
        path = tmp_path / name
        path.write_bytes(rows.encode())
        return path

    return write
