"""What a model file means, where it does not say: its name, its data, its classes, its values."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QFileDialog, QHBoxLayout, QLineEdit, QVBoxLayout, QWidget

from gui import wording
from gui.models import Row
from gui.widgets.buttons import Button
from gui.widgets.card import Card
from gui.widgets.choice import Choice
from gui.widgets.rows import add_row, empty_rows, form_rows, named, replace_widget, unique_name
from gui.widgets.text import label

MOST = 8  # inputs and outputs that are asked for; a table can have hundreds of columns
LETTERS = 16  # of a name beside its fields
LABELS = "One class a line"
EXAMPLES = {"meaning": "pixels, ink", "unit": "0-255, °C"}


def shortened(name: str) -> str:
    half = LETTERS // 2
    return name if len(name) <= LETTERS else f"{name[: half - 1]}…{name[-half:]}"


class MeaningCard(Card):
    """`changed` tells that the command is another one now."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__("What it means")
        self.words: dict[tuple[str, str], QLineEdit] = {}  # by what is asked, and the value's name
        self.name = named(QLineEdit(), "Name of the model")
        self.data = Choice("Dataset with its inputs", automatic="None")
        self.labels = named(QLineEdit(placeholderText=LABELS), "File with labels")
        self.browse = Button("Browse", "folder-open")
        self.browse.clicked.connect(self._browse_labels)
        place = QWidget()
        beside = QHBoxLayout(place)
        beside.setContentsMargins(0, 0, 0, 0)
        beside.addWidget(self.labels, 1)
        beside.addWidget(self.browse)
        self.add(form_rows(("Name", self.name), ("Data", self.data), ("Labels", place)))
        self.told = QVBoxLayout()
        self.add(self.told)
        for box in (self.name, self.labels):
            box.setAcceptDrops(False)  # a dropped file is for the page
            box.textChanged.connect(self.changed)
        self.data.currentIndexChanged.connect(self.changed)

    def arguments(self) -> tuple[str, ...]:
        name = self.name.text().strip() or self.name.placeholderText()
        data = ("--data", self.data.chosen) if self.data.chosen else ()
        labels = ("--labels", self.labels.text().strip()) if self.labels.text().strip() else ()
        told = [
            word
            for (what, end), box in self.words.items()
            if box.text().strip() and box.text().strip() != box.property("known")
            for word in (f"--{what}", f"{end}={box.text().strip()}")
        ]
        return ("--name", name, *data, *labels, *told)

    def propose(self, path: str, taken: Sequence[str]) -> None:
        """A free name, made of that of the file."""
        self.name.setPlaceholderText(unique_name(Path(path).stem if path else "model", taken))

    def ask(self, ends: Sequence[Row], labels: Sequence[str]) -> None:
        """For the meaning and the unit of every input and output."""
        numbered = list(labels) == [str(number) for number in range(len(labels))]
        known = f"{len(labels)}, numbered" if numbered else f"{len(labels)} known"
        self.labels.setPlaceholderText(known if labels else LABELS)
        self.words = {}
        rows = empty_rows()
        for end in ends[:MOST]:
            name = str(end.get("name", ""))
            place = QWidget()
            beside = QHBoxLayout(place)
            beside.setContentsMargins(0, 0, 0, 0)
            for what, example in EXAMPLES.items():
                beside.addWidget(self._field(end, name, what, example))
            add_row(rows, shortened(name), place)
            rows.labelForField(place).setToolTip(name)
        holder = QWidget()
        column = QVBoxLayout(holder)
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(rows)
        if len(ends) > MOST:
            more = f"The other {len(ends) - MOST} can be told on the command line."
            column.addWidget(label(more, "muted", wrap=True))
        replace_widget(self.told, holder)
        for before, after in pairwise((self.browse, *self.words.values())):
            QWidget.setTabOrder(before, after)  # they are younger than what follows them

    def _field(self, end: Row, name: str, what: str, example: str) -> QLineEdit:
        box = named(QLineEdit(), f"{wording.words(what)} of {name}")
        box.setText(str(end.get(what) or ""))
        box.setProperty("known", box.text())
        box.setPlaceholderText(example)
        box.setToolTip(f"{wording.words(what)} of {name}")
        box.setAcceptDrops(False)
        box.textChanged.connect(self.changed)
        self.words[what, name] = box
        return box

    def _browse_labels(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Labels", "", "Text (*.txt);;All files (*)")
        if path:
            self.labels.setText(path)
