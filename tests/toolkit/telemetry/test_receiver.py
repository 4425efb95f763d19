"""The receiver over real HTTP: what it acknowledges is durable, what is wrong is refused."""

import gzip
import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from edge_targets.runtime.contract import Record
from edge_targets.runtime.errors import Cancelled, StorageError
from edge_targets.runtime.events import Event, Job
from tests.rights import nobody
from toolkit.telemetry.receiver import app, collect
from toolkit.telemetry.store import Store

MakeRecord = Callable[..., Record]
ROOT = Path(__file__).parents[3]

COLLECTOR = """
import sys
from pathlib import Path
from edge_targets.runtime.events import Job
from toolkit.telemetry.receiver import collect
from toolkit.telemetry.store import Store
say = lambda event: print(event.message.split()[-1], flush=True)
collect(Store(Path(sys.argv[1]), journal_limit=20_000), port=0, job=Job(say))
"""


class Running:
    """A collector in a thread of this process, on a real port."""

    def __init__(self, store: Store, tokens: Path | None = None) -> None:
        self.job = Job(self._listen)
        self.url = ""
        self.ready = threading.Event()
        self.thread = threading.Thread(target=self._run, args=(store, tokens))
        self.thread.start()
        assert self.ready.wait(20)

    def _listen(self, event: Event) -> None:
        self.url = event.message.split()[-1]
        self.ready.set()

    def _run(self, store: Store, tokens: Path | None) -> None:
        with pytest.raises(Cancelled):
            collect(store, port=0, job=self.job, tokens=tokens)

    def stop(self) -> None:
        self.job.cancel()
        self.thread.join()


@pytest.fixture
def collector(store: Store) -> Iterator[Running]:
    running = Running(store)
    yield running
    running.stop()


def body_of(*records: Record) -> bytes:
    message = {"schema": 1, "records": [record.to_json() for record in records]}
    return json.dumps(message).encode()


def post(url: str, body: bytes, headers: Mapping[str, str] | None = None) -> tuple[int, Any]:
    request = urllib.request.Request(f"{url}/v1/records", body, dict(headers or {}))
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def test_a_collector_that_could_keep_nothing_does_not_start(
    store: Store, record: MakeRecord
) -> None:
    store.append([record()])
    store.close()
    app(store)  # imports what it needs

    with nobody(), pytest.raises(StorageError, match="Permission denied") as caught:
        collect(store, port=0)

    assert caught.value.hint


def test_it_says_that_it_is_ready(collector: Running) -> None:
    with urllib.request.urlopen(f"{collector.url}/v1/health", timeout=20) as answer:
        assert json.load(answer) == {"ready": True}


def test_posted_records_are_acknowledged_and_kept_once(
    collector: Running, store: Store, record: MakeRecord
) -> None:
    one, two = record(), record()

    assert post(collector.url, body_of(one, two)) == (200, {"accepted": [one.id, two.id]})
    assert post(collector.url, body_of(one)) == (200, {"accepted": [one.id]})
    assert post(collector.url, body_of()) == (200, {"accepted": []})

    assert store.count() == 2


def test_the_journal_becomes_parquet_when_the_collector_stops(
    store: Store, record: MakeRecord
) -> None:
    running = Running(store)
    post(running.url, body_of(record()))

    running.stop()

    assert len(list(store.folder.glob("day=*/part-*.parquet"))) == 1
    assert not list((store.folder / "journal").glob("*.jsonl"))


def test_a_message_may_come_as_gzip(collector: Running, store: Store, record: MakeRecord) -> None:
    records = [record() for _ in range(5)]
    body = gzip.compress(body_of(*records))

    status, _ = post(collector.url, body, {"content-encoding": "gzip"})

    assert status == 200
    assert store.count() == 5


def malformed(record: MakeRecord) -> dict[str, bytes]:
    good = json.loads(body_of(record()))["records"][0]
    nan = json.dumps({"records": [good | {"samples": float("nan")}]}).encode()
    return {
        "empty": b"",
        "half": body_of(record())[:-20],
        "no object": b"[]",
        "no list": b'{"records": 7}',
        "another schema": b'{"schema": 2, "records": []}',
        "no record": b'{"records": [7]}',
        "not a number": nan,
        "a text for a number": json.dumps({"records": [good | {"samples": "7"}]}).encode(),
        "a share of an item": json.dumps({"records": [good | {"samples": 7.5}]}).encode(),
        "endless digits": b'{"records": [{"samples": ' + b"9" * 5000 + b"}]}",
        "deep": b"[" * 200_000,
        "no text": b"\xff\xfe\xfd",
    }


def test_malformed_messages_are_refused_and_leave_nothing(
    collector: Running, store: Store, record: MakeRecord
) -> None:
    for body in malformed(record).values():
        status, answer = post(collector.url, body)

        assert status == 400
        assert answer["error"]["kind"] == "integrity"
        assert answer["error"]["message"]
        assert answer["error"]["hint"]
    assert store.count() == 0


def test_one_malformed_record_is_named_and_its_message_refused(
    collector: Running, store: Store, record: MakeRecord
) -> None:
    status, answer = post(collector.url, body_of(record(), record(device="../up")))

    assert status == 400
    assert answer["error"]["message"].startswith("record 1, device:")
    assert store.count() == 0


