"""Searches on the digits that take seconds: a small graph, a latency that is estimated."""

from collections.abc import Callable
from typing import Any

import pytest

from edge_targets.runtime.events import QUIET, Job
from toolkit import shelf
from toolkit.evaluation.gate import Gate
from toolkit.onnx_graph import graph_of
from toolkit.results import Searched
from toolkit.search import Options, search
from toolkit.workspace import Workspace

Run = Callable[..., Searched]


def options(**given: Any) -> Options:
    """A lenient gate, one thread, and no training: figures that are the same every time."""
    return Options(
        **{
            "target": "browser",
            "gate": Gate(max_drop=0.1),
            "families": ("quantize_int8", "low_rank"),
            "epochs": 0,
            "trials": 4,
            **given,
        }
    )


@pytest.fixture(scope="session")
def shelves(line: Workspace) -> Workspace:
    """The line, with its model `m` as a finished graph `g` as well: nothing is exported twice."""
    entry = line.get("models", "m")
    model = shelf.load_model(line, entry)
    graph = model.with_graph(graph_of(model, QUIET))
    shelf.save_model(line, "g", graph, "import", {}, (), shelf.data_of(line, entry))
    return line


@pytest.fixture
def run(shelves: Workspace) -> Run:
    """Searches from the model `g`."""

    def go(study: str, job: Job = QUIET, model: str = "g", **given: Any) -> Searched:
        return search(shelves, model, "digits", options(study=study, **given), job)

    return go
