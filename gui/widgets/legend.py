"""What the colours of a plot mean."""

from collections.abc import Sequence

from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QHBoxLayout, QWidget

from gui.theme import SERIES, colors
from gui.widgets.lineage import clear
from gui.widgets.text import Elided, label

MOST = 6  # names in a row


class Key(QWidget):
    """A square of a series' colour; without a colour, the dashes of the alarm line."""

    def __init__(self, color: str = "") -> None:
        super().__init__()
        self._color = color
        self.setFixedSize(14, 14)

    def paintEvent(self, _event: QPaintEvent) -> None:  # noqa: N802
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if self._color:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(self._color))
            painter.drawRoundedRect(2, 2, 10, 10, 2, 2)
        else:
            ink = QColor(colors().bad)
            painter.setPen(QPen(ink, 1.5, Qt.PenStyle.DashLine))
            painter.drawLine(0, 7, 14, 7)


class Legend(QWidget):
    """One row of names."""

    def __init__(self) -> None:
        super().__init__()
        self._row = QHBoxLayout(self)
        self._row.setContentsMargins(0, 0, 0, 0)
        self._row.setSpacing(6)

    def show_series(self, names: Sequence[str]) -> None:
        clear(self._row)
        for number, name in enumerate(names[:MOST]):
            self._row.addWidget(Key(SERIES[number % len(SERIES)]))
            text = label(name if len(name) <= 18 else f"{name[:17]}…", "muted")
            text.setToolTip(name)
            self._row.addWidget(text)
            self._row.addSpacing(8)
        if len(names) > MOST:
            self._row.addWidget(Elided(f"and {len(names) - MOST} more", "muted"))
        if names:
            self._row.addWidget(Key())
            self._row.addWidget(label("Alarm above", "muted"))
