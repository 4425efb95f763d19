"""The page Devices, with a program that plays the toolkit."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from gui.widgets.text import Elided
from gui.window import Window

Open = Callable[..., Window]
Settle = Callable[..., None]


@pytest.fixture
def page(open_window: Open, settle: Settle, workspace: Path) -> Any:
    window = open_window(workspace)
    found: Any = window.visit("devices")
    settle(window)
    found.settle = lambda: settle(window)
    return found


def press(page: Any, button: Any) -> None:
    QTest.mouseClick(button, Qt.MouseButton.LeftButton)
    page.settle()
    assert not page.banner.isVisible(), page.banner.accessibleName()


def test_the_first_device_is_shown_with_what_it_serves(page: Any) -> None:
    assert page.panel.device == "porch"
    assert [row["name"] for row in page.panel.models.rows.rows] == ["digits", "street"]
    shown = page.panel.models.rows
    assert shown.data(shown.index(1, 4)) == "On trial, 42 s"
    told = " ".join(label.accessibleName() for label in page.panel.facts.findChildren(Elided))
    assert "Slowed by: under-voltage" in told
    assert "Temperature: 61" in told


def test_a_password_is_lent_to_the_command_and_never_shown_in_it(page: Any) -> None:
    page.more.setChecked(True)
    page.adding.name.setText("kitchen")
    page.adding.address.setText("pi@kitchen.local")
    page.adding.password.setText("raspberry")
    told: list[Any] = []
    page.adding._then = told.append

    shown = page.adding.action.line.text
    press(page, page.adding.action.button)

    assert "raspberry" not in shown
    assert shown.startswith("sanderling device add kitchen pi@kitchen.local")
    assert told[0]["reason"] == "raspberry"
    assert page.adding.password.text() == ""


def test_the_next_command_knows_the_password_no_more(page: Any) -> None:
    page.more.setChecked(True)
    told: list[Any] = []
    page.adding._then = told.append
    for password in ("raspberry", ""):
        page.adding.name.setText("kitchen")
        page.adding.address.setText("pi@kitchen.local")
        page.adding.password.setText(password)
        press(page, page.adding.action.button)

    assert [answer["reason"] for answer in told] == ["raspberry", ""]


def test_a_model_is_timed_rolled_back_and_the_log_is_read(page: Any) -> None:
    panel = page.panel
    panel.package.choose("digits-sim")

    press(page, panel.bench.button)
    assert panel.told.text().startswith("digits-sim: 1.9")

    panel.served.choose("digits")
    press(page, panel.rollback.button)
    assert panel.told.text() == "digits is version 0 again."

    press(page, panel.read)
    assert panel.log.toPlainText().startswith("INFO slot a")


def test_without_a_repository_nothing_is_followed(page: Any) -> None:
    assert not page.panel.follow.button.isEnabled()

    page.panel.repository.setText("http://fleet.example/repository")

    assert page.panel.follow.button.isEnabled()
    assert "--channel stable --every 1h" in page.panel.follow.line.text


def test_what_came_of_following_and_of_the_last_look_is_told(page: Any) -> None:
    page.panel._followed({"device": "porch", "note": "It looks for no updates from now on."})
    assert page.panel.told.text() == "It looks for no updates from now on."
    page.panel._followed({"repository": "http://fleet.example", "channel": "beta", "note": ""})
    assert page.panel.told.text() == "It follows beta of http://fleet.example."

    page.panel.show_device({"state": "ready", "last_look": "nothing newer"})

    told = " ".join(label.accessibleName() for label in page.panel.facts.findChildren(Elided))
    assert "Last look for one: nothing newer" in told


def test_what_has_no_version_before_is_not_rolled_back(page: Any) -> None:
    page.panel.served.choose("street")

    assert not page.panel.rollback.button.isEnabled()
    assert page.panel.rollback.button.toolTip() == "It keeps no version before this one."