@pytest.mark.parametrize("size", [(1 << 20) + 1, 3 << 20, 40 << 20])
def test_an_oversized_body_is_refused_while_it_is_read(collector: Running, size: int) -> None:
    address = urlsplit(collector.url)
    sender = http.client.HTTPConnection(address.hostname or "", address.port, timeout=20)
    sender.putrequest("POST", "/v1/records")
    sender.putheader("content-length", str(size))
    sender.endheaders()

    try:
        for _ in range(0, size, 1 << 20):
            sender.send(bytes(min(1 << 20, size)))
    except OSError:
        assert size > 16 << 20  # only then the collector stops to listen
    else:
        with sender.getresponse() as answer:
            assert answer.status == 413
            assert json.load(answer)["error"]["kind"] == "refused"
    sender.close()

    assert post(collector.url, body_of())[0] == 200


def test_a_compressed_bomb_is_not_unpacked(collector: Running) -> None:
    bomb = gzip.compress(bytes(200 << 20), compresslevel=9)
    assert len(bomb) < 1 << 20

    status, answer = post(collector.url, bomb, {"content-encoding": "gzip"})

    assert status == 413
    assert "8,388,608 bytes" in answer["error"]["message"]


@pytest.mark.parametrize(
    ("encoding", "cut", "status"), [("gzip", 30, 400), ("gzip", 0, 400), ("br", None, 415)]
)
def test_a_broken_or_unknown_compression_is_refused(
    collector: Running, record: MakeRecord, encoding: str, cut: int | None, status: int
) -> None:
    body = gzip.compress(body_of(record()))[:cut]

    assert post(collector.url, body, {"content-encoding": encoding})[0] == status


@pytest.mark.parametrize("origin", ["http://elsewhere.example", "null", "http://127.0.0.1:1"])
def test_a_page_of_another_origin_may_not_post(
    collector: Running, store: Store, record: MakeRecord, origin: str
) -> None:
    status, answer = post(collector.url, body_of(record()), {"origin": origin})

    assert status == 403
    assert answer["error"]["kind"] == "refused"
    assert store.count() == 0


def test_a_page_of_the_same_origin_may_post(collector: Running, record: MakeRecord) -> None:
    assert post(collector.url, body_of(record()), {"origin": collector.url})[0] == 200


def start_collector(folder: Path) -> tuple[subprocess.Popen[str], str]:
    child = subprocess.Popen(
        [sys.executable, "-c", COLLECTOR, str(folder)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    return child, child.stdout.readline().strip()


def post_until_it_dies(child: subprocess.Popen[str], url: str, make: MakeRecord) -> list[Record]:
    """Posts one record after the other, kills the collector in between; gives all it sent."""
    sent: list[Record] = []
    some = threading.Event()

    def kill() -> None:
        some.wait(20)
        child.send_signal(signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        while True:
            sent.append(make())
            status, answer = post(url, body_of(sent[-1]))
            assert (status, answer) == (200, {"accepted": [sent[-1].id]})
            if len(sent) == 30:  # some journals of 20 kB are compacted by then
                some.set()
    except (OSError, http.client.HTTPException):
        return sent
    finally:
        some.set()
        killer.join()
        child.wait()


def test_killed_while_it_receives_it_has_every_acknowledged_record_once(
    store: Store, record: MakeRecord
) -> None:
    sent: list[Record] = []

    for round_number in range(1, 4):
        child, url = start_collector(store.folder)
        with child:
            sent += post_until_it_dies(child, url, record)
        # the last one of each round was not acknowledged, and may be there or not
        assert len(sent) - round_number <= store.count() <= len(sent)

    running = Running(store)
    for start in range(0, len(sent), 40):  # whoever is in doubt sends everything again
        assert post(running.url, body_of(*sent[start : start + 40]))[0] == 200
    running.stop()
    assert store.count() == len(sent) > 90
    assert store.profiles("digits")["porch"].samples == 11 * len(sent)


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 256 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip(f"this user may not mount a small disk: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_is_told_and_costs_nothing_that_was_acknowledged(
    tiny_disk: Path, record: MakeRecord
) -> None:
    ballast = tiny_disk / "ballast"
    ballast.write_bytes(bytes(100 << 10))
    store = Store(tiny_disk / "telemetry", journal_limit=30_000)
    running = Running(store)
    acknowledged: list[str] = []
    status = 200
    answer: Any = None

    for _ in range(400):
        batch = [record() for _ in range(3)]
        status, answer = post(running.url, body_of(*batch))
        if status != 200:
            break
        acknowledged += answer["accepted"]

    assert status == 507
    assert answer["error"]["kind"] == "storage"
    assert "No space left" in answer["error"]["message"]
    assert acknowledged
    assert store.count() == len(acknowledged)

    ballast.unlink()
    assert post(running.url, body_of(*batch)) == (200, {"accepted": [one.id for one in batch]})
    running.stop()
    assert store.count() == len(acknowledged) + 3
    assert {window.device for window in store.windows("digits")} == {"porch"}
    assert not list(tiny_disk.glob("telemetry/day=*/.*"))
