"""A host's new bundle is taken whole or not at all, and used once it has answered here."""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import pytest

from edge_targets.package import SigningKey
from tests.web.conftest import KEY, running
from tests.web.driving import BROWSERS, ChromiumTab, Driven, Tab, browsers
from tests.web.faulty import (
    KEPT,
    VERSION,
    Fault,
    Gate,
    Host,
    broken,
    digest_of,
    half,
    kept,
    lite,
    repacked,
    resigned,
    stalled,
    told,
)

STRANGER = SigningKey.from_seed(bytes(range(1, 33)))
CHANGED = "package/manifest.json"  # what two versions always differ in


@pytest.fixture(scope="module")
def versions(package: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Bundles by the name of their version."""
    folder = tmp_path_factory.mktemp("versions")
    made = {"old": lite(package, folder / "old")}
    for name, version, off in (("new", "b" * 12, 0.0), ("wrong", "c" * 12, 0.5)):
        other = repacked(package, folder / f"{name}.sndl", version, off)
        made[name] = lite(other, folder / name)
    return made


@dataclass
class Visitor:
    """A browser that keeps the old bundle, at a host that can do anything."""

    host: Host
    address: str
    browser: Driven
    tabs: list[Tab] = field(default_factory=list)

    def visit(self) -> Tab:
        """Leaves the page before, as most people do."""
        while self.tabs:
            self.tabs.pop().close()
        return self.another()

    def another(self, tab: Tab | None = None) -> Tab:
        tab = tab or self.browser.tab()
        self.tabs.append(tab)
        tab.open(f"{self.address}/")
        tab.evaluate("window.sanderling.first")
        return tab


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Driven]]:
    """Gives `opened(name)`, the one browser of that name."""
    with browsers() as launch:
        yield cache(lambda name: launch(name, tmp_path_factory.mktemp("profile")))


@pytest.fixture
def visitor(
    opened: Callable[[str], Driven], versions: dict[str, Path], request: pytest.FixtureRequest
) -> Iterator[Visitor]:
    """At a port of its own, and so without what other tests have stored."""
    host = Host(versions["old"])
    with running(host) as address:
        someone = Visitor(host, address, opened(getattr(request, "param", "chromium")))
        kept(someone.visit(), digest_of(versions["old"]))
        host.asked.clear()
        yield someone
        for tab in someone.tabs:
            tab.close()


@pytest.mark.parametrize("visitor", BROWSERS, indirect=True)
def test_a_new_bundle_is_tried_in_this_browser_and_starts_with_the_next_visit(
    visitor: Visitor, versions: dict[str, Path]
) -> None:
    visitor.host.offer(versions["new"])

    first = visitor.visit()
    found = kept(first, digest_of(versions["new"]))
    during = first.evaluate(VERSION)
    second = visitor.visit()

    assert during == "version 0123456789ab"
    assert second.evaluate(VERSION) == f"version {'b' * 12}"
    assert found["previous"] == digest_of(versions["old"])
    assert "package/model.onnx" not in visitor.host.asked  # it is the same: not fetched again
    assert not any(path.startswith(".trial") for path in visitor.host.asked)


def test_a_page_that_stays_open_looks_for_updates_every_hour(
    visitor: Visitor, versions: dict[str, Path]
) -> None:
    tab = visitor.browser.tab()
    assert isinstance(tab, ChromiumTab)
    tab.page.clock.install()
    visitor.another(tab)
    told(tab, "Kept offline")
    visitor.host.offer(versions["new"])

    tab.page.clock.fast_forward("01:00:01")

    assert "is new here" in told(tab, "Update there")


def test_a_bundle_that_answers_its_golden_inputs_otherwise_here_is_not_used(
    visitor: Visitor, versions: dict[str, Path]
) -> None:
    visitor.host.offer(versions["wrong"])

    words = told(visitor.visit(), "Update refused")

    assert "answers its golden inputs" in words
    tab = visitor.visit()
    assert tab.evaluate(VERSION) == "version 0123456789ab"
    assert tab.evaluate(KEPT)["active"] == digest_of(versions["old"])


def test_a_bundle_whose_python_does_not_start_here_is_not_used(
    visitor: Visitor, bundled: Path, tmp_path: Path
) -> None:
    shutil.copytree(bundled, tmp_path / "site")
    (tmp_path / "site" / "python" / "stdlib.zip").write_bytes(b"nothing that Python can read")
    visitor.host.offer(resigned(tmp_path / "site", KEY))

    words = told(visitor.visit(), "Update refused")

    assert words.startswith("An update was not taken: ")
    assert visitor.visit().evaluate(VERSION) == "version 0123456789ab"


def test_another_signer_a_damaged_file_and_a_changed_index_are_refused_in_words(
    visitor: Visitor, versions: dict[str, Path], tmp_path: Path
) -> None:
    def offered(name: str) -> Path:
        folder = tmp_path / name
        shutil.copytree(versions["new"], folder)
        visitor.host.offer(folder)
        return folder

    resigned(offered("stranger"), STRANGER)
    stranger = told(visitor.visit(), "Update refused")
    manifest = offered("damaged") / CHANGED
    manifest.write_text(manifest.read_text().replace("digits", "fidget"))
    damaged = told(visitor.visit(), "Update refused")
    index = offered("forged") / "bundle.json"
    index.write_text(index.read_text().replace("digits", "fidget"))
    forged = told(visitor.visit(), "Update refused")

    assert "signed with another key" in stranger
    assert damaged.startswith(f"{CHANGED} is not the file that was bundled")
    assert "not as it was signed" in forged
    assert visitor.visit().evaluate(KEPT)["active"] == digest_of(versions["old"])


def test_an_earlier_bundle_that_comes_back_is_taken_and_told(
    visitor: Visitor, versions: dict[str, Path]
) -> None:
    visitor.host.offer(versions["new"])
    kept(visitor.visit(), digest_of(versions["new"]))
    visitor.host.offer(versions["old"])

    words = told(visitor.visit(), "Update there")

    assert words.startswith("The host went back to an earlier version: digits 0123456789ab.")


@pytest.mark.parametrize("fault", [broken, half, stalled])
def test_a_host_that_fails_in_the_middle_costs_nothing(
    visitor: Visitor, versions: dict[str, Path], fault: Fault
) -> None:
    visitor.host.offer(versions["new"])
    visitor.host.faults[CHANGED] = fault

    tab = visitor.visit()
    words = told(tab, "Kept offline")
    held = tab.evaluate(KEPT)
    visitor.host.faults.clear()
    fetched = set(visitor.host.asked)
    visitor.host.asked.clear()
    after = kept(visitor.visit(), digest_of(versions["new"]))

    assert words.startswith(CHANGED)
    assert held["active"] == digest_of(versions["old"])
    assert after["active"] == digest_of(versions["new"])
    already = {
        path for path in fetched if path < CHANGED and not path.startswith(("bundle.", "sw"))
    }
    assert not already & set(visitor.host.asked)


def test_a_tab_closed_in_the_middle_of_an_update_costs_nothing(
    visitor: Visitor, versions: dict[str, Path]
) -> None:
    gate = Gate()
    visitor.host.offer(versions["new"])
    visitor.host.faults[CHANGED] = gate

    visitor.visit()
    assert gate.asked.wait(30)
    visitor.tabs.pop().close()
    gate.open.set()
    visitor.host.faults.clear()
    again = visitor.visit()

    assert again.evaluate(VERSION) == "version 0123456789ab"
    assert kept(again, digest_of(versions["new"]))["previous"] == digest_of(versions["old"])


def test_removing_the_offline_copy_waits_for_an_update_under_way(
    visitor: Visitor, versions: dict[str, Path]
) -> None:
    gate = Gate()
    tab = visitor.visit()
    told(tab, "Kept offline")
    visitor.host.offer(versions["new"])
    visitor.host.faults[CHANGED] = gate
    other = visitor.another()
    assert gate.asked.wait(30)

    tab.evaluate("document.querySelector('#about button').click()")
    gate.open.set()

    assert "is new here" in told(other, "Update there", "Update refused", "Not updated")
    told(tab, "Not kept offline")
    assert tab.evaluate("caches.keys()") == ["sanderling snapshots"]  # of all pages of a host


def test_tabs_that_are_opened_at_once_take_an_update_once(
    visitor: Visitor, versions: dict[str, Path]
) -> None:
    visitor.host.offer(versions["new"])

    for _ in range(3):
        visitor.another()
    words = [told(tab, "Update there", "Kept offline") for tab in visitor.tabs]

    assert kept(visitor.tabs[0])["active"] == digest_of(versions["new"])
    assert visitor.host.asked.count(CHANGED) == 1
    assert sum("is new here" in one for one in words) == 1


def test_a_page_that_is_open_during_an_update_goes_on_with_its_own_files(
    visitor: Visitor, versions: dict[str, Path]
) -> None:
    before = visitor.visit()
    visitor.host.offer(versions["new"])
    kept(visitor.another(), digest_of(versions["new"]))

    script = """async (path) => {
      const index = await (await fetch("bundle.json")).json();
      const old = %s;
      const raw = old.match(/../g).map((pair) => Number.parseInt(pair, 16));
      const integrity = `sha256-${btoa(String.fromCharCode(...raw))}`;
      const found = await fetch(path, { integrity });
      return (await found.json()).version;
    }"""
    manifest = hashlib.sha256((versions["old"] / CHANGED).read_bytes()).hexdigest()

    assert before.evaluate(script % json.dumps(manifest), CHANGED) == "0123456789ab"
