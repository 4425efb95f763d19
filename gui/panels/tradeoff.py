"""The candidates of a search, in a plot and in a table with one selection."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QTimer, Signal
from PySide6.QtWidgets import QVBoxLayout

from gui import wording
from gui.models import Column, Row
from gui.widgets.card import Card
from gui.widgets.empty import Empty
from gui.widgets.legend import marks
from gui.widgets.points import Limits, Point
from gui.widgets.segments import Segments
from gui.widgets.table import Table

if TYPE_CHECKING:
    from gui.widgets.front import Front

SOON_MS = 60  # a study that goes on tells all its old trials at once: draw them once
KILO = 1000
AXES = {"latency_ms": ("Latency", "Latency, ms", 1.0), "size_bytes": ("Size", "Size, kB", KILO)}
"""By key: the word on its segment, the title of the axis, and what its unit is."""
LOST = "Lost, points"
NOTHING_YET = ("Nothing searched yet", "Set a budget and press Search.")


def lost_tip(row: Row) -> str:
    low, high = (wording.points(row.get(key)) for key in ("drop_low", "drop_high"))
    return f"{wording.points(row.get('drop'))} points, likely {low} to {high}"


CANDIDATES = (
    Column("trial", "Nr", "count", stretch=0, sample="999"),
    Column("recipe", "Recipe", stretch=4, sample="prune, int8"),
    Column("runtime", "Runtime", stretch=1, sample="tflite x1"),
    Column("size_bytes", "Size", "size", stretch=0),
    Column("latency_ms", "Latency", "ms", stretch=0, sample="0.99 ms"),
    Column("drop", "Lost", "points", stretch=0, sample="99.99", tip=lost_tip),
    Column(
        "fits",
        "Budget",
        "state",
        value=lambda row: "fits" if row.get("fits") else "over",
        stretch=0,
        sample="Fits",
    ),
)


def finite(row: Row) -> Row:
    """`row` without what is no number: a figure that was not measured."""
    return {
        key: None if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in row.items()
    }


def point_of(row: Row, key: str, pick: str) -> Point | None:
    """Where a candidate lies when `key` goes to the right; None where a figure is missing."""
    x, y = row.get(key), row.get("drop")
    if x is None or y is None:
        return None
    low, high = (y if row.get(end) is None else row[end] for end in ("drop_low", "drop_high"))
    return Point(
        int(row["trial"]), x / AXES[key][2], 100 * y, 100 * low, 100 * high, bool(row.get("fits")),
        bool(row.get("pareto")), bool(pick) and row.get("model") == pick, tip_of(row),
    )  # fmt: skip


def tip_of(row: Row) -> str:
    return "\n".join(
        (
            f"Trial {row.get('trial')}: {row.get('recipe') or 'no passes'}",
            f"{row.get('runtime')}, {wording.size(row.get('size_bytes'))}, "
            f"{wording.milliseconds(row.get('latency_ms'))}",
            f"Lost: {wording.points(row.get('drop'))} points",
        )
    )


class TradeoffCard(Card):
    """Takes candidates as they are found. `selected` tells the one chosen, or None."""

    selected = Signal(object)

    def __init__(self) -> None:
        super().__init__("Trade-off")
        self.rows: dict[int, Row] = {}
        self._pick = ""
        self._limits: Mapping[str, Limits] = {}
        self._front: Front | None = None
        self.axis = Segments("Lower axis", [words for words, _, _ in AXES.values()])
        self.axis.currentChanged.connect(self._draw)
        self.header.insertWidget(
            self.header.count(),
            marks(
                ("fits", "Fits"), ("over", "Over budget"), ("pick", "Pick"), ("budget", "Budget")
            ),
        )
        self.header.addWidget(self.axis)
        self.nothing = Empty("chart-line", *NOTHING_YET)
        self.nothing.setMinimumHeight(260)
        self.place = QVBoxLayout()
        self.place.addWidget(self.nothing)
        self.table = Table("Candidates", CANDIDATES, Empty("list", "", ""))
        self.table.setMinimumHeight(190)
        self.table.hide()
        self.table.selected.connect(self._select)
        self.add(self.place, 3)
        self.add(self.table, 2)
        self._soon = QTimer(self, singleShot=True, interval=SOON_MS)
        self._soon.timeout.connect(self._show)

    def take(self, candidate: Row, best: str) -> None:
        """A trial that has just ended, and the model that would be picked now."""
        self.rows[int(candidate["trial"])] = finite(candidate)
        self._pick = best
        self._soon.start()

    def show_front(self, front: Sequence[Row], pick: str) -> None:
        """The final Pareto set; what was found before and is not in it was left behind."""
        known = {trial: {**row, "pareto": False} for trial, row in self.rows.items()}
        self.rows = {**known, **{int(row["trial"]): finite(row) for row in front}}
        self._pick = pick
        self.nothing.say("Nothing was found", "No trial was finished.")
        self._show()
        if chosen := [trial for trial, row in self.rows.items() if pick and row["model"] == pick]:
            self.table.select(str(chosen[0]))

    def clear(self) -> None:
        self.rows, self._pick = {}, ""
        self._show()

    def say_running(self) -> None:
        self.nothing.say("Searching", "Candidates appear here as they are found.")

    def show_limits(self, limits: Mapping[str, Limits]) -> None:
        self._limits = limits
        self._draw()

    def _show(self) -> None:
        self._soon.stop()
        rows: list[dict[str, Any]] = [
            {**row, "name": str(trial)} for trial, row in sorted(self.rows.items())
        ]
        chosen = self.table.current
        self.table.setVisible(bool(rows))
        self.table.fill(rows)
        if chosen and self.table.current is None:
            self._select(None)
        self._draw()

    def _select(self, row: Row | None) -> None:
        if self._front:
            self._front.mark(int(row["trial"]) if row else None)
        self.selected.emit(row)

    def _draw(self) -> None:
        key = list(AXES)[self.axis.currentIndex()]
        points = [p for row in self.rows.values() if (p := point_of(row, key, self._pick))]
        self.nothing.setVisible(not points)
        if not points and not self._front:
            return
        front = self._plot()
        front.setVisible(bool(points))
        limits = self._limits.get(key, Limits())
        x = None if limits.x is None else limits.x / AXES[key][2]
        y = None if limits.y is None else 100 * limits.y
        front.show_points(points, Limits(x, y), AXES[key][1], LOST)

    def _plot(self) -> "Front":
        if self._front is None:
            from gui.widgets.front import Front  # brings numpy, which the other pages do without

            self._front = Front()
            self._front.setMinimumHeight(260)
            self._front.clicked.connect(lambda trial: self.table.select(str(trial)))
            self.place.addWidget(self._front)
        return self._front
