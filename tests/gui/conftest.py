"""Qt draws on no screen here, and nothing of the user's settings is read or written."""

import gc
import os

os.environ["QT_QPA_PLATFORM"] = "offscreen"  # before the first import of Qt

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import QEvent, QSettings
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from gui import theme
from gui.runner import Runner
from gui.session import Session
from gui.window import Window

STANDIN = (sys.executable, str(Path(__file__).with_name("standin.py")))


@pytest.fixture(autouse=True)
def dressed(qapp: QApplication) -> None:
    qapp.setStyle("Fusion")
    theme.apply(qapp, "light")


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A folder that the stand-in program takes for a workspace."""
    folder = tmp_path / "my work"
    folder.mkdir()
    (folder / "sanderling.toml").write_text("schema = 1\n")
    return folder


@pytest.fixture
def settings(tmp_path: Path) -> QSettings:
    return QSettings(str(tmp_path / "settings.ini"), QSettings.Format.IniFormat)


@pytest.fixture
def runner(qtbot: QtBot) -> Iterator[Runner]:
    made = Runner(STANDIN)
    yield made
    made.cancel()
    made.wait()


@pytest.fixture
def open_window(qtbot: QtBot, settings: QSettings) -> Iterator[Callable[..., Window]]:
    """Opens windows, and closes them with their children at the end."""
    windows: list[Window] = []

    def open_one(workspace: Path, program: tuple[str, ...] = STANDIN) -> Window:
        window = Window(Session(workspace, program), settings, "light")
        windows.append(window)
        window.show()
        qtbot.waitExposed(window)
        return window

    yield open_one
    for window in windows:
        window.close()
        window.deleteLater()
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    # a plot's menus belong to Python: they must not go while Qt dresses all widgets anew
    gc.collect()


@pytest.fixture
def settle(qtbot: QtBot) -> Callable[[Window], None]:
    """Wait until no child of a window runs; jobs ask questions when they end, so look twice."""

    def wait(window: Window, limit_ms: int = 20_000) -> None:
        def quiet() -> bool:
            return not any(runner.running for runner in window.findChildren(Runner))

        for _ in range(2):
            qtbot.waitUntil(quiet, timeout=limit_ms)
            QApplication.processEvents()

    return wait
