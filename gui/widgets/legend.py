"""What the colours of a plot mean."""

from collections.abc import Sequence
from typing import Literal

from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QHBoxLayout, QWidget

from gui.theme import SERIES, colors
from gui.widgets.buttons import icon
from gui.widgets.lineage import clear
from gui.widgets.points import GOLD
from gui.widgets.text import Elided, label

MOST = 6  # names in a row
Sign = Literal["fits", "over", "front", "budget", "pick"]


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


class Mark(QWidget):
    """A sign of the plot of a search, in the colours of the theme."""

    def __init__(self, sign: Sign) -> None:
        super().__init__()
        self._sign = sign
        self.setFixedSize(16, 14)

    def paintEvent(self, _event: QPaintEvent) -> None:  # noqa: N802
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        chosen = colors()
        match self._sign:
            case "fits":
                painter.setPen(Qt.PenStyle.NoPen)
                painter.setBrush(QColor(SERIES[0]))
                painter.drawEllipse(4, 3, 9, 9)
            case "over":
                painter.setPen(QPen(QColor(chosen.muted), 1.5))
                painter.drawEllipse(4, 3, 8, 8)
            case "front":
                painter.setPen(QPen(QColor(SERIES[0]), 1.5))
                painter.drawLine(0, 7, 16, 7)
            case "budget":
                painter.setPen(QPen(QColor(chosen.bad), 1.5, Qt.PenStyle.DashLine))
                painter.drawLine(0, 7, 16, 7)
            case "pick":
                icon("star", GOLD).paint(painter, self.rect())


def marks(*pairs: tuple[Sign, str]) -> QWidget:
    """A legend that does not change."""
    made = QWidget()
    row = QHBoxLayout(made)
    row.setContentsMargins(0, 0, 0, 0)
    row.setSpacing(5)
    for sign, words in pairs:
        row.addWidget(Mark(sign))
        row.addWidget(label(words, "muted"))
        row.addSpacing(8)
    return made
