"""A package goes to a real agent in pieces: what arrived is kept, however often the line breaks."""

import hashlib
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from edge_targets.catalog.simulator import Simulator
from edge_targets.package import pack
from edge_targets.places.target import Place
from edge_targets.runtime.errors import DeviceError, IntegrityError
from edge_targets.runtime.events import QUIET, Event, Job
from edge_targets.transport import get_json, put_package
from edge_targets.transport.http import PIECE
from tests.edge_targets.tiny import KEY, STRANGER, answers, manifest, members


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """A package of three pieces."""
    file = tmp_path / "large.sndl"
    pack(manifest("1"), {**members(), "card.md": bytes(2 * PIECE + 1000)}, KEY, file)
    return file


@contextmanager
def bad_line(url: str, breaks: int, after: int) -> Iterator[str]:
    """A proxy that breaks so many connections once `after` bytes went to the agent."""
    left = [breaks]
    target = urlsplit(url)

    def carry(source: socket.socket, sink: socket.socket, counted: bool) -> None:
        size = 0
        with suppress(OSError):
            while data := source.recv(65536):
                size += len(data)
                if counted and left[0] and size > after:
                    left[0] -= 1
                    break
                sink.sendall(data)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    near, _ = server.accept()
                    far = socket.create_connection((target.hostname, target.port))
                    threads = [
                        threading.Thread(target=carry, args=words)
                        for words in ((near, far, True), (far, near, False))
                    ]
                    for thread in threads:
                        thread.start()
                    for thread in threads:
                        thread.join()
                    near.close()
                    far.close()

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
    thread.join()


def test_a_line_that_breaks_is_gone_on_with(large: Path, place: Place) -> None:
    url = Simulator().ready(place, QUIET)
    events: list[Event] = []

    with bad_line(url, breaks=3, after=PIECE // 2) as shaky:
        answer = put_package(f"{shaky}/v1/package", large, Job(events.append))

    assert answer["version"] == "1"
    assert answers(url)
    assert events[-1].done == events[-1].total == large.stat().st_size


def test_what_is_there_already_is_not_sent_again(large: Path, place: Place) -> None:
    url = Simulator().ready(place, QUIET)

    def stop(event: Event) -> None:
        if event.done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        put_package(f"{url}/v1/package", large, Job(stop))
    digest = hashlib.sha256(large.read_bytes()).hexdigest()
    kept = get_json(f"{url}/v1/incoming/{digest}")["size"]
    events: list[Event] = []
    put_package(f"{url}/v1/package", large, Job(events.append))

    assert kept == PIECE
    assert events[0].done == PIECE
    assert answers(url)


def test_a_line_that_is_gone_is_told(large: Path, place: Place) -> None:
    url = Simulator().ready(place, QUIET)

    with (
        bad_line(url, breaks=1000, after=1000) as shaky,
        pytest.raises(DeviceError, match="does not answer") as caught,
    ):
        put_package(f"{shaky}/v1/package", large, QUIET)

    assert caught.value.hint


def test_the_agents_own_refusal_comes_back(tmp_path: Path, place: Place) -> None:
    url = Simulator().ready(place, QUIET)
    pack(manifest("1"), members(), STRANGER, tmp_path / "stranger.sndl")

    with pytest.raises(IntegrityError, match="not trusted"):
        put_package(f"{url}/v1/package", tmp_path / "stranger.sndl", QUIET)


def test_an_agent_that_takes_no_pieces_gets_it_whole(large: Path) -> None:
    got: dict[str, Any] = {}

    class Old(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.answer(404, {"error": "no such route"})

        def do_POST(self) -> None:
            got[self.path] = self.rfile.read(int(self.headers["Content-Length"]))
            self.answer(200, {"version": "1", "golden_difference": 0})

        def answer(self, status: int, body: object) -> None:
            text = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *words: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Old) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        put_package(f"http://127.0.0.1:{server.server_port}/v1/package", large, QUIET)
        server.shutdown()
        thread.join()

    assert got == {"/v1/package": large.read_bytes()}
