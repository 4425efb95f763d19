"""What is broken, full, forbidden or forged has its words, and the page goes on if it can."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.web.conftest import running
from tests.web.driving import BROWSERS, Chromium, ChromiumTab, Driven, Launch, Tab, browsers
from tests.web.faulty import (
    KEPT,
    VERSION,
    Fault,
    Gate,
    Host,
    broken,
    digest_of,
    half,
    in_another_time,
    kept,
    lite,
    repacked,
    told,
)
from tests.web.scripts import WAIT_MS
from toolkit.serving import bundle_app

MODEL = "package/model.onnx"
FAILURE = """async () => {
  const failed = await window.sanderling.first.then(() => "", (error) => error.message);
  return [failed, document.querySelector("#failure-message").textContent];
}"""
SPOIL = """async ([digest, path]) => {
  const scope = new URL(".", location.href);
  const cache = await caches.open(`sanderling ${scope.pathname} ${digest.slice(0, 16)}`);
  const address = new URL(path, scope).href;
  const headers = (await cache.match(address)).headers;
  await cache.put(address, new Response("decayed", { headers }));
}"""
HELD = """async ([digest, path]) => {
  const scope = new URL(".", location.href);
  const cache = await caches.open(`sanderling ${scope.pathname} ${digest.slice(0, 16)}`);
  return (await (await cache.match(new URL(path, scope).href)).arrayBuffer()).byteLength;
}"""


@pytest.fixture(scope="module")
def launch() -> Iterator[Launch]:
    with browsers() as one:
        yield one


@pytest.fixture(scope="module")
def opened(launch: Launch, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Driven]:
    """Gives `opened(name)`, the one browser of that name with nothing special about it."""
    return cache(lambda name: launch(name, tmp_path_factory.mktemp("profile")))


@pytest.fixture(scope="module")
def small(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lite(package, tmp_path_factory.mktemp("bundles") / "small")


@pytest.fixture(scope="module")
def newer(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundles")
    return lite(repacked(package, folder / "newer.sndl", "b" * 12), folder / "newer")


@pytest.fixture
def site(small: Path, tmp_path: Path) -> Path:
    """A copy that may be spoilt."""
    shutil.copytree(small, tmp_path / "site")
    return tmp_path / "site"


@pytest.fixture
def chromium_tab(opened: Callable[[str], Driven]) -> Iterator[ChromiumTab]:
    tab = opened("chromium").tab()
    assert isinstance(tab, ChromiumTab)
    yield tab
    tab.close()


def restart_service_worker(tab: ChromiumTab) -> None:
    """What a running one has read it does not read again."""
    session = tab.page.context.new_cdp_session(tab.page)
    session.send("ServiceWorker.enable")
    session.send("ServiceWorker.stopAllWorkers")


def forget_fetched(tab: ChromiumTab) -> None:
    """Of the browser's own cache, which would mend what has decayed in ours."""
    tab.page.context.new_cdp_session(tab.page).send("Network.clearBrowserCache")


@pytest.mark.parametrize("path", [MODEL, "page.js", "page.css", "worker.js", "bundle.json"])
def test_a_cache_entry_that_has_decayed_is_mended_from_the_host(
    chromium_tab: ChromiumTab, small: Path, path: str
) -> None:
    digest, tab = digest_of(small), chromium_tab
    with running(bundle_app(small)) as address:
        tab.open(f"{address}/")
        kept(tab, digest)
        tab.evaluate(SPOIL, [digest, path])
        restart_service_worker(tab)

        tab.open(f"{address}/")
        seen = tab.evaluate(VERSION)
        told(tab, "Kept offline")

        assert seen == "version 0123456789ab"
        assert tab.evaluate(HELD, [digest, path]) == (small / path).stat().st_size


def test_a_decayed_entry_without_a_host_has_readable_words(
    chromium_tab: ChromiumTab, small: Path
) -> None:
    digest, tab = digest_of(small), chromium_tab
    with running(bundle_app(small)) as address:
        tab.open(f"{address}/")
        kept(tab, digest)
    # only now: as long as there is a host, whatever asks for the file has it mended
    tab.evaluate(SPOIL, [digest, MODEL])
    forget_fetched(tab)
    tab.open(f"{address}/")
    failed, shown = tab.evaluate(FAILURE)

    assert shown == failed
    assert MODEL in failed


def test_a_bundle_that_cannot_be_mended_gives_way_to_the_hosts_new_one(
    chromium_tab: ChromiumTab, small: Path, newer: Path
) -> None:
    host, tab = Host(small), chromium_tab
    with running(host) as address:
        tab.open(f"{address}/")
        kept(tab, digest_of(small))
        host.offer(newer)
        forget_fetched(tab)
        tab.evaluate(SPOIL, [digest_of(small), "package/manifest.json"])

        tab.open(f"{address}/")
        tab.evaluate(FAILURE)
        tab.open(f"{address}/")

        assert tab.evaluate(VERSION) == f"version {'b' * 12}"
        kept(tab, digest_of(newer))


