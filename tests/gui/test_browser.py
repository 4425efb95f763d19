"""The page Browser: what its commands say, and what it shows of a bundle."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from PySide6.QtCore import QObject, Qt, QUrl, Slot
from PySide6.QtGui import QDesktopServices
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from edge_targets.bundling import WEB, bundle
from gui.session import PROGRAM
from gui.widgets.command import Incomplete
from gui.window import Window
from tests.web import kinds, packages
from toolkit.workspace import Workspace

Settle = Callable[..., None]
LIMIT_MS = 60_000  # a server is up in a second or two; a busy machine may take more


class Browsers(QObject):
    """What the operating system has for web addresses; it keeps what it is told to open."""

    def __init__(self) -> None:
        super().__init__()
        self.opened: list[str] = []

    @Slot(QUrl)
    def open(self, url: QUrl) -> None:
        self.opened.append(url.toString())


@pytest.fixture
def browsers() -> Iterator[Browsers]:
    made = Browsers()
    name: Any = "open"  # its type says bytes, which the call refuses
    QDesktopServices.setUrlHandler("http", made, name)
    yield made
    QDesktopServices.unsetUrlHandler("http")


@pytest.fixture
def window(open_window: Callable[..., Window], settle: Settle, workspace: Path) -> Window:
    made = open_window(workspace)
    made.visit("browser")
    settle(made)
    return made


def test_only_packages_for_the_browser_are_offered(window: Window, settle: Settle) -> None:
    page: Any = window.page
    assert [page.package.itemData(row) for row in range(page.package.count())] == ["digits-web"]

    page = window.visit("deploy")
    settle(window)
    assert [page.package.itemData(row) for row in range(page.package.count())] == ["digits-sim"]


def test_the_form_is_the_command(window: Window, workspace: Path) -> None:
    page: Any = window.page
    site = str(workspace / "site")
    assert page.command() == ("bundle", "digits-web", site)

    page.accelerate.setChecked(True)
    page.take_packages([("--with", "/home/ada/mine-1.0-py3-none-any.whl"), ("--build", "/ada/it")])
    page.after.setText("mine:named")
    page.collector.setText("https://collector.example")
    page.notice.setText("May we count?")
    assert page.command() == (
        *("bundle", "digits-web", site, "--accelerate"),
        *("--with", "/home/ada/mine-1.0-py3-none-any.whl", "--build", "/ada/it"),
        *("--after", "mine:named"),
        *("--collector", "https://collector.example", "--notice", "May we count?"),
    )

    page.python.setChecked(False)  # its packages and its hook go with it
    words = page.command()
    assert "--lite" in words
    assert not {"--with", "--build", "--after"} & set(words)
    assert not page.add_wheel.isEnabled()
    assert not page.add_folder.isEnabled()

    page.folder.clear()
    with pytest.raises(Incomplete, match="folder"):
        page.command()


def test_a_bundle_shows_where_its_bytes_go(window: Window, settle: Settle) -> None:
    page: Any = window.page
    assert page.empty.isVisible()

    QTest.mouseClick(page.main.button, Qt.MouseButton.LeftButton)
    settle(window)

    assert not page.empty.isVisible()
    assert page.total.text() == "6.1\u202fMB"
    assert page.shares.bar.amounts == [3_890_000, 1_990_000, 1_850_000, 98_000, 83_000]
    assert page.remark.text().startswith("on the way to a browser that stays with the first engine")
    assert "61 files" in page.remark.text()


def test_packages_are_named_and_taken_away(window: Window) -> None:
    page: Any = window.page
    assert not page.clear_packages.isVisible()

    page.take_packages([("--with", "/home/ada/mine-1.0-py3-none-any.whl"), ("--build", "/ada/it")])
    assert page.named_packages.text() == "mine-1.0-py3-none-any.whl, it"

    QTest.mouseClick(page.clear_packages, Qt.MouseButton.LeftButton)
    assert "--with" not in page.command()
    assert "--build" not in page.command()
    assert not page.clear_packages.isVisible()


def test_the_port_is_chosen_where_the_usual_one_is_taken(window: Window) -> None:
    page: Any = window.page
    assert "--port" not in page.serve_command()

    page.port.write(8099)

    assert page.serve_command()[-2:] == ("--port", "8099")
    assert "--port 8099" in page.serve.line.text


def test_the_bundle_is_served_and_opened(
    open_window: Callable[..., Window], settle: Settle, qtbot: QtBot, browsers: Browsers,
    tmp_path: Path,
) -> None:  # fmt: skip
    if not (WEB / "parts.json").is_file():
        pytest.skip("the browser files are not built: make web")
    root = Workspace.create(tmp_path / "my work").root
    asked = kinds.two_inputs(tmp_path / "sum.sndl")
    bundle(asked, root / "site", packages.KEY, [packages.KEY.public])
    window = open_window(root, PROGRAM)
    page: Any = window.visit("browser")
    settle(window, LIMIT_MS)
    page.port.write(0)  # another test may serve at the usual one
    assert not page.open.isEnabled()

    QTest.mouseClick(page.serve.button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(page.open.isEnabled, timeout=LIMIT_MS)
    QTest.mouseClick(page.open, Qt.MouseButton.LeftButton)

    [address] = browsers.opened
    assert address == page.serve.url
    assert page.serve.said.text().endswith(address)
    assert page.serve.said.width() > page.serve.width() * 0.9  # not squeezed beside the command
    with urlopen(address) as answer:
        assert answer.read() == (root / "site" / "index.html").read_bytes()

    QTest.mouseClick(page.serve.button, Qt.MouseButton.LeftButton)
    settle(window, LIMIT_MS)
    assert not page.open.isEnabled()
