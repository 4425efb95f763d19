"""The ground of all plots, and bars on it.

Only this module and `front` import pyqtgraph, and they are imported only when a plot is drawn.
"""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import pyqtgraph
from PySide6.QtCore import QEvent, QSize, Qt
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QSizePolicy

from gui.theme import SERIES, colors
from gui.widgets.buttons import RESTYLED

GROUP = 0.76  # share of a group's place that its bars take
BROADEST = 0.3
MOST_GROUPS = 12  # more cannot be read side by side
LONGEST = 16  # letters of a name below its group
HEADROOM = 1.15


@dataclass(frozen=True)
class Bar:
    """One bar: `value` of `series` in `group`, with the line above which it is an alarm."""

    group: str
    series: str
    value: float
    bound: float | None = None


class Ground(pyqtgraph.PlotWidget):  # type: ignore[misc]
    """An empty plot in the colours of the theme, which cannot be moved with the mouse."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.setAccessibleName(name)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setMouseEnabled(x=False, y=False)
        self.setMenuEnabled(False)
        self.hideButtons()
        plot = self.getPlotItem()
        plot.getAxis("left").enableAutoSIPrefix(False)
        plot.getAxis("bottom").enableAutoSIPrefix(False)
        plot.getAxis("left").setWidth(52)
        for side in ("left", "bottom"):
            plot.getAxis(side).setZValue(-1)  # the grid lies behind what is drawn
            plot.getAxis(side).setStyle(tickLength=0)
        self._made = True

    def changeEvent(self, event: QEvent) -> None:  # noqa: N802
        super().changeEvent(event)
        if event.type() in RESTYLED and hasattr(self, "_made"):
            self.draw()

    def sizeHint(self) -> QSize:  # noqa: N802
        """Its minimum height decides: on a page that scrolls it leaves room for the rest."""
        return QSize(super().sizeHint().width(), self.minimumHeight())

    @abstractmethod
    def draw(self) -> None:
        """Draw all anew, in the colours of now."""

    def clear_ground(self) -> None:
        chosen = colors()
        self.clear()
        self.setBackground(chosen.card)
        for side in ("left", "bottom"):
            self.getPlotItem().getAxis(side).setPen(chosen.line)
            self.getPlotItem().getAxis(side).setTextPen(chosen.muted)


class Bars(Ground):
    """Groups of bars, a colour a series, each under its own alarm line."""

    def __init__(self) -> None:
        super().__init__("Drift scores")
        self._axis = ""
        self._bars: tuple[Bar, ...] = ()
        self.getPlotItem().showGrid(y=True, alpha=0.15)
        self.draw()

    def show_bars(self, bars: Sequence[Bar], axis: str) -> None:
        self._bars, self._axis = tuple(bars), axis
        self.draw()

    @property
    def series(self) -> list[str]:
        return list(dict.fromkeys(bar.series for bar in self._bars))

    @property
    def groups(self) -> list[str]:
        """Groups in order, the furthest above their lines first when there are too many."""
        worst: dict[str, float] = {}
        for bar in self._bars:
            excess = bar.value / bar.bound if bar.bound else bar.value
            worst[bar.group] = max(worst.get(bar.group, 0.0), excess)
        kept = sorted(worst, key=lambda group: -worst[group])[:MOST_GROUPS]
        return [group for group in worst if group in kept]

    def draw(self) -> None:
        chosen = colors()
        plot = self.getPlotItem()
        self.clear_ground()
        plot.setLabel("left", self._axis, color=chosen.muted)
        groups, series = self.groups, self.series
        names = [g if len(g) <= LONGEST else f"{g[: LONGEST - 1]}…" for g in groups]
        plot.getAxis("bottom").setTicks([list(enumerate(names))])
        width = min(BROADEST, GROUP / max(1, len(series)))
        start = -width * len(series) / 2
        top = 0.0
        for bar in self._bars:
            if bar.group not in groups:
                continue
            number = series.index(bar.series)
            x = groups.index(bar.group) + start + width * (number + 0.5)
            self._draw_bar(bar, x, width, QColor(SERIES[number % len(SERIES)]), chosen.bad)
            top = max(top, bar.value, bar.bound or 0.0)
        self.setXRange(-0.6, max(0, len(groups) - 1) + 0.6, padding=0)
        self.setYRange(0, top * HEADROOM or 1, padding=0)

    def _draw_bar(self, bar: Bar, x: float, width: float, ink: QColor, alarm: str) -> None:
        item = pyqtgraph.BarGraphItem(
            x=[x], height=[bar.value], width=width * 0.86, brush=ink, pen=None
        )
        item.setToolTip(f"{bar.series}, {bar.group}: {bar.value:.3g}")
        self.addItem(item)
        if bar.bound is not None:
            pen = pyqtgraph.mkPen(alarm, width=1.5, style=Qt.PenStyle.DashLine)
            half = width / 2
            self.addItem(pyqtgraph.PlotDataItem([x - half, x + half], [bar.bound] * 2, pen=pen))
