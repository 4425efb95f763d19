"""What devices see, whether it has drifted, and training again with it."""

from typing import TYPE_CHECKING

from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QCheckBox, QHBoxLayout, QLineEdit, QVBoxLayout

from gui import wording
from gui.models import Column, Row
from gui.pages.base import Page, Result
from gui.session import Command, Session
from gui.theme import Tone
from gui.widgets.card import Card, Tile, tiles
from gui.widgets.choice import Choice
from gui.widgets.command import Action, Incomplete
from gui.widgets.empty import Empty
from gui.widgets.legend import Legend
from gui.widgets.rows import named, unique_name
from gui.widgets.table import Table
from gui.widgets.text import label

if TYPE_CHECKING:
    from gui.widgets.plot import Bars

EVERY_MS = 15_000  # devices send on about this often; a report takes a second or two
FLEET = "fleet"
FIRST_TEST = "psi"  # the one people know


def state(row: Row) -> str:
    if row.get("score") is None:
        return "not checked"
    return "alarm" if row.get("alarm") else "quiet"


def verdict(row: Row) -> str:
    return "passed" if row.get("passed") else "failed"


DRIFT = (
    Column("device", "Device", stretch=3),
    Column("version", "Version", stretch=0, sample="03b9b16885e6"),
    Column("feature", "Feature", stretch=4),
    Column(
        "test",
        "Test",
        value=lambda row: wording.words(str(row["test"])),
        sample="Kolmogorov-Smirnov",
    ),
    Column("samples", "Samples", "count"),
    Column("score", "Score", "number"),
    Column("threshold", "Alarm above", "number"),
    Column("state", "State", "state", value=state, stretch=2),
)
COMPARISONS = (
    Column("data", "Data", stretch=3),
    Column("old", "Before", "percent", value=lambda row: (row.get("old") or {}).get("value")),
    Column("new", "After", "percent", value=lambda row: (row.get("new") or {}).get("value")),
    Column("difference", "Change", "percent"),
    Column("verdict", "Gate", "state", value=verdict, stretch=2),
)


