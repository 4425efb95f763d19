"""Tables: rows of plain data, and how each column is shown."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from PySide6.QtCore import (
    QAbstractTableModel,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    QSortFilterProxyModel,
    Qt,
)

from gui import wording
from gui.theme import Tone

Row = Mapping[str, Any]
Index = QModelIndex | QPersistentModelIndex
Kind = Literal[
    "text",
    "number",
    "count",
    "size",
    "percent",
    "points",
    "decibels",
    "ms",
    "celsius",
    "moment",
    "state",
]

SORT_ROLE = Qt.ItemDataRole.UserRole
TONE_ROLE = Qt.ItemDataRole.UserRole + 1
BAR_ROLE = Qt.ItemDataRole.UserRole + 2

FORMATS: dict[str, Callable[[Any], str]] = {
    "number": wording.number,
    "count": wording.count,
    "size": wording.size,
    "percent": wording.percent,
    "points": wording.points,
    "decibels": wording.decibels,
    "ms": wording.milliseconds,
    "celsius": wording.celsius,
    "moment": wording.moment,
}
TONES: dict[str, Tone] = {
    "ready": "good",
    "quiet": "good",
    "passed": "good",
    "stopped": "muted",
    "not checked": "muted",
    "alarm": "bad",
    "failed": "bad",
    "fits": "good",
    "kept": "good",
    "over": "muted",
    "put back": "muted",
    "too much": "bad",
    "held": "good",
    "agrees": "good",
    "reference": "good",
    "differs": "bad",
    "in the way": "bad",
    "unreachable": "bad",
    "on trial": "watch",
}
LEFT = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter


@dataclass(frozen=True)
class Column:
    """One column. `value` reads a row where the bare key does not say it."""

    key: str
    title: str
    kind: Kind = "text"
    value: Callable[[Row], Any] | None = None
    stretch: int = 1
    sample: str = ""  # a text that must not be shortened; the rest shares what room is left
    bar: bool = False  # draw the figure as a bar too, the longest for the largest of the column
    tip: Callable[[Row], str] | None = None  # what the tooltip says; else what the cell shows

    def read(self, row: Row) -> Any:
        return self.value(row) if self.value else row.get(self.key)

    def show(self, row: Row) -> str:
        value = self.read(row)
        if value is None or value == "" or value != value:  # which only "not a number" is
            return wording.NOTHING
        if self.kind == "state":
            return wording.words(str(value))
        known = FORMATS.get(self.kind)
        try:
            return known(value) if known else str(value)
        except (TypeError, ValueError):  # a word where a figure was expected: show the word
            return str(value)

    @property
    def alignment(self) -> Qt.AlignmentFlag:
        return RIGHT if self.kind in FORMATS and self.kind != "moment" else LEFT


class Rows(QAbstractTableModel):
    """The rows of one result."""

    def __init__(self, columns: Sequence[Column], parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.columns = tuple(columns)
        self.rows: tuple[Row, ...] = ()
        self._largest: dict[str, float] = {}  # of each column with bars

    def fill(self, rows: Sequence[Row]) -> None:
        self.beginResetModel()
        self.rows = tuple(rows)
        for column in self.columns:
            if column.bar:
                self._largest[column.key] = max((column.read(r) or 0 for r in rows), default=0)
        self.endResetModel()

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: N802, B008
        return 0 if parent.isValid() else len(self.rows)

    def columnCount(self, parent: Index = QModelIndex()) -> int:  # noqa: N802, B008
        return 0 if parent.isValid() else len(self.columns)

    def headerData(  # noqa: N802
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        if orientation is not Qt.Orientation.Horizontal:
            return None
        if role == Qt.ItemDataRole.DisplayRole:
            return self.columns[section].title
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return self.columns[section].alignment
        return None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        column, row = self.columns[index.column()], self.rows[index.row()]
        if role == Qt.ItemDataRole.ToolTipRole and column.tip:
            return column.tip(row)
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.ToolTipRole):
            return column.show(row)
        if role == BAR_ROLE and column.bar:
            return max(0.0, (column.read(row) or 0) / (self._largest[column.key] or 1))
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return column.alignment
        if role == TONE_ROLE and column.kind == "state":
            return TONES.get(str(column.read(row)), "muted")
        if role == SORT_ROLE:
            value = column.read(row)
            return value if isinstance(value, int | float) else column.show(row)
        return None


class Sorted(QSortFilterProxyModel):
    """Rows in an order the user chose, of which only those holding the words searched for."""

    def __init__(self, rows: Rows, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.setSourceModel(rows)
        self.setSortRole(SORT_ROLE)
        self.setFilterKeyColumn(-1)
        self.setFilterCaseSensitivity(Qt.CaseSensitivity.CaseInsensitive)
        self.setSortCaseSensitivity(Qt.CaseSensitivity.CaseInsensitive)
