"""What is shown where there is nothing yet: why, and the one thing to do about it."""

from PySide6.QtCore import QSize, Qt
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from gui.widgets.buttons import Button, Icon
from gui.widgets.text import label

LEAST = QSize(200, 124)
WIDEST = 520  # pixels: longer lines are hard to read


class Empty(QWidget):
    """A picture, a line, a hint, and where they help, buttons."""

    def __init__(self, icon_name: str, line: str, hint: str, *buttons: Button) -> None:
        super().__init__()
        self._line = label(line, "heading", wrap=True)
        self._hint = label(hint, "muted", wrap=True)
        self._hint.setMaximumWidth(WIDEST)
        column = QVBoxLayout(self)
        column.setContentsMargins(24, 16, 24, 16)
        column.setSpacing(6)
        column.addStretch()
        column.addWidget(Icon(icon_name, side=28), 0, Qt.AlignmentFlag.AlignHCenter)
        column.addSpacing(4)
        for part in (self._line, self._hint):
            part.setAlignment(Qt.AlignmentFlag.AlignHCenter)
            row = QHBoxLayout()
            row.addStretch()
            row.addWidget(part, 1)
            row.addStretch()
            column.addLayout(row)
        if buttons:
            row = QHBoxLayout()
            row.addStretch()
            for button in buttons:
                row.addWidget(button)
            row.addStretch()
            column.addSpacing(8)
            column.addLayout(row)
        column.addStretch()

    def minimumSizeHint(self) -> QSize:  # noqa: N802
        return LEAST  # a wrapped label would ask for room as if it were one word wide

    def say(self, line: str, hint: str) -> None:
        self._line.setText(line)
        self._hint.setText(hint)
