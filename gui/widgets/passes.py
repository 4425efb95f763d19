"""The drop-down of passes: each with what it does, in a line."""

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QRect, QSize, Qt
from PySide6.QtGui import QColor, QPainter
from PySide6.QtWidgets import QStyle, QStyledItemDelegate, QStyleOptionViewItem

from gui.theme import colors
from gui.widgets.choice import Choice
from toolkit.passes import passes

MEANING = Qt.ItemDataRole.UserRole + 1  # a choice keeps its names in the role before
TWO_LINES = 46  # pixels
INSET = 12
BROAD = 460  # pixels: as wide as the longest line

Index = QModelIndex | QPersistentModelIndex


def meaning_of(name: str) -> str:
    """The first line of a pass's docstring; imports the pass."""
    return (passes[name].__doc__ or "").strip().partition("\n")[0]


class TwoLines(QStyledItemDelegate):
    """A name, and below it what it means."""

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:  # noqa: N802
        return QSize(super().sizeHint(option, index).width(), TWO_LINES)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        painter.save()
        chosen = colors()
        area = option.rect.adjusted(INSET, 5, -INSET, -5)
        half = area.height() // 2
        if option.state & QStyle.StateFlag.State_Selected:
            painter.fillRect(option.rect, QColor(chosen.selected))
        left = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
        lines = ((chosen.text, Qt.ItemDataRole.DisplayRole), (chosen.muted, MEANING))
        for number, (ink, role) in enumerate(lines):
            place = QRect(area.x(), area.y() + number * half, area.width(), half)
            words = option.fontMetrics.elidedText(
                str(index.data(role) or ""), Qt.TextElideMode.ElideRight, area.width()
            )
            painter.setPen(QColor(ink))
            painter.drawText(place, left, words)
        painter.restore()


class PassChoice(Choice):
    """Passes by name.

    What each means is looked up when the list is first opened: it takes importing all passes,
    and the window should open at once.
    """

    def __init__(self) -> None:
        super().__init__("Pass to add", people=True)
        self.offer(passes.names())
        self.view().setItemDelegate(TwoLines(self))
        self.view().setMinimumWidth(BROAD)
        self.setMaxVisibleItems(9)

    def showPopup(self) -> None:  # noqa: N802
        for row in range(self.count()):
            if self.itemData(row, MEANING) is None:
                said = meaning_of(self.itemData(row))
                self.setItemData(row, said, MEANING)
                self.setItemData(row, said, Qt.ItemDataRole.ToolTipRole)
        super().showPopup()
