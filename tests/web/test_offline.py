"""What a browser has opened once it opens again without its host."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.edge_targets.tiny import wait_until
from tests.web.conftest import running
from tests.web.driving import BROWSERS, Launch, browsers
from tests.web.faulty import VERSION, Host, digest_of, kept, lite, repacked, told
from tests.web.hosts import plain_host
from toolkit.serving import bundle_app

PREDICT = "words => window.sanderling.predict(words)"


@pytest.fixture(scope="module")
def launch() -> Iterator[Launch]:
    with browsers() as one:
        yield one


def words_of(images: Any) -> dict[str, Any]:
    return {"image": {"shape": list(images.shape), "data": images.reshape(-1).tolist()}}


@pytest.mark.parametrize("name", BROWSERS)
def test_a_page_answers_after_its_server_was_killed_and_the_browser_restarted(
    name: str, launch: Launch, bundled: Path, digits: Any, tmp_path: Path
) -> None:
    expected = digits.answers(digits.test[:100])
    with running(bundle_app(bundled)) as address:
        browser = launch(name, tmp_path / "profile")
        tab = browser.tab()
        tab.open(f"{address}/")
        kept(tab, digest_of(bundled))
        browser.close()

    browser = launch(name, tmp_path / "profile")
    tab = browser.tab()
    tab.open(f"{address}/")
    tab.evaluate("window.sanderling.ready")
    found = tab.evaluate(PREDICT, words_of(digits.test[:100]))

    assert found["by"] == "python"
    labels = [int(answer["label"]) for answer in found["answers"]]
    assert labels == expected.argmax(axis=1).tolist()
    shares = np.asarray(found["outputs"]["probabilities"]["data"]).reshape(100, 10)
    assert np.abs(shares - expected).max() <= 1e-6
    assert tab.complaints == []
    browser.close()


@pytest.mark.parametrize("name", BROWSERS)
def test_a_host_without_our_headers_gets_an_isolated_page_from_the_second_visit(
    name: str, launch: Launch, package: Path, tmp_path: Path
) -> None:
    lite(package, tmp_path / "site" / "models" / "digits")
    with plain_host(tmp_path / "site") as address:
        browser = launch(name, tmp_path / "profile")
        tab = browser.tab()
        tab.open(f"{address}/models/digits/")
        before = tab.evaluate("crossOriginIsolated")
        kept(tab)

        tab.open(f"{address}/models/digits/")
        tab.evaluate("window.sanderling.ready")

        assert [before, tab.evaluate("crossOriginIsolated")] == [False, True]
    browser.close()


def test_bundles_of_one_host_do_not_mix_not_even_one_inside_the_other(
    launch: Launch, package: Path, tmp_path: Path
) -> None:
    inner = repacked(package, tmp_path / "inner.sndl", "bbbbbbbbbbbb")
    lite(package, tmp_path / "site")
    lite(inner, tmp_path / "site" / "inner")
    browser = launch("chromium", tmp_path / "profile")
    tab = browser.tab()
    with plain_host(tmp_path / "site") as address:
        for path in ("", "inner/"):
            tab.open(f"{address}/{path}")
            kept(tab)

    seen = []
    for path in ("", "inner/"):
        tab.open(f"{address}/{path}")
        seen.append(tab.evaluate(VERSION))

    assert seen == ["version 0123456789ab", "version bbbbbbbbbbbb"]
    browser.close()


def test_the_offline_copy_can_be_taken_away_by_hand(
    launch: Launch, bundled: Path, tmp_path: Path
) -> None:
    heaps = "(async () => (await (await caches.open('sanderling snapshots')).keys()).length)()"
    browser = launch("chromium", tmp_path / "profile")
    tab = browser.tab()
    with plain_host(bundled) as address:
        tab.open(f"{address}/")
        kept(tab)
        told(tab, "Kept offline")
        wait_until(lambda: tab.evaluate(heaps) == 1)

        tab.evaluate("document.querySelector('#about button').click()")

        assert "the next visit keeps one again" in told(tab, "Not kept offline")
        assert tab.evaluate("caches.keys()") == ["sanderling snapshots"]
        assert tab.evaluate(heaps) == 0
        assert tab.evaluate("document.querySelector('#about button')?.checkVisibility()") is False
    browser.close()


def test_the_service_worker_comes_last(launch: Launch, bundled: Path, tmp_path: Path) -> None:
    host = Host(bundled)
    with running(host) as address:
        browser = launch("chromium", tmp_path / "profile")
        tab = browser.tab()
        tab.open(f"{address}/")
        kept(tab)
        browser.close()

    needed = {"package/model.onnx", "python/pyodide.asm.wasm", "python/stdlib.zip"}
    assert needed <= set(host.asked[: host.asked.index("sw.js")])
