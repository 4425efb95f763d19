"""What is asked beside what came of it; one below the other where the window is narrow."""

from PySide6.QtCore import QSize
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QBoxLayout, QLayout, QSizePolicy, QVBoxLayout, QWidget

GAP = 14  # pixels between cards
LEFT = 390  # pixels: room for the longest label and a list of numbers
WAYS = {
    (False, False): QBoxLayout.Direction.LeftToRight,
    (False, True): QBoxLayout.Direction.RightToLeft,
    (True, False): QBoxLayout.Direction.TopToBottom,
    (True, True): QBoxLayout.Direction.BottomToTop,
}  # by narrow and flipped
NARROW = 900  # pixels: below it the right column would be too narrow for a table


class Columns(QWidget):
    """`left` keeps its width, `right` takes the rest; `flipped`, they change their places."""

    def __init__(self, side: int = LEFT, *, flipped: bool = False) -> None:
        super().__init__()
        self._width, self._flipped = side, flipped
        self.left, self.right = QVBoxLayout(), QVBoxLayout()
        self.side, self.results = QWidget(), QWidget()
        for widget, column in ((self.side, self.left), (self.results, self.right)):
            column.setContentsMargins(0, 0, 0, 0)
            column.setSpacing(GAP)
            widget.setLayout(column)
        self._row = QBoxLayout(QBoxLayout.Direction.LeftToRight, self)
        self._row.setContentsMargins(0, 0, 0, 0)
        self._row.setSpacing(GAP)
        self._row.addWidget(self.side)
        self._row.addWidget(self.results, 1)
        # the narrowest it can be is one column, not the two it has now
        self._row.setSizeConstraint(QLayout.SizeConstraint.SetNoConstraint)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        self._narrow: bool | None = None
        self._arrange(narrow=False)

    @property
    def narrow(self) -> bool:
        return bool(self._narrow)

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802
        super().resizeEvent(event)
        self._arrange(narrow=event.size().width() < NARROW)

    def minimumSizeHint(self) -> QSize:  # noqa: N802
        return QSize(LEFT, self._row.minimumSize().height())

    def _arrange(self, *, narrow: bool) -> None:
        if narrow == self._narrow:
            return
        self._narrow = narrow
        self._row.setDirection(WAYS[narrow, self._flipped])
        self.side.setMinimumWidth(0 if narrow else self._width)
        self.side.setMaximumWidth(16_777_215 if narrow else self._width)  # the most that Qt knows
        self.updateGeometry()
