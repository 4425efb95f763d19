"""A device times a package, and serves what it served before."""

import http.client
import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from edge_targets.agent.trial import attempt, single_items, timed
from edge_targets.catalog import targets
from edge_targets.catalog.simulator import Simulator
from edge_targets.package import pack, public_key, unpack
from edge_targets.places.target import Place
from edge_targets.runtime.contract import Tensor
from edge_targets.runtime.errors import IntegrityError, UnsupportedError
from edge_targets.runtime.events import QUIET, Event, Job
from edge_targets.runtime.predictor import Predictor
from tests.edge_targets.conftest import Build
from tests.edge_targets.tiny import KEY, STRANGER, answers, home_of, manifest, members


def post(url: str, path: str, body: bytes) -> tuple[int, Any]:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
    try:
        connection.request("POST", path, body, {"Content-Type": "application/octet-stream"})
        with connection.getresponse() as answer:
            return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def test_a_device_times_a_package_and_serves_the_one_before(
    build: Build, place: Place, job: Job, events: list[Event]
) -> None:
    device = Simulator()
    served = device.deploy(build("1"), place, QUIET)

    found = device.bench(build("2", scale=2.0), place, 2, job)

    assert 0 < found.p50_ms <= found.p90_ms
    assert (found.threads, found.runs) == (2, 200)
    assert answers(served.url, scale=1.0)
    assert device.status(place).version == "1"
    assert not list(home_of(place).models.glob(".*"))  # nothing is left of the trial
    assert events[-1].done == events[-1].total > 0


def test_a_package_that_answers_wrongly_is_not_timed(build: Build, place: Place) -> None:
    with pytest.raises(IntegrityError, match="golden"):
        Simulator().bench(build("1", off=0.5), place, 1, QUIET)

    assert Simulator().status(place).state == "empty"


def test_a_stranger_cannot_have_a_package_run(place: Place, build: Build, tmp_path: Path) -> None:
    url = Simulator().deploy(build("1"), place, QUIET).url
    foreign = tmp_path / "foreign.sndl"
    pack(manifest("2"), members(), STRANGER, foreign)

    status, problem = post(url, "/v1/bench/1", foreign.read_bytes())

    assert status == 400
    assert problem["kind"] == "integrity"
    assert "p50_ms" not in problem


@pytest.mark.parametrize("threads", ["0", "65", "many", "-1", "1.5", "²", "9" * 40])
def test_an_odd_number_of_threads_is_refused(threads: str, place: Place, build: Build) -> None:
    from urllib.parse import quote

    package = build("1")
    url = Simulator().deploy(package, place, QUIET).url

    status, problem = post(url, f"/v1/bench/{quote(threads)}", package.read_bytes())

    assert status == 400
    assert "threads" in problem["error"]


def test_a_browser_cannot_be_asked_to_time_anything(build: Build, tmp_path: Path) -> None:
    place = Place("page", str(tmp_path / "page"), "", (public_key(KEY),))

    with pytest.raises(UnsupportedError, match="cannot be asked"):
        targets["browser"]().bench(build("1"), place, 1, QUIET)


def test_items_are_timed_one_by_one() -> None:
    batch = {"x": Tensor((2, 3), [1, 2, 3, 4, 5, 6])}

    items = list(single_items(batch))

    assert [item["x"].shape for item in items] == [(1, 3), (1, 3)]
    assert [list(item["x"].data) for item in items] == [[1, 2, 3], [4, 5, 6]]


def test_timing_gives_up_on_a_slow_model_in_time(
    build: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unpack(build("1"), tmp_path / "unpacked", [public_key(KEY)])
    predictor = Predictor(tmp_path / "unpacked")
    clock = iter(range(10_000))  # every look at the clock is a second later
    monkeypatch.setattr("edge_targets.agent.trial.time.perf_counter", lambda: float(next(clock)))

    found = timed(predictor, 200)

    assert 0 < found["runs"] < 200
    assert found["p50_ms"] == 1000


def test_a_trial_without_runs_times_nothing(build: Build, tmp_path: Path) -> None:
    unpack(build("1"), tmp_path / "unpacked", [public_key(KEY)])

    assert set(attempt(tmp_path / "unpacked", 1)) == {"golden_difference", "memory_bytes"}
