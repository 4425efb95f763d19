"""Start the window."""

import sys
from pathlib import Path
from typing import cast, get_args

from PySide6.QtCore import QSettings
from PySide6.QtWidgets import QApplication

from gui import theme
from gui.session import Session
from gui.theme import ThemeName
from gui.window import Window


def application() -> QApplication:
    """The one application of this process, drawn the same on every desktop."""
    app = cast("QApplication", QApplication.instance() or QApplication(sys.argv[:1]))
    app.setApplicationName("Sanderling")
    app.setDesktopFileName("sanderling")
    app.setStyle("Fusion")
    return app


def remembered_theme(settings: QSettings) -> ThemeName:
    value = settings.value("theme", "system")
    return cast("ThemeName", value) if value in get_args(ThemeName) else "system"


def main(workspace: Path, theme_name: ThemeName = "system") -> int:
    """Open the window on `workspace` until it is closed; "system" is what was last chosen in it."""
    app = application()
    settings = QSettings("Sanderling", "Sanderling")
    chosen = remembered_theme(settings) if theme_name == "system" else theme_name
    theme.apply(app, chosen)
    window = Window(Session(workspace), settings, chosen)

    def follow_system() -> None:
        if window.theme_name == "system":
            theme.apply(app, "system")

    app.styleHints().colorSchemeChanged.connect(follow_system)
    window.show()
    return app.exec()
