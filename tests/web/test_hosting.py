"""What the usual hosts are told: the one policy, in words that their own programs take."""

import gzip
import json
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from email.message import Message
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from edge_targets.bundling.hosting import (
    HEADERS,
    MEDIA_TYPES,
    POLICY,
    README,
    RECORDS,
    headers,
    snippets,
)
from tests.web.driving import ChromiumTab, Launch, browsers
from tests.web.real_hosts import HOSTS, hosted, kind_of

COLLECTOR = "https://fleet.example:8443"


@pytest.mark.parametrize("name", snippets())
@pytest.mark.parametrize("collectors", [(), (COLLECTOR,)])
def test_each_host_is_told_the_one_policy_and_every_header(
    name: str, collectors: tuple[str, ...]
) -> None:
    text = snippets(*collectors)[name]

    said = headers(*collectors)
    assert said.keys() == HEADERS.keys()
    for header, value in said.items():
        lines = [
            line for line in text.splitlines() if re.search(rf"\b{header}\b", line, re.IGNORECASE)
        ]
        assert [value in line for line in lines] == [True], header
    assert (COLLECTOR in text) == bool(collectors)


def test_a_policy_for_a_collector_allows_that_and_nothing_else() -> None:
    allowed = headers(COLLECTOR)["content-security-policy"]

    assert allowed == POLICY.replace("connect-src 'self';", f"connect-src 'self' {COLLECTOR};")
    assert headers()["content-security-policy"] == POLICY


@pytest.mark.parametrize("name", ["nginx.conf", "apache.conf"])
def test_hosts_that_know_few_types_are_told_all(name: str) -> None:
    for suffix, kind in MEDIA_TYPES.items():
        ending = suffix if name == "apache.conf" else suffix.removeprefix(".")
        [line] = [
            line for line in snippets()[name].splitlines() if kind.partition(";")[0] in line.split()
        ]
        assert ending in line.rstrip(";").split()


def test_the_readme_says_for_each_host_what_to_do() -> None:
    told = README.format(model="digits", version="1", sanderling="0.5.0")

    for name in snippets():
        assert name in told
    assert "{" not in re.sub(r"`[^`]*`", "", told)
    assert max(len(line) for line in told.splitlines()) <= 100


def published(text: str) -> dict[str, dict[str, str]]:
    """The headers of each pattern of a `_headers` file, by their names in small letters."""
    rules: dict[str, dict[str, str]] = {}
    for line in text.splitlines():
        assert len(line) <= 2000  # Cloudflare leaves out what is longer
        if line.startswith("/"):
            rules[line] = {}
            continue
        name, _, value = line.partition(":")
        assert line.startswith("  ")
        assert name.strip().lower() not in rules[list(rules)[-1]]
        rules[list(rules)[-1]][name.strip().lower()] = value.strip()
    return rules


@pytest.mark.parametrize("name", ["", "index.html", "engines/ort/a.mjs", "engines/ort/a.wasm"])
def test_published_files_get_the_same_headers_and_the_types_that_are_not_known(name: str) -> None:
    rules = published(snippets(COLLECTOR)["_headers"])

    # both hosts join the values of a header that two patterns give
    said: dict[str, str] = {}
    for pattern, more in rules.items():
        assert pattern.count("*") == 1
        if fnmatchcase(f"/models/digits/{name}", pattern):
            assert not said.keys() & more.keys()
            said |= more
    kind = said.pop("content-type", None)
    assert said == headers(COLLECTOR)
    suffix = Path(name).suffix
    assert kind == (MEDIA_TYPES[suffix] if suffix in (".mjs", ".wasm") else None)


PATHS = ("/", "/models/digits/")


@pytest.fixture(scope="module")
def launch() -> Iterator[Launch]:
    with browsers() as launch:
        yield launch


@pytest.fixture(scope="module", params=[(name, path) for name in HOSTS for path in PATHS], ids=str)
def host(request: pytest.FixtureRequest, bundled: Path) -> Iterator[str]:
    """The address of a bundle at a real host."""
    name, path = request.param
    with hosted(name, bundled, path) as address:
        yield address


def ask(url: str, body: bytes | None = None, **asked: str) -> tuple[Message, bytes, int]:
    """What a host says, what it sends and how it went."""
    words = {name.replace("_", "-"): value for name, value in asked.items()}
    request = urllib.request.Request(url, body, words)
    try:
        with urllib.request.urlopen(request, timeout=60) as found:
            return found.headers, found.read(), found.status
    except urllib.error.HTTPError as error:
        with error:
            return error.headers, error.read(), error.code