class Monitor(Page):
    """Above the report; below the collector and training again."""

    title = "Monitor"
    icon = "chart-line"
    order = 50

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self.rows: tuple[Row, ...] = ()
        self.asker.failed.connect(lambda *_: self.show_report({}))  # old figures are no answer
        self._bars: Bars | None = None
        self.model = Choice("Package or model", "No models yet")
        self.model.setFixedWidth(260)
        self.model.currentIndexChanged.connect(self._choose_model)
        self.again = QCheckBox("Every 15 s")
        self.again.setToolTip("Ask again every 15 seconds")
        self.timer = QTimer(self, interval=EVERY_MS)
        self.timer.timeout.connect(self.watch)
        self.again.toggled.connect(self._repeat)
        for part in (self.again, self.model):
            self.header.addWidget(part)
        self.tiles = {
            name: Tile(name) for name in ("State", "Devices", "Items seen", "Features in alarm")
        }
        self.body.addLayout(tiles(*self.tiles.values()))
        self.body.addWidget(self._collector_card())
        self.body.addWidget(self._plot_card(), 3)
        self.body.addWidget(self._table_card(), 3)
        self.body.addWidget(self._retrain_card())
        self.now = Action(
            session, "Check now", "magnifying-glass-chart", self.watch_command, primary=True
        )
        self.now.triggered.connect(self.watch)
        self.footer.insertWidget(0, self.now)

    def _plot_card(self) -> Card:
        card = Card("Drift by device and feature")
        self.legend = Legend()
        self.test = Choice("Drift test", "No report yet", people=True)
        self.test.setFixedWidth(200)
        self.test.currentIndexChanged.connect(self._draw)
        card.header.addWidget(self.legend)
        card.header.addWidget(self.test)
        self.plot_place = QVBoxLayout()
        self.no_plot = Empty(
            "chart-column",
            "No report yet",
            "Start the collector, let devices work, then press Check now.",
        )
        self.plot_place.addWidget(self.no_plot)
        self.no_plot.setMinimumHeight(180)
        card.add(self.plot_place, 1)
        return card

    def _table_card(self) -> Card:
        card = Card("Devices and features")
        self.table = Table(
            "Drift report",
            DRIFT,
            Empty("magnifying-glass-chart", "Nothing compared yet", "The report is listed here."),
        )
        self.table.setMinimumHeight(150)
        card.add(self.table, 1)
        return card

    def _collector_card(self) -> Card:
        card = Card()
        self.collect = self.service("Start", "play", lambda: ("collect",))
        row = QHBoxLayout()
        row.setSpacing(14)
        row.addWidget(label("Collector", "heading"))
        row.addWidget(self.collect, 1)
        card.add(row)
        return card

    def _retrain_card(self) -> Card:
        card = Card("Train again")
        self.old = Choice("Model to train again", "No models yet")
        self.data = Choice("Data to train with", "No data yet")
        self.name = named(QLineEdit(), "Name of the new model")
        self.retrain = self.action(
            "Retrain", "arrows-rotate", self.retrain_command, self._retrained
        )
        self.comparisons = Table(
            "Old and new model",
            COMPARISONS,
            Empty("scale-balanced", "No comparison yet", "Old and new are compared here."),
            sortable=False,
        )
        self.comparisons.hide()
        row = QHBoxLayout()
        row.setSpacing(14)
        for title, box in (("Model", self.old), ("Data", self.data), ("Name", self.name)):
            row.addWidget(label(title, "muted"))
            row.addWidget(box, 1)
        card.add(row)
        card.add(self.retrain)
        card.add(self.comparisons)
        for choice in (self.old, self.data):
            choice.currentIndexChanged.connect(self.refresh_commands)
        self.name.textEdited.connect(self.refresh_commands)
        return card

    def watch_command(self) -> Command:
        if not self.model.chosen:
            raise Incomplete("Train a model first.")
        return ("watch", self.model.chosen)

    def retrain_command(self) -> Command:
        if not self.old.chosen:
            raise Incomplete("Train a model first.")
        if not self.data.chosen:
            raise Incomplete("Add the data devices see now, on the page Train.")
        name = self.name.text().strip() or self.name.placeholderText()
        return ("retrain", self.old.chosen, "--data", self.data.chosen, "--name", name)

    def watch(self) -> None:
        if self.model.chosen:
            self.ask(self._answered, self.watch_command())

    def _answered(self, result: Result) -> None:
        self.banner.hide()  # not before: asked every 15 s, it would blink
        if note := result.get("note"):
            self.banner.show_problem(str(note), "")
        self.show_report(result)

    def _repeat(self, on: bool) -> None:
        if on:
            self.watch()
            self.timer.start()
        else:
            self.timer.stop()

    def _choose_model(self) -> None:
        self.show_report({})
        self.refresh_commands()

    def refresh_commands(self) -> None:
        words = f"{self.old.chosen or 'model'}-again"
        self.name.setPlaceholderText(unique_name(words, self.session.names("models")))
        self.now.refresh()
        super().refresh_commands()

    def refresh(self) -> None:
        models = self.session.names("models")
        self.model.offer(list(dict.fromkeys((*self.session.names("packages"), *models))))
        self.old.offer(models)
        self.data.offer(self.session.names("datasets"))
        self.refresh_commands()

    def show_report(self, result: Result) -> None:
        self.rows = tuple(result.get("rows", ()))
        self.table.fill(self.rows)
        self._show_tiles(result)
        tests = {str(row["test"]) for row in self.rows}
        self.test.offer(sorted(tests, key=lambda test: (test != FIRST_TEST, test)))
        self._draw()

    def _show_tiles(self, result: Result) -> None:
        if not self.rows:
            for tile in self.tiles.values():
                tile.show_figure(wording.NOTHING)
            return
        devices = [row for row in self.rows if row.get("device") != FLEET] or list(self.rows)
        alarms = {(row["device"], row["feature"]) for row in self.rows if row.get("alarm")}
        # every feature of a device and version was counted on the same items
        seen = {(row["device"], row.get("version")): int(row["samples"]) for row in devices}
        names = list(dict.fromkeys(str(device) for device, _ in seen))
        words, tone = self._state(bool(result.get("alarm")))
        self.tiles["State"].show_figure(words, str(result.get("model", "")), tone)
        self.tiles["Devices"].show_figure(wording.count(len(names)), ", ".join(names))
        self.tiles["Items seen"].show_figure(
            wording.count(sum(seen.values())), str(result.get("feedback") or "")
        )
        drifting = len({feature for _, feature in alarms})
        where = len({device for device, _ in alarms if device != FLEET})
        self.tiles["Features in alarm"].show_figure(
            wording.count(drifting), f"on {where} of {len(names)} devices" if alarms else ""
        )

    def _state(self, alarm: bool) -> tuple[str, Tone]:
        if alarm:
            return "Alarm", "bad"
        if all(row.get("score") is None for row in self.rows):
            return "Not checked", "muted"
        return "Quiet", "good"

    def _draw(self) -> None:
        chosen = [
            row
            for row in self.rows
            if row.get("test") == self.test.chosen and row.get("score") is not None
        ]
        self.no_plot.setVisible(not chosen)
        bars = self._bars_widget() if chosen or self._bars else None
        if bars is None:
            return
        from gui.widgets.plot import Bar

        bars.setVisible(bool(chosen))
        several = len({row.get("version") for row in chosen}) > 1
        bars.show_bars(
            [
                Bar(
                    str(row["feature"]),
                    f"{row['device']} {row['version']}" if several else str(row["device"]),
                    float(row["score"]),
                    row.get("threshold"),
                )
                for row in chosen
            ],
            self.test.currentText(),
        )
        self.legend.show_series(bars.series)

    def _bars_widget(self) -> "Bars":
        if self._bars is None:
            from gui.widgets.plot import Bars  # brings numpy, which the other pages do without

            self._bars = Bars()
            self._bars.setMinimumHeight(180)
            self.plot_place.addWidget(self._bars)
        return self._bars

    def _retrained(self, result: Result) -> None:
        self.comparisons.fill(result.get("comparisons", ()))
        self.comparisons.fit()
        self.comparisons.show()
        if not result.get("ok", True):
            self.banner.show_problem(
                f"{result.get('name')} is not better than {result.get('source')}.",
                "Keep the old model, or train again with more of the new data.",
            )
