"""The page Browser: what its commands say, and what it shows of a bundle."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from gui.widgets.command import Incomplete
from gui.window import Window

Settle = Callable[[Window], None]


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
    page.take_wheels(["/home/ada/mine-1.0-py3-none-any.whl"])
    page.after.setText("mine:named")
    page.collector.setText("https://collector.example")
    page.notice.setText("May we count?")
    assert page.command() == (
        *("bundle", "digits-web", site, "--accelerate"),
        *("--with", "/home/ada/mine-1.0-py3-none-any.whl", "--after", "mine:named"),
        *("--collector", "https://collector.example", "--notice", "May we count?"),
    )

    page.python.setChecked(False)  # its packages and its hook go with it
    words = page.command()
    assert "--lite" in words
    assert "--with" not in words
    assert "--after" not in words
    assert not page.add_wheel.isEnabled()

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
    assert page.shares.bar.amounts == [3_890_000, 1_990_000, 52_000, 98_000, 31_000]
    assert "61 files" in page.remark.text()


def test_the_bundle_is_served_and_opened(window: Window, settle: Settle, qtbot: QtBot) -> None:
    page: Any = window.page
    assert not page.open.isEnabled()

    QTest.mouseClick(page.serve.button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(page.open.isEnabled)
    assert page.serve.url == "http://127.0.0.1:7733/"

    QTest.mouseClick(page.serve.button, Qt.MouseButton.LeftButton)
    settle(window)
    assert not page.open.isEnabled()
