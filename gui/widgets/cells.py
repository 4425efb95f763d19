"""How the cells of a table are drawn where words alone would not do."""

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QPainter, QPalette
from PySide6.QtWidgets import QStyledItemDelegate, QStyleOptionViewItem

from gui.models import BAR_ROLE, TONE_ROLE
from gui.theme import SERIES
from gui.widgets.buttons import icon, tone_color

THICK = 10  # pixels
EDGE = 11  # pixels: as far from its cell's edge as text is
FIGURE = 52  # pixels: kept free for the figure beside the bar

Index = QModelIndex | QPersistentModelIndex


class Cells(QStyledItemDelegate):
    """A state as a dot and a word in its colour; a share as a bar and its figure."""

    def initStyleOption(self, option: QStyleOptionViewItem, index: Index) -> None:  # noqa: N802
        super().initStyleOption(option, index)
        tone = index.data(TONE_ROLE)
        if tone is None:
            return
        ink = tone_color(tone)
        for role in (QPalette.ColorRole.Text, QPalette.ColorRole.HighlightedText):
            option.palette.setColor(role, ink)
        option.features |= QStyleOptionViewItem.ViewItemFeature.HasDecoration
        option.icon = icon("circle", ink.name())
        option.decorationSize = QSize(8, 8)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        super().paint(painter, option, index)
        share = index.data(BAR_ROLE)
        if not share:
            return
        area = QRectF(option.rect)
        room = area.width() - 2 * EDGE - FIGURE
        left, top = area.left() + EDGE, area.center().y() - THICK / 2
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(SERIES[0]))
        painter.drawRoundedRect(QRectF(left, top, max(2.0, room * share), THICK), 2, 2)
        painter.restore()
