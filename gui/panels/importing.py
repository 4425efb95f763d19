"""Take over a model from a file: what is in it, what it means, and what it can become."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PySide6.QtWidgets import QCheckBox, QFileDialog, QHBoxLayout, QLineEdit, QVBoxLayout, QWidget

from gui import wording
from gui.models import Column, Row
from gui.pages.base import Page, Result
from gui.panels.base import Panel
from gui.session import Command
from gui.widgets.buttons import Button
from gui.widgets.card import Card, Tile, tiles
from gui.widgets.choice import Choice
from gui.widgets.command import Incomplete
from gui.widgets.drop import DropArea
from gui.widgets.empty import Empty
from gui.widgets.notes import Note, Notes
from gui.widgets.rows import form_rows, named, replace_widget, unique_name
from gui.widgets.table import Table
from toolkit.networks import networks

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
    Column("reason", "What stands in the way", stretch=5, sample="an operator",
           tip=lambda r: f"{r.get('reason', '')}\n{r.get('mend', '')}".strip()),
)  # fmt: skip


def shape(row: Row) -> str:
    return "×".join("any" if size == -1 else str(size) for size in row.get("shape") or ())


class ImportPanel(Panel):
    """Drop a file; look at it; correct what it does not say; import it."""

    def __init__(self, page: Page, model: Choice) -> None:
        super().__init__(page, model)
        self._found: Result = {}
        self.left.addWidget(self._file_card())
        self.left.addWidget(self._meaning_card())
        self.left.addStretch()
        self.tiles = [Tile("Format"), Tile("Size"), Tile("Parameters"), Tile("MACs")]
        self.right.addLayout(tiles(*self.tiles))
        self.right.addWidget(self._ends_card(), 2)
        self.right.addWidget(self._fits_card(), 1)
        self.main = page.action("Import", "file-import", self.command, self._imported, primary=True)
        self.drop.chosen.connect(self._look)

    def _file_card(self) -> Card:
        card = Card("File")
        self.drop = DropArea("Drop a model here")
        self.sizes = named(QLineEdit(placeholderText="image=1,3,224,224"), "Sizes of inputs")
        self.sizes.setToolTip("Of inputs whose sizes the file leaves free; the batch first.")
        self.network = Choice("Network", automatic="Is in the file", people=True)
        self.network.setToolTip("For a file of weights alone: the network they belong to.")
        self.network.offer(networks.names())
        self.trust = QCheckBox("I trust this file to run code here")
        self.trust.setToolTip("A pickle runs whatever code it holds (--trust).")
        self.again = Button("Look again", "rotate-right")
        self.again.clicked.connect(self._look_again)
        card.add(self.drop)
        card.add(form_rows(("Sizes", self.sizes), ("Network", self.network)))
        row = QHBoxLayout()
        row.addWidget(self.trust, 1)
        row.addWidget(self.again)
        card.add(row)
        self.sizes.textEdited.connect(self.page.refresh_commands)
        self.network.currentIndexChanged.connect(self.page.refresh_commands)
        self.trust.toggled.connect(self.page.refresh_commands)
        return card

    def _meaning_card(self) -> Card:
        card = Card("What it means")
        self.name = named(QLineEdit(), "Name of the model")
        self.data = Choice("Dataset with its inputs", automatic="None")
        self.labels = named(QLineEdit(placeholderText="One class a line"), "File with labels")
        self.browse = Button("Browse", "folder-open")
        self.browse.clicked.connect(self._browse_labels)
        place = QWidget()
        beside = QHBoxLayout(place)
        beside.setContentsMargins(0, 0, 0, 0)
        beside.addWidget(self.labels, 1)
        beside.addWidget(self.browse)
        card.add(form_rows(("Name", self.name), ("Data", self.data), ("Labels", place)))
        self.told = QVBoxLayout()
        self.words: dict[tuple[str, str], QLineEdit] = {}
        card.add(self.told)
        for box in (self.name, self.labels):
            box.textChanged.connect(self.page.refresh_commands)
        self.data.currentIndexChanged.connect(self.page.refresh_commands)
        return card

    def _ends_card(self) -> Card:
        card = Card("Takes and gives")
        self.ends = Table(
            "Inputs and outputs",
            ENDS,
            Empty("file-import", "No file yet", "Drop a model file on the left."),
            sortable=False,
        )
        self.ends.setMinimumHeight(170)
        self.notes = Notes()
        card.add(self.ends, 1)
        card.add(self.notes)
        return card

    def _fits_card(self) -> Card:
        card = Card("Can be built as")
        self.fits = Table(
            "Formats", FITS, Empty("cubes", "Not looked at yet", "Each format is tried."),
            sortable=False,
        )  # fmt: skip
        self.fits.setMinimumHeight(140)
        card.add(self.fits, 1)
        return card

    def given(self) -> Command:
        """What is said of the file, for `inspect` and `import` alike."""
        sizes = tuple(w for word in self.sizes.text().split() for w in ("--shape", word))
        network = ("--network", self.network.chosen) if self.network.chosen else ()
        return (*sizes, *network, *(("--trust",) if self.trust.isChecked() else ()))

    def command(self) -> Command:
        if not self.drop.path:
            raise Incomplete("Drop a model file, or choose one.")
        name = self.name.text().strip() or self.name.placeholderText()
        data = ("--data", self.data.chosen) if self.data.chosen else ()
        labels = ("--labels", self.labels.text().strip()) if self.labels.text().strip() else ()
        told = [
            word
            for (what, end), box in self.words.items()
            if box.text().strip() and box.text().strip() != box.property("known")
            for word in (f"--{what}", f"{end}={box.text().strip()}")
        ]
        return ("import", self.drop.path, "--name", name, *data, *labels, *told, *self.given())

    def propose(self) -> None:
        words = Path(self.drop.path).stem if self.drop.path else "model"
        self.name.setPlaceholderText(unique_name(words, self.session.names("models")))

    def refresh(self) -> None:
        self.data.offer(self.session.names("datasets"))

    def _look_again(self) -> None:
        if self.drop.path:
            self._look(self.drop.path)

    def _look(self, path: str) -> None:
        self._show({})
        self.page.banner.hide()
        self.page.refresh_commands()
        self.page.ask(self._show, ("inspect", path, *self.given()))

    def _show(self, result: Result) -> None:
        self._found = result
        kind, size, parameters, macs = self.tiles
        opset = f"opset {result['opset']}" if result.get("opset") else ""
        known = wording.words(str(result.get("format", ""))) or wording.NOTHING
        kind.show_figure(known, " ".join(filter(None, (opset, str(result.get("layout") or "")))))
        size.show_figure(wording.size(result.get("size_bytes")))
        parameters.show_figure(wording.count(result.get("parameters")))
        operators: Mapping[str, int] = result.get("operators") or {}
        told = f"{sum(operators.values())} operators" if operators else ""
        macs.show_figure(wording.count(result.get("macs")), told)
        macs.setToolTip(", ".join(f"{name} {count}" for name, count in operators.items()))
        ends = [("Takes", row) for row in result.get("inputs") or ()]
        ends += [("Gives", row) for row in result.get("outputs") or ()]
        self.ends.fill([{**row, "way": way} for way, row in ends])
        self.fits.fill(result.get("fits") or ())
        self.notes.show_notes([Note(str(note)) for note in result.get("notes") or ()])
        self._ask_meanings([row for _, row in ends])
        self.page.refresh_commands()

    def _ask_meanings(self, ends: list[Any]) -> None:
        """A row for the meaning and one for the unit of every input and output."""
        self.words = {}
        pairs = []
        for end in ends:
            for what in ("meaning", "unit"):
                name = str(end.get("name", ""))
                box = named(QLineEdit(), f"{wording.words(what)} of {name}")
                box.setText(str(end.get(what) or ""))
                box.setProperty("known", box.text())
                box.setPlaceholderText("such as 0-255" if what == "unit" else "such as pixels")
                box.textChanged.connect(self.page.refresh_commands)
                self.words[what, name] = box
                pairs.append((f"{name}, {what}", box))
        holder = QWidget()
        holder.setLayout(form_rows(*pairs))
        replace_widget(self.told, holder)

    def _browse_labels(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Labels", "", "Text (*.txt);;All files (*)")
        if path:
            self.labels.setText(path)

    def _imported(self, result: Result) -> None:
        self.model.prefer(str(result.get("name", "")))
        self.notes.show_notes([Note(str(note)) for note in result.get("notes") or ()])
