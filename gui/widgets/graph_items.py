"""How the boxes and lines of a graph are drawn."""

from collections.abc import Sequence
from itertools import pairwise

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QPainter, QPainterPath, QPen
from PySide6.QtWidgets import (
    QApplication,
    QGraphicsItem,
    QGraphicsPathItem,
    QStyleOptionGraphicsItem,
    QWidget,
)

from gui.theme import colors
from gui.widgets.graph_layout import Place, Spot
from gui.widgets.graph_parts import KINDS, SHORT, Vertex

RADIUS, PAD, STRIPE = 8.0, 12.0, 4.0
LEGIBLE = 0.42  # scale below which words are left out: they could not be read
TINT, TINT_SMALL = 0.10, 0.22  # of a kind's colour in its ground
BEND = 0.5  # of the way down that a line keeps going straight


def blend(one: str, other: str, share: float) -> QColor:
    """`share` of the first colour in the second."""
    a, b = QColor(one), QColor(other)
    pairs = ((a.red(), b.red()), (a.green(), b.green()), (a.blue(), b.blue()))
    return QColor(*(round(x * share + y * (1 - share)) for x, y in pairs))


class Box(QGraphicsItem):
    """One operator, input or output."""

    def __init__(self, number: int, vertex: Vertex, place: Place) -> None:
        super().__init__()
        self.number, self.vertex = number, vertex
        self.current = self.hit = False
        self._area = QRectF(0, 0, place.width, place.height)
        self.setPos(place.x, place.y)
        self.setToolTip(vertex.words)
        self.setZValue(1)

    def boundingRect(self) -> QRectF:  # noqa: N802
        return self._area.adjusted(-3, -3, 3, 3)

    def mark(self, *, current: bool, hit: bool) -> None:
        if (current, hit) != (self.current, self.hit):
            self.current, self.hit = current, hit
            self.update()

    def paint(
        self, painter: QPainter, option: QStyleOptionGraphicsItem, _widget: QWidget | None = None
    ) -> None:
        chosen, vertex = colors(), self.vertex
        ink = chosen.muted if vertex.end else KINDS[vertex.kind]
        small = vertex.op in SHORT
        ground = blend(ink, chosen.card, TINT_SMALL if small else TINT)
        edge, thick = blend(ink, chosen.card, 0.55), 1.2
        if self.hit:
            edge, thick = QColor(chosen.watch), 2.4
        if self.current:
            edge, thick = QColor(chosen.accent), 2.8
        painter.setPen(QPen(edge, thick))
        painter.setBrush(ground)
        round_ends = small or bool(vertex.end)
        radius = self._area.height() / 2 if round_ends else RADIUS
        painter.drawRoundedRect(self._area, radius, radius)
        scale = option.levelOfDetailFromTransform(painter.worldTransform())
        if scale < LEGIBLE:
            return
        if small:
            painter.setPen(QColor(chosen.text))
            painter.setFont(font(9, bold=True))
            painter.drawText(self._area, Qt.AlignmentFlag.AlignCenter, SHORT[vertex.op])
            return
        if not round_ends:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(ink))
            height = self._area.height() - 2 * RADIUS
            painter.drawRoundedRect(QRectF(5, RADIUS, STRIPE, height), 2, 2)
        self._write(painter, chosen.text, chosen.muted)

    def _write(self, painter: QPainter, text: str, muted: str) -> None:
        vertex = self.vertex
        pad = PAD + (RADIUS if vertex.end else STRIPE)
        room = self._area.adjusted(pad, 6, -pad + STRIPE, -6)
        top = QRectF(room.left(), room.top(), room.width(), room.height() / 2)
        below = top.translated(0, room.height() / 2)
        first, second = (vertex.name, vertex.shape) if vertex.end else (vertex.op, vertex.name)
        used = write(painter, top, first, text, bold=True)
        shape = vertex.op if vertex.end else vertex.shape
        write(painter, top.adjusted(used + 8, 0, 0, 0), shape, muted, right=True)
        write(painter, below, second, muted)


def write(
    painter: QPainter, area: QRectF, words: str, ink: str, *, bold: bool = False,
    right: bool = False,
) -> float:  # fmt: skip
    """One line, its middle left out where it is too long; gives back how wide it is."""
    used = font(10 if bold else 9, bold=bold)
    metrics = QFontMetricsF(used)
    shown = metrics.elidedText(words, Qt.TextElideMode.ElideMiddle, max(area.width(), 0))
    side = Qt.AlignmentFlag.AlignRight if right else Qt.AlignmentFlag.AlignLeft
    painter.setPen(QColor(ink))
    painter.setFont(used)
    painter.drawText(area, side | Qt.AlignmentFlag.AlignVCenter, shown)
    return metrics.horizontalAdvance(shown)


def font(points: float, *, bold: bool = False) -> QFont:
    made = QFont(QApplication.font())
    made.setPointSizeF(points)
    made.setWeight(QFont.Weight.DemiBold if bold else QFont.Weight.Normal)
    return made


class Line(QGraphicsPathItem):
    """From one box down to another, with an arrow head at its end."""

    def __init__(self, start: int, end: int, spots: Sequence[Spot]) -> None:
        super().__init__(curve(spots))
        self.ends = (start, end)
        self.dress(current=False)

    def dress(self, *, current: bool) -> None:
        chosen = colors()
        ink = QColor(chosen.accent) if current else blend(chosen.muted, chosen.card, 0.6)
        self.setPen(QPen(ink, 2.0 if current else 1.3))
        self.setZValue(0.5 if current else 0)


def curve(spots: Sequence[Spot]) -> QPainterPath:
    points = [QPointF(*spot) for spot in spots]
    path = QPainterPath(points[0])
    for start, end in pairwise(points):
        if abs(start.x() - end.x()) < 1:
            path.lineTo(end)
            continue
        bend = (end.y() - start.y()) * BEND
        path.cubicTo(start + QPointF(0, bend), end - QPointF(0, bend), end)
    tip = points[-1]
    path.moveTo(tip + QPointF(-3.5, -6))
    path.lineTo(tip)
    path.lineTo(tip + QPointF(3.5, -6))
    return path
