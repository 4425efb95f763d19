"""The window as a person meets it: pages, keys, theme, commands, problems."""

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import QSettings, Qt
from PySide6.QtGui import QGuiApplication, QImage
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QAbstractButton, QAbstractSpinBox, QComboBox, QLineEdit, QWidget
from pytestqt.qtbot import QtBot

from gui import theme
from gui.pages import pages
from gui.runner import Runner
from gui.session import Session
from gui.widgets.command import Action
from gui.window import Window

Open = Callable[..., Window]
Settle = Callable[[Window], None]


def colours(image: QImage) -> set[int]:
    return {
        image.pixel(x, y) for x in range(0, image.width(), 7) for y in range(0, image.height(), 7)
    }


@pytest.mark.parametrize("look", ["light", "dark"])
@pytest.mark.parametrize("name", pages.names())
def test_every_page_opens_and_paints(
    open_window: Open, settle: Settle, workspace: Path, name: str, look: Any
) -> None:
    window = open_window(workspace)
    window.set_theme(look)
    page: Any = window.visit(name)
    settle(window)

    image = page.grab().toImage()

    background = int(theme.resolve(look).background.removeprefix("#"), 16) | 0xFF000000
    found = colours(image)
    assert background in found
    assert len(found) > 8
    assert not page.banner.isVisible()


@pytest.mark.parametrize("name", pages.names())
def test_every_page_opens_on_a_folder_that_is_no_workspace_yet(
    open_window: Open, settle: Settle, tmp_path: Path, name: str
) -> None:
    window = open_window(tmp_path / "new")
    page: Any = window.visit(name)
    settle(window)

    assert not page.banner.isVisible()
    assert len(colours(page.grab().toImage())) > 3


@pytest.mark.parametrize("name", pages.names())
def test_everything_a_hand_can_use_has_a_name_for_a_screen_reader(
    open_window: Open, settle: Settle, workspace: Path, name: str
) -> None:
    page = open_window(workspace).visit(name)

    used = (QAbstractButton, QComboBox, QAbstractSpinBox, QLineEdit)
    nameless = [
        widget
        for kind in used
        for widget in page.findChildren(kind)
        if not (widget.accessibleName() or getattr(widget, "text", str)())
        and not isinstance(widget.parent(), QAbstractSpinBox | QLineEdit)
        and not str(widget.objectName()).startswith("qt_")
    ]
    assert nameless == []


@pytest.mark.parametrize("name", pages.names())
def test_the_command_that_is_shown_is_the_command_that_runs(
    open_window: Open, settle: Settle, workspace: Path, name: str
) -> None:
    window = open_window(workspace)
    page = window.visit(name)
    settle(window)

    ready = [action for action in page.findChildren(Action) if action.line.text]

    assert ready or name in ("overview", "models", "flash")  # which need nothing, or a file first
    for action in ready:
        [command] = action.commands()
        shown = shlex.split(action.line.text)
        assert shown[0] == "sanderling"
        assert [*shown[1:], "--driven"] == window.session.driven(command)
        assert str(workspace) in shown  # which has a space in it


def test_a_form_changes_the_command_as_it_is_filled_in(
    open_window: Open, settle: Settle, workspace: Path
) -> None:
    window = open_window(workspace)
    page: Any = window.visit("train")
    settle(window)

    page.settings.fields["epochs"].write(3)
    page.model_name.setFocus()
    page.model_name.setText("mine")
    page.model_name.textEdited.emit("mine")

    assert "--set epochs=3 --name mine" in page.start.line.text


def test_copy_puts_the_command_on_the_clipboard(
    qtbot: QtBot, open_window: Open, settle: Settle, workspace: Path
) -> None:
    window = open_window(workspace)
    page: Any = window.visit("train")
    settle(window)

    QTest.mouseClick(page.start.line.copy, Qt.MouseButton.LeftButton)

    assert QGuiApplication.clipboard().text() == page.start.line.text


