"""A dot and a word: the state of something."""

from PySide6.QtWidgets import QHBoxLayout, QSizePolicy, QWidget

from gui.theme import Tone
from gui.widgets.buttons import Icon
from gui.widgets.text import Elided


class Badge(QWidget):
    """Colour is never the only sign: the word says the same."""

    def __init__(self, text: str = "", tone: Tone = "muted") -> None:
        super().__init__()
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(4)
        self._dot = Icon("circle", tone, side=8)
        self._word = Elided()
        self._word.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        row.addWidget(self._dot)
        row.addWidget(self._word)
        self.show_state(text, tone)

    @property
    def text(self) -> str:
        return self._word.text()

    def show_state(self, text: str, tone: Tone) -> None:
        self._word.setText(text)
        self._word.set_tone(tone)
        self._dot.set_tone(tone)
        self.setAccessibleName(text)
