"""One server under many clients: bounds, deadlines, order, uploads, and what goes on meanwhile."""

import hashlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from edge_targets.agent.agent import Agent
from edge_targets.agent.limits import Limits
from edge_targets.agent.page import render
from edge_targets.agent.server import Server
from edge_targets.transport import put_package
from tests.edge_targets.serving import (
    BYTES,
    JSON,
    Client,
    agent_of,
    serving,
    tiny_package,
    until_closed,
)
from tests.edge_targets.tiny import answers, infer_body, wait_until

GET = b"GET /v2/health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"
SHORT = Limits(head_s=0.3, body_s=0.3, upload_s=1.0, write_s=0.3, drain_s=0.2)


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Agent]:
    with agent_of(tmp_path / "device", tiny_package(tmp_path)) as agent:
        yield agent


@pytest.fixture
def client(agent: Agent) -> Iterator[Client]:
    with serving(agent) as server:
        yield Client(server.url)


def upload(length: int, begun: bytes = b"", path: str = "/v1/package") -> bytes:
    return (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\n"
        f"Content-Type: application/octet-stream\r\nContent-Length: {length}\r\n\r\n"
    ).encode() + begun


def infer(length: int, more: str = "") -> bytes:
    return (
        f"POST /v2/models/tiny/infer HTTP/1.1\r\nHost: localhost\r\n"
        f"Content-Type: application/json\r\nContent-Length: {length}\r\n{more}\r\n"
    ).encode()


def test_requests_that_come_at_once_are_answered_in_their_order(client: Client) -> None:
    body = json.dumps(infer_body()).encode()
    status = b"GET /v1/status HTTP/1.1\r\nHost: localhost\r\n\r\n"  # a slow one in between
    last = b"GET /v2/nothing HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"

    found = client.talk((infer(len(body)) + body + GET + status) * 20 + last)

    kinds = [
        "infer" if b"model_name" in part else "live" if b'"live"' in part else "status"
        for part in found.split(b"HTTP/1.1 200 OK")[1:]
    ]
    assert kinds == ["infer", "live", "status"] * 20
    assert found.count(b"HTTP/1.1 404") == 1


@pytest.mark.parametrize("path", ["/v2", "/v1/status", "/v2/models/tiny", "/v2/nothing", "/"])
def test_a_body_where_none_belongs_is_not_read_as_a_request(client: Client, path: str) -> None:
    start = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(GET)}\r\n\r\n"

    found = client.talk(start.encode() + GET)

    assert found.count(b"HTTP/1.1 ") == 1
    assert b'"live"' not in found


def test_a_request_may_come_byte_by_byte(client: Client) -> None:
    body = json.dumps(infer_body()).encode()
    whole = infer(len(body), "Connection: close\r\n") + body

    with client.link() as link:
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for i in range(len(whole)):
            link.send(whole[i : i + 1])
        found = until_closed(link)

    assert found.startswith(b"HTTP/1.1 200 ")


def test_who_asks_before_sending_is_told_to_go_on(client: Client) -> None:
    body = json.dumps(infer_body()).encode()

    with client.link() as link:
        link.sendall(infer(len(body), "Expect: 100-continue\r\nConnection: close\r\n"))
        assert link.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        link.sendall(body)
        found = until_closed(link)
        link.close()
    with client.link() as link:
        link.sendall(infer(99_999_999, "Expect: 100-continue\r\n"))
        refused = until_closed(link)

    assert found.startswith(b"HTTP/1.1 200 ")
    assert refused.startswith(b"HTTP/1.1 413 ")


def test_a_client_that_does_not_read_is_not_read_from(agent: Agent) -> None:
    with serving(agent) as server:
        link = Client(server.url).link()
        link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        link.settimeout(1)
        with pytest.raises(TimeoutError):  # all buffers on the way are full
            link.sendall(GET * 1_000_000)
        assert sum(len(each.buffer) for each in server.connections) < 1 << 20
        assert Client(server.url).send("GET", "/v2/health/live")[0] == 200
        link.close()


