"""Which layers quantization damages, and what repairing them brought."""

from PySide6.QtWidgets import QCheckBox, QLineEdit

from gui import wording
from gui.models import Column, Row
from gui.pages.base import Page, Result
from gui.panels.base import Panel, chosen_data
from gui.session import Command
from gui.theme import Tone
from gui.widgets.amount import Amount
from gui.widgets.card import Card, Tile, tiles
from gui.widgets.choice import Choice
from gui.widgets.empty import Empty
from gui.widgets.figures import Figure, Figures
from gui.widgets.gate import GateFields
from gui.widgets.notes import Notes, warning_notes
from gui.widgets.rows import form_rows, named, steady, unique_name
from gui.widgets.table import Table
from gui.widgets.text import Elided, label
from gui.widgets.verdict import VerdictCard
from toolkit.quantities import size_bytes

LAYERS = (
    Column("layer", "Layer", stretch=3, sample="features.12"),
    Column("op", "Operator", stretch=1, sample="Conv"),
    Column("damage", "Lost, points", "points", stretch=6, bar=True, sample="a bar to compare"),
    Column("loss", "Loss gained", "number", stretch=0),
    Column("sqnr_db", "SQNR, dB", "decibels", stretch=0),
)
ODD = 8.0  # times the 99th percentile: the weight takes 3 of 8 bits from the others
REPAIRS = (
    Column("layer", "Layer", stretch=2, sample="features.12"),
    Column("how", "How", value=lambda row: wording.words(str(row["how"])), stretch=2),
    Column("accuracy", "Accuracy", "percent", stretch=1),
    Column("size_bytes", "Size", "size", stretch=1),
    Column("kept", "Outcome", "state", value=lambda row: "kept" if row["kept"] else "put back"),
)


def between(low: float | None, high: float | None) -> str:
    return f"{wording.number(low)} to {wording.number(high)}".replace("-", wording.MINUS)


def layer_figures(row: Row) -> list[Figure]:
    """What is known of one layer beside its damage."""
    outlier, back = row.get("outlier"), row.get("recovery")
    odd: Tone | None = "watch" if outlier is not None and outlier > ODD else None
    weights = between(row.get("weight_low"), row.get("weight_high"))
    taken = between(row.get("activation_low"), row.get("activation_high"))
    figures: list[Figure] = [
        ("Weights", weights, f"SQNR {wording.decibels(row.get('weight_sqnr_db'))} dB", None),
        ("Largest weight", f"{wording.number(outlier)} times", "the 99th percentile", odd),
        ("Takes in", taken, "", None),
    ]
    if back is not None:
        figures.append(("If kept float", wording.percent(back), "comes back", None))
    return figures


