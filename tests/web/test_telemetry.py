"""Telemetry from real browsers to the real collector: after a yes, profiles only, each once."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_targets.runtime.contract import Signature, TensorSpec
from tests.web import pages
from tests.web.collecting import (
    Collector,
    agree,
    bundle_for,
    flush,
    options_for,
    predict,
    ready,
    waiting,
)
from tests.web.conftest import KEY
from tests.web.driving import ChromiumTab, Driven, Launch, Tab, browsers
from toolkit.telemetry.tokens import remove
from toolkit.workspace import Workspace

Serving = Callable[..., str]


@pytest.fixture(scope="module")
def launch() -> Iterator[Launch]:
    with browsers() as launch:
        yield launch


@pytest.fixture(scope="module")
def chromium_of(launch: Launch, tmp_path_factory: pytest.TempPathFactory) -> Driven:
    return launch("chromium", tmp_path_factory.mktemp("profile"))


@pytest.fixture
def collector(tmp_path: Path) -> Iterator[Collector]:
    made = Collector(Workspace.create(tmp_path / "ws"))
    yield made
    made.down()


@pytest.fixture
def site(collector: Collector, package: Path, web: Path, tmp_path: Path, serving: Serving) -> str:
    """A bundle whose collector is another host; each test has an origin of its own."""
    return serving(bundle_for(collector, package, tmp_path / "site", KEY))


@pytest.fixture
def tab(chromium_of: Driven) -> Iterator[Tab]:
    made = chromium_of.tab()
    yield made
    made.close()


def test_a_page_elsewhere_sends_with_its_token(
    tab: Tab, site: str, collector: Collector, digits: Any
) -> None:
    collector.up()
    ready(tab, site)
    agree(tab)
    predict(tab, digits.test[:120])
    predict(tab, digits.test[120:130])

    assert flush(tab) == {"sent": 1, "left": 0}

    [heard] = collector.heard
    assert heard.headers["origin"] == site.rstrip("/")
    assert heard.headers["authorization"].startswith("Bearer ")
    assert not heard.headers.keys() & {"cookie", "referer"}
    [name] = collector.store.devices("digits")
    assert re.fullmatch("browser-[0-9a-f]+", name)
    assert collector.store.profiles("digits")[name].samples == 130
    assert tab.complaints == []


def test_nothing_is_counted_kept_or_sent_before_a_yes(
    tab: Tab, site: str, collector: Collector, digits: Any
) -> None:
    collector.up()
    ready(tab, site)

    predict(tab, digits.test[:50])

    assert flush(tab) == {"sent": 0, "left": 0}
    assert waiting(tab) is None  # not even an empty outbox
    assert tab.evaluate("localStorage.getItem(`sanderling device ${location.pathname}`)") is None
    assert collector.heard == []
    agree(tab)
    assert flush(tab) == {"sent": 0, "left": 0}  # what came before is not counted afterwards
    assert not any(collector.url in url for url in tab.requests)


def test_a_yes_taken_back_empties_the_outbox(
    tab: Tab, site: str, collector: Collector, digits: Any
) -> None:
    ready(tab, site)
    agree(tab)
    predict(tab, digits.test[:5])
    assert flush(tab) == {"sent": 0, "left": 1}
    assert len(waiting(tab) or []) == 1
    predict(tab, digits.test[:5])

    agree(tab, yes=False)
    predict(tab, digits.test[:5])
    assert flush(tab) == {"sent": 0, "left": 0}

    assert waiting(tab) == []
    collector.up()
    agree(tab)
    assert flush(tab) == {"sent": 0, "left": 0}
    assert collector.heard == []


def test_a_page_whose_token_was_taken_back_says_so_and_keeps_its_records(
    tab: Tab, site: str, collector: Collector, digits: Any
) -> None:
    collector.up()
    remove(collector.shelves, "digits-browser")
    ready(tab, site)
    agree(tab)
    predict(tab, digits.test[:5])

    assert flush(tab) == {
        "sent": 0,
        "left": 1,
        "why": "The collector takes no records from this page.",
    }
    assert "takes no records" in tab.evaluate("document.getElementById('sent').textContent")


NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")


def numbers(text: str) -> set[float]:
    return {float(found) for found in NUMBER.findall(text)}


def test_no_value_of_an_input_leaves_the_browser(
    tab: Tab, site: str, collector: Collector, digits: Any
) -> None:
    collector.up()
    ready(tab, site)
    agree(tab)
    draw = np.random.default_rng(3)
    # the worst case is a window of one picture, and a picture of one value: its sketch would be it;
    # nothing of it is a whole number, which the digits of a random id may happen to make
    pictures = [np.full((1, 1, 8, 8), 7.3127, np.float32)]
    pictures += [draw.uniform(0, 16, (1, 1, 8, 8)).astype(np.float32) for _ in range(3)]

    for picture in pictures:
        predict(tab, picture)
        assert flush(tab)["sent"] == 1

    inputs = np.concatenate(pictures).astype(np.float64)
    told = {round(value, 9) for heard in collector.heard for value in numbers(heard.text)}
    seen = {round(value, 9) for value in inputs.reshape(-1)}
    sums = {round(float(found), 9) for found in [*inputs.sum((1, 2, 3)), *inputs.mean((1, 2, 3))]}
    squares = {round(float(found), 9) for found in (inputs**2).sum((1, 2, 3))}
    assert len(collector.heard) == 4
    assert told & (seen | sums | squares) == set()
    profile = json.loads(tab.evaluate("fetch('package/profile.json').then(a => a.text())"))
    for heard in collector.heard:
        for name, sketch in heard.records[0]["sketches"].items():
            edges = profile["sketches"][name]["edges"]
            assert sketch["edges"] == edges
            assert {sketch["minimum"], sketch["maximum"]} <= set(edges)


def test_a_record_of_very_many_features_goes_out_packed(
    tab: Tab,
    collector: Collector,
    web: Path,
    tmp_path: Path,
    serving: Serving,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    columns = tuple(f"column {index}" for index in range(300))
    draw = np.random.default_rng(5)
    output = TensorSpec("score", (-1, 1))
    made = pages.Made(
        Signature((TensorSpec("row", (-1, 300), columns=columns),), (output,)),
        draw.normal(size=(60, 300)).astype(np.float32),
        draw.normal(size=(300, 1)).astype(np.float32),
        np.zeros(1, np.float32),
    )
    monkeypatch.setitem(pages.KINDS, "wide", lambda: made)
    site = serving(pages.bundled("wide", tmp_path, options_for(collector, "wide")))
    collector.up()
    ready(tab, site)
    agree(tab)
    words = {"row": {"shape": [60, 300], "data": made.items.reshape(-1).tolist()}}
    tab.evaluate("words => window.sanderling.predict(words)", words)

    assert flush(tab) == {"sent": 1, "left": 0}

    [heard] = collector.heard
    assert heard.headers["content-encoding"] == "gzip"
    assert len(heard.wire) < 60_000 < len(heard.text)
    [profile] = collector.store.profiles("wide").values()
    assert profile.samples == 60
    assert set(columns) <= profile.sketches.keys()


def test_what_a_visitor_says_is_counted_after_a_yes(
    tab: Tab, site: str, collector: Collector, digits: Any
) -> None:
    assert isinstance(tab, ChromiumTab)
    collector.up()
    ready(tab, site)

    def say(actual: str) -> None:
        tab.page.get_by_role("button", name="Wrong?").click()
        tab.page.get_by_label("It is").select_option(actual)
        tab.page.get_by_role("button", name="Keep").click()

    tab.page.get_by_role("button", name="Example 4", exact=True).click()
    tab.page.get_by_role("status").filter(has_text="3").wait_for()
    say("8")
    agree(tab)
    say("5")
    say("5")

    assert flush(tab)["sent"] == 1

    [record] = [record for heard in collector.heard for record in heard.records]
    assert record["confusions"] == {"3": {"5": 2}}
    assert collector.store.feedback("digits").sentence == (
        "1 visitor said 2 of 2 answers were wrong: 3 is 5 (2 times)."
    )


def test_a_no_in_one_tab_is_one_in_all(
    chromium_of: Driven, tab: Tab, site: str, collector: Collector, digits: Any
) -> None:
    other = chromium_of.tab()
    for one in (tab, other):
        ready(one, site)
        agree(one)
    predict(other, digits.test[:5])
    flush(other)
    assert len(waiting(tab) or []) == 1

    agree(tab, yes=False)

    script = """async () => {
      const box = document.getElementById("consent");
      while (box.checked) await new Promise((resolve) => setTimeout(resolve, 20));
    }"""
    other.evaluate(script)
    predict(other, digits.test[:5])
    assert flush(other) == {"sent": 0, "left": 0}
    assert waiting(tab) == []
    other.close()
