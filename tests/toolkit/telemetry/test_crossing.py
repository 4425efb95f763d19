"""Pages of other sites over real HTTP: a token lets in what it is for, and so much of it."""

import gzip
import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from edge_targets.runtime.contract import Record
from tests.toolkit.telemetry.test_receiver import Running, body_of
from toolkit.telemetry.store import Store
from toolkit.telemetry.tokens import file_of, remove, token_for
from toolkit.workspace import Workspace

MakeRecord = Callable[..., Record]

ELSEWHERE = "https://shop.example"


@dataclass
class Answer:
    status: int
    headers: Mapping[str, str]
    body: Any


def ask(url: str, body: bytes | None, headers: Mapping[str, str], method: str = "POST") -> Answer:
    request = urllib.request.Request(f"{url}/v1/records", body, dict(headers), method=method)
    try:
        answer = urllib.request.urlopen(request, timeout=20)
    except urllib.error.HTTPError as error:
        answer = error
    with answer:
        text = answer.read()
        known = answer.headers.get("content-type") == "application/json"
        return Answer(answer.status, answer.headers, json.loads(text) if known else None)


@pytest.fixture
def shelves(tmp_path: Path) -> Workspace:
    made = Workspace.create(tmp_path)
    made.put("packages", "digits-browser", {}, {"served_as": "digits"}, "package")
    return made


@pytest.fixture
def word(shelves: Workspace) -> str:
    return token_for(shelves, "digits-browser")


@pytest.fixture
def url(store: Store, shelves: Workspace) -> Iterator[str]:
    collector = Running(store, file_of(shelves))
    yield collector.url
    collector.stop()


def bearing(word: str, **more: str) -> dict[str, str]:
    return {"origin": ELSEWHERE, "authorization": f"Bearer {word}", **more}


def test_a_page_elsewhere_asks_first_and_is_told_how(url: str) -> None:
    asked = {"origin": ELSEWHERE, "access-control-request-method": "POST"}

    answer = ask(url, None, asked, "OPTIONS")

    assert (answer.status, answer.body) == (204, None)
    assert answer.headers["access-control-allow-origin"] == "*"
    allowed = answer.headers["access-control-allow-headers"].split(", ")
    assert {"authorization", "content-type", "content-encoding"} <= set(allowed)
    assert "access-control-allow-credentials" not in answer.headers


def test_with_its_token_a_page_elsewhere_is_heard(
    url: str, word: str, store: Store, record: MakeRecord
) -> None:
    one = record(device="browser-1")

    answer = ask(url, body_of(one), bearing(word))

    assert (answer.status, answer.body) == (200, {"accepted": [one.id]})
    assert answer.headers["access-control-allow-origin"] == "*"
    assert store.count() == 1


@pytest.mark.parametrize(
    "authorization", [None, "Basic dTpw", "Bearer", "Bearer ", "Bearer x", "Bearer é"]
)
def test_without_a_good_token_it_is_not(
    url: str, word: str, store: Store, record: MakeRecord, authorization: str | None
) -> None:
    headers = {"origin": ELSEWHERE}
    if authorization:
        headers["authorization"] = authorization.encode().decode("latin-1")

    answer = ask(url, body_of(record(device="browser-1")), headers)

    brought = authorization is not None and authorization.startswith("Bearer")
    assert answer.status == (401 if brought else 403)
    # whoever brings a token may read why it is no good; to others nothing is said across sites
    assert ("access-control-allow-origin" in answer.headers) == brought
    assert answer.body["error"]["hint"]
    assert store.count() == 0


def test_a_token_taken_back_is_refused_at_once(
    url: str, word: str, shelves: Workspace, record: MakeRecord
) -> None:
    assert ask(url, body_of(record(device="browser-1")), bearing(word)).status == 200

    remove(shelves, "digits-browser")

    assert ask(url, body_of(record(device="browser-1")), bearing(word)).status == 401


@pytest.mark.parametrize(
    "fields", [{"model": "wine"}, {"device": "porch"}, {"device": "Browser-1"}]
)
def test_a_token_lets_in_visitors_of_its_own_model_only(
    url: str, word: str, store: Store, record: MakeRecord, fields: Mapping[str, str]
) -> None:
    good, bad = record(device="browser-1"), record(**{"device": "browser-1", **fields})

    answer = ask(url, body_of(good, bad), bearing(word))

    # 422 tells the page that this record is to blame: it sends the others without it
    assert answer.status == 422
    assert answer.body["error"]["message"].startswith("record 1:")
    assert store.count() == 0


