"""Telemetry that was taken survives; what is too much gives way, and is counted."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from edge_targets.agent.home import child_environment
from edge_targets.runtime.contract import Record
from edge_targets.runtime.errors import DataError, StorageError
from edge_targets.runtime.sketch import Sketch
from edge_targets.runtime.spool import MAX_RECORD, Spool


def record(name: str, text: str = "", total: float = 0.0) -> Record:
    sketch = Sketch([0.0], total=total)
    sketch.add([-1.0, 1.0, 2.0])
    extra = {"text": text} if text else {}
    return Record(name, "pi", "tiny", "1", "then", "now", 3, {"x": sketch}, sketch, extra=extra)


def names(spool: Spool) -> list[str]:
    return [one.id for one in spool.batch(1000, 1 << 30)]


def test_records_come_out_as_they_went_in(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool.db")
    spool.add(record("one"))
    spool.add(record("two"))

    found = spool.batch(10, 1 << 20)

    assert [Record.parse(one.body) for one in found] == [record("one"), record("two")]
    assert spool.count == 2
    spool.close()


def test_only_forgotten_records_are_gone(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool.db")
    for name in ("one", "two", "three"):
        spool.add(record(name))

    spool.forget(["two", "unknown"])
    spool.close()

    again = Spool(tmp_path / "spool.db")
    assert names(again) == ["one", "three"]
    again.close()


def test_a_record_that_is_added_twice_is_kept_once(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool.db")

    spool.add(record("one"))
    spool.add(record("one"))

    assert spool.count == 1
    spool.close()


def test_a_batch_keeps_to_its_bounds_but_is_never_stuck(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool.db")
    for name in ("one", "two", "three"):
        spool.add(record(name))
    size = len(spool.batch(1, 1)[0].body)

    assert len(spool.batch(2, 1 << 20)) == 2
    assert len(spool.batch(10, 2 * size)) == 2
    assert len(spool.batch(10, 1)) == 1
    spool.close()


def test_a_deferred_record_comes_last(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool.db")
    for name in ("one", "two", "three"):
        spool.add(record(name))

    spool.defer(["one"])

    assert names(spool) == ["two", "three", "one"]
    spool.close()


def test_the_oldest_give_way_and_are_counted(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool.db", max_records=3)
    for number in range(5):
        spool.add(record(str(number)))
    spool.close()

    again = Spool(tmp_path / "spool.db", max_records=3)

    assert names(again) == ["2", "3", "4"]
    assert again.dropped == 2
    again.close()


def test_bytes_are_bounded_too(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool.db", max_bytes=5000)
    for number in range(10):
        spool.add(record(str(number), "x" * 1000))

    assert 1 <= spool.count < 5
    assert spool.dropped == 10 - spool.count
    assert names(spool)[-1] == "9"
    spool.close()


def test_a_record_no_collector_would_take_is_refused(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool.db")

    with pytest.raises(DataError, match="bytes"):
        spool.add(record("large", "x" * MAX_RECORD))
    with pytest.raises(DataError, match="cannot be sent"):
        spool.add(record("infinite", total=float("inf")))

    assert spool.count == 0
    spool.close()


CHILD = """
import sys
from pathlib import Path
from edge_targets.runtime.contract import Record
from edge_targets.runtime.sketch import Sketch
from edge_targets.runtime.spool import Spool

spool = Spool(Path(sys.argv[1]))
for number in range(1_000_000):
    spool.add(Record(str(number), "pi", "tiny", "1", "", "", 1, {}, Sketch([0.0])))
    print(number, flush=True)
"""


def test_what_was_taken_survives_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "spool.db"
    for round_ in range(3):
        path = tmp_path / f"spool-{round_}.db"
        with subprocess.Popen(
            [sys.executable, "-c", CHILD, path],
            stdout=subprocess.PIPE,
            text=True,
            env=child_environment(),
        ) as child:
            assert child.stdout
            for _ in range(20 + 7 * round_):
                child.stdout.readline()
            child.send_signal(signal.SIGKILL)
            taken = 19 + 7 * round_ + len(child.stdout.readlines())

        spool = Spool(path)

        assert names(spool)[: taken + 1] == [str(number) for number in range(taken + 1)]
        assert spool.set_aside is None
        spool.close()


@pytest.mark.parametrize("damage", ["no database", "first page", "later page", "other tables"])
def test_a_damaged_file_is_set_aside_and_a_new_one_begun(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "spool.db"
    spool = Spool(path)
    for number in range(50):
        spool.add(record(str(number), "x" * 2000))
    if damage == "other tables":
        spool.db.execute("PRAGMA user_version=99")
    spool.close()
    data = bytearray(path.read_bytes())
    if damage == "no database":
        data[:] = os.urandom(5000)
    elif damage == "first page":
        data[100:200] = os.urandom(100)
    elif damage == "later page":
        data[4096 * 5 :] = os.urandom(len(data) - 4096 * 5)
    path.write_bytes(data)

    again = Spool(path)
    again.add(record("new"))

    assert names(again) == ["new"]
    assert again.set_aside
    assert again.set_aside.read_bytes() == bytes(data)
    again.close()


def test_a_file_that_is_damaged_while_open_costs_one_error(tmp_path: Path) -> None:
    path = tmp_path / "spool.db"
    spool = Spool(path)
    for number in range(300):
        spool.add(record(str(number), "x" * 2000))
    spool.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with path.open("r+b") as file:
        file.write(os.urandom(path.stat().st_size))
    spool.db.execute("PRAGMA cache_size=0")
    spool.db.execute("PRAGMA shrink_memory")

    with pytest.raises(StorageError):
        spool.batch(1000, 1 << 30)
    spool.add(record("new"))

    assert names(spool) == ["new"]
    spool.close()


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="did not take the telemetry"):
        Spool(tmp_path / "none/spool.db")


def test_what_is_sent_is_json_without_surprises(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool.db")
    spool.add(record("one"))

    body = json.loads(spool.batch(1, 1)[0].body)

    assert body["schema"] == 1
    assert body["sketches"]["x"]["counts"] == [1, 2]
    spool.close()
