"""Names and values below each other, in sections: all that is known of one thing."""

from collections.abc import Sequence

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QGridLayout, QScrollArea, QVBoxLayout, QWidget

from gui.widgets.lineage import clear
from gui.widgets.text import Elided, label

Section = tuple[str, Sequence[tuple[str, str]]]
"""A title, empty for none, and pairs of a name, empty for none, and a value."""
NAMES = 108  # pixels: the longest name in a section of figures


class Facts(QScrollArea):
    """Scrolls where there is more than fits."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.setAccessibleName(name)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setWidgetResizable(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        inside = QWidget()
        inside.setObjectName("body")
        self._column = QVBoxLayout(inside)
        self._column.setContentsMargins(0, 0, 8, 0)
        self._column.setSpacing(6)
        self.setWidget(inside)

    def show_sections(self, sections: Sequence[Section]) -> None:
        clear(self._column)
        for title, pairs in sections:
            if not pairs:
                continue
            if title:
                self._column.addSpacing(6)
                self._column.addWidget(label(title, "heading"))
            self._column.addLayout(self._grid(pairs))
        self._column.addStretch()
        self.verticalScrollBar().setValue(0)

    def _grid(self, pairs: Sequence[tuple[str, str]]) -> QGridLayout:
        grid = QGridLayout()
        grid.setHorizontalSpacing(10)
        grid.setVerticalSpacing(4)
        grid.setColumnStretch(1, 1)
        for row, (name, value) in enumerate(pairs):
            text = Elided(value)
            if not name:
                grid.addWidget(text, row, 0, 1, 2)
                continue
            words = Elided(name, "muted")
            words.setFixedWidth(NAMES)
            text.setAccessibleName(f"{name}: {value}")
            grid.addWidget(words, row, 0)
            grid.addWidget(text, row, 1)
        return grid
