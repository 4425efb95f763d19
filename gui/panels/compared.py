"""What a comparison found: layers, operators and outputs of two models side by side."""

from collections.abc import Sequence
from typing import Any

from PySide6.QtWidgets import QCheckBox

from gui import wording
from gui.models import Column, Row
from gui.pages.base import Result
from gui.theme import Tone
from gui.widgets.card import Card
from gui.widgets.empty import Empty
from gui.widgets.figures import Figure, Figures
from gui.widgets.notes import Note, Notes
from gui.widgets.segments import Segments
from gui.widgets.table import Table
from gui.widgets.text import Elided

PARTS = ("Layers", "Operators", "Outputs")
SHOWN = 5e-4  # errors below it are shown as 0.0 %
BAR = "a bar"


def beside(row: Row, key: str) -> str:
    """One word where both are the same or there is but one, and both where they differ."""
    pair = (row.get(f"{key}_first"), row.get(f"{key}_second"))
    return " → ".join(dict.fromkeys(str(value) for value in pair if value))


def share_tip(key: str, what: str) -> Any:
    def tip(row: Row) -> str:
        value = row.get(key)
        if value is None:
            return f"{what} could not be compared."
        return f"{what} differ by {wording.number(value)} of their size."

    return tip


LAYERS = (
    Column("first", "First", stretch=3, sample="layer.12"),
    Column("second", "Second", stretch=3, sample="layer.12"),
    Column("paired_by", "Paired by", stretch=0, sample="weights"),
    Column("shapes", "Shape", value=lambda row: beside(row, "shape"), stretch=2,
           sample="64×32×3×3"),
    Column("bits", "Bits", value=lambda row: beside(row, "bits"), stretch=0, sample="32 → 8"),
    Column("weight_error", "Weight error", "percent", stretch=2, bar=True, sample=BAR,
           tip=share_tip("weight_error", "The weights")),
    Column("output_error", "Output error", "percent", stretch=2, bar=True, sample=BAR,
           tip=share_tip("output_error", "What the layers give")),
)  # fmt: skip
OPERATORS = (
    Column("operator", "Operator", stretch=3),
    Column("first", "First", "count", stretch=1),
    Column("second", "Second", "count", stretch=1),
    Column("change", "Change", value=lambda row: change(row), stretch=1),
)
OUTPUTS = (
    Column("output", "Output", stretch=3),
    Column("largest", "Largest difference", "number", stretch=1),
    Column("relative", "Of its spread", "percent", stretch=1),
)


def change(row: Row) -> str:
    more = int(row.get("second") or 0) - int(row.get("first") or 0)
    return f"{more:+d}".replace("-", wording.MINUS) if more else ""


def layer_differs(row: Row) -> bool:
    errors = (row.get("weight_error"), row.get("output_error"))
    return (
        not row.get("first")
        or not row.get("second")
        or row.get("shape_first") != row.get("shape_second")
        or row.get("bits_first") != row.get("bits_second")
        or any((error or 0.0) >= SHOWN for error in errors)
    )


def layer_figures(row: Row, parting: str) -> list[Figure]:
    """What there is to say of a pair of layers beside its row."""
    lone = not row.get("first") or not row.get("second")
    here: Tone | None = "watch" if parting and row.get("first") == parting else None
    answers = wording.number(row.get("output_error"))
    return [
        ("First", str(row.get("first") or "has none"), shaped(row, "first"), None),
        ("Second", str(row.get("second") or "has none"), shaped(row, "second"), None),
        ("Operator", str(row.get("op") or wording.NOTHING),
         "no counterpart" if lone else f"paired by {row.get('paired_by')}",
         "watch" if lone else None),
        ("Weight error", wording.number(row.get("weight_error")), "of their size", None),
        ("Output error", answers, "the first that does" if here else "of their size", here),
    ]  # fmt: skip


def shaped(row: Row, which: str) -> str:
    shape, bits = row.get(f"shape_{which}"), row.get(f"bits_{which}")
    return f"{shape}, {bits} bits" if shape and bits else str(shape or "")


class ComparedCard(Card):
    """Three tables of one result, of which one is shown."""

    def __init__(self) -> None:
        super().__init__("Side by side")
        self._found: Result = {}
        self.differ = Elided("", "muted")
        self.header.insertWidget(1, self.differ, 1)
        self.only = QCheckBox("Only what differs")
        self.parts = Segments("What to show of the comparison", PARTS)
        self.header.addWidget(self.only)
        self.header.addWidget(self.parts)
        self.layers = Table(
            "Layers", LAYERS,
            Empty("code-compare", "Nothing compared yet", "Choose two models and press Compare."),
        )  # fmt: skip
        self.operators = Table(
            "Operators", OPERATORS,
            Empty("code-compare", "No operators to show", "Compare two models first."),
        )  # fmt: skip
        self.outputs = Table(
            "Outputs", OUTPUTS,
            Empty("right-left", "No outputs compared", "Choose data that both models take."),
        )  # fmt: skip
        self.tables = (self.layers, self.operators, self.outputs)
        for table in self.tables:
            table.setMinimumHeight(200)
            self.add(table, 1)
        self.figures, self.notes = Figures(), Notes()
        self.figures.hide()
        self.add(self.figures)
        self.add(self.notes)
        self.layers.selected.connect(self._show_layer)
        self.parts.currentChanged.connect(self._show_part)
        self.only.toggled.connect(self._fill)
        self._show_part(0)

    def show_result(self, result: Result) -> None:
        self._found = result
        differ = ", ".join(map(str, result.get("differ") or ()))
        self.differ.setText(f"They differ in {differ}." if differ else "They are the same in all.")
        self.notes.show_notes([Note(str(n), doubtful=True) for n in result.get("notes") or ()])
        self._fill()

    def _fill(self) -> None:
        found, only = self._found, self.only.isChecked()
        layers: Sequence[Row] = found.get("layers") or ()
        operators: Sequence[Row] = found.get("operators") or ()
        if only:
            layers = [row for row in layers if layer_differs(row)]
            operators = [row for row in operators if row.get("first") != row.get("second")]
        if found and not layers:
            self.layers.empty.say("No layer differs" if only else "No layers with weights", "")
        if found and not operators:
            self.operators.empty.say("The same operators, as often", "")
        self.layers.fill(layers)
        self.operators.fill(operators)
        self.outputs.fill(found.get("outputs") or ())
        self._show_layer(self.layers.current)

    def _show_part(self, chosen: int) -> None:
        for number, table in enumerate(self.tables):
            table.setVisible(number == chosen)
        self.only.setVisible(chosen < 2)
        self._show_layer(self.layers.current)

    def _show_layer(self, row: Row | None) -> None:
        here = row is not None and self.parts.currentIndex() == 0
        self.figures.setVisible(here)
        if row is not None and here:
            parting = str(self._found.get("parting") or "")
            self.figures.show_figures(layer_figures(row, parting))