def test_a_disk_that_is_full_costs_the_offline_start_and_nothing_else(
    chromium_tab: ChromiumTab, small: Path
) -> None:
    tab = chromium_tab
    with running(bundle_app(small)) as address:
        session = tab.page.context.new_cdp_session(tab.page)
        session.send("Storage.overrideQuotaForOrigin", {"origin": address, "quotaSize": 200_000})
        tab.open(f"{address}/")
        words = told(tab, "Not kept offline")
        seen = tab.evaluate(VERSION)
        session.send("Storage.overrideQuotaForOrigin", {"origin": address})
        tab.open(f"{address}/")
        kept(tab, digest_of(small))

    assert "no room for another" in words
    assert seen == "version 0123456789ab"


@pytest.mark.parametrize("name", BROWSERS)
def test_a_browser_that_blocks_storage_gets_the_page_and_is_told(
    launch: Launch, small: Path, tmp_path: Path, name: str
) -> None:
    profile = tmp_path / "profile"
    (profile / "Default").mkdir(parents=True)
    blocked = {"profile": {"default_content_setting_values": {"cookies": 2}}}
    (profile / "Default" / "Preferences").write_text(json.dumps(blocked))
    browser = launch(name, profile, preferences={"network.cookie.cookieBehavior": 2})
    tab = browser.tab()
    with running(bundle_app(small)) as address:
        tab.open(f"{address}/")
        seen = tab.evaluate(VERSION)
        words = told(tab, "Not kept offline")
    browser.close()

    assert seen == "version 0123456789ab"
    assert words.startswith("The browser keeps nothing of this page")


def private_tab(browser: Driven) -> Tab:
    """Of a Firefox that has no other windows, or of a Chromium beside its usual ones."""
    if not isinstance(browser, Chromium):
        return browser.tab()
    assert browser.context.browser
    return ChromiumTab(browser.context.browser.new_context(), [], [])


@pytest.mark.parametrize("name", BROWSERS)
def test_a_private_window_keeps_the_page_as_long_as_it_is_open(
    launch: Launch, small: Path, tmp_path: Path, name: str
) -> None:
    private = {"browser.privatebrowsing.autostart": True}
    browser = launch(name, tmp_path / "profile", preferences=private)
    tab = private_tab(browser)
    with running(bundle_app(small)) as address:
        tab.open(f"{address}/")
        told(tab, "Kept offline")
    tab.open(f"{address}/")  # the host is gone

    assert tab.evaluate(VERSION) == "version 0123456789ab"
    browser.close()


@pytest.mark.parametrize("name", BROWSERS)
def test_an_address_that_is_not_secure_gets_the_page_and_is_told(
    launch: Launch, small: Path, tmp_path: Path, name: str
) -> None:
    flags = ("--host-resolver-rules=MAP digits.test 127.0.0.1",)
    preferences = {"network.dns.localDomains": "digits.test"}
    browser = launch(name, tmp_path / "profile", flags, preferences)
    tab = browser.tab()
    with running(bundle_app(small)) as address:
        tab.open(f"{address.replace('127.0.0.1', 'digits.test')}/")
        seen = tab.evaluate(VERSION)
        words = told(tab, "Not kept offline")
    browser.close()

    assert seen == "version 0123456789ab"
    assert words.startswith("This address is not secure")


@pytest.mark.parametrize(
    ("name", "year"),
    [
        ("chromium", 1971),
        ("chromium", 2100),
        ("firefox", 2100),
    ],  # its first start takes long in 1971
)
def test_a_browser_in_another_time_answers_keeps_the_page_and_takes_its_update(
    launch: Launch,
    small: Path,
    newer: Path,
    digits: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    year: int,
) -> None:
    programs = in_another_time(tmp_path, datetime(year, 7, 1, tzinfo=UTC) - datetime.now(UTC))
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    browser, host = launch(name, tmp_path / "profile"), Host(small)
    tab = browser.tab()
    with running(host) as address:
        tab.open(f"{address}/")
        kept(tab, digest_of(small))
        host.offer(newer)
        tab.open(f"{address}/")
        kept(tab, digest_of(newer))

    tab.open(f"{address}/")  # the host is gone
    image = {"image": {"shape": [1, 1, 8, 8], "data": digits.test[:1].reshape(-1).tolist()}}
    found: Any = tab.evaluate("words => window.sanderling.predict(words)", image)

    assert tab.evaluate("new Date().getFullYear()") == year  # the browser does believe it
    assert tab.evaluate(VERSION) == f"version {'b' * 12}"
    assert found["label"] == str(digits.answers(digits.test[:1]).argmax())
    browser.close()


FIRST = [  # what the first answer waits for
    ("chromium", "bundle.json"),
    ("chromium", MODEL),
    ("chromium", "engines/ort/ort-wasm-simd-threaded.wasm"),
    ("firefox", "bundle.json"),
    ("firefox", MODEL),
    ("firefox", "engines/ort/ort-wasm-simd-threaded.wasm"),
]


