"""Streams: what a file says is checked, samples are made to fit, a loop goes on for weeks."""

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_targets.agent.home import Settings
from edge_targets.runtime import Predictor
from edge_targets.runtime.contract import Signature, TensorSpec
from edge_targets.runtime.errors import DataError, DeviceError, RecipeError, UnsupportedError
from edge_targets.streams.loop import Loop, Pace, Thermometer
from edge_targets.streams.queues import Bounded
from edge_targets.streams.samples import Finding, Sample, fitted
from edge_targets.streams.settings import read_stream
from edge_targets.streams.sinks.base import Send, Sink
from edge_targets.streams.sinks.file import File
from edge_targets.streams.sources.base import Samples, Source, World
from edge_targets.streams.sources.simulated import Simulated
from tests.edge_targets import tiny
from tests.edge_targets.conftest import Build
from tests.edge_targets.tiny import Collector, wait_until


@pytest.fixture
def predictor(build: Build) -> Predictor:
    return Predictor(build("1"))


@dataclass(frozen=True)
class Flaky(Source):
    """Is unplugged after every other sample."""

    samples_in_all: int = 6
    given: tuple[int, ...] = ()

    def samples(self, world: World) -> Samples:
        counter = world.__dict__.setdefault("counter", [0])
        for _ in range(2):
            if counter[0] == self.samples_in_all:
                return
            counter[0] += 1
            yield Sample([1.0, 2.0, 3.0], str(counter[0]))
        raise DeviceError("unplugged", "Plug it in.")


@dataclass(frozen=True)
class Kept(Sink):
    """Keeps what it gets; the first tries of each finding may fail."""

    kept: Any = ()
    failing: int = 0
    refuses: str = ""

    @contextmanager
    def open(self) -> Iterator[Send]:
        def send(finding: Finding) -> None:
            name = finding.sample.name
            if name == self.refuses:
                raise DataError("no", "Never.")
            tries = self.kept.setdefault(f"tries {name}", 0)
            self.kept[f"tries {name}"] += 1
            if tries < self.failing:
                raise DeviceError("away", "Wait.")
            self.kept.setdefault("names", []).append(name)

        yield send


def numbers(most: int, **more: Any) -> Simulated:
    return Simulated(most=most, **more)


def test_samples_go_through_the_model_into_a_file(predictor: Predictor, tmp_path: Path) -> None:
    loop = Loop(numbers(20), predictor, [File(str(tmp_path / "out" / "found.jsonl"))])

    counts = loop.run()

    lines = (tmp_path / "out" / "found.jsonl").read_text().splitlines()
    found = [json.loads(line) for line in lines]
    assert counts.answered == len(found) == 20
    assert [one["source"] for one in found] == [f"random {place}" for place in range(20)]
    assert {one["label"] for one in found} <= {"no", "yes"}
    assert found[0]["confidence"] == pytest.approx(max(found[0]["outputs"]["probabilities"]))
    record = predictor.close_window()
    assert record
    assert record.samples == 20


def test_a_source_that_is_unplugged_is_opened_again(predictor: Predictor) -> None:
    kept: dict[str, Any] = {}
    loop = Loop(Flaky(), predictor, [Kept(kept)], first_wait_s=0.01)

    counts = loop.run()

    assert counts.answered == 6
    assert counts.reopened == 3
    assert kept["names"] == ["1", "2", "3", "4", "5", "6"]


def test_a_sink_that_is_away_gets_the_same_finding_again(predictor: Predictor) -> None:
    kept: dict[str, Any] = {}
    sinks = [Kept(kept, failing=2, refuses="random 1")]
    loop = Loop(numbers(4), predictor, sinks, first_wait_s=0.01)

    loop.run()

    assert kept["names"] == ["random 0", "random 2", "random 3"]
    assert loop.outlets[0].lost == 1  # what is refused is not tried again


def test_a_sink_that_stays_away_holds_nobody_up(predictor: Predictor) -> None:
    good: dict[str, Any] = {}
    sinks = [Kept({}, failing=10**9), Kept(good)]
    loop = Loop(numbers(400), predictor, sinks, Pace(patience_s=0.1), first_wait_s=0.01)

    loop.run()

    assert len(good["names"]) == 400
    assert loop.outlets[0].lost == 400
    assert not any(outlet.is_alive() for outlet in loop.outlets)


