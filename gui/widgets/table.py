"""A table of plain rows, with the empty state that stands in for it."""

from collections import defaultdict
from collections.abc import Sequence

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QFontMetrics
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QSizePolicy,
    QStackedLayout,
    QTableView,
    QWidget,
)

from gui.models import Column, Row, Rows, Sorted
from gui.widgets.cells import Cells
from gui.widgets.empty import Empty

ROW_HEIGHT = 34
DOT = 14  # pixels: the sign of a state
PADDING = 30  # pixels: both sides of a cell, and the mark of the sorted column
SAMPLES = defaultdict(str, moment="2026-12-30 23:59", state="Not checked", size="999 MB")
"""What a column of a kind must have room for, unless it says so itself."""


class View(QTableView):
    """Shares its width out by what the columns hold."""

    def __init__(self, columns: Sequence[Column]) -> None:
        super().__init__()
        self._columns = columns
        self.setShowGrid(False)
        self.setAlternatingRowColors(True)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setWordWrap(False)
        self.setTabKeyNavigation(False)
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(ROW_HEIGHT)
        self.horizontalHeader().setHighlightSections(False)
        self.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
        self.setItemDelegate(Cells(self))

    def resizeEvent(self, event: object) -> None:  # noqa: N802
        super().resizeEvent(event)  # type: ignore[arg-type]
        self.share_width()

    def share_width(self) -> None:
        """Columns get what must not be shortened; what is left goes out by `stretch`."""
        metrics = QFontMetrics(self.horizontalHeader().font())
        least = [
            max(
                metrics.horizontalAdvance(words)
                for words in (column.title, column.sample or SAMPLES[column.kind])
            )
            + PADDING
            + (DOT if column.kind == "state" else 0)
            for column in self._columns
        ]
        left = max(0, self.viewport().width() - sum(least))
        shares = sum(column.stretch for column in self._columns) or 1
        for section, column in enumerate(self._columns):
            self.setColumnWidth(section, least[section] + left * column.stretch // shares)


class Table(QWidget):
    """Rows under their titles; `empty` where there are none."""

    selected = Signal(object)  # the row; None when nothing is selected

    def __init__(
        self, name: str, columns: Sequence[Column], empty: Empty, *, sortable: bool = True
    ) -> None:
        super().__init__()
        self.rows = Rows(columns, self)
        self.sorted = Sorted(self.rows, self)
        self.empty = empty
        self.view = View(columns)
        self.view.setAccessibleName(name)
        self.view.setModel(self.sorted)
        if sortable:
            self.view.setSortingEnabled(True)
            self.view.horizontalHeader().setSortIndicatorClearable(True)
            self.view.sortByColumn(-1, Qt.SortOrder.AscendingOrder)
        self.view.selectionModel().selectionChanged.connect(self._tell)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self._stack = QStackedLayout(self)
        self._stack.addWidget(empty)
        self._stack.addWidget(self.view)

    def sizeHint(self) -> QSize:  # noqa: N802
        """Its minimum height decides, not what a view with all its rows would like."""
        return QSize(super().sizeHint().width(), self.minimumHeight())

    def fill(self, rows: Sequence[Row]) -> None:
        """Show `rows`; a row selected by name stays selected when it is still there."""
        kept = self.current
        self.rows.fill(rows)
        self._stack.setCurrentIndex(1 if rows else 0)
        self.view.share_width()
        if kept and "name" in kept:
            self.select(str(kept["name"]))

    def fit(self, most: int = 8) -> None:
        """Be as tall as the rows, up to `most` of them: for a table on a page that scrolls."""
        shown = min(max(len(self.rows.rows), 1), most)
        self.setFixedHeight(shown * ROW_HEIGHT + 36 if self.rows.rows else 130)

    @property
    def current(self) -> Row | None:
        chosen = self.view.selectionModel().selectedRows()
        return self.rows.rows[self.sorted.mapToSource(chosen[0]).row()] if chosen else None

    def select(self, name: str) -> None:
        for number, row in enumerate(self.rows.rows):
            if row.get("name") == name:
                self.view.selectRow(self.sorted.mapFromSource(self.rows.index(number, 0)).row())
                return

    def _tell(self) -> None:
        self.selected.emit(self.current)
