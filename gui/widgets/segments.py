"""Parts of a page, of which one is shown; with the keyboard, the arrow keys go along them."""

from collections.abc import Sequence

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QSizePolicy, QTabBar


class Segments(QTabBar):
    """A row of words; `currentChanged` tells which was chosen."""

    def __init__(self, name: str, words: Sequence[str]) -> None:
        super().__init__()
        self.setAccessibleName(name)
        self.setDrawBase(False)
        self.setExpanding(False)
        self.setUsesScrollButtons(False)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        for number, word in enumerate(words):
            self.addTab(word)
            self.setAccessibleTabName(number, word)
