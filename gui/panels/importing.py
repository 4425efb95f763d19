"""Take over a model from a file: what is in it, what it means, and what it can become."""

from collections.abc import Mapping

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QHBoxLayout, QSizePolicy

from gui import wording
from gui.models import Column, Row
from gui.pages.base import Page, Result
from gui.panels.base import Panel
from gui.panels.file import FileCard
from gui.panels.meaning import MeaningCard
from gui.session import Command
from gui.widgets.buttons import Button
from gui.widgets.card import Card, Tile, tiles
from gui.widgets.choice import Choice
from gui.widgets.command import Incomplete
from gui.widgets.empty import Empty
from gui.widgets.notes import Note, Notes
from gui.widgets.table import Table
from gui.widgets.text import Elided, label

ENDS = (
    Column("way", "", stretch=0, sample="Takes"),
    Column("name", "Name", stretch=3),
    Column("shape", "Shape", value=lambda row: shape(row), stretch=2, sample="any×3×224×224"),
    Column("dtype", "Type", stretch=1, sample="float32"),
    Column("meaning", "Meaning", stretch=2),
    Column("unit", "Unit", stretch=1),
)
FITS = (
    Column("format", "Format", value=lambda r: wording.words(str(r["format"])), stretch=1),
    Column("fits", "", "state", value=lambda r: "fits" if r["fits"] else "in the way", stretch=0,
           sample="In the way"),
    Column("reason", "Remark", value=lambda r: wording.sentence(str(r.get("reason") or "")),
           stretch=5, sample="an operator",
           tip=lambda r: f"{r.get('reason', '')}\n{r.get('mend', '')}".strip()),
)  # fmt: skip
ONWARD = (("graph", "Graph", "diagram-project"), ("compress", "Compress", "compress"),
          ("build", "Build", "hammer"))  # fmt: skip


def shape(row: Row) -> str:
    return "×".join("any" if size == -1 else str(size) for size in row.get("shape") or ())


def tight(card: Card) -> Card:
    """No taller than what is in it."""
    card.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)
    return card


class ImportPanel(Panel):
    """Drop a file; look at it; correct what it does not say; import it."""

    onward = Signal(str, str)  # where to go next, and the model that was imported

    def __init__(self, page: Page, model: Choice) -> None:
        super().__init__(page, model)
        self._made = ""  # the model that was imported last
        self.file, self.meaning = FileCard(page), MeaningCard()
        self.left.addWidget(self.file)
        self.left.addWidget(self.meaning)
        self.left.addStretch()
        self.tiles = [Tile("Format"), Tile("Size"), Tile("Parameters"), Tile("MACs")]
        self.right.addWidget(self._onward_card())
        self.right.addLayout(tiles(*self.tiles))
        self.right.addWidget(self._ends_card())
        self.right.addWidget(self._fits_card())
        self.right.addStretch()
        self.main = page.action("Import", "file-import", self.command, self._imported, primary=True)
        self.file.looking.connect(self._clear)
        self.file.failed_to_look.connect(self._say)
        self.file.found.connect(self._show)
        self.file.changed.connect(page.refresh_commands)
        self.meaning.changed.connect(page.refresh_commands)

    def _onward_card(self) -> Card:
        self.done = Card()
        self.imported = Elided("", "heading")
        row = QHBoxLayout()
        row.setSpacing(8)
        row.addWidget(self.imported, 1)
        for place, words, icon in ONWARD:
            button = Button(words, icon)
            button.clicked.connect(lambda _=False, to=place: self.onward.emit(to, self._made))
            row.addWidget(button)
        self.done.add(row)
        self.done.hide()
        return self.done

    def _ends_card(self) -> Card:
        card = tight(Card("Takes and gives"))
        self.ends = Table(
            "Inputs and outputs",
            ENDS,
            Empty("file-import", "No file yet", "Drop a model file anywhere on this page."),
            sortable=False,
        )
        self.ends.fit()
        self.notes = Notes()
        card.add(self.ends)
        card.add(self.notes)
        return card

    def _fits_card(self) -> Card:
        card = tight(Card("Can be built as"))
        self.fits = Table(
            "Formats", FITS, Empty("cubes", "Not looked at yet", "Each format is tried."),
            sortable=False,
        )  # fmt: skip
        self.fits.fit()
        self.why = label("", "muted", wrap=True)
        self.why.hide()
        card.add(self.fits)
        card.add(self.why)
        self.fits.selected.connect(self._show_why)
        return card

    def command(self) -> Command:
        if not self.file.path:
            raise Incomplete("Drop a model file, or choose one.")
        if self.file.failed:
            raise Incomplete("The file cannot be imported as it is; what helps is said above.")
        return ("import", self.file.path, *self.meaning.arguments(), *self.file.given())

    def propose(self) -> None:
        self.meaning.propose(self.file.path, self.session.names("models"))

    def refresh(self) -> None:
        self.meaning.data.offer(self.session.names("datasets"))

    def _clear(self) -> None:
        self._show({})
        self._say("Looking into it", "What it takes and gives is shown here.")

    def _say(self, line: str, hint: str) -> None:
        """Instead of what a file takes and gives."""
        self.ends.empty.say(line, hint)

    def _show(self, result: Result) -> None:
        self.done.hide()
        kind, size, parameters, macs = self.tiles
        opset = f"opset {result['opset']}" if result.get("opset") else ""
        known = wording.words(str(result.get("format", ""))) or wording.NOTHING
        kind.show_figure(known, " ".join(filter(None, (opset, str(result.get("layout") or "")))))
        size.show_figure(wording.size(result.get("size_bytes")))
        parameters.show_figure(wording.short(result.get("parameters")))
        operators: Mapping[str, int] = result.get("operators") or {}
        many = sum(operators.values())
        told = f"{wording.count(many)} operator{'s' * (many != 1)}" if operators else ""
        macs.show_figure(wording.short(result.get("macs")), told)
        for tile, key in ((parameters, "parameters"), (macs, "macs")):
            tile.setToolTip(wording.count(result.get(key)))
        macs.remark.setToolTip(", ".join(f"{name} {count}" for name, count in operators.items()))
        ends = [("Takes", row) for row in result.get("inputs") or ()]
        ends += [("Gives", row) for row in result.get("outputs") or ()]
        self.ends.fill([{**row, "way": way} for way, row in ends])
        self.ends.fit()
        self.fits.fill([{**row, "name": row.get("format")} for row in result.get("fits") or ()])
        self.fits.fit()
        self._show_why(self.fits.current)
        self.notes.show_notes([Note(str(note)) for note in result.get("notes") or ()])
        self.meaning.ask([row for _, row in ends], result.get("labels") or ())
        self.page.refresh_commands()

    def _show_why(self, row: Row | None) -> None:
        """All of the remark on the format that is selected, and what to do."""
        told = [str(row.get(key) or "") for key in ("reason", "mend")] if row else []
        words = wording.sentence(" ".join(filter(None, told)))
        self.why.setText(words)
        self.why.setVisible(bool(words))

    def _imported(self, result: Result) -> None:
        self._made = str(result.get("name", ""))
        self.model.prefer(self._made)
        self.imported.setText(f"{self._made} is imported")
        self.done.show()
        self.notes.show_notes([Note(str(note)) for note in result.get("notes") or ()])