def test_a_real_host_sends_every_file_as_it_is(host: str, bundled: Path) -> None:
    for name in fetched(bundled):
        said, body, _ = ask(f"{host}{name}")

        assert said["content-encoding"] is None, name
        assert body == (bundled / name).read_bytes(), name


@pytest.mark.parametrize("accepted", ["gzip, deflate, br, zstd", "gzip"])
def test_a_real_host_sends_the_smallest_copy_that_a_browser_takes(
    accepted: str, host: str, bundled: Path, request: pytest.FixtureRequest
) -> None:
    import brotli

    undo = {"br": brotli.decompress, "gzip": gzip.decompress}
    without_brotli = request.node.callspec.params["host"][0] == "nginx"
    best = "br" if "br" in accepted and not without_brotli else "gzip"

    for name in fetched(bundled):
        said, body, _ = ask(f"{host}{name}", accept_encoding=accepted)

        there = (bundled / f"{name}.{'br' if best == 'br' else 'gz'}").is_file()
        assert said["content-encoding"] == (best if there else None), name
        if there:
            body = undo[best](body)
        assert body == (bundled / name).read_bytes(), name


def test_a_real_host_says_the_type_and_every_header_of_each_file(host: str, bundled: Path) -> None:
    names = ["", "no/such/file.js", *fetched(bundled)]
    for name in names:
        for accepted in ("identity", "gzip", "gzip, br"):
            said, _, status = ask(f"{host}{name}", accept_encoding=accepted)

            assert status == (404 if name.startswith("no/") else 200)
            assert {header: said.get_all(header) for header in HEADERS} == {
                header: [text] for header, text in HEADERS.items()
            }, name
            kind = kind_of(name or "index.html")
            if kind and status == 200:
                assert said.get_content_type() == kind, name
                # a module is UTF-8 whatever is said; of these a browser would have to guess it
                guessed = kind in ("text/html", "text/plain")
                assert said.get_content_charset() == "utf-8" or not guessed, name
            if (bundled / f"{name}.gz").is_file():  # whatever was sent, a cache must ask again
                assert "accept-encoding" in said.get("vary", "").lower(), name
            assert said["content-language"] is None, name  # .br is Breton to Apache
    assert {".html", ".js", ".mjs", ".wasm", ".zip", ".json", ".css", ".txt"} <= {
        Path(name).suffix for name in names
    }


def test_a_real_host_sends_nothing_twice(host: str) -> None:
    for accepted in ("identity", "gzip", "gzip, br"):
        first, _, _ = ask(f"{host}page.js", accept_encoding=accepted)
        tag = first["etag"]
        again, nothing, status = ask(f"{host}page.js", accept_encoding=accepted, if_none_match=tag)

        assert (status, nothing) == (304, b"")
        assert again["cache-control"] == "no-cache"


def test_a_real_host_says_when_it_takes_no_telemetry(host: str) -> None:
    _, _, status = ask(f"{host}{RECORDS}", b"{}")

    assert status in (404, 405, 501)  # of which the page makes a sentence for the visitor


@pytest.mark.parametrize("host", [(name, PATHS[1]) for name in HOSTS], ids=str, indirect=True)
def test_a_real_host_opens_the_page_without_a_complaint(
    host: str, launch: Launch, tmp_path: Path
) -> None:
    browser = launch("chromium", tmp_path / "profile")
    tab = browser.tab()
    assert isinstance(tab, ChromiumTab)

    tab.open(host)
    tab.page.get_by_role("button", name="Example 4", exact=True).click()

    tab.page.get_by_role("status").filter(has_text="3").wait_for()
    tab.evaluate("window.sanderling.ready")  # with Python
    tab.page.locator("#stage-offline.ready").wait_for()
    assert tab.evaluate("crossOriginIsolated") is True
    assert tab.complaints == []
    assert [url for url in tab.requests if not url.startswith((host, "data:", "blob:"))] == []
    browser.close()


def test_the_rest_of_a_site_keeps_its_types(bundled: Path) -> None:
    for name in HOSTS:
        with hosted(name, bundled, "/models/digits/") as address:
            said, _, status = ask(f"{address.removesuffix('models/digits/')}picture.png")

            assert status == 200
            assert said["content-security-policy"] is None, name


def fetched(bundled: Path) -> list[str]:
    """What a browser may ask of a host: the files of the bundle."""
    return list(json.loads((bundled / "bundle.json").read_text())["files"])
