"""How large a record of very many features may be, from a real browser to the real collector."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from edge_targets.runtime.contract import Signature, TensorSpec
from tests.web import pages
from tests.web.collecting import Collector, agree, flush, options_for, ready, waiting
from tests.web.driving import Launch, Tab, browsers
from toolkit.workspace import Workspace

Serving = Callable[..., str]
Opening = Callable[[int], Tab]


@pytest.fixture(scope="module")
def launch() -> Iterator[Launch]:
    with browsers() as launch:
        yield launch


@pytest.fixture
def collector(tmp_path: Path) -> Iterator[Collector]:
    made = Collector(Workspace.create(tmp_path / "ws"))
    made.up()
    yield made
    made.down()


@pytest.fixture
def opening(
    collector: Collector,
    web: Path,
    launch: Launch,
    tmp_path: Path,
    serving: Serving,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Opening]:
    """Gives `opening(columns)`: the page of a table so wide, which has answered a few rows."""
    browser = launch("chromium", tmp_path / "profile")

    def opened(columns: int) -> Tab:
        names = tuple(f"column {index}" for index in range(columns))
        draw = np.random.default_rng(5)
        row, score = TensorSpec("row", (-1, columns), columns=names), TensorSpec("score", (-1, 1))
        made = pages.Made(
            Signature((row,), (score,)),
            draw.normal(size=(60, columns)).astype(np.float32),
            draw.normal(size=(columns, 1)).astype(np.float32),
            np.zeros(1, np.float32),
        )
        monkeypatch.setitem(pages.KINDS, "wide", lambda: made)
        site = serving(pages.bundled("wide", tmp_path, options_for(collector, "wide")))
        tab = browser.tab()
        ready(tab, site)
        agree(tab)
        ask(tab, columns)
        return tab

    yield opened
    browser.close()


def ask(tab: Tab, columns: int, rows: int = 20) -> None:
    words = {"row": {"shape": [rows, columns], "data": [0.25] * (rows * columns)}}
    tab.evaluate("words => window.sanderling.predict(words)", words)


def test_a_record_beyond_what_may_outlive_a_page_arrives_too(
    opening: Opening, collector: Collector
) -> None:
    tab = opening(1000)

    assert flush(tab) == {"sent": 1, "left": 0}

    [heard] = collector.heard
    assert len(heard.wire) > 65536
    assert collector.store.count() == 1
    assert tab.complaints == []


def test_a_record_beyond_what_the_collector_takes_is_left_out_in_words(
    opening: Opening, collector: Collector
) -> None:
    tab = opening(2000)

    told = flush(tab)
    ask(tab, 2000, rows=100)  # a longer record: its counts have three digits
    again = flush(tab)

    words = "A record of so many features is more than the collector takes."
    assert told == again == {"sent": 0, "left": 0, "why": words}
    assert waiting(tab) == []
    assert len(collector.heard) == 1  # the second is not carried there in vain
    assert words in tab.evaluate("document.getElementById('sent').textContent")
