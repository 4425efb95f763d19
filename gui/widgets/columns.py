"""What is asked beside what came of it; one below the other where the window is narrow."""

from PySide6.QtCore import QSize
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QBoxLayout, QLayout, QSizePolicy, QVBoxLayout, QWidget

GAP = 14  # pixels between cards
LEFT = 390  # pixels: room for the longest label and a list of numbers
NARROW = 900  # pixels: below it the right column would be too narrow for a table


class Columns(QWidget):
    """`left` keeps its width, `right` takes the rest."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = QVBoxLayout(), QVBoxLayout()
        self._side, self.results = QWidget(), QWidget()
        for widget, column in ((self._side, self.left), (self.results, self.right)):
            column.setContentsMargins(0, 0, 0, 0)
            column.setSpacing(GAP)
            widget.setLayout(column)
        self._row = QBoxLayout(QBoxLayout.Direction.LeftToRight, self)
        self._row.setContentsMargins(0, 0, 0, 0)
        self._row.setSpacing(GAP)
        self._row.addWidget(self._side)
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
        way = QBoxLayout.Direction.TopToBottom if narrow else QBoxLayout.Direction.LeftToRight
        self._row.setDirection(way)
        self._side.setMinimumWidth(0 if narrow else LEFT)
        self._side.setMaximumWidth(16_777_215 if narrow else LEFT)  # the most that Qt knows
        self.updateGeometry()
