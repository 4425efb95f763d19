"""A model graph to look at: zoomed, dragged, walked through with the keys."""

from collections import defaultdict
from collections.abc import Callable, Sequence

from PySide6.QtCore import QEvent, QPoint, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QKeyEvent, QMouseEvent, QPainter, QResizeEvent, QWheelEvent
from PySide6.QtWidgets import QApplication, QFrame, QGraphicsScene, QGraphicsView

from gui.widgets.buttons import RESTYLED
from gui.widgets.graph_items import Box, Line
from gui.widgets.graph_layout import Place, layout
from gui.widgets.graph_parts import Graph

STEP = 1.2  # of a key press, or of one notch of a wheel
NOTCH = 120  # of the wheel, in the unit of Qt
LEAST, MOST = 0.08, 3.0  # scales
MARGIN = 24.0  # around the drawing
FIT_LEAST = 0.7  # a whole graph that would be smaller than this is shown from its top instead


class GraphView(QGraphicsView):
    """Shows a `Graph`; `chosen` tells the number of the box that is looked at, or -1."""

    chosen = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self.setScene(QGraphicsScene(self))
        self.setAccessibleName("Model graph")
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setRenderHint(QPainter.RenderHint.Antialiasing)
        self.setDragMode(QGraphicsView.DragMode.ScrollHandDrag)
        self.setTransformationAnchor(QGraphicsView.ViewportAnchor.AnchorUnderMouse)
        self.setAcceptDrops(False)  # a dropped file is for the page
        self.viewport().setAcceptDrops(False)
        self.viewport().setCursor(Qt.CursorShape.ArrowCursor)
        self.setToolTip("Wheel or + and - zoom, 0 shows all; arrow keys go from box to box.")
        self.boxes: list[Box] = []
        self.lines: list[Line] = []
        self.current = -1
        self._places: tuple[Place, ...] = ()
        self._above: dict[int, list[int]] = defaultdict(list)
        self._below: dict[int, list[int]] = defaultdict(list)
        self._lines_of: dict[int, list[Line]] = defaultdict(list)
        self._hits: set[int] = set()
        self._pressed = QPoint()
        self._fits = True  # the view has not been zoomed or moved by hand
        self._keys: dict[int, Callable[[], object]] = {
            Qt.Key.Key_Plus: lambda: self.zoom(STEP),
            Qt.Key.Key_Equal: lambda: self.zoom(STEP),
            Qt.Key.Key_Minus: lambda: self.zoom(1 / STEP),
            Qt.Key.Key_0: self.fit,
            Qt.Key.Key_Down: lambda: self._walk(self._below),
            Qt.Key.Key_Up: lambda: self._walk(self._above),
            Qt.Key.Key_Left: lambda: self._beside(-1),
            Qt.Key.Key_Right: lambda: self._beside(1),
            Qt.Key.Key_Home: lambda: self.choose(0),
            Qt.Key.Key_End: lambda: self.choose(len(self.boxes) - 1),
        }

    def sizeHint(self) -> QSize:  # noqa: N802
        """What is drawn does not ask for room: the page would scroll."""
        return self.minimumSize()

    def show_graph(self, graph: Graph) -> None:
        """Draw it, with nothing chosen."""
        drawn = layout([vertex.size for vertex in graph.vertices], graph.edges)
        self.scene().clear()
        self._places = drawn.boxes
        pairs = zip(graph.vertices, drawn.boxes, strict=True)
        self.boxes = [Box(i, v, p) for i, (v, p) in enumerate(pairs)]
        self.lines = [Line(*e, spots) for e, spots in zip(graph.edges, drawn.lines, strict=True)]
        for known in (self._above, self._below, self._lines_of):
            known.clear()
        for line in self.lines:
            start, end = line.ends
            self._below[start].append(end)
            self._above[end].append(start)
            self._lines_of[start].append(line)
            self._lines_of[end].append(line)
        for item in (*self.lines, *self.boxes):
            self.scene().addItem(item)
        area = QRectF(0, 0, drawn.width, drawn.height)
        self.scene().setSceneRect(area.adjusted(-MARGIN, -MARGIN, MARGIN, MARGIN))
        self.current, self._hits = -1, set()
        self.setAccessibleDescription(f"{len(self.boxes)} boxes")
        self.fit()

    def choose(self, number: int, *, centre: bool = False) -> None:
        """Look at one box; -1 for none."""
        if not -1 <= number < len(self.boxes) or number == self.current:
            return
        for line in self._lines_of[self.current]:
            line.dress(current=False)
        before, self.current = self.current, number
        for each in filter(lambda n: n >= 0, (before, number)):
            self.boxes[each].mark(current=each == number, hit=each in self._hits)
        for line in self._lines_of[number]:
            line.dress(current=True)
        if number >= 0:
            box = self.boxes[number]
            self.setAccessibleDescription(box.vertex.words)
            if centre:
                self.centerOn(box)
            else:
                self.ensureVisible(box, 60, 60)
        self.chosen.emit(number)

    def mark(self, hits: Sequence[int]) -> None:
        """Put a ring around these boxes."""
        before, self._hits = self._hits, set(hits)
        for number in before ^ self._hits:
            self.boxes[number].mark(current=number == self.current, hit=number in self._hits)

    def zoom(self, factor: float) -> None:
        self._fits = False
        scale = self.transform().m11()
        factor = min(max(scale * factor, LEAST), MOST) / scale
        self.scale(factor, factor)

    def fit(self) -> None:
        """As wide as the view; from the top, where all of it would be too small to read."""
        self._fits = True
        area, room = self.sceneRect(), self.viewport().size()
        if not self.boxes or room.width() < 2:
            return
        whole = min(room.width() / area.width(), room.height() / area.height(), 1.0)
        wide = min(room.width() / area.width(), 1.0)
        scale = whole if whole >= FIT_LEAST else max(min(wide, 1.0), FIT_LEAST)
        self.resetTransform()
        self.scale(scale, scale)
        first = self.boxes[0].sceneBoundingRect().center()
        middle = area.center().x() if area.width() * scale <= room.width() else first.x()
        self.centerOn(QPointF(middle, area.center().y() if whole >= FIT_LEAST else area.top()))

    def _walk(self, ways: dict[int, list[int]]) -> None:
        """To the neighbour nearest below or above."""
        if self.current < 0:
            self.choose(0)
            return
        here = self._places[self.current].middle
        near = ways[self.current]
        if near:
            self.choose(min(near, key=lambda n: abs(self._places[n].middle - here)))

    def _beside(self, way: int) -> None:
        """To the next box of the same layer."""
        if self.current < 0:
            self.choose(0)
            return
        here = self._places[self.current]
        row = [n for n, place in enumerate(self._places) if place.layer == here.layer]
        row.sort(key=lambda n: self._places[n].x)
        at = row.index(self.current) + way
        if 0 <= at < len(row):
            self.choose(row[at])

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802
        does = self._keys.get(event.key())
        if does and self.boxes:
            does()
        else:
            super().keyPressEvent(event)

    def wheelEvent(self, event: QWheelEvent) -> None:  # noqa: N802
        if self.boxes and event.angleDelta().y():
            self.zoom(STEP ** (event.angleDelta().y() / NOTCH))
            event.accept()
        else:
            super().wheelEvent(event)

    def mousePressEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        self._pressed = event.position().toPoint()
        super().mousePressEvent(event)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        super().mouseReleaseEvent(event)
        self.viewport().setCursor(Qt.CursorShape.ArrowCursor)
        at = event.position().toPoint()
        if (at - self._pressed).manhattanLength() >= QApplication.startDragDistance():
            self._fits = False
            return
        item = self.itemAt(at)
        self.choose(item.number if isinstance(item, Box) else -1)

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802
        super().resizeEvent(event)
        if self._fits:
            self.fit()

    def changeEvent(self, event: QEvent) -> None:  # noqa: N802
        super().changeEvent(event)
        if event.type() in RESTYLED and hasattr(self, "lines"):
            for line in self.lines:
                line.dress(current=self.current in line.ends)
            self.viewport().update()
