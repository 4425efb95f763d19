"""A verb that runs until it is stopped, with its switch."""

import re
from collections.abc import Callable

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QHBoxLayout, QWidget

from edge_targets.runtime.events import Event
from gui.session import Command, Session
from gui.widgets.badge import Badge
from gui.widgets.buttons import Button
from gui.widgets.command import CommandLine, Incomplete
from gui.widgets.text import Elided


class Service(QWidget):
    """Start, stop, and what it last said. It has a child of its own, beside the page's job."""

    started = Signal()
    stopped = Signal()
    failed = Signal(str, str)
    answers = Signal(str)

    def __init__(
        self, session: Session, text: str, icon_name: str, command: Callable[[], Command]
    ) -> None:
        super().__init__()
        self._session, self._command = session, command
        self._text, self._icon_name = text, icon_name
        self.url = ""  # where it answers, once it has said so
        self.runner = session.runner(self)
        self.line = CommandLine()
        self.state = Badge("Stopped")
        self.said = Elided("", "muted")
        self.button = Button(text, icon_name)
        self.button.clicked.connect(self.toggle)
        self.said.hide()
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(10)
        row.addWidget(self.state)
        row.addWidget(self.said, 2)
        row.addWidget(self.line, 3)
        row.addWidget(self.button)
        self.runner.progressed.connect(self._show_event)
        self.runner.failed.connect(self.failed)
        self.runner.running_changed.connect(self._show_running)

    def refresh(self) -> None:
        try:
            self.line.show_command(self._session.shell(self._command()))
            self.button.setEnabled(True)
        except Incomplete as missing:
            self.line.show_reason(str(missing))
            self.button.setEnabled(self.runner.running)

    def toggle(self) -> None:
        if self.runner.running:
            self.runner.cancel()
            self.button.setEnabled(False)
        else:
            self.runner.start(self._session.driven(self._command()))

    def _show_event(self, event: Event) -> None:
        self._say(event.message)
        if found := re.search(r"https?://[\w.:\[\]-]+/?", event.message):
            self.url = found[0]
            self.answers.emit(self.url)

    def _say(self, text: str) -> None:
        self.said.setText(text)
        self.said.setVisible(bool(text))

    def _show_running(self, running: bool) -> None:
        self.state.show_state("Running" if running else "Stopped", "good" if running else "muted")
        self.button.setText("Stop" if running else self._text)
        self.button.set_icon("stop" if running else self._icon_name)
        self.refresh()
        self.url = ""
        if running:
            self._say("Starting")
            self.started.emit()
        else:
            self._say("")
            self.stopped.emit()