@pytest.mark.parametrize("fault", [broken, half])
@pytest.mark.parametrize(("name", "path"), FIRST)
def test_a_host_that_fails_once_at_a_first_visit_is_asked_again(
    opened: Callable[[str], Driven], small: Path, name: str, path: str, fault: Fault
) -> None:
    host, tab = Host(small), opened(name).tab()
    host.fail_once(path, fault)
    with running(host) as address:
        tab.open(f"{address}/")

        assert tab.evaluate(VERSION) == "version 0123456789ab"
        assert path not in host.faults
    tab.close()


@pytest.mark.parametrize("fault", [broken, half])
@pytest.mark.parametrize(("name", "path"), [*FIRST, ("chromium", "engines/ort.js")])
def test_a_host_that_goes_on_failing_at_a_first_visit_is_told_in_words(
    opened: Callable[[str], Driven], small: Path, name: str, path: str, fault: Fault
) -> None:
    host, tab = Host(small), opened(name).tab()
    host.faults[path] = fault
    with running(host) as address:
        tab.open(f"{address}/")
        failed, shown = tab.evaluate(FAILURE)
        hint = tab.evaluate("document.querySelector('#failure-hint').textContent")
    tab.close()

    assert failed == shown
    assert failed.startswith(f"{path} could not be fetched")
    assert hint.endswith(("running?", "later."))


def change(file: Path) -> None:
    """Another file of the same size, which does the same where its last byte is a space."""
    for pressed in file.parent.glob(f"{file.name}.*"):
        pressed.unlink()
    data = file.read_bytes()
    file.write_bytes(data[:-1] + (b" " if data.endswith(b"\n") else bytes([data[-1] ^ 1])))


@pytest.mark.parametrize(
    "path",
    [
        MODEL,
        "package/golden.json",
        "engines/ort.js",
        "engines/ort/ort-wasm-simd-threaded.wasm",
        "engines/ort/ort-wasm-simd-threaded.mjs",
        "worker.js",
        "chunks/*.js",  # the first of them
    ],
)
def test_a_tampered_model_or_program_of_the_worker_is_refused_by_name(
    chromium_tab: ChromiumTab, site: Path, path: str
) -> None:
    path = min(site.glob(path)).relative_to(site).as_posix()
    change(site / path)
    tab = chromium_tab
    with running(bundle_app(site)) as address:
        tab.open(f"{address}/")
        failed, shown = tab.evaluate(FAILURE)

    assert failed == shown
    assert failed.startswith(f"{path} is not the file that was bundled")


@pytest.mark.parametrize("path", ["index.html", "page.css", "licences.json"])
def test_a_tampered_file_that_the_model_does_not_need_is_named_and_not_kept(
    chromium_tab: ChromiumTab, site: Path, path: str
) -> None:
    change(site / path)
    with running(bundle_app(site)) as address:
        chromium_tab.open(f"{address}/")
        words = told(chromium_tab, "Not kept offline")

        assert words.startswith(f"{path} is not the file that was bundled")
        assert chromium_tab.evaluate(KEPT)["active"] == ""


def test_a_tampered_program_of_the_page_is_refused_by_the_browser_and_the_page_says_so(
    chromium_tab: ChromiumTab, site: Path
) -> None:
    change(site / "page.js")
    tab = chromium_tab
    with running(bundle_app(site)) as address:
        tab.open(f"{address}/")
        tab.page.locator("#refused").wait_for(state="visible", timeout=WAIT_MS)

        assert "not the" in tab.page.locator("#refused").inner_text()


@pytest.mark.parametrize(
    "path",
    [
        "python/stdlib.zip",
        "python/pyodide.asm.wasm",
        "python/python.js",
        "python/pyodide.mjs",
        "python/pyodide.asm.mjs",
    ],
)
def test_a_tampered_python_is_refused_by_name_and_the_page_answers_without(
    chromium_tab: ChromiumTab, bundled: Path, tmp_path: Path, path: str
) -> None:
    shutil.copytree(bundled, tmp_path / "site")
    change(tmp_path / "site" / path)
    tab = chromium_tab
    with running(bundle_app(tmp_path / "site")) as address:
        tab.open(f"{address}/")
        words = tab.evaluate("window.sanderling.ready.then(() => '', (error) => error.message)")
        one = {"image": {"shape": [1, 1, 8, 8], "data": [0.0] * 64}}
        found: Any = tab.evaluate("words => window.sanderling.predict(words)", one)

    assert f"{path} is not the file that was bundled" in words
    assert found["by"] == "page"


def test_a_tab_closed_while_the_first_visit_is_stored_costs_nothing(
    opened: Callable[[str], Driven], small: Path
) -> None:
    host, gate = Host(small), Gate()
    with running(host) as address:
        tab = opened("chromium").tab()
        tab.open(f"{address}/")
        tab.evaluate(VERSION)
        host.faults["licences/Apache-2.0.txt"] = gate  # of what only storing fetches
        assert gate.asked.wait(30)
        tab.close()
        gate.open.set()
        host.faults.clear()

        tab = opened("chromium").tab()
        tab.open(f"{address}/")
        kept(tab, digest_of(small))
        assert tab.evaluate(VERSION) == "version 0123456789ab"
        tab.close()
