"""What was done or found, a line each; what is doubtful is marked."""

from collections.abc import Sequence
from dataclasses import dataclass

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from gui import wording
from gui.models import Row
from gui.widgets.buttons import Icon
from gui.widgets.lineage import clear
from gui.widgets.text import label


@dataclass(frozen=True)
class Note:
    """A line, and what more there is to say below it."""

    text: str
    detail: str = ""
    doubtful: bool = False


def step_notes(steps: Sequence[Row]) -> list[Note]:
    """What each pass said of itself; where it brought nothing, that."""
    notes = []
    for step in steps:
        warning, changed = str(step.get("warning") or ""), step.get("changed", True)
        done = step.get("summary") or ("done" if changed else "nothing changed")
        title = wording.words(str(step.get("name", "")))
        notes.append(Note(f"{title}: {done}", warning, bool(warning) or not changed))
    return notes


def warning_notes(warnings: Sequence[str]) -> list[Note]:
    return [Note(str(warning), doubtful=True) for warning in warnings]


class Notes(QWidget):
    """Hidden while there is nothing to say."""

    def __init__(self) -> None:
        super().__init__()
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(6)
        self.hide()

    def show_notes(self, notes: Sequence[Note]) -> None:
        clear(self._column)
        for note in notes:
            self._column.addLayout(self._line(note))
        self.setVisible(bool(notes))

    def _line(self, note: Note) -> QHBoxLayout:
        sign = (
            Icon("triangle-exclamation", "watch", 12)
            if note.doubtful
            else Icon("check", "good", 12)
        )
        words = QVBoxLayout()
        words.setSpacing(1)
        words.addWidget(label(note.text, wrap=True))
        if note.detail:
            words.addWidget(label(note.detail, "muted", wrap=True))
        row = QHBoxLayout()
        row.setSpacing(8)
        row.addWidget(sign, 0, Qt.AlignmentFlag.AlignTop)
        row.addLayout(words, 1)
        return row
