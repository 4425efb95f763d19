"""Studies that outlive a kill, and studies that several processes share."""

import signal
import subprocess
import sys
from pathlib import Path

from edge_targets.runtime.events import Event, Job
from tests.toolkit.search import child
from tests.toolkit.search.conftest import Run
from toolkit.workspace import Workspace

ROOT = Path(__file__).parents[3]
LIMIT_S = 300


def started(shelves: Workspace, *words: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, child.__file__, str(shelves.root), *words], cwd=ROOT,
                            env={"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"})  # fmt: skip


def models(shelves: Workspace, study: str) -> list[str]:
    return [name for name in shelves.names("models") if name.startswith(f"{study}-t")]


def test_a_killed_search_goes_on_and_repeats_what_it_was_at(
    run: Run, shelves: Workspace, job: Job, events: list[Event]
) -> None:
    killed = started(shelves, "killed", "4", "trial 1: write ONNX")
    assert killed.wait(LIMIT_S) == -signal.SIGKILL
    assert models(shelves, "killed") == ["killed-t000"]

    found = run("killed", job)

    assert (found.trials, found.failed) == (4, 0)
    recipes = [e.facts["candidate"]["recipe"] for e in events if "candidate" in e.facts]
    assert "int8 (minmax)" in recipes  # what trial 1 was at
    assert not list((shelves.root / "searches" / "killed" / "alive").iterdir())


def test_two_processes_share_a_study(shelves: Workspace, run: Run) -> None:
    both = [started(shelves, "shared", "6") for _ in range(2)]
    assert [process.wait(LIMIT_S) for process in both] == [0, 0]

    found = run("shared", trials=6)

    assert (found.trials, found.failed) == (6, 0)
    assert len(models(shelves, "shared")) == found.trials - found.stopped