def test_samples_that_do_not_fit_are_counted_and_passed_by(
    predictor: Predictor, tmp_path: Path
) -> None:
    np.save(tmp_path / "wide.npy", np.ones((3, 4), np.float32))

    counts = Loop(Simulated(path=str(tmp_path / "wide.npy"), most=3), predictor, []).run()

    assert (counts.answered, counts.unfit) == (0, 3)


def test_a_loop_ends_when_it_is_told(predictor: Predictor) -> None:
    loop = Loop(numbers(0), predictor, [], Pace(most_per_s=50))
    thread = threading.Thread(target=loop.run)
    thread.start()
    wait_until(lambda: loop.counts.answered > 3)

    loop.stop()

    thread.join(10)
    assert not thread.is_alive()
    assert not [one for one in threading.enumerate() if one.name.startswith(("source", "sink"))]


def test_a_fast_source_is_slowed_to_the_pace(predictor: Predictor) -> None:
    loop = Loop(numbers(5), predictor, [], Pace(most_per_s=20))

    first = loop._rest(0.0)  # late: the next turn is counted from now
    second = loop._rest(first)
    third = loop._rest(second)

    assert (second - first, third - second) == pytest.approx((0.05, 0.05))
    assert time.monotonic() >= second  # it was waited for


def test_a_hot_processor_rests(predictor: Predictor, tmp_path: Path) -> None:
    zone = tmp_path / "temp"
    hot = Thermometer(80, zone)
    told = []

    for found in ("79900", "81000", "78000", "74000", "79000", "unknown"):
        zone.write_text(found)
        told.append(hot())

    assert told == [False, True, True, False, False, False]
    assert not Thermometer(80, tmp_path / "none")()
    zone.write_text("90000")
    loop = Loop(numbers(3), predictor, [], is_hot=Thermometer(80, zone))
    thread = threading.Thread(target=loop.run)
    thread.start()
    zone_seen = loop.counts.answered
    zone.write_text("40000")
    thread.join(10)
    assert zone_seen == 0
    assert loop.counts.answered == 3


def test_a_full_queue_lets_the_oldest_go_and_counts_it() -> None:
    queue: Bounded[int] = Bounded(3)

    for item in range(5):
        queue.put(item)
    queue.close()
    queue.put(9)

    assert [queue.get(0) for _ in range(4)] == [2, 3, 4, None]
    assert queue.dropped == 3
    assert queue.finished


def test_who_waits_for_room_loses_nothing() -> None:
    queue: Bounded[int] = Bounded(2)

    def write() -> None:
        for item in range(50):
            queue.put(item, wait=True)

    writer = threading.Thread(target=write)
    writer.start()

    found = [queue.get(5) for _ in range(50)]

    writer.join()
    assert found == list(range(50))
    assert not queue.dropped


def image(*shape: int) -> Signature:
    return replace(tiny.SIGNATURE, inputs=(TensorSpec("image", (-1, *shape)),))


@pytest.mark.parametrize("shape", [(3, 4, 6), (4, 6, 3), (1, 4, 6), (4, 6, 1), (4, 6), (-1, -1, 3)])
def test_a_picture_gets_the_axes_of_the_model(shape: tuple[int, ...]) -> None:
    picture = np.arange(72, dtype=np.uint8).reshape(4, 6, 3)

    found = fitted(image(*shape), Sample(picture))

    assert found.dtype == np.float32
    expected = {3: picture[1, 2, 0], 1: round(float(picture[1, 2] @ [0.299, 0.587, 0.114]))}
    pixel = found.reshape(4, 6, -1) if 4 in found.shape[:1] else found.transpose(1, 2, 0)
    assert pixel[1, 2, 0] == expected[pixel.shape[-1]]


def test_a_picture_of_another_size_is_refused() -> None:
    with pytest.raises(DataError, match=r"has the shape \[8, 6, 3\]") as caught:
        fitted(image(4, 6, 3), Sample(np.zeros((8, 6, 3), np.uint8), "frame 1"))

    assert "attach a resize" in caught.value.hint


