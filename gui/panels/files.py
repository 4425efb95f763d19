"""Files for devices: compile a model, and see how closely each file answers as the model does."""

from PySide6.QtWidgets import QCheckBox, QHBoxLayout

from gui.models import Column, Row
from gui.pages.base import Page, Result
from gui.session import Command
from gui.widgets.card import Card
from gui.widgets.choice import Choice
from gui.widgets.command import Incomplete
from gui.widgets.empty import Empty
from gui.widgets.table import Table
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


class FilesCard(Card):
    """Builds any model, and lists all files of the workspace."""

    def __init__(self, page: Page) -> None:
        super().__init__("Files for devices")
        self._page, self._session = page, page.session
        self._known: dict[str, Row] = {}  # what was learnt of a file, by its digest
        self.built = Choice("Model to build", "No models yet")
        self.built.currentIndexChanged.connect(page.refresh_commands)
        self.formats = {name: QCheckBox(name) for name in formats.names()}
        row = QHBoxLayout()
        row.setSpacing(14)
        row.addWidget(self.built, 1)
        for box in self.formats.values():
            box.setChecked(True)
            box.toggled.connect(page.refresh_commands)
            row.addWidget(box)
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
        self.build = page.action(
            "Build", "hammer", self.build_command, lambda result: tell_failed(page, result)
        )
        self.add(row)
        self.add(self.build)
        self.add(self.table, 1)

    def build_command(self) -> Command:
        if not self.built.chosen:
            raise Incomplete("Train or import a model first.")
        chosen = [name for name, box in self.formats.items() if box.isChecked()]
        if not chosen:
            raise Incomplete("Choose a format.")
        return ("build", self.built.chosen, *(word for f in chosen for word in ("--format", f)))

    def refresh(self) -> None:
        """The files there are; what is known of each is asked once, and kept."""
        self.built.offer(self._session.names("models"))
        self._fill()
        unknown = [item for item in self._made() if str(item["digest"]) not in self._known]
        if unknown:
            asked = (("show", f"artifacts/{item['name']}") for item in unknown)
            self._page.ask(self._learn, *asked)

    def _made(self) -> list[Row]:
        return [item for item in self._session.items if item.get("kind") == "artifacts"]

    def _fill(self) -> None:
        self.table.fill([self._known.get(str(item["digest"]), item) for item in self._made()])

    def _learn(self, result: Result) -> None:
        facts: Row = result.get("facts") or {}
        lineage: tuple[Row, ...] = tuple(result.get("lineage") or ({},))
        digest = str(lineage[0].get("digest", ""))
        self._known[digest] = {"name": result.get("name"), **facts, **(facts.get("parity") or {})}
        self._fill()
