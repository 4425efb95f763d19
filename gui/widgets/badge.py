"""A dot and a word: the state of something."""

from PySide6.QtCore import QEvent
from PySide6.QtGui import QPalette
from PySide6.QtWidgets import QHBoxLayout, QWidget

from gui.theme import Tone
from gui.widgets.buttons import RESTYLED, Icon, tone_color
from gui.widgets.text import label


class Badge(QWidget):
    """Colour is never the only sign: the word says the same."""

    def __init__(self, text: str = "", tone: Tone = "muted") -> None:
        super().__init__()
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(4)
        self._tone: Tone = tone
        self._dot = Icon("circle", tone, side=8)
        self._word = label(text)
        row.addWidget(self._dot)
        row.addWidget(self._word)
        self.show_state(text, tone)

    @property
    def text(self) -> str:
        return self._word.text()

    def show_state(self, text: str, tone: Tone) -> None:
        self._tone = tone
        self._word.setText(text)
        self.setAccessibleName(text)
        self._dot.set_tone(tone)
        self._restyle()

    def changeEvent(self, event: QEvent) -> None:  # noqa: N802
        super().changeEvent(event)
        if event.type() in RESTYLED:
            self._restyle()

    def _restyle(self) -> None:
        palette = QPalette(self._word.palette())
        palette.setColor(QPalette.ColorRole.WindowText, tone_color(self, self._tone))
        if palette != self._word.palette():
            self._word.setPalette(palette)
