"""Parts of a whole: one bar, and below it a row for each part."""

from collections.abc import Sequence
from dataclasses import dataclass

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPainterPath, QPaintEvent
from PySide6.QtWidgets import QGridLayout, QVBoxLayout, QWidget

from gui import wording
from gui.theme import SERIES, colors
from gui.widgets.legend import Key
from gui.widgets.lineage import clear
from gui.widgets.text import Elided, label

HEIGHT = 18  # pixels of the bar
ROUND = 5


@dataclass(frozen=True)
class Share:
    """A part: its name, how much it is, and a remark on it."""

    name: str
    amount: float
    remark: str = ""


class Bar(QWidget):
    """The parts beside each other, each as long as its share."""

    def __init__(self) -> None:
        super().__init__()
        self.setFixedHeight(HEIGHT)
        self.amounts: Sequence[float] = ()

    def paintEvent(self, _event: QPaintEvent) -> None:  # noqa: N802
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        shape = QPainterPath()
        shape.addRoundedRect(QRectF(self.rect()), ROUND, ROUND)
        painter.setClipPath(shape)
        painter.fillRect(self.rect(), QColor(colors().well))
        whole, left = sum(self.amounts), 0.0
        for number, amount in enumerate(self.amounts):
            wide = self.width() * amount / whole if whole else 0.0
            area = QRectF(left, 0, wide, HEIGHT)
            painter.fillRect(area, QColor(SERIES[number % len(SERIES)]))
            left += wide


class Shares(QWidget):
    """Amounts in bytes."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.setAccessibleName(name)
        self.bar = Bar()
        self._rows = QGridLayout()
        self._rows.setHorizontalSpacing(10)
        self._rows.setVerticalSpacing(6)
        self._rows.setColumnStretch(1, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(12)
        column.addWidget(self.bar)
        column.addLayout(self._rows)

    def show_shares(self, shares: Sequence[Share]) -> None:
        clear(self._rows)
        self.bar.amounts = [share.amount for share in shares]
        self.bar.update()
        whole = sum(self.bar.amounts)
        for row, share in enumerate(shares):
            amount, of_all = wording.size(share.amount), share.amount / whole if whole else 0.0
            words = Elided(share.name)
            words.setAccessibleName(f"{share.name}: {amount}, {wording.percent(of_all)}")
            remark = Elided(share.remark, "muted")
            self._rows.addWidget(Key(SERIES[row % len(SERIES)]), row, 0)
            self._rows.addWidget(words, row, 1)
            self._rows.addWidget(remark, row, 2)
            for column, text in ((3, amount), (4, wording.percent(of_all))):
                figure = label(text, "muted" if column == 4 else "")
                figure.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
                self._rows.addWidget(figure, row, column)
