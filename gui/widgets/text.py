"""Labels: by the part they play, and one that shortens what does not fit."""

from typing import Literal

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPalette
from PySide6.QtWidgets import QLabel, QSizePolicy, QWidget

from gui.theme import Tone, colors

Role = Literal["", "title", "heading", "figure", "muted", "problem", "code"]


def label(text: str, role: Role = "", *, wrap: bool = False) -> QLabel:
    made = QLabel(text)
    made.setProperty("role", role)
    made.setTextFormat(Qt.TextFormat.PlainText)  # names come from users: never markup
    made.setWordWrap(wrap)
    return made


class Elided(QLabel):
    """One line that is shortened where there is no room, and then tells all in its tooltip."""

    def __init__(
        self,
        text: str = "",
        role: Role = "",
        mode: Qt.TextElideMode = Qt.TextElideMode.ElideMiddle,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._mode = mode
        self._tone: Tone | None = None
        self.setProperty("role", role)
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setText(text)

    def setText(self, text: str) -> None:  # noqa: N802
        super().setText(text)
        self.setAccessibleName(text)
        self.setToolTip(text)

    def set_tone(self, tone: Tone | None) -> None:
        self._tone = tone
        self.update()

    def minimumSizeHint(self) -> QSize:  # noqa: N802
        return QSize(24, super().minimumSizeHint().height())

    def paintEvent(self, _event: QPaintEvent) -> None:  # noqa: N802
        painter = QPainter(self)
        area = self.contentsRect()
        shown = self.fontMetrics().elidedText(self.text(), self._mode, area.width())
        ink = self.palette().color(QPalette.ColorRole.WindowText)
        if self._tone:
            ink = QColor(getattr(colors(), self._tone))
        painter.setPen(ink)
        painter.drawText(area, self.alignment() | Qt.TextFlag.TextSingleLine, shown)
