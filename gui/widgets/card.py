"""Cards: a titled ground for one subject, and the tile for one figure."""

from PySide6.QtWidgets import QFrame, QHBoxLayout, QLayout, QSizePolicy, QVBoxLayout, QWidget

from gui.theme import Tone
from gui.widgets.text import Elided, label
from gui.wording import NOTHING


class Card(QFrame):
    """A rounded ground. `header` is the row of its title, `body` what lies below."""

    def __init__(self, title: str = "") -> None:
        super().__init__()
        self.setObjectName("card")
        self.setAccessibleName(title)
        self.body = QVBoxLayout(self)
        self.body.setContentsMargins(16, 13, 16, 14)
        self.body.setSpacing(10)
        self.header = QHBoxLayout()
        self.header.setSpacing(8)
        if title:
            self.header.addWidget(label(title, "heading"))
            self.header.addStretch()
            self.body.addLayout(self.header)

    def add(self, item: QWidget | QLayout, stretch: int = 0) -> None:
        if isinstance(item, QLayout):
            self.body.addLayout(item, stretch)
        else:
            self.body.addWidget(item, stretch)


class Tile(Card):
    """A figure with its name above and a remark below."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.body.setSpacing(4)
        self.name = Elided(name, "muted")
        self.figure = Elided(NOTHING, "figure")
        self.remark = Elided("", "muted")
        for part in (self.name, self.figure, self.remark):
            self.body.addWidget(part)
        self.show_figure(NOTHING)

    def show_figure(self, figure: str, remark: str = "", tone: Tone | None = None) -> None:
        self.figure.setText(figure)
        self.figure.set_tone("muted" if figure == NOTHING else tone)
        self.remark.setText(remark or " ")
        self.setAccessibleName(f"{self.name.text()}: {figure} {remark}".strip())


def tiles(*made: Tile) -> QHBoxLayout:
    row = QHBoxLayout()
    row.setSpacing(14)
    for tile in made:
        row.addWidget(tile, 1)
    return row
