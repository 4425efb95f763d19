"""The wizard for a memory card: nothing is written before all is said and the disk confirmed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtWidgets import QLineEdit
from pytestqt.qtbot import QtBot

from gui.panels.medium import FILE
from gui.window import Window

Open = Callable[..., Window]
Settle = Callable[[Window], None]


@pytest.fixture
def page(open_window: Open, settle: Settle, workspace: Path) -> Any:
    window = open_window(workspace)
    page: Any = window.visit("flash")
    settle(window)
    page.device.timezone.setText("Europe/Berlin")
    page.device.keyboard.setText("")
    page.network.country.setText("DE")
    return page


def test_the_disks_are_listed_with_what_is_on_them(page: Any) -> None:
    rows = page.medium.table.rows.rows

    assert [row["name"] for row in rows] == ["sdb", "sdc"]
    assert "bootfs" in page.medium.table.rows.columns[3].show(rows[0])


def test_each_step_says_what_is_missing_until_the_command_is_whole(page: Any) -> None:
    line = page.main.line

    def reason() -> str:
        assert not page.main.button.isEnabled()
        return str(page.main.button.toolTip())

    assert "Choose an image" in reason()
    page.image.setText("raspios.img.xz")
    assert "choose it" in reason()
    page.medium.table.select("sdc")
    assert "in use" in reason()
    page.medium.table.select("sdb")
    assert "Type sdb to confirm" in reason()
    page.medium.typed.setText("sda")
    assert "Type sdb to confirm" in reason()

    page.medium.typed.setText("sdb")
    assert line.text.split()[:4] == ["sanderling", "flash", "raspios.img.xz", "/dev/sdb"]
    assert "--yes sdb" in line.text
    page.device.package.choose("digits-sim")
    assert "name" in reason()
    page.device.name.setText("kitchen")
    page.device.target.choose("raspberry_pi_4")
    page.network.ssid.setText("Büro's net")
    page.network.country.clear()
    assert "country" in reason()
    page.network.country.setText("de")

    for words in (
        "--device kitchen --target raspberry_pi_4 --package digits-sim",
        "--country DE",
        "--timezone Europe/Berlin",
        """--wifi 'Büro'"'"'s net'""",
    ):
        assert words in line.text
    assert page.main.button.isEnabled()


def test_another_disk_is_confirmed_anew(page: Any) -> None:
    page.image.setText("raspios.img.xz")
    page.medium.table.select("sdb")
    page.medium.typed.setText("sdb")

    page.medium.table.select("sdc")
    page.medium.table.select("sdb")

    assert page.medium.typed.text() == ""
    assert not page.main.button.isEnabled()


def test_secrets_are_in_no_command_but_in_the_environment(page: Any) -> None:
    page.image.setText("raspios.img.xz")
    page.medium.kind.setCurrentIndex(FILE)
    page.medium.file.setText("kitchen.img")
    page.device.name.setText("kitchen")
    page.device.password.setText("open sesame")
    page.network.ssid.setText("home")
    page.network.passphrase.setText("let me in")

    assert "sesame" not in page.main.line.text
    assert "let me" not in page.main.line.text
    assert page.lent() == {
        "SANDERLING_PASSWORD": "open sesame",
        "SANDERLING_WIFI_PASSPHRASE": "let me in",
    }
    for secret in (page.device.password, page.network.passphrase):
        assert secret.echoMode() is QLineEdit.EchoMode.Password


def test_an_image_without_a_device_takes_no_network_with_it(page: Any) -> None:
    page.image.setText("linux.img")
    page.medium.kind.setCurrentIndex(FILE)
    page.medium.file.setText("copy.img")
    page.network.ssid.setText("home")

    assert "--wifi" not in page.main.line.text
    assert page.lent() == {}


def test_what_was_written_is_told_and_the_next_card_is_confirmed_anew(
    qtbot: QtBot, page: Any, settle: Settle
) -> None:
    page.image.setText("raspios.img.xz")
    page.medium.table.select("sdb")
    page.medium.typed.setText("sdb")
    page.device.name.setText("kitchen")

    page.main.trigger()
    settle(page.window())

    assert page.result.isVisible()
    words = [text.text() for text in page.notes.findChildren(type(page.medium.warning))]
    assert any("written to sdb, and read back" in text for text in words)
    assert any("SHA-256" in text for text in words)
    assert any("makes the board kitchen" in text for text in words)
    assert page.medium.typed.text() == ""