def test_a_recipe_with_parameters_is_written_before_its_command_is_copied(
    qtbot: QtBot, open_window: Open, settle: Settle, workspace: Path
) -> None:
    window = open_window(workspace)
    page: Any = window.visit("compress")
    settle(window)
    assert "--passes quantize_int8" in page.recipe.main.line.text

    page.recipe.recipe.forms[0][1].fields["samples"].write(64)
    page.recipe.recipe.add("prune_channels")
    QTest.mouseClick(page.recipe.recipe.up, Qt.MouseButton.LeftButton)
    QTest.mouseClick(page.recipe.main.line.copy, Qt.MouseButton.LeftButton)

    assert page.recipe.recipe.names == ["prune_channels", "quantize_int8"]
    file = Path(shlex.split(page.recipe.main.line.text)[4])
    assert "samples = 64" in file.read_text()


def test_a_job_shows_its_progress_and_then_its_result(
    qtbot: QtBot, open_window: Open, settle: Settle, workspace: Path
) -> None:
    window = open_window(workspace)
    page: Any = window.visit("train")
    settle(window)

    QTest.mouseClick(page.start.button, Qt.MouseButton.LeftButton)
    assert page.job_bar.isVisible()
    assert not page.start.button.isEnabled()
    settle(window)

    assert page.test.figure.text().startswith("97.2")
    assert "step 1" in page.log.toPlainText()
    assert not page.job_bar.isVisible()
    assert page.start.button.isEnabled()


def test_a_gate_that_did_not_hold_shows_its_figures_and_says_so(
    open_window: Open, settle: Settle, workspace: Path
) -> None:
    window = open_window(workspace)
    page: Any = window.visit("monitor")
    settle(window)

    page.now.trigger()
    settle(window)

    assert page.tiles["State"].figure.text() == "Alarm"
    assert page.tiles["Devices"].figure.text() == "2"  # the fleet is no device
    assert len(page.table.rows.rows) == 4
    assert not page.no_plot.isVisible()


def row(device: str, version: str, score: float | None, samples: int) -> dict[str, Any]:
    return {
        "device": device, "version": version, "feature": "light", "test": "psi", "score": score,
        "threshold": 0.2, "alarm": bool(score and score > 0.2), "samples": samples,
    }  # fmt: skip


def test_a_device_on_two_versions_is_one_device_with_the_items_of_both(
    open_window: Open, settle: Settle, workspace: Path
) -> None:
    window = open_window(workspace)
    page: Any = window.visit("monitor")
    settle(window)

    page.show_report({"alarm": True, "rows": [row("a", "1", 0.3, 500), row("a", "2", 0.1, 700)]})

    assert page.tiles["Devices"].figure.text() == "1"
    assert page.tiles["Items seen"].figure.text() == "1\u202f200"
    assert page.tiles["Features in alarm"].remark.text() == "on 1 of 1 devices"
    assert page._bars.series == ["a 1", "a 2"]


def test_a_report_in_which_nothing_could_be_compared_is_not_called_quiet(
    open_window: Open, settle: Settle, workspace: Path
) -> None:
    window = open_window(workspace)
    page: Any = window.visit("monitor")
    settle(window)
    note = "Nothing was compared: too few samples."

    page._answered({"alarm": False, "note": note, "rows": [row("a", "1", None, 3)]})

    assert page.tiles["State"].figure.text() == "Not checked"
    assert page.banner.accessibleName() == note
    assert page.no_plot.isVisible()


def test_figures_of_before_are_taken_away_when_nobody_reports_any_more(
    open_window: Open, settle: Settle, workspace: Path
) -> None:
    window = open_window(workspace)
    page: Any = window.visit("monitor")
    settle(window)
    page.now.trigger()
    settle(window)
    assert page.rows

    page.ask(page._answered, ("fail",))
    settle(window)

    assert page.banner.accessibleName() == "It is torn. Mend it."
    assert page.rows == ()
    assert page.no_plot.isVisible()


def test_a_file_that_does_not_answer_as_its_model_is_told(
    open_window: Open, settle: Settle, workspace: Path
) -> None:
    window = open_window(workspace)
    page: Any = window.visit("build")
    settle(window)

    page.main.trigger()
    settle(window)

    assert page.banner.isVisible()
    assert "digits-cnn.onnx" in page.banner.accessibleName()