def test_devices_and_pages_of_this_address_need_no_token(
    url: str, store: Store, record: MakeRecord
) -> None:
    assert ask(url, body_of(record()), {}).status == 200
    answer = ask(url, body_of(record(device="browser-1")), {"origin": url})

    assert answer.status == 200
    assert "access-control-allow-origin" not in answer.headers
    assert store.count() == 2


def test_a_collector_without_tokens_answers_no_page_elsewhere(
    store: Store, word: str, record: MakeRecord
) -> None:
    collector = Running(store)

    asked = ask(collector.url, None, {"origin": ELSEWHERE}, "OPTIONS")
    brought = ask(collector.url, body_of(record(device="browser-1")), bearing(word))

    collector.stop()
    assert (asked.status, brought.status) == (405, 401)


def test_a_page_s_message_is_small(url: str, word: str, store: Store, record: MakeRecord) -> None:
    large = body_of(record(device="browser-1", extra={"note": "x" * (300 << 10)}))
    bomb = gzip.compress(bytes(3 << 20))

    assert ask(url, large, {}).status == 200  # from a device
    assert ask(url, large, bearing(word)).status == 413
    assert ask(url, bomb, bearing(word, **{"content-encoding": "gzip"})).status == 413
    packed = gzip.compress(large)
    assert ask(url, packed, bearing(word, **{"content-encoding": "gzip"})).status == 200
    assert store.count() == 1  # the same record twice


def test_pages_that_send_too_much_are_told_to_wait(
    url: str, word: str, store: Store, record: MakeRecord
) -> None:
    body = gzip.compress(body_of(record(device="browser-1", extra={"note": "x" * (1 << 20)})))
    headers = bearing(word, **{"content-encoding": "gzip"})

    statuses = []
    for _ in range(6):
        statuses.append(ask(url, body, headers).status)
        if statuses[-1] != 200:
            break

    assert statuses[:3] == [200, 200, 200]  # 4 MiB at once
    assert statuses[-1] == 429
    answer = ask(url, body, headers)
    # 1 MiB at 64 KiB a second
    assert 1 <= int(answer.headers["retry-after"]) <= 17
    assert answer.headers["access-control-expose-headers"] == "retry-after"
    assert ask(url, body_of(record()), {}).status == 200  # devices do not pay for it


def test_tokens_that_cannot_be_read_are_the_collector_s_trouble(
    url: str, word: str, shelves: Workspace, record: MakeRecord
) -> None:
    file_of(shelves).write_text("{")

    # 503, and not 400: the page keeps its records and comes again
    assert ask(url, body_of(record(device="browser-1")), bearing(word)).status == 503
    assert ask(url, body_of(record()), {}).status == 200


def test_a_page_with_a_wrong_clock_is_put_right(
    url: str, word: str, store: Store, record: MakeRecord
) -> None:
    for name, days in (("browser-late", -4000), ("browser-early", 4000)):
        there = datetime.now(UTC) + timedelta(days=days)
        times = {"started": there.isoformat(), "ended": there.isoformat()}
        one = record(device=name, **times)
        message = {"sent": there.isoformat(), "records": [one.to_json()]}
        assert ask(url, json.dumps(message).encode(), bearing(word)).status == 200

    hour_ago = datetime.now(UTC) - timedelta(hours=1)
    assert len(store.versions("digits", hour_ago)) == 2
    assert store.versions("digits", datetime.now(UTC) + timedelta(minutes=1)) == set()


@pytest.mark.parametrize("sent", ["yesterday", "2026-11-20T10:00:00", 7, [], ""])
def test_a_time_of_sending_that_is_none_is_refused(
    url: str, store: Store, record: MakeRecord, sent: object
) -> None:
    message = {"sent": sent, "records": [record().to_json()]}

    answer = ask(url, json.dumps(message).encode(), {})

    assert answer.status == 400
    assert answer.body["error"]["message"].startswith("sent:")
    assert store.count() == 0
