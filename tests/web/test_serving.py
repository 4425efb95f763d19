"""The server of a bundle, asked over real sockets."""

import http.client
import re
import socket
import urllib.request
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from edge_targets.runtime.errors import Cancelled, DataError, DeviceError
from edge_targets.runtime.events import Event, Job
from tests.rights import nobody
from toolkit.serving import (
    CONTENT_SECURITY_POLICY,
    HEADERS,
    MEDIA_TYPES,
    bundle_app,
    run_app,
    serve,
)

Serving = Callable[..., str]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "bundle"
    (made / "ort").mkdir(parents=True)
    (made / "bundle.json").write_text("{}")
    (made / "index.html").write_text("<!doctype html>")
    for suffix in MEDIA_TYPES:
        (made / f"ort/file{suffix}").write_text("0")
    (tmp_path / "secret.txt").write_text("not for visitors")
    (made / "link.txt").symlink_to(tmp_path / "secret.txt")
    return made


def get(address: str, path: str) -> http.client.HTTPResponse:
    """As it is written: `urllib` would tidy up a path with dots."""
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=20)
    connection.request("GET", path)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer


def test_every_answer_carries_the_headers_errors_too(folder: Path, serving: Serving) -> None:
    address = serving(folder)

    for path in ("/", "/ort/file.mjs", "/nothing"):
        found = get(address, path).headers
        assert {name: found[name] for name in HEADERS} == HEADERS


@pytest.mark.parametrize("suffix", MEDIA_TYPES)
def test_files_have_the_type_that_browsers_insist_on(
    suffix: str, folder: Path, serving: Serving
) -> None:
    found = get(serving(folder), f"/ort/file{suffix}")

    assert (found.status, found.headers["content-type"]) == (200, MEDIA_TYPES[suffix])


@pytest.mark.parametrize(
    "path", ["/../secret.txt", "/ort/../../secret.txt", "/%2e%2e/secret.txt", "/link.txt", "//etc"]
)
def test_nothing_outside_the_folder_is_given_away(
    path: str, folder: Path, serving: Serving
) -> None:
    assert get(serving(folder), path).status == 404


def test_other_routes_live_beside_the_files(folder: Path, serving: Serving) -> None:
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route

    address = serving(folder, [Route("/v1/health", lambda request: PlainTextResponse("well"))])

    assert urllib.request.urlopen(f"{address}v1/health", timeout=20).read() == b"well"
    assert get(address, "/index.html").status == 200


def test_the_page_states_the_policy_that_the_header_states(web: Path) -> None:
    [stated] = re.findall(
        r'http-equiv="Content-Security-Policy"\s+content="([^"]+)"',
        (web / "index.html").read_text(),
    )

    # browsers ignore frame-ancestors in a page and complain about it
    assert f"{stated}; frame-ancestors 'none'" == CONTENT_SECURITY_POLICY


def test_a_folder_that_is_no_bundle_is_not_served(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not a browser bundle"):
        serve(tmp_path, port=0)


def test_a_bundle_that_may_not_be_read_is_not_served(folder: Path) -> None:
    bundle_app(folder)  # imports what it needs

    with nobody(), pytest.raises(DataError, match="cannot be read") as failed:
        serve(folder, port=0)

    assert failed.value.hint


@pytest.mark.parametrize(
    ("host", "port", "words"),
    [
        ("", 0, "no address"),
        ("é..x", 0, "Cannot listen"),
        ("x" * 70, 0, "Cannot listen"),
        ("a\0b", 0, "Cannot listen"),
        ("no-such-host.invalid", 0, "Cannot listen"),
        ("127.0.0.1", -1, "no port"),
        ("127.0.0.1", 65536, "no port"),
    ],
)
def test_an_address_that_cannot_be_is_told_in_two_lines(host: str, port: int, words: str) -> None:
    with pytest.raises(DeviceError, match=words) as failed:
        run_app(None, host, port)

    assert failed.value.hint


def test_an_address_that_is_taken_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        with pytest.raises(DeviceError, match=str(port)) as failed:
            run_app(None, port=port)

    assert "--port" in failed.value.hint


def test_serving_says_where_and_stops_when_told(folder: Path) -> None:
    job = Job()
    heard: list[str] = []

    def stop_at_once(event: Event) -> None:
        heard.append(event.message)
        job.cancel()

    job.listen = stop_at_once
    with pytest.raises(Cancelled):
        serve(folder, port=0, job=job)

    [message] = heard
    assert re.fullmatch(rf"serving {folder} at http://127\.0\.0\.1:\d+/", message)


def test_a_cancelled_server_frees_its_address(folder: Path) -> None:
    heard: list[str] = []
    job = Job()

    def stop_at_once(url: str) -> None:
        heard.append(url)
        job.cancel()

    with pytest.raises(Cancelled):
        run_app(bundle_app(folder), job=job, ready=stop_at_once)

    [url] = heard
    with socket.socket() as again:
        again.bind(("127.0.0.1", urlsplit(url).port or 0))