@pytest.mark.parametrize(
    ("begun", "status"),
    [
        (b"", b""),
        (b"GET /v2 HTT", b"408"),
        (infer(100) + b"{", b"408"),
    ],
)
def test_who_is_silent_or_dribbles_is_cut_off(agent: Agent, begun: bytes, status: bytes) -> None:
    with serving(agent, limits=SHORT) as server, Client(server.url).link() as link:
        ended = threading.Event()

        def dribble() -> None:
            try:
                while begun and not ended.wait(0.05):
                    link.send(b"x")
            except OSError:
                pass

        link.sendall(begun)
        sender = threading.Thread(target=dribble)
        sender.start()
        try:
            found = until_closed(link)
        except ConnectionError:  # our dribble met a closed connection
            found = b""
        ended.set()
        sender.join()

        assert found.partition(b"\r\n")[0].split(b" ")[1:2] == ([status] if status else [])
        wait_until(lambda: not server.connections)


def test_a_dribbled_upload_ends_too_and_leaves_nothing(agent: Agent) -> None:
    with serving(agent, limits=SHORT) as server, Client(server.url).link() as link:
        link.sendall(upload(1000, b"begun"))

        assert until_closed(link) == b""

        assert not list(agent.home.incoming.glob("*.sndl"))
        assert not agent.installing.locked()


def test_large_bodies_are_bounded_together_and_small_ones_still_served(agent: Agent) -> None:
    limits = Limits(in_flight=300_000)

    with serving(agent, limits=limits) as server:
        client = Client(server.url)
        held = [client.link() for _ in range(3)]
        for link in held:
            link.sendall(infer(100_000) + b"{")
        wait_until(lambda: server.in_flight == 300_000)

        assert client.send("POST", "/v2/models/tiny/infer", b" " * 100_000)[0] == 503
        assert client.send("POST", "/v2/models/tiny/infer", infer_body())[0] == 200

        for link in held:
            link.close()
        wait_until(lambda: server.in_flight == 0)
        connection = client.connection()  # stays open: what it took is free all the same
        connection.request("POST", "/v2/models/tiny/infer", b" " * 100_000)
        assert connection.getresponse().read()
        wait_until(lambda: server.in_flight == 0)
        connection.close()


