"""The store keeps what it accepted, once, whatever happens to the process or the disk."""

import json
import os
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from edge_targets.runtime.contract import Record
from edge_targets.runtime.errors import IntegrityError, StorageError
from edge_targets.runtime.sketch import Sketch
from tests.rights import nobody
from toolkit.telemetry.durable import locked
from toolkit.telemetry.parquet import write_part
from toolkit.telemetry.store import Store

MakeRecord = Callable[..., Record]


def segments(store: Store) -> list[Path]:
    return sorted((store.folder / "journal").glob("segment-*.jsonl"))


def parts(store: Store) -> list[Path]:
    return sorted(store.folder.glob("day=*/part-*.parquet"))


def test_a_folder_that_is_not_there_is_an_empty_store(store: Store) -> None:
    assert store.count() == 0
    assert store.devices("digits") == []
    assert store.windows("digits") == []
    assert store.profiles("digits") == {}
    store.compact()
    assert not store.folder.exists()


def test_a_folder_of_others_is_told_about(store: Store, record: MakeRecord) -> None:
    store.append([record()])
    store.compact()
    store.append([record(minute=1)])
    store.close()
    assert store.count() == 2

    with nobody():
        for attempt in (store.count, store.check_writable, lambda: store.append([record()])):
            with pytest.raises(StorageError, match="Permission denied") as caught:
                attempt()
            assert caught.value.hint


def test_a_damaged_part_is_named(store: Store, record: MakeRecord) -> None:
    store.append([record()])
    store.compact()
    [part] = store.folder.glob("day=*/part-*")
    part.write_bytes(part.read_bytes()[:40])

    with pytest.raises(IntegrityError, match=part.name):
        store.profiles("digits")


def test_versions_are_told_by_device_since_a_moment(store: Store, record: MakeRecord) -> None:
    store.append([record(0, device="a", version="1"), record(5, device="a", version="2")])
    store.compact()
    store.append([record(5, device="b", version="1"), record(5, model="other")])

    late = datetime(2026, 11, 20, 10, 3, tzinfo=UTC)
    assert store.versions("digits") == {("a", "1"), ("a", "2"), ("b", "1")}
    assert store.versions("digits", late) == {("a", "2"), ("b", "1")}
    assert store.versions("nothing") == set()


@pytest.mark.parametrize("where", ["journal", "parquet", "both"])
def test_what_was_kept_is_merged_the_same_wherever_it_lies(
    store: Store, record: MakeRecord, where: str
) -> None:
    first, second = (
        record(minute=1, values=[0.1, 0.6]),
        record(minute=2, values=[0.9, float("nan")]),
    )
    merged = Sketch([0.25, 0.5, 0.75])
    merged.add([0.1, 0.6, 0.9, float("nan")])

    store.append([first])
    if where == "both":
        store.compact()
    store.append([second])
    if where == "parquet":
        store.compact()

    profile = store.profiles("digits")["porch"]
    assert profile.samples == 4
    assert profile.sketches["light"] == merged
    assert bool(segments(store)) == (where != "parquet")
    assert bool(parts(store)) == (where != "journal")


def test_a_record_is_kept_once_however_often_it_comes(store: Store, record: MakeRecord) -> None:
    one = record()

    assert store.append([one, one]) == [one.id]
    assert store.append([one]) == [one.id]
    store.compact()
    assert store.append([one]) == [one.id]
    assert Store(store.folder).append([one]) == [one.id]

    assert store.count() == 1
    assert store.profiles("digits")["porch"].samples == one.samples
    store.compact()
    assert store.count() == 1
    assert len(parts(store)) == 1


def test_the_first_of_two_records_with_one_id_stays(store: Store, record: MakeRecord) -> None:
    first = record(id="same", values=[0.1])
    other_day = record(id="same", values=[0.1, 0.2], ended="2026-11-25T00:00:00Z")

    store.append([first])
    store.compact()
    store.append([other_day])
    assert store.profiles("digits")["porch"].samples == 1
    store.compact()

    assert store.profiles("digits")["porch"].samples == 1
    assert len(parts(store)) == 1


