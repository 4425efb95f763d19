"""The server of a bundle, asked over real sockets."""

import gzip
import http.client
import json
import os
import re
import socket
import urllib.request
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from edge_targets.bundling.hosting import HEADERS, MEDIA_TYPES, POLICY
from edge_targets.runtime.errors import Cancelled, DataError, DeviceError
from edge_targets.runtime.events import Event, Job
from tests.rights import nobody
from toolkit.serving import bundle_app, run_app, serve

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


def ask(address: str, path: str, **asked: str) -> tuple[http.client.HTTPResponse, bytes]:
    """As it is written: `urllib` would tidy up a path with dots."""
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=20)
    words = {name.replace("_", "-"): value for name, value in asked.items()}
    connection.request("GET", path, headers=words)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer, body


def get(address: str, path: str) -> http.client.HTTPResponse:
    return ask(address, path)[0]


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


TEXT = b"export const weights = [" + b"0.25, " * 500 + b"];"


@pytest.fixture
def packed(folder: Path) -> Path:
    """A bundle whose module has its compressed copies beside it."""
    (folder / "page.js").write_bytes(TEXT)
    (folder / "page.js.br").write_bytes(b"as brotli has it")
    (folder / "page.js.gz").write_bytes(gzip.compress(TEXT, mtime=0))
    return folder


@pytest.mark.parametrize(
    ("accepted", "encoding"),
    [
        ("gzip, deflate, br, zstd", "br"),
        ("gzip, deflate", "gzip"),
        ("br;q=0, gzip;q=0.5", "gzip"),
        ("BR;q=1.0", "br"),
        ("gzip; q=0.000, br ; q = 0", None),
        ("identity", None),
        ("brotli, x-gzip", None),
        ("", None),
    ],
)
def test_a_browser_gets_the_smallest_copy_that_it_takes(
    accepted: str, encoding: str | None, packed: Path, serving: Serving
) -> None:
    answer, body = ask(serving(packed), "/page.js", accept_encoding=accepted)

    sent = {"br": "page.js.br", "gzip": "page.js.gz", None: "page.js"}[encoding]
    assert answer.headers["content-encoding"] == encoding
    assert body == (packed / sent).read_bytes()
    assert answer.headers["content-length"] == str(len(body))
    assert answer.headers["content-type"] == MEDIA_TYPES[".js"]
    assert answer.headers["vary"] == "accept-encoding"


def test_each_copy_has_a_tag_of_its_own_and_is_not_sent_twice(
    packed: Path, serving: Serving
) -> None:
    address = serving(packed)
    tags = {
        encoding: ask(address, "/page.js", accept_encoding=encoding)[0].headers["etag"]
        for encoding in ("br", "gzip", "identity")
    }

    again, nothing = ask(address, "/page.js", accept_encoding="br", if_none_match=tags["br"])
    other, body = ask(address, "/page.js", accept_encoding="gzip", if_none_match=tags["br"])

    assert len(set(tags.values())) == 3
    assert (again.status, nothing, again.headers["vary"]) == (304, b"", "accept-encoding")
    assert (other.status, gzip.decompress(body)) == (200, TEXT)


def test_a_part_of_a_file_is_a_part_of_what_it_holds(packed: Path, serving: Serving) -> None:
    address = serving(packed)
    compressed = ask(address, "/page.js", accept_encoding="br")[0].headers["etag"]

    part, body = ask(address, "/page.js", accept_encoding="br", range="bytes=7-11")
    whole, all_of_it = ask(
        address, "/page.js", accept_encoding="br", range="bytes=7-11", if_range=compressed
    )

    assert (part.status, body) == (206, TEXT[7:12])
    assert part.headers["content-range"] == f"bytes 7-11/{len(TEXT)}"
    assert (whole.status, all_of_it) == (200, TEXT)
    assert {part.headers["content-encoding"], whole.headers["content-encoding"]} == {None}


def test_a_copy_that_is_older_than_its_file_is_not_sent(packed: Path, serving: Serving) -> None:
    os.utime(packed / "page.js.br", (1, 1))

    answer, body = ask(serving(packed), "/page.js", accept_encoding="br")

    assert (answer.headers["content-encoding"], body) == (None, TEXT)


def test_a_link_beside_a_file_gives_nothing_away(packed: Path, serving: Serving) -> None:
    (packed / "page.js.br").unlink()
    (packed / "page.js.br").symlink_to(packed.parent / "secret.txt")

    answer, body = ask(serving(packed), "/page.js", accept_encoding="br")

    assert (answer.headers["content-encoding"], body) == (None, TEXT)


def test_a_page_may_send_to_the_collector_of_its_bundle_and_to_no_other(
    folder: Path, serving: Serving
) -> None:
    index = {
        "schema": 1, "model": "m", "version": "1", "files": {},
        "telemetry": {"url": "https://fleet.example:8443/in/v1/records"},
    }  # fmt: skip
    (folder / "bundle.json").write_text(json.dumps(index))

    policy = get(serving(folder), "/").headers["content-security-policy"]

    allowed = "connect-src 'self' https://fleet.example:8443;"
    assert policy == POLICY.replace("connect-src 'self';", allowed)


def test_bundles_below_a_folder_are_served_each_with_its_own_routes(
    folder: Path, serving: Serving
) -> None:
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route

    site = folder.parent / "site"
    (site / "models").mkdir(parents=True)
    folder.rename(site / "models" / "digits")
    well = Route("/v1/health", lambda request: PlainTextResponse("well"))
    address = serving(site, [well])

    assert ask(address, "/models/digits/v1/health")[1] == b"well"
    assert ask(address, "/models/digits/")[1] == b"<!doctype html>"
    assert get(address, "/models/digits").headers["location"].endswith("/models/digits/")
    assert get(address, "/v1/health").status == 404

    job, heard = Job(), list[str]()

    def stop_at_once(event: Event) -> None:
        heard.append(event.message)
        job.cancel()

    job.listen = stop_at_once
    with pytest.raises(Cancelled):
        serve(site, port=0, job=job)
    assert re.fullmatch(r"serving \S+/digits at http://127\.0\.0\.1:\d+/models/digits/", heard[0])


def test_serving_from_a_stick_writes_nothing_there(packed: Path, serving: Serving) -> None:
    def state() -> dict[Path, tuple[int, int]]:
        found = {path: path.lstat() for path in (packed, *packed.rglob("*"))}
        return {path: (facts.st_mtime_ns, facts.st_mode) for path, facts in found.items()}

    packed.chmod(0o555)
    before = state()

    answer, body = ask(serving(packed), "/page.js", accept_encoding="identity")

    assert (answer.status, body) == (200, TEXT)
    assert state() == before


def test_the_page_states_the_policy_that_the_header_states(web: Path) -> None:
    [stated] = re.findall(
        r'http-equiv="Content-Security-Policy"\s+content="([^"]+)"',
        (web / "index.html").read_text(),
    )

    # browsers ignore frame-ancestors in a page and complain about it
    assert f"{stated}; frame-ancestors 'none'" == POLICY


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