class DiagnosePanel(Panel):
    """Rank the layers; repair the guilty ones on demand."""

    def __init__(self, page: Page, model: Choice) -> None:
        super().__init__(page, model)
        self.left.addWidget(self._question_card())
        self.left.addWidget(self._repair_card())
        self.left.addStretch()
        self.tiles = [Tile("Accuracy"), Tile("Size"), Tile("Recovered")]
        self.verdict = VerdictCard()
        self.right.addLayout(tiles(*self.tiles))
        self.right.addWidget(self.verdict)
        self.right.addWidget(self._layers_card(), 3)
        self.right.addWidget(self._repairs_card(), 2)
        self.main = page.action(
            "Diagnose", "stethoscope", self.command, self._show_result, primary=True
        )
        self._enable(False)

    def _question_card(self) -> Card:
        card = Card("Diagnosis")
        self.data = steady(Choice("Data", "No data yet: add some"))
        self.data.currentIndexChanged.connect(self.page.refresh_commands)
        words = "Quantizes one layer at a time to int8 and measures what that alone does."
        card.add(label(words, "muted", wrap=True))
        card.add(form_rows(("Data", self.data)))
        return card

    def _repair_card(self) -> Card:
        card = Card("Repair")
        self.repair = QCheckBox("Mend the guilty layers, one by one")
        self.gate = GateFields(optional=True, slices=True)
        self.largest = Amount("Largest size", "--max-size", "200kB", size_bytes)
        self.name = named(QLineEdit(), "Name of the repaired model")
        self.repair.toggled.connect(self._enable)
        self.repair.toggled.connect(self.page.refresh_commands)
        self.gate.changed.connect(self.page.refresh_commands)
        self.largest.textChanged.connect(self.page.refresh_commands)
        self.name.textEdited.connect(self.page.refresh_commands)
        card.add(self.repair)
        card.add(self.gate)
        card.add(form_rows(("Largest size", self.largest), ("Name", self.name)))
        return card

    def _layers_card(self) -> Card:
        card = Card("Damage by layer")
        self.subject = Elided("", "muted")
        card.header.insertWidget(card.header.count(), self.subject, 1)
        self.layers = Table(
            "Layers, the most damaged first",
            LAYERS,
            Empty("stethoscope", "Nothing diagnosed yet", "Choose data and press Diagnose."),
        )
        self.layers.setMinimumHeight(220)
        self.layers.selected.connect(self._show_layer)
        self.reason = label("", wrap=True)
        self.warnings = Notes()
        self.details, self.blame = Figures(), label("", "muted", wrap=True)
        for part in (self.reason, self.details, self.blame):
            part.hide()
        card.add(self.reason)
        card.add(self.warnings)
        card.add(self.layers, 1)
        card.add(self.details)
        card.add(self.blame)
        return card

    def _repairs_card(self) -> Card:
        card = Card("Repair, step by step")
        self.repairs = Table(
            "Steps of the repair",
            REPAIRS,
            Empty(
                "screwdriver-wrench", "Nothing repaired", "Tick Repair to mend the worst layers."
            ),
            sortable=False,
        )
        self.repairs.setMinimumHeight(150)
        card.add(self.repairs, 1)
        return card

    def command(self) -> Command:
        model, data = self.chosen_model(), chosen_data(self.data)
        repair: Command = ()
        if self.repair.isChecked():
            name = self.name.text().strip() or self.name.placeholderText()
            repair = ("--repair", "--name", name, *self.largest.arguments())
        return ("diagnose", model, "--data", data, *repair, *self.gate.arguments())

    def propose(self) -> None:
        words = f"{self.model.chosen or 'model'}-repaired"
        self.name.setPlaceholderText(unique_name(words, self.session.names("models")))

    def prefer_data(self, name: str) -> None:
        self.data.prefer(name)

    def refresh(self) -> None:
        self.data.offer(self.session.names("datasets"))

    def _enable(self, on: bool) -> None:
        for widget in (self.largest, self.name):
            widget.setEnabled(on)

    def _show_result(self, result: Result) -> None:
        self._show_tiles(result)
        self.reason.setText(wording.sentence(str(result.get("reason") or "")))
        self.reason.setVisible(bool(result.get("reason")))
        self.warnings.show_notes(warning_notes(result.get("warnings") or ()))
        self.subject.setText(str(result.get("model", "")))
        self.verdict.show_verdict(result.get("gate"))
        self.layers.fill([{**row, "name": row.get("layer")} for row in result.get("layers") or ()])
        self.repairs.fill(result.get("repairs") or ())
        if self.layers.rows.rows:
            self.layers.view.selectRow(0)
        self._show_layer(self.layers.current)
        if not result.get("ok", True):
            self.page.banner.show_problem(
                "The repair ended, and the gate does not hold.",
                "Allow the model to lose more, or to be larger.",
            )

    def _show_tiles(self, result: Result) -> None:
        accuracy, size, recovered = self.tiles
        before, after = result.get("before") or {}, result.get("after") or {}
        mended, larger = result.get("mended"), result.get("size_mended")
        then = f", int8 {wording.percent(after.get('value'))}" if mended else ""
        accuracy.show_figure(
            wording.percent((mended or after).get("value")),
            f"float {wording.percent(before.get('value'))}{then}",
        )
        interval = wording.between(mended or after)
        accuracy.setToolTip(f"On unseen items; 95 % confidence interval: {interval}")
        then = f", int8 {wording.size(result.get('size_after'))}" if larger else ""
        size.show_figure(
            wording.size(larger or result.get("size_after")),
            f"float {wording.size(result.get('size_before'))}{then}",
        )
        name = str(result.get("repaired") or "")
        recovered.show_figure(wording.percent(result.get("recovered")), name)

    def _show_layer(self, row: Row | None) -> None:
        self.details.setVisible(row is not None)
        self.blame.setVisible(bool(row and row.get("reason")))
        if row is None:
            return
        self.blame.setText(wording.sentence(str(row.get("reason") or "")))
        self.details.show_figures(layer_figures(row))