def test_records_lie_in_the_day_they_ended_in_utc(store: Store, record: MakeRecord) -> None:
    store.append([record(ended="2026-11-20T23:30:00-02:00"), record(ended="2026-11-20T23:30:00Z")])
    store.compact()

    assert [path.parent.name for path in parts(store)] == ["day=2026-11-20", "day=2026-11-21"]


def test_a_torn_last_line_is_left_out(store: Store, record: MakeRecord) -> None:
    kept, torn = record(), record()
    store.append([kept])
    store.close()
    line = json.dumps(torn.to_json()).encode()

    for cut in (1, len(line) // 2, len(line)):  # the last one lacks only its line end
        [segment] = segments(store)
        whole = segment.read_bytes()
        segment.write_bytes(whole + line[:cut])
        assert Store(store.folder).count() == 1
        segment.write_bytes(whole)

    segments(store)[0].write_bytes(whole + line[:-5])
    Store(store.folder).compact()
    assert store.count() == 1
    assert segments(store) == []


def test_a_damaged_line_costs_itself_alone_and_is_set_aside(
    store: Store, record: MakeRecord, caplog: pytest.LogCaptureFixture
) -> None:
    store.append([record()])
    store.append([record()])
    store.append([record()])
    store.close()
    [segment] = segments(store)
    first, second, third, end = segment.read_bytes().split(b"\n")
    segment.write_bytes(b"\n".join([first, bytes(len(second)), third, end]))

    store.compact()

    assert store.count() == 2
    assert "line 2 cannot be read" in caplog.text
    [damaged] = (store.folder / "journal").glob("*.damaged")
    assert first in damaged.read_bytes()


def test_a_compaction_killed_before_it_removed_the_journal_is_run_again(
    store: Store, record: MakeRecord
) -> None:
    records = [record(), record(), record(ended="2026-11-22T00:00:00Z")]
    store.append(records)
    store.close()
    # the state after a kill between the first day's part and the second one's
    first_day = datetime(2026, 11, 20, tzinfo=UTC).date()
    write_part(store.folder, first_day, records[:2])
    (store.folder / "day=2026-11-20" / ".part-1.parquet.0.tmp").write_bytes(b"half")

    assert store.count() == 3
    assert store.profiles("digits")["porch"].samples == 33
    store.compact()

    assert store.count() == 3
    assert store.profiles("digits")["porch"].samples == 33
    assert len(parts(store)) == 2
    assert not list(store.folder.glob("*/.part*"))


def test_a_full_journal_is_compacted_by_itself(tmp_path: Path, record: MakeRecord) -> None:
    store = Store(tmp_path, journal_limit=5_000)

    for _ in range(20):
        store.append([record()])

    assert len(parts(store)) >= 2
    assert sum(path.stat().st_size for path in segments(store)) < 10_000
    assert store.count() == 20


def test_two_writers_share_a_folder(store: Store, record: MakeRecord) -> None:
    other = Store(store.folder)
    store.append([record()])
    other.append([record()])

    store.compact()  # must leave the other one's open segment alone

    other.append([record()])
    assert store.count() == other.count() == 3
    other.compact()
    assert store.count() == other.count() == 3
    assert segments(store) == []


def test_a_compaction_elsewhere_is_not_disturbed(store: Store, record: MakeRecord) -> None:
    store.append([record()])

    with locked(store.folder / "compact.lock"):
        store.tidy(wait=False)
        assert parts(store) == []

    store.tidy(wait=False)
    assert len(parts(store)) == 1


def test_threads_append_compact_and_read_at_once(tmp_path: Path, record: MakeRecord) -> None:
    store = Store(tmp_path, journal_limit=20_000)
    records = [record() for _ in range(60)]
    counts: list[int] = []
    done = threading.Event()

    def post(mine: list[Record]) -> None:
        for one in mine:
            store.append([one])

    def read() -> None:
        while not done.is_set():
            counts.append(store.count())

    # every record is posted by two threads
    posting = [threading.Thread(target=post, args=(records[i::3],)) for i in (0, 1, 2, 0, 1, 2)]
    reading = threading.Thread(target=read)
    for thread in (*posting, reading):
        thread.start()
    for thread in posting:
        thread.join()
    done.set()
    reading.join()

    assert counts == sorted(counts)  # nothing once seen is ever missing
    assert store.count() == 60
    store.compact()
    assert store.count() == 60


def test_profiles_take_the_version_the_device_reported_last(
    store: Store, record: MakeRecord
) -> None:
    store.append([record(minute=1, version="old", values=[0.1])])
    store.append([record(minute=2, version="new", values=[0.1, 0.2])])

    assert store.profiles("digits")["porch"].samples == 2
    assert store.profiles("digits", version="old")["porch"].samples == 1
    assert store.profiles("digits", version="none") == {}


def test_windows_with_other_edges_are_not_added(store: Store, record: MakeRecord) -> None:
    store.append([record(minute=1, values=[0.1] * 7)])
    other_edges = {"light": Sketch([0.1], [1, 2], 0, 0.0, 1.0, 2.0, 2.0)}
    store.append([record(minute=2, sketches=other_edges, samples=3)])
    store.append([record(minute=3, sketches=other_edges, samples=3)])

    profile = store.profiles("digits")["porch"]

    assert profile.samples == 6
    assert profile.sketches["light"].counts == [2, 4]


def test_profiles_can_be_limited_to_recent_windows(store: Store, record: MakeRecord) -> None:
    for minute in range(5):
        store.append([record(minute=minute, values=[0.1] * (minute + 1))])
        store.append([record(minute=minute, values=[0.1], device="shed")])
        if minute == 2:
            store.compact()

    noon = datetime(2026, 11, 20, 10, 3, tzinfo=UTC)

    assert {k: p.samples for k, p in store.profiles("digits", last=2).items()} == {
        "porch": 9,
        "shed": 2,
    }
    assert store.profiles("digits", since=noon)["porch"].samples == 9
    assert store.profiles("digits", since=datetime(2026, 11, 21, tzinfo=UTC)) == {}


def test_windows_and_devices_come_in_order(store: Store, record: MakeRecord) -> None:
    store.append([record(minute=2, device="shed"), record(minute=1), record(model="other")])

    windows = store.windows("digits")

    assert store.devices("digits") == ["porch", "shed"]
    assert [window.device for window in windows] == ["porch", "shed"]
    assert windows[0].ended == "2026-11-20T10:01:30+00:00"
    assert windows[0].samples == 11
    assert windows[0].latency_ms == pytest.approx(2.0)


def test_a_record_without_features_is_kept(store: Store, record: MakeRecord) -> None:
    store.append([record(sketches={}, latency_ms=Sketch([1.0]))])
    store.compact()

    assert store.count() == 1
    assert store.profiles("digits")["porch"].sketches == {}
    assert store.windows("digits")[0].latency_ms is None


def test_fields_of_newer_devices_are_kept(store: Store, record: MakeRecord) -> None:
    import pyarrow.parquet as pq

    store.append([record(extra={"battery": 0.5})])
    store.compact()

    assert pq.read_table(parts(store)[0]).column("extra")[0].as_py() == '{"battery": 0.5}'


def test_a_folder_with_an_awkward_name_can_be_read(tmp_path: Path, record: MakeRecord) -> None:
    store = Store(tmp_path / "we[i]rd * o'k")

    store.append([record()])
    store.compact()

    assert store.count() == 1


def test_parts_and_journal_are_synced_before_they_are_told_of(
    store: Store, record: MakeRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    sync = os.fsync

    def noted(descriptor: int) -> None:
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)

    store.append([record()])
    [segment] = segments(store)
    assert synced[-1] == segment.name
    assert "journal" in synced

    synced.clear()
    store.compact()
    assert synced[-3].startswith(".part-")
    assert synced[-2:] == ["day=2026-11-20", "journal"]
