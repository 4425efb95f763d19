"""The trade-off of a search: what each candidate loses against its latency or size."""

from collections.abc import Sequence
from typing import Any

import pyqtgraph
from PySide6.QtCore import Qt, Signal

from gui.theme import SERIES, colors
from gui.widgets.plot import Ground
from gui.widgets.points import GOLD, Limits, Point, frontier

POINT, STAR, RING = 10, 18, 20  # pixels
ROOM = 0.08  # share of a range that is left free at its ends
LEAST = 0.1  # points: a range of nothing would hide that all lie on one line


class Front(Ground):
    """A point a candidate; one that is clicked is told by its trial."""

    clicked = Signal(int)

    def __init__(self) -> None:
        super().__init__("Candidates of the search: what they lose against what they need")
        self.points: tuple[Point, ...] = ()
        self.limits = Limits()
        self.current: int | None = None
        self._titles = ("", "")
        self._marked = pyqtgraph.ScatterPlotItem()
        self.getPlotItem().showGrid(x=True, y=True, alpha=0.12)
        self.draw()

    def show_points(
        self, points: Sequence[Point], limits: Limits, x_title: str, y_title: str
    ) -> None:
        self.points, self.limits, self._titles = tuple(points), limits, (x_title, y_title)
        self.draw()

    def mark(self, trial: int | None) -> None:
        """Put a ring around one candidate."""
        self.current = trial
        chosen = [p for p in self.points if p.trial == trial]
        self._marked.setData(x=[p.x for p in chosen], y=[p.y for p in chosen])

    def draw(self) -> None:
        chosen = colors()
        self.clear_ground()
        plot = self.getPlotItem()
        for side, title in zip(("bottom", "left"), self._titles, strict=True):
            plot.setLabel(side, title, color=chosen.muted)
        self._draw_limits(chosen.bad)
        line = frontier(self.points)
        pen = pyqtgraph.mkPen(SERIES[0], width=1.5)
        self.addItem(
            pyqtgraph.PlotDataItem(
                [p.x for p in line], [p.y for p in line], pen=pen, antialias=True
            )
        )
        self._draw_intervals(chosen.muted)
        self._draw_points(chosen.card, chosen.muted)
        ring = pyqtgraph.mkPen(chosen.text, width=2)
        self._marked = pyqtgraph.ScatterPlotItem(symbol="o", size=RING, pen=ring, brush=None)
        self._marked.setAcceptedMouseButtons(Qt.MouseButton.NoButton)
        self.addItem(self._marked)
        self.mark(self.current)
        self._set_range()

    def _draw_points(self, ground: str, muted: str) -> None:
        spots: list[dict[str, Any]] = []
        for point in sorted(self.points, key=lambda p: (p.picked, p.fits)):  # the best on top
            ink = GOLD if point.picked else SERIES[0] if point.fits else muted
            filled = point.picked or point.fits
            spots.append(
                {
                    "pos": (point.x, point.y),
                    "data": point,
                    "symbol": "star" if point.picked else "o",
                    "size": STAR if point.picked else POINT,
                    "pen": pyqtgraph.mkPen(ground if filled else ink, width=1.5),
                    "brush": pyqtgraph.mkBrush(ink if filled else ground),
                }
            )
        scatter = pyqtgraph.ScatterPlotItem(
            hoverable=True, hoverSize=-1, tip=lambda x, y, data: data.words
        )
        scatter.addPoints(spots)
        scatter.sigClicked.connect(self._tell)
        self.addItem(scatter)

    def _draw_intervals(self, ink: str) -> None:
        shown = [p for p in self.points if p.pareto]
        xs = [p.x for p in shown for _ in range(2)]
        ys = [end for p in shown for end in (p.low, p.high)]
        pen = pyqtgraph.mkPen(ink, width=1)
        self.addItem(pyqtgraph.PlotDataItem(xs, ys, connect="pairs", pen=pen))

    def _draw_limits(self, ink: str) -> None:
        pen = pyqtgraph.mkPen(ink, width=1.5, style=Qt.PenStyle.DashLine)
        for value, angle in ((self.limits.x, 90), (self.limits.y, 0)):
            if value is not None:
                self.addItem(pyqtgraph.InfiniteLine(value, angle=angle, pen=pen))

    def _set_range(self) -> None:
        xs = [p.x for p in self.points] + [v for v in (self.limits.x,) if v is not None]
        ys = [v for p in self.points for v in ((p.low, p.y, p.high) if p.pareto else (p.y,))]
        ys += [0.0, *(v for v in (self.limits.y,) if v is not None)]
        right, low, high = max(xs, default=1.0), min(ys), max(ys)
        room = max(high - low, LEAST) * ROOM
        self.setXRange(0, (right or 1.0) * (1 + ROOM), padding=0)
        self.setYRange(low - room, high + room, padding=0)

    def _tell(self, _item: object, spots: Sequence[Any], *_more: object) -> None:
        if len(spots):  # the last one lies on top
            self.clicked.emit(spots[-1].data().trial)
