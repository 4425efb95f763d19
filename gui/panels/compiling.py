"""Files for devices: compile a model, and see how closely each file answers as the model does."""

from PySide6.QtWidgets import QCheckBox, QFileDialog, QGridLayout, QHBoxLayout, QLineEdit, QWidget

from edge_targets.catalog import targets
from gui import wording
from gui.models import Column, Row
from gui.pages.base import Page, Result
from gui.session import Command
from gui.widgets.buttons import Button
from gui.widgets.card import Card
from gui.widgets.choice import Choice
from gui.widgets.command import Incomplete
from gui.widgets.empty import Empty
from gui.widgets.rows import form_rows, named
from gui.widgets.table import Table
from gui.widgets.text import label
from toolkit.formats import formats


def parity(row: Row) -> str:
    passed = row.get("passed")
    return "not checked" if passed is None else "passed" if passed else "failed"


ARTIFACTS = (
    Column("name", "File", stretch=1, sample="digits-int8.tflite"),
    Column("size_bytes", "Size", "size", stretch=0),
    Column("max_difference", "Difference", "number", stretch=0),
    Column("label_agreement", "Same labels", "percent", stretch=0),
    Column("parity", "Parity", "state", value=parity, stretch=0),
)
USUAL = "the usual formats are built"
COLUMNS = 2  # of boxes for the formats


def failed_files(result: Result) -> str:
    """The names of those that do not answer as their model does."""
    made = result.get("artifacts", ())
    return ", ".join(str(row.get("name")) for row in made if not row.get("passed"))


def tell_failed(page: Page, result: Result) -> None:
    if not result.get("ok", True):
        page.banner.show_problem(
            f"{failed_files(result)} does not answer as its model does.",
            "It cannot be packaged. Try other passes, or milder ones.",
        )


class CompileCard(Card):
    """What is to be compiled, to which formats, and where copies go."""

    def __init__(self, page: Page, model: Choice) -> None:
        super().__init__("Compile")
        self._model = model
        self.target = Choice("Target", automatic="Any", people=True)
        self.target.offer(targets.names())
        self.data = Choice("Data to prove it on", automatic="What the model learned from")
        self.folder = named(QLineEdit(placeholderText="No copies"), "Folder for copies")
        self.browse = Button("Browse", "folder-open")
        self.browse.clicked.connect(self._browse)
        place = QWidget()
        beside = QHBoxLayout(place)
        beside.setContentsMargins(0, 0, 0, 0)
        beside.addWidget(self.folder, 1)
        beside.addWidget(self.browse)
        self.add(form_rows(("Target", self.target), ("Data", self.data), ("Copy to", place)))
        grid = QGridLayout()
        self.formats = {name: QCheckBox(wording.words(name)) for name in formats.names()}
        for number, box in enumerate(self.formats.values()):
            grid.addWidget(box, number // COLUMNS, number % COLUMNS)
            box.toggled.connect(page.refresh_commands)
        self.told = label("", "muted", wrap=True)
        self.add(label("Formats", "muted"))
        self.add(grid)
        self.add(self.told)
        for box in self.formats.values():
            box.toggled.connect(self._tell)
        self.target.currentIndexChanged.connect(self._tell)
        self._tell()
        for choice in (self.target, self.data):
            choice.currentIndexChanged.connect(page.refresh_commands)
        self.folder.textChanged.connect(page.refresh_commands)

    def command(self) -> Command:
        if not self._model.chosen:
            raise Incomplete("Train or import a model first.")
        chosen = [name for name, box in self.formats.items() if box.isChecked()]
        target = ("--target", self.target.chosen) if self.target.chosen else ()
        data = ("--data", self.data.chosen) if self.data.chosen else ()
        folder = self.folder.text().strip()
        return (
            "build", self._model.chosen, *(word for f in chosen for word in ("--format", f)),
            *target, *data, *(("--out", folder) if folder else ()),
        )  # fmt: skip

    def _tell(self) -> None:
        """What is built while no format is ticked."""
        ticked = any(box.isChecked() for box in self.formats.values())
        taken = f"all that {self.target.currentText()} takes" if self.target.chosen else USUAL
        self.told.setText("Only those ticked are built." if ticked else f"None ticked: {taken}.")

    def _browse(self) -> None:
        place = QFileDialog.getExistingDirectory(self, "Folder for copies")
        if place:
            self.folder.setText(place)


class FilesCard(Card):
    """All compiled files of the workspace; `table.selected` tells which is looked at."""

    def __init__(self, page: Page) -> None:
        super().__init__("Files for devices")
        self._page, self._session = page, page.session
        self._known: dict[str, Row] = {}  # what was learnt of a file, by its digest
        self._preferred = ""  # a file to select as soon as all is known of it
        self.table = Table(
            "Compiled files",
            ARTIFACTS,
            Empty(
                "microchip",
                "No files yet",
                "Build compiles a model and checks that the file answers as the model does.",
            ),
        )
        self.table.setMinimumHeight(150)
        self.add(self.table, 1)

    def prefer(self, name: str) -> None:
        """Select a file that was just made."""
        self._preferred = name

    def refresh(self) -> None:
        """The files there are; what is known of each is asked once, and kept."""
        self._fill()
        unknown = [item for item in self._made() if str(item["digest"]) not in self._known]
        if unknown:
            asked = (("show", f"artifacts/{item['name']}") for item in unknown)
            self._page.ask(self._learn, *asked)

    def _made(self) -> list[Row]:
        return [item for item in self._session.items if item.get("kind") == "artifacts"]

    def _fill(self) -> None:
        rows = [self._known.get(str(item["digest"]), item) for item in self._made()]
        self.table.fill(rows)
        if any(row.get("name") == self._preferred and "checks" in row for row in rows):
            self.table.select(self._preferred)
            self._preferred = ""

    def _learn(self, result: Result) -> None:
        facts: Row = result.get("facts") or {}
        lineage: tuple[Row, ...] = tuple(result.get("lineage") or ({},))
        digest = str(lineage[0].get("digest", ""))
        self._known[digest] = {"name": result.get("name"), **facts, **(facts.get("parity") or {})}
        self._fill()
