"""Telemetry where things go wrong: collectors, disks, clocks, and two tabs at once."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.web.collecting import (
    Collector,
    agree,
    bundle_for,
    flush,
    predict,
    ready,
    until_sent,
    waiting,
)
from tests.web.conftest import KEY
from tests.web.driving import BROWSERS, ChromiumTab, Launch, browsers
from tests.web.scripts import WAIT_MS
from toolkit.telemetry import receiver
from toolkit.telemetry.allowance import Allowance
from toolkit.telemetry.checks import moment
from toolkit.workspace import Workspace

Serving = Callable[..., str]


@pytest.fixture
def launch() -> Iterator[Launch]:
    with browsers() as launch:
        yield launch


@pytest.fixture
def collector(tmp_path: Path) -> Iterator[Collector]:
    made = Collector(Workspace.create(tmp_path / "ws"))
    yield made
    made.down()


@pytest.fixture
def site(collector: Collector, package: Path, web: Path, tmp_path: Path, serving: Serving) -> str:
    return serving(bundle_for(collector, package, tmp_path / "site", KEY))


@pytest.mark.parametrize("browser", BROWSERS)
def test_records_survive_a_collector_that_is_away_and_a_restart_of_the_browser(
    browser: str, launch: Launch, site: str, collector: Collector, digits: Any, tmp_path: Path
) -> None:
    first = launch(browser, tmp_path / "profile")
    tab = first.tab()
    ready(tab, site)
    agree(tab)
    predict(tab, digits.test[:5])
    assert flush(tab) == {"sent": 0, "left": 1}
    first.close()

    second = launch(browser, tmp_path / "profile")
    tab = second.tab()
    ready(tab, site)  # the yes is remembered
    predict(tab, digits.test[5:12])
    assert flush(tab) == {"sent": 0, "left": 2}
    collector.up()
    ready(tab, site)
    until_sent(tab, 0)

    [name] = collector.store.devices("digits")
    assert waiting(tab) == []
    assert collector.store.count() == 2
    assert collector.store.profiles("digits")[name].samples == 12
    second.close()


@pytest.mark.parametrize("browser", BROWSERS)
def test_two_tabs_at_once_send_each_record_once(
    browser: str, launch: Launch, site: str, collector: Collector, digits: Any, tmp_path: Path
) -> None:
    driven = launch(browser, tmp_path / "profile")
    tabs = [driven.tab(), driven.tab()]
    for tab in tabs:
        ready(tab, site)
        agree(tab)
        predict(tab, digits.test[:5])
        flush(tab)
    assert len(waiting(tabs[0]) or []) == 2  # in one outbox
    collector.up()

    collector.gate.clear()
    tabs[0].evaluate("() => { window.first = window.sanderling.flush(); }")
    assert collector.held.wait(WAIT_MS / 1000)
    meanwhile = flush(tabs[1])
    collector.gate.set()

    assert meanwhile == {"sent": 0, "left": 2}
    assert tabs[0].evaluate("window.first") == {"sent": 2, "left": 0}
    assert len(collector.ids) == len(set(collector.ids)) == 2
    assert collector.store.count() == 2


def test_a_record_that_was_received_but_not_acknowledged_is_kept_once(
    launch: Launch, site: str, collector: Collector, digits: Any, tmp_path: Path
) -> None:
    tab = launch("chromium", tmp_path / "profile").tab()
    collector.up()
    ready(tab, site)
    agree(tab)
    predict(tab, digits.test[:5])
    collector.mute = True
    assert flush(tab) == {"sent": 0, "left": 1}

    collector.mute = False
    assert flush(tab) == {"sent": 1, "left": 0}

    assert len(collector.ids) == 2  # it came twice, and is there once
    assert collector.store.count() == 1


def test_a_page_that_is_told_to_wait_waits(
    launch: Launch,
    package: Path,
    web: Path,
    serving: Serving,
    digits: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # one message of any size, and the next after 200 s
    monkeypatch.setattr(receiver, "Allowance", partial(Allowance, burst=2000, refill=10))
    collector = Collector(Workspace.create(tmp_path / "ws"))
    site = serving(bundle_for(collector, package, tmp_path / "site", KEY))
    collector.up()
    tab = launch("chromium", tmp_path / "profile").tab()
    ready(tab, site)
    agree(tab)

    found = []
    for _ in range(3):
        predict(tab, digits.test[:5])
        found.append(flush(tab))

    assert found == [{"sent": 1, "left": 0}, {"sent": 0, "left": 1}, {"sent": 0, "left": 2}]
    assert len(collector.heard) == 2  # the third was not even tried
    collector.down()


def denied(profile: Path) -> None:
    """A profile in which no site may keep anything."""
    (profile / "Default").mkdir(parents=True)
    settings = '{"profile": {"default_content_setting_values": {"cookies": 2}}}'
    (profile / "Default" / "Preferences").write_text(settings)


def test_where_storage_is_denied_memory_is_used(
    launch: Launch, site: str, collector: Collector, digits: Any, tmp_path: Path
) -> None:
    denied(tmp_path / "profile")
    tab = launch("chromium", tmp_path / "profile").tab()
    ready(tab, site)
    assert tab.evaluate("(() => { try { localStorage; } catch { return true; } })()") is True
    agree(tab)
    predict(tab, digits.test[:5])
    assert flush(tab) == {"sent": 0, "left": 1}

    collector.up()

    assert flush(tab) == {"sent": 1, "left": 0}
    assert collector.store.count() == 1


def test_on_a_full_disk_the_oldest_give_way_and_are_counted(
    launch: Launch, site: str, collector: Collector, digits: Any, tmp_path: Path
) -> None:
    first = launch("chromium", tmp_path / "profile")
    tab = first.tab()
    ready(tab, site)
    agree(tab)
    for items in range(1, 4):
        predict(tab, digits.test[:items])
        flush(tab)
    assert len(waiting(tab) or []) == 3
    first.close()  # a running Chromium remembers for half a minute how much room there was

    tab = launch("chromium", tmp_path / "profile").tab()
    assert isinstance(tab, ChromiumTab)
    devtools = tab.page.context.new_cdp_session(tab.page)
    quota = {"origin": site.rstrip("/"), "quotaSize": 1}
    ready(tab, site)
    devtools.send("Storage.overrideQuotaForOrigin", quota)
    predict(tab, digits.test[:7])
    assert flush(tab)["left"] == 1
    collector.up()
    until_sent(tab, 1)

    [record] = [record for heard in collector.heard for record in heard.records]
    assert (record["samples"], record["dropped"]) == (7, 3)


AHEAD = timedelta(days=1000)


@pytest.fixture
def another_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[timedelta], None]:
    """Gives `another_time(ahead)`: for the browsers launched afterwards it is so much later."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler")
    library, source = tmp_path / "calendar.so", Path(__file__).with_name("calendar.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)

    def set_ahead(ahead: timedelta) -> None:
        monkeypatch.setenv("LD_PRELOAD", str(library))
        monkeypatch.setenv("CALENDAR_AHEAD_S", str(int(ahead.total_seconds())))

    return set_ahead


def test_a_wrong_clock_spoils_no_window_of_drift(
    another_time: Callable[[timedelta], None],
    collector: Collector,
    site: str,
    digits: Any,
    tmp_path: Path,
) -> None:
    collector.up()
    began = datetime.now(UTC)
    another_time(AHEAD)
    with browsers() as launch:
        tab = launch("chromium", tmp_path / "profile").tab()
        ready(tab, site)
        there = datetime.fromtimestamp(tab.evaluate("Date.now()") / 1000, UTC)
        agree(tab)
        predict(tab, digits.test[:9])
        assert flush(tab) == {"sent": 1, "left": 0}

    assert abs(there - began - AHEAD) < timedelta(hours=1)  # the browser does believe it
    [[record]] = [heard.records for heard in collector.heard]
    assert abs(moment(record["ended"]) - there) < timedelta(hours=1)
    [window] = collector.store.windows("digits")
    assert began <= moment(window.ended) <= datetime.now(UTC)
