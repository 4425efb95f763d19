"""Running models here: what goes wrong with the machine is told as such."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from edge_targets.runtime.errors import Cancelled, StorageError
from edge_targets.runtime.events import QUIET, Job
from toolkit.data import Dataset
from toolkit.inference import Runner, timed
from toolkit.model import Model

CHILD = """
import resource, sys
from pathlib import Path
from edge_targets.runtime.errors import StorageError
from edge_targets.runtime.events import QUIET
from toolkit.data.sources.digits import Digits
from toolkit.inference import Runner
from toolkit.model import Model

data = Digits().dataset("digits", "digits", None, QUIET)
model = Model(data.signature(), graph=Path(sys.argv[1]).read_bytes(), data=data)
resource.setrlimit(resource.RLIMIT_FSIZE, (1024, 1024))
try:
    Runner.of_model(model, QUIET)
except StorageError as error:
    print(error, error.hint, sep="\\n")
"""


def test_a_full_folder_for_temporary_files_is_told(exported: Model, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(exported.graph)

    # a child, in which no file may grow beyond 1 KiB: here the limit would fell the test run
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(tmp_path / "model.onnx")],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    said, hint = done.stdout.splitlines()
    assert "could not be written" in said
    assert hint


def test_a_folder_for_temporary_files_that_is_not_there_is_told(
    exported: Model, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "none"))

    with pytest.raises(StorageError, match="temporary files could not be written"):
        Runner.of_model(exported, QUIET)


def test_latency_is_of_as_many_runs_as_were_asked_for(exported: Model, digits: Dataset) -> None:
    found = Runner.of_model(exported, QUIET).latency(digits.inputs[:3], runs=10)

    assert found.runs == 10
    assert 0 < found.p50_ms <= found.p90_ms <= found.p99_ms


def test_timing_stops_between_two_calls() -> None:
    calls: list[int] = []
    job = Job()

    def call(index: int) -> None:
        calls.append(index)
        if len(calls) == 7:
            job.cancel()

    with pytest.raises(Cancelled):
        timed(call, 200, job)

    assert len(calls) == 7
