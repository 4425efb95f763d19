"""What all pages share: the workspace, the program that does the work, and what is there."""

import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Signal

from gui.models import Row
from gui.runner import Runner

PROGRAM = (sys.executable, "-m", "toolkit")
Answered = Callable[[dict[str, Any]], object]
Command = tuple[str, ...]
"""The words after the program's name: a verb and its arguments."""


class Asker(QObject):
    """Short questions in the background, one at a time; of those that wait, the newest wins."""

    failed = Signal(str, str)

    def __init__(self, session: "Session", parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._answered: Answered = lambda _result: None
        self._next: tuple[Command, Answered] | None = None
        self.runner = session.runner(self)
        self.runner.finished.connect(self._finish)
        self.runner.failed.connect(self._fail)
        self.runner.cancelled.connect(self._go_on)

    def ask(self, command: Command, answered: Answered) -> None:
        self._next = (command, answered)
        if self.runner.running:
            self.runner.cancel()
        else:
            self._go_on()

    def _finish(self, result: dict[str, Any]) -> None:
        if self._next is None:
            self._answered(result)
        self._go_on()

    def _fail(self, message: str, hint: str) -> None:
        if self._next is None:
            self.failed.emit(message, hint)
        self._go_on()

    def _go_on(self) -> None:
        if self._next is None or self.runner.running:
            return
        (command, self._answered), self._next = self._next, None
        self.runner.start(self._session.driven(command))


class Session(QObject):
    """One workspace, open in one window.

    Signals:
        changed: what is in the workspace was listed anew.
        failed: it could not be listed; what failed, and what to do.
    """

    changed = Signal()
    failed = Signal(str, str)

    def __init__(
        self, workspace: Path, program: Sequence[str] = PROGRAM, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self.workspace = workspace.absolute()
        self.program = tuple(program)
        self.items: tuple[Row, ...] = ()
        self._asker = Asker(self, self)
        self._asker.failed.connect(self.failed)

    @property
    def exists(self) -> bool:
        return (self.workspace / "sanderling.toml").is_file()

    def runner(self, parent: QObject) -> Runner:
        return Runner(self.program, parent)

    def driven(self, command: Command) -> list[str]:
        """The arguments of the child process that runs `command`."""
        return [*self._common(command), "--driven", *command]

    def shell(self, *commands: Command) -> str:
        """The same for a person to paste into a terminal."""
        lines = (shlex.join(["sanderling", *self._common(c), *c]) for c in commands)
        return " && ".join(lines)

    def _common(self, command: Command) -> list[str]:
        return [] if command[0] == "init" else ["--workspace", str(self.workspace)]

    def refresh(self) -> None:
        if self.exists:
            self._asker.ask(("list",), self._take)
        else:
            self._take({"items": []})

    def names(self, kind: str) -> list[str]:
        """Names of one kind ("models", "devices", …), newest first as the workspace lists them."""
        return [str(item["name"]) for item in self.items if item.get("kind") == kind]

    def _take(self, result: dict[str, Any]) -> None:
        self.items = tuple(result.get("items", ()))
        self.changed.emit()
