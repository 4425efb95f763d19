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
MAKERS = {"init", "demo"}  # verbs that make a workspace, and so are not run in one
Answered = Callable[[dict[str, Any]], object]
Command = tuple[str, ...]
"""The words after the program's name: a verb and its arguments."""


class Asker(QObject):
    """Short questions in the background, one at a time; new ones replace those that wait."""

    failed = Signal(str, str)

    def __init__(self, session: "Session", parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._answered: Answered = lambda _result: None
        self._waiting: list[Command] = []
        self._stale = False
        self.runner = session.runner(self)
        self.runner.finished.connect(self._finish)
        self.runner.failed.connect(self._fail)
        self.runner.cancelled.connect(self._go_on)

    def ask(self, answered: Answered, *commands: Command) -> None:
        """Ask each of `commands` in turn; `answered` gets every result."""
        self._waiting, self._answered = list(commands), answered
        if self.runner.running:
            self._stale = True
            self.runner.cancel()
        else:
            self._go_on()

    def _finish(self, result: dict[str, Any]) -> None:
        if not self._stale:
            self._answered(result)
        self._go_on()

    def _fail(self, message: str, hint: str) -> None:
        if not self._stale:
            self.failed.emit(message, hint)
        self._go_on()

    def _go_on(self) -> None:
        if self._waiting and not self.runner.running:
            self._stale = False
            self.runner.start(self._session.driven(self._waiting.pop(0)))


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
        return [*self._words(command), "--driven"]

    def shell(self, *commands: Command) -> str:
        """The same for a person to paste into a terminal."""
        return " && ".join(shlex.join(["sanderling", *self._words(c)]) for c in commands)

    def _words(self, command: Command) -> list[str]:
        if command[0] in MAKERS:
            return list(command)
        return [*command, "--workspace", str(self.workspace)]

    def refresh(self) -> None:
        if self.exists:
            self._asker.ask(self._take, ("list",))
        else:
            self._take({"items": []})

    def names(self, kind: str) -> list[str]:
        """Names of one kind ("models", "devices", …), newest first as the workspace lists them."""
        return [str(item["name"]) for item in self.items if item.get("kind") == kind]

    def digest(self, kind: str, name: str) -> str:
        """Of what goes by that name now; "" where there is nothing."""
        known = (i for i in self.items if i.get("kind") == kind and i.get("name") == name)
        return str(next(known, {}).get("digest", ""))

    def _take(self, result: dict[str, Any]) -> None:
        self.items = tuple(result.get("items", ()))
        self.changed.emit()
