"""A command: shown as a person would type it, copied, or run."""

from collections.abc import Callable

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QFrame, QHBoxLayout, QWidget

from gui.session import Command, Session
from gui.widgets.buttons import Button, quiet
from gui.widgets.text import Elided

HEIGHT = 32  # pixels: as tall with its button as without
COPIED_MS = 1_500  # long enough to be read


class Incomplete(Exception):  # noqa: N818 - what a form still needs is no error
    """What a form still needs before its command can run, as a sentence."""


class CommandLine(QFrame):
    """A strip with a command and a Copy button."""

    copied = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("strip")
        self.text = ""
        self._shown = Elided("", "code", Qt.TextElideMode.ElideRight)
        self.copy = quiet("copy", "Copy this command")
        self.copy.clicked.connect(self._copy)
        row = QHBoxLayout(self)
        self.setMinimumHeight(HEIGHT)
        row.setContentsMargins(10, 1, 4, 1)
        row.setSpacing(4)
        row.addWidget(self._shown, 1)
        row.addWidget(self.copy)

    def show_command(self, text: str) -> None:
        self.text = text
        self._shown.setText(text)
        self.copy.show()

    def show_reason(self, reason: str) -> None:
        self.text = ""
        self._shown.setText(reason)
        self.copy.hide()

    def _copy(self) -> None:
        QGuiApplication.clipboard().setText(self.text)
        self.copied.emit()
        self.copy.set_icon("check")
        QTimer.singleShot(COPIED_MS, self, lambda: self.copy.set_icon("copy"))


class Action(QWidget):
    """A button, and beside it the command that it runs.

    `commands` is asked anew whenever the form changes, so what is shown is what runs. It raises
    `Incomplete` while something is missing.
    """

    triggered = Signal(object)  # the commands, a tuple[Command, ...]

    def __init__(
        self,
        session: Session,
        text: str,
        icon_name: str,
        commands: Callable[[], Command | tuple[Command, ...]],
        *,
        primary: bool = False,
    ) -> None:
        super().__init__()
        self._session, self._commands, self._busy = session, commands, False
        self.line = CommandLine()
        self.button = Button(text, icon_name, "primary" if primary else "")
        self.button.clicked.connect(self.trigger)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(10)
        row.addWidget(self.line, 1)
        row.addWidget(self.button)

    def commands(self) -> tuple[Command, ...]:
        asked = self._commands()
        return (asked,) if isinstance(asked[0], str) else asked

    def refresh(self) -> None:
        try:
            commands = self.commands()
        except Incomplete as missing:
            self.line.show_reason(str(missing))
            self.button.setEnabled(False)
            self.button.setToolTip(str(missing))
            return
        self.line.show_command(self._session.shell(*commands))
        self.button.setEnabled(not self._busy)
        self.button.setToolTip("Another job of this page is running." if self._busy else "")

    def set_busy(self, busy: bool) -> None:
        self._busy = busy
        self.refresh()

    def trigger(self) -> None:
        if self.button.isEnabled():
            self.triggered.emit(self.commands())
