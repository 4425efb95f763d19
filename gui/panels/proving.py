"""What is known of a compiled file, and what every runtime answered."""

from typing import Any

from PySide6.QtWidgets import QVBoxLayout, QWidget

from gui import wording
from gui.models import Column, Row
from gui.pages.base import Result
from gui.widgets.card import Card
from gui.widgets.empty import Empty
from gui.widgets.figures import Figure, Figures
from gui.widgets.notes import Note, Notes
from gui.widgets.segments import Segments
from gui.widgets.table import Table
from gui.widgets.text import label


def outcome(row: Row) -> str:
    passed = row.get("passed")
    return "told" if passed is None else "passed" if passed else "failed"


def measured(row: Row) -> str:
    value = row.get("value")
    return wording.number(value) if isinstance(value, float) else str(value)


CHECKS = (
    Column("name", "Check", stretch=3, sample="zeros"),
    Column("value", "Found", value=measured, stretch=2, sample="0.00123"),
    Column("bound", "Asked", stretch=3, sample="same bits"),
    Column("passed", "Outcome", "state", value=outcome, stretch=0),
)


def surely(row: Row) -> str:
    """The share of the same labels, with what it is at least."""
    low = row.get("agreement_least")
    found = f"{wording.percent(row.get('agreement'))} of {wording.count(row.get('samples'))} items"
    return f"{found}, with 95 % confidence {wording.percent(low)} or more" if low else found


def remark(row: Row) -> str:
    parting = str(row.get("parting") or "")
    words = (f"They part at {parting}." if parting else "", str(row.get("note") or ""))
    return " ".join(filter(None, words))


RUNTIMES = (
    Column("place", "Runtime", value=lambda r: wording.words(str(r["place"])), stretch=2,
           sample="ONNX Runtime Web",
           tip=lambda r: f"{r.get('format', '')} {r.get('version', '')}".strip()),
    Column("state", "Answers", "state", stretch=0, sample="Reference"),
    Column("relative", "Difference", "number", stretch=0),
    Column("agreement", "Same labels", "percent", stretch=0, tip=lambda r: surely(r)),
    Column("why", "Remark", value=lambda r: r.get("parting") or r.get("note"), stretch=3,
           sample="Where they part", tip=lambda r: remark(r)),
)  # fmt: skip
PARTS = ("Checks", "Runtimes")


class ReportCard(Card):
    """Checks of the file that is selected; and the certificate of its model."""

    def __init__(self) -> None:
        super().__init__("Proof")
        self.parts = Segments("Proof", PARTS)
        self.header.addWidget(self.parts)
        self.figures, self.notes = Figures(), Notes()
        self.checks = Table(
            "Checks of the file", CHECKS,
            Empty("list-check", "No file chosen", "Choose one above."), sortable=False,
        )  # fmt: skip
        self.runtimes = Table(
            "Runtimes", RUNTIMES,
            Empty("certificate", "Not verified yet",
                  "Verify runs the same inputs through every runtime."),
            sortable=False,
        )  # fmt: skip
        self.told = label("", "muted", wrap=True)
        self.told.hide()
        self._pages = (QWidget(), QWidget())
        parts = ((self.figures, self.checks, self.notes), (self.told, self.runtimes))
        for page, widgets in zip(self._pages, parts, strict=True):
            column = QVBoxLayout(page)
            column.setContentsMargins(0, 0, 0, 0)
            column.setSpacing(10)
            for widget in widgets:
                column.addWidget(widget, 1 if isinstance(widget, Table) else 0)
        for page in self._pages:
            self.add(page, 1)
        for table in (self.checks, self.runtimes):
            table.setMinimumHeight(190)
        self.figures.hide()
        self.parts.currentChanged.connect(self._show_part)
        self._show_part(0)

    def _show_part(self, chosen: int) -> None:
        for number, page in enumerate(self._pages):
            page.setVisible(number == chosen)

    def show_file(self, row: Row | None) -> None:
        facts: Any = row or {}
        self.checks.fill(facts.get("checks") or ())
        self.notes.show_notes([Note(str(note)) for note in facts.get("notes") or ()])
        figures = file_figures(facts)
        self.figures.setVisible(bool(figures))
        self.figures.show_figures(figures)

    def show_certificate(self, result: Result) -> None:
        """The answers of every runtime, as they were just found."""
        self.runtimes.fill(result.get("witnesses") or ())
        self._show_measured(True)
        self.told.setText(told_of(result.get("created"), result.get("inputs")))
        self.told.setVisible(True)
        self.parts.setCurrentIndex(1)

    def _show_measured(self, measured: bool) -> None:
        """The columns that only a certificate made just now can fill."""
        for number, column in enumerate(RUNTIMES):
            kept = column.key in ("place", "state")
            self.runtimes.view.setColumnHidden(number, not (measured or kept))

    def show_known(self, certificate: Row | None) -> None:
        """What the workspace keeps of a certificate: who agreed, and when; None without one."""
        known: Any = certificate or {}
        places = [str(words).partition(": ") for words in known.get("places") or ()]
        self.runtimes.fill([{"place": place, "state": state} for place, _, state in places])
        self._show_measured(not known)
        self.told.setText(f"{told_of(known.get('created'), None)} Verify again for all figures.")
        self.told.setVisible(bool(known))


def told_of(created: object, inputs: object) -> str:
    """When a certificate was made, and on what."""
    when = f"Certified {wording.moment(str(created))}" if created else "Certified now"
    return f"{when}, on {inputs}." if inputs else f"{when}."


def file_figures(facts: Row) -> list[Figure]:
    """How much of a file the runtime's fast kernels take."""
    found: Any = facts.get("delegation") or {}
    if not found:
        return []
    left = [str(op) for op in found.get("left") or ()]
    share = found.get("accelerated")
    return [
        ("Accelerated", wording.percent(share), "of its operators", None),
        ("In pieces", wording.count(found.get("partitions")), "one is best", None),
        ("Not accelerated", ", ".join(left) or "none", "", "watch" if left else None),
    ]