def test_columns_are_put_in_the_models_order_and_gaps_stay_gaps() -> None:
    found = fitted(tiny.SIGNATURE, Sample({"c": "3", "a": 1, "other": 5}))

    np.testing.assert_array_equal(found, np.array([1, np.nan, 3], np.float32))


STREAM = """
model = "tiny.sndl"
[source]
kind = "simulated"
most = 3
[[sinks]]
kind = "print"
[loop]
most_per_s = 500
"""


def test_a_file_becomes_a_stream(tmp_path: Path) -> None:
    file = tmp_path / "stream.toml"
    file.write_text(STREAM)

    stream = read_stream(file, tmp_path)

    assert stream.model == tmp_path / "tiny.sndl"
    assert stream.source == Simulated(most=3)
    assert stream.pace == Pace(most_per_s=500.0)


@pytest.mark.parametrize(
    ("old", "new", "message", "hint"),
    [
        ('"simulated"', '"simulatd"', "no source named 'simulatd'", "'simulated'"),
        ("most =", "mots =", "no parameter 'mots'", "'most'"),
        ("most = 3", "most = -3", "not in 0 …", "Samples before it ends"),
        ("most = 3", 'most = "three"', "is no int", "Samples before it ends"),
        ("most = 3", "most = true", "is no int", "Samples before it ends"),
        ('kind = "print"', 'kind = "file"', "'path' is missing", "The file."),
        ('model = "tiny.sndl"', "", "`model` is missing", "digits.sndl"),
        ("[[sinks]]", "[sinks]", "is no list", "[[sinks]]"),
        ("[loop]", "[lop]", "no part 'lop'", "loop"),
        ("[source]", "[source", "cannot be read", "TOML"),
    ],
)
def test_a_mistake_in_a_file_is_named(
    tmp_path: Path, old: str, new: str, message: str, hint: str
) -> None:
    file = tmp_path / "stream.toml"
    file.write_text(STREAM.replace(old, new))

    with pytest.raises(RecipeError, match=message.replace("[", r"\[")) as caught:
        read_stream(file, tmp_path)

    assert "stream.toml" in str(caught.value)
    assert hint in caught.value.hint


def run(folder: Path) -> "subprocess.Popen[str]":
    words = [sys.executable, "-m", "edge_targets.streams", "--root", str(folder)]
    words.append(str(folder / "stream.toml"))
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_the_program_prints_answers_and_sends_telemetry(
    build: Build, tmp_path: Path, collector: Collector
) -> None:
    build("1").rename(tmp_path / "tiny.sndl")
    Settings(device="pi-hall", collector=collector.url, window_s=3600).save(tmp_path)
    (tmp_path / "stream.toml").write_text(STREAM)

    child = run(tmp_path)
    out, err = child.communicate(timeout=60)

    assert child.returncode == 0, err
    assert [json.loads(line)["source"] for line in out.splitlines()] == [
        "random 0", "random 1", "random 2",
    ]  # fmt: skip
    [record] = collector.records.values()
    assert (record["device"], record["samples"]) == ("pi-hall", 3)
    assert json.loads(err.splitlines()[-1])["answered"] == 3


def test_the_program_ends_in_order_when_it_is_told(build: Build, tmp_path: Path) -> None:
    build("1").rename(tmp_path / "tiny.sndl")
    (tmp_path / "stream.toml").write_text(STREAM.replace("most = 3", "").replace("500", "20"))
    child = run(tmp_path)
    assert child.stdout
    assert child.stdout.readline()

    child.send_signal(signal.SIGTERM)
    _, err = child.communicate(timeout=60)

    assert child.returncode == 0, err
    assert json.loads(err.splitlines()[-1])["answered"] > 0


def test_the_program_says_what_is_wrong_and_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "stream.toml").write_text(STREAM)

    child = run(tmp_path)
    _, err = child.communicate(timeout=60)

    assert child.returncode == 1
    assert "tiny.sndl is no package" in err
    assert "Traceback" not in err


def test_a_library_that_is_missing_ends_the_loop_with_a_word(predictor: Predictor) -> None:
    @dataclass(frozen=True)
    class Without(Source):
        def samples(self, world: World) -> Samples:
            raise UnsupportedError("pyserial is not installed.", "Install python3-serial.")
            yield

    with pytest.raises(UnsupportedError, match="pyserial is not installed"):
        Loop(Without(), predictor, []).run()