def test_a_problem_is_shown_with_its_hint_until_it_is_dismissed(
    qtbot: QtBot, open_window: Open, settle: Settle, workspace: Path
) -> None:
    window = open_window(workspace)
    page: Any = window.visit("train")
    settle(window)

    page.run((("fail",),), lambda _: None)
    settle(window)
    assert page.banner.isVisible()
    assert page.banner.accessibleName() == "It is torn. Mend it."

    QTest.mouseClick(page.banner.dismiss, Qt.MouseButton.LeftButton)
    assert not page.banner.isVisible()


def test_keys_change_the_page_the_theme_and_stop_a_job(
    qtbot: QtBot, open_window: Open, settle: Settle, workspace: Path, settings: QSettings
) -> None:
    window = open_window(workspace)
    window.activateWindow()
    assert QTest.qWaitForWindowActive(window)
    for number, kind in enumerate(window.kinds, 1):
        digit = Qt.Key(Qt.Key.Key_0 + number % 10)  # the tenth page has the last of the row
        QTest.keyClick(window, digit, Qt.KeyboardModifier.ControlModifier)
        assert isinstance(window.page, kind)
    settle(window)

    page: Any = window.page
    page.run((("wait",),), lambda _: None)
    qtbot.waitUntil(lambda: page.job_bar.message.text().startswith("listening"))
    QTest.keyClick(window, Qt.Key.Key_Escape)
    settle(window)
    assert not page.runner.running
    assert not page.banner.isVisible()

    QTest.keyClick(window, Qt.Key.Key_T, Qt.KeyboardModifier.ControlModifier)
    assert window.theme_name == "dark"
    assert settings.value("theme") == "dark"


def test_arrow_keys_walk_the_navigation(qtbot: QtBot, open_window: Open, workspace: Path) -> None:
    window = open_window(workspace)

    QTest.keyClick(window.navigation, Qt.Key.Key_Down)

    assert isinstance(window.page, window.kinds[1])


def test_a_service_runs_until_it_is_stopped(
    qtbot: QtBot, open_window: Open, settle: Settle, workspace: Path
) -> None:
    window = open_window(workspace)
    page: Any = window.visit("browser")
    settle(window)
    assert not page.open.isEnabled()

    QTest.mouseClick(page.serve.button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(page.open.isEnabled)
    assert page.serve.url == "http://127.0.0.1:7733/"
    assert page.serve.state.text == "Running"

    QTest.mouseClick(page.serve.button, Qt.MouseButton.LeftButton)
    settle(window)
    assert page.serve.state.text == "Stopped"
    assert not page.open.isEnabled()


def test_closing_the_window_stops_its_children_and_keeps_its_size(
    qtbot: QtBot, open_window: Open, settle: Settle, workspace: Path, settings: QSettings
) -> None:
    window = open_window(workspace)
    page: Any = window.visit("monitor")
    settle(window)
    window.resize(window.width(), 700)
    page.collect.toggle()
    qtbot.waitUntil(lambda: bool(page.collect.url))

    window.close()

    assert not any(runner.running for runner in window.findChildren(Runner))
    again = Window(Session(workspace), settings, "light")
    qtbot.addWidget(again)
    assert again.height() == 700
    again.close()


def test_long_names_are_shortened_and_told_in_full(
    open_window: Open, settle: Settle, workspace: Path
) -> None:
    window = open_window(workspace)
    page: Any = window.visit("compress")
    settle(window)

    page.model.choose("m" * 80)

    assert page.model.toolTip() == "m" * 80
    assert page.minimumSizeHint().width() < 900
    assert all(w.width() <= window.width() for w in page.findChildren(QWidget) if w.isVisible())


def test_selecting_a_thing_shows_what_it_was_made_from(
    open_window: Open, settle: Settle, workspace: Path
) -> None:
    window = open_window(workspace)
    page: Any = window.page
    settle(window)

    page.table.select("digits-cnn.onnx")
    settle(window)

    assert page.line.text.endswith(f"show artifacts/digits-cnn.onnx --workspace '{workspace}'")
    assert page.beside.currentIndex() == 1
