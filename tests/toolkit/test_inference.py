"""Running models here: what goes wrong with the machine is told as such."""

import errno
import os
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_targets.runtime.errors import Cancelled, StorageError
from edge_targets.runtime.events import QUIET, Job
from toolkit.data import Dataset
from toolkit.inference import Runner, timed
from toolkit.model import Model
from toolkit.passes.quantize_int8 import QuantizeInt8


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """No file may grow beyond 1 KiB, as on a disk that is full."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.usefixtures("full")
def test_a_full_folder_for_temporary_files_is_told(exported: Model) -> None:
    with pytest.raises(StorageError, match=os.strerror(errno.EFBIG)) as caught:
        Runner.of_model(exported, QUIET)

    assert caught.value.hint


@pytest.mark.usefixtures("full")
def test_quantizing_tells_it_too(exported: Model) -> None:
    with pytest.raises(StorageError, match="temporary files could not be written"):
        QuantizeInt8(samples=8).apply(exported, QUIET)


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