def test_who_goes_on_talking_is_not_listened_to_before_the_answer(
    agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = threading.Event()
    monkeypatch.setattr(agent, "logs", lambda lines: [str(told.wait(20))])

    with serving(agent) as server, Client(server.url).link() as link:
        link.sendall(b"GET /v1/logs HTTP/1.1\r\nHost: localhost\r\n\r\n")
        wait_until(lambda: server.slow)
        link.sendall(GET)
        wait_until(lambda: [each.events for each in server.connections] == [0])
        told.set()
        found = b""
        while b'{"live":true}' not in found:
            found += link.recv(65536)

    assert b'{"lines":["True"]}' in found


def test_the_full_server_says_so_and_recovers(agent: Agent) -> None:
    with serving(agent, limits=Limits(connections=3)) as server:
        client = Client(server.url)
        held = [client.link() for _ in range(3)]
        wait_until(lambda: len(server.connections) == 3)

        with client.link() as link:
            assert link.recv(100).startswith(b"HTTP/1.1 503 ")

        for link in held:
            link.close()
        wait_until(lambda: not server.connections)
        assert client.send("GET", "/v2/health/live")[0] == 200


def test_those_who_only_hold_a_place_give_way(agent: Agent) -> None:
    with serving(agent, limits=Limits(connections=4, prove_s=0.2)) as server:
        client = Client(server.url)
        kept = client.connection()
        kept.request("GET", "/v2/health/live")
        assert kept.getresponse().read()
        silent = [client.link() for _ in range(3)]
        for link in silent:
            link.sendall(b"GET /v2 HTTP/1.1\r\nX: ")
        wait_until(lambda: len(server.connections) == 4)
        time.sleep(0.3)

        assert client.send("GET", "/v2/health/live")[0] == 200

        assert until_closed(silent[0]) == b""  # the oldest of them
        kept.request("GET", "/v2/health/live")
        assert kept.getresponse().status == 200
        kept.close()
        for link in silent:
            link.close()


def test_it_serves_while_a_package_comes_slowly_and_is_installed(
    agent: Agent, client: Client, tmp_path: Path
) -> None:
    package = tiny_package(tmp_path, "2", 2.0).read_bytes()

    with client.link() as link:
        link.sendall(upload(len(package), package[:100]))
        wait_until(agent.installing.locked)
        assert answers(client.url, 1.0)
        assert client.send("POST", "/v1/package", package, BYTES)[0] == 503
        link.sendall(package[100:] + GET)  # what follows the upload is a request
        found, predicted = b"", 0
        link.settimeout(0.01)
        while b'{"live":true}' not in found:
            assert client.send("POST", "/v2/models/tiny/infer", infer_body())[0] == 200
            predicted += 1
            with suppress(TimeoutError):
                found += link.recv(65536)
        assert b'"version":"2"' in found
        assert predicted > 1

    assert answers(client.url, 2.0)


def test_an_upload_goes_on_where_it_stopped(agent: Agent, client: Client, tmp_path: Path) -> None:
    package = tiny_package(tmp_path, "3", 3.0).read_bytes()
    digest = hashlib.sha256(package).hexdigest()
    half = len(package) // 2
    address = f"/v1/incoming/{digest}"

    with client.link() as link:  # is lost on the way
        link.sendall(upload(len(package), package[:half], f"{address}/0"))
        wait_until(lambda: agent.home.incoming.exists())
        wait_until(lambda: client.send("GET", address)[1]["size"] == half)
    wait_until(lambda: client.send("POST", f"{address}/{half + 1}", b"x", BYTES)[0] == 409)
    assert client.send("POST", f"{address}/{half}", package[half:], BYTES) == (
        200,
        {"size": len(package)},
    )
    status, found = client.send("POST", f"/v1/package/{digest}", {})

    assert (status, found["version"]) == (200, "3")
    assert answers(client.url, 3.0)
    assert client.send("GET", address) == (200, {"size": 0})


def test_our_own_client_uploads_in_pieces(client: Client, tmp_path: Path) -> None:
    assert (
        put_package(f"{client.url}/v1/package", tiny_package(tmp_path, "4", 4.0))["version"] == "4"
    )
    assert answers(client.url, 4.0)


def test_another_upload_takes_the_place_of_one_that_was_left(agent: Agent, client: Client) -> None:
    first, second = ("/v1/incoming/" + digit * 64 for digit in "ab")
    client.send("POST", f"{first}/0", b"left", BYTES)

    assert client.send("POST", f"{second}/0", b"new one", BYTES) == (200, {"size": 7})

    assert client.send("GET", first) == (200, {"size": 0})
    assert len(list(agent.home.incoming.iterdir())) == 1
    assert client.send("POST", f"{second}/0", b"again", BYTES) == (200, {"size": 5})


def test_an_upload_that_is_something_else_is_not_installed(client: Client, tmp_path: Path) -> None:
    digest = "c" * 64
    package = tiny_package(tmp_path, "9", 9.0).read_bytes()  # a good one, but not that one
    client.send("POST", f"/v1/incoming/{digest}/0", package, BYTES)

    status, found = client.send("POST", f"/v1/package/{digest}", {})

    assert (status, found["kind"]) == (400, "integrity")
    assert client.send("GET", f"/v1/incoming/{digest}") == (200, {"size": 0})
    assert client.send("POST", f"/v1/package/{digest}", {})[0] == 404


@pytest.mark.parametrize(
    "digest", ["", "x" * 64, "A" * 64, "a" * 63, "a" * 65, "..", "%2e%2e%2f" + "a" * 55, "a/b"]
)
def test_only_a_digest_names_an_upload(agent: Agent, client: Client, digest: str) -> None:
    before = sorted(agent.home.root.rglob("*"))

    assert client.send("GET", f"/v1/incoming/{digest}")[0] in (400, 404, 405)
    assert client.send("POST", f"/v1/incoming/{digest}/0", b"x", BYTES)[0] in (400, 404, 405)
    assert client.send("POST", f"/v1/package/{digest}", {})[0] in (400, 404, 405, 415)

    assert sorted(agent.home.root.rglob("*")) == before


@pytest.mark.parametrize("offset", ["-1", "1e3", "\u00b2", "9" * 16, "x"])
def test_only_a_number_says_where_an_upload_goes_on(client: Client, offset: str) -> None:
    from urllib.parse import quote

    path = f"/v1/incoming/{'d' * 64}/{quote(offset)}"

    assert client.send("POST", path, b"x", BYTES)[0] == 400


def test_a_model_goes_back_and_is_removed_by_hand(
    agent: Agent, client: Client, tmp_path: Path
) -> None:
    put_package(f"{client.url}/v1/package", tiny_package(tmp_path, "5", 5.0))
    put_package(f"{client.url}/v1/package", tiny_package(tmp_path, "6", 6.0))

    status, found = client.send("POST", "/v1/rollback", {"model": "tiny"})

    assert (status, found["refused"]) == (200, "6")
    assert answers(client.url, 1.0)  # what came between was never confirmed
    assert client.send("POST", "/v1/remove", {})[0] == 400
    assert client.send("POST", "/v1/remove", {"model": "other"})[0] == 404
    assert client.send("POST", "/v1/remove", {"model": "tiny"}) == (200, {"removed": "tiny"})
    assert client.send("GET", "/v2/health/ready") == (503, {"ready": False})
    assert client.send("POST", "/v2/models/tiny/infer", infer_body())[0] == 503
    put_package(f"{client.url}/v1/package", tiny_package(tmp_path, "7", 1.0))


def test_logs_and_pulls_are_asked_for(client: Client) -> None:
    status, found = client.send("GET", "/v1/logs?lines=3")

    assert status == 200
    assert len(found["lines"]) <= 3
    assert client.send("GET", "/v1/logs?lines=-1")[0] == 400
    assert client.send("GET", "/v1/logs?lines=10001")[0] == 400
    assert client.send("POST", "/v1/pull", {})[0] == 200


def test_the_status_page_is_one_text_that_loads_nothing(client: Client) -> None:
    connection = client.connection()
    connection.request("GET", "/")
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()

    assert answer.status == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "tiny" in text
    assert "<script" not in text
    assert "http://" not in text


def test_the_status_page_escapes_whatever_it_is_told() -> None:
    evil = "<script>alert('x')</script>\"&"

    text = render(
        {
            "device": evil,
            "state": evil,
            "models": [{"name": evil, "version": evil, "format": evil, "previous": evil}],
            "last_update": {evil: evil},
            "throttled": [evil],
            "health": {"load": evil, "temperature_c": evil},
        }
    )

    assert "<script" not in text
    assert text.count("&lt;script&gt;") >= 8


def test_a_failure_of_ours_is_told_and_ends_nobody_else(
    agent: Agent, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*words: object) -> None:
        raise RuntimeError("secret of ours")

    with serving(agent) as server:
        client = Client(server.url)
        monkeypatch.setattr(agent, "status", fail)
        status, found = client.send("GET", "/v1/status")

        assert status == 500
        assert "secret" not in str(found)
        assert "secret of ours" in caplog.text
        assert client.send("GET", "/v2/health/live", headers=JSON)[0] == 200


def test_closing_lets_a_request_at_work_finish(agent: Agent, tmp_path: Path) -> None:
    package = tiny_package(tmp_path, "8", 1.0).read_bytes()
    server = Server(agent)
    server.start()

    with Client(server.url).link() as link:
        link.sendall(upload(len(package), package))
        wait_until(agent.installing.locked)
        server.close()
        found = until_closed(link)

    assert found.startswith(b"HTTP/1.1 200 ")
    with pytest.raises(ConnectionError):
        Client(server.url).link()


def test_the_end_waits_for_nobody_who_is_silent(agent: Agent) -> None:
    server = Server(agent)
    server.start()
    held = [Client(server.url).link() for _ in range(5)]
    held[0].sendall(infer(100) + b"{")
    time.sleep(0.05)

    server.close()

    assert not server.thread.is_alive()
    for link in held:
        link.close()
