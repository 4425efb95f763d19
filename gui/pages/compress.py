"""Make a model smaller: passes in order, what each did, and the files for devices."""

from pathlib import Path

from PySide6.QtWidgets import QCheckBox, QHBoxLayout, QLineEdit, QVBoxLayout, QWidget

from edge_targets.runtime.durable import replace_file, storing
from gui import wording
from gui.models import Column, Row
from gui.pages.base import Page, Result
from gui.session import Command, Session
from gui.widgets.card import Card, Tile, tiles
from gui.widgets.choice import Choice
from gui.widgets.command import Incomplete
from gui.widgets.empty import Empty
from gui.widgets.recipe import RecipeEditor
from gui.widgets.rows import form_rows, named, unique_name
from gui.widgets.table import Table
from toolkit.formats import formats

LEFT = 390  # pixels: room for the longest label and a list of numbers
STEPS = (
    Column("name", "Pass", value=lambda row: wording.words(str(row["name"])), stretch=2),
    Column("summary", "What it did", stretch=4),
    Column("size_before", "Before", "size"),
    Column("size_after", "After", "size"),
)


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


class Compress(Page):
    """Left the recipe; right what became of the model, and its compiled files."""

    title = "Compress"
    icon = "compress"
    order = 30

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._known: dict[str, Row] = {}  # what was learnt of a file, by its digest
        left, right = QVBoxLayout(), QVBoxLayout()
        for column in (left, right):
            column.setSpacing(14)
            column.setContentsMargins(0, 0, 0, 0)
        left.addWidget(self._recipe_card())
        left.addStretch()
        self.bytes, self.accuracy = Tile("Size"), Tile("Accuracy on test")
        right.addLayout(tiles(self.bytes, self.accuracy))
        right.addWidget(self._steps_card(), 2)
        right.addWidget(self._files_card(), 3)
        side = QWidget()
        side.setFixedWidth(LEFT)
        side.setLayout(left)
        columns = QHBoxLayout()
        columns.setSpacing(14)
        columns.addWidget(side)
        columns.addLayout(right, 1)
        self.compress = self.action(
            "Compress",
            "compress",
            self.compress_command,
            self._show_result,
            primary=True,
            prepare=self._write_recipe,
        )
        self.body.addLayout(columns, 1)
        self.footer.insertWidget(0, self.compress)

    def _recipe_card(self) -> Card:
        card = Card("Recipe")
        self.model = Choice("Model", "No models yet: train one")
        self.model.currentIndexChanged.connect(self.refresh_commands)
        self.recipe = RecipeEditor()
        self.recipe.changed.connect(self.refresh_commands)
        self.name = named(QLineEdit(), "Name of the smaller model")
        self.name.textEdited.connect(self.refresh_commands)
        card.add(form_rows(("Model", self.model)))
        card.add(self.recipe, 1)
        card.add(form_rows(("Name", self.name)))
        return card

    def _steps_card(self) -> Card:
        card = Card("What each pass did")
        self.steps = Table(
            "Steps of the recipe",
            STEPS,
            Empty("compress", "Nothing compressed yet", "Choose passes and press Compress."),
            sortable=False,
        )
        self.steps.setMinimumHeight(110)
        card.add(self.steps, 1)
        return card

    def _files_card(self) -> Card:
        card = Card("Files for devices")
        self.built = Choice("Model to build", "No models yet")
        self.built.currentIndexChanged.connect(self.refresh_commands)
        self.formats = {name: QCheckBox(name) for name in formats.names()}
        row = QHBoxLayout()
        row.setSpacing(14)
        row.addWidget(self.built, 1)
        for box in self.formats.values():
            box.setChecked(True)
            box.toggled.connect(self.refresh_commands)
            row.addWidget(box)
        self.files = Table(
            "Compiled files",
            ARTIFACTS,
            Empty(
                "microchip",
                "No files yet",
                "Build compiles a model and checks that the file answers as the model does.",
            ),
        )
        self.files.setMinimumHeight(130)
        self.build = self.action("Build", "hammer", self.build_command, self._show_files)
        card.add(row)
        card.add(self.build)
        card.add(self.files, 1)
        return card

    def compress_command(self) -> Command:
        if not self.model.chosen:
            raise Incomplete("Train or import a model first.")
        steps = self.recipe.recipe().steps
        if not steps:
            raise Incomplete("Add a pass to the recipe.")
        if all(step == type(step)() for step in steps):
            how = ("--passes", ",".join(self.recipe.names))
        else:
            how = ("--recipe", str(self.recipe_file))
        return ("compress", self.model.chosen, *how, "--name", self.chosen_name)

    @property
    def chosen_name(self) -> str:
        return self.name.text().strip() or self.name.placeholderText()

    @property
    def recipe_file(self) -> Path:
        """Beside what it made, so that the command still works when it is pasted later."""
        return self.session.workspace / "recipes" / f"{self.chosen_name}.toml"

    def _write_recipe(self) -> None:
        if "--recipe" in self.compress_command():
            with storing(self.recipe_file):
                self.recipe_file.parent.mkdir(exist_ok=True)
            replace_file(self.recipe_file, self.recipe.recipe().to_toml().encode())

    def build_command(self) -> Command:
        if not self.built.chosen:
            raise Incomplete("Train or import a model first.")
        chosen = [name for name, box in self.formats.items() if box.isChecked()]
        if not chosen:
            raise Incomplete("Choose a format.")
        return ("build", self.built.chosen, *(word for f in chosen for word in ("--format", f)))

    def refresh_commands(self) -> None:
        words = "-".join([self.model.chosen or "model", *self.recipe.names])
        self.name.setPlaceholderText(unique_name(words, self.session.names("models")))
        super().refresh_commands()

    def refresh(self) -> None:
        models = self.session.names("models")
        self.model.offer(models)
        self.built.offer(models)
        self.refresh_commands()
        self._list_files()

    def _list_files(self) -> None:
        """The files there are; what is known of each is asked once, and kept."""
        made = [item for item in self.session.items if item.get("kind") == "artifacts"]
        self.files.fill([self._known.get(str(item["digest"]), item) for item in made])
        unknown = [item for item in made if str(item["digest"]) not in self._known]
        if unknown:
            asked = (("show", f"artifacts/{item['name']}") for item in unknown)
            self.ask(self._learn_file, *asked)

    def _learn_file(self, result: Result) -> None:
        facts: Row = result.get("facts") or {}
        lineage: tuple[Row, ...] = tuple(result.get("lineage") or ({},))
        digest = str(lineage[0].get("digest", ""))
        self._known[digest] = {"name": result.get("name"), **facts, **(facts.get("parity") or {})}
        made = [item for item in self.session.items if item.get("kind") == "artifacts"]
        self.files.fill([self._known.get(str(item["digest"]), item) for item in made])

    def _show_result(self, result: Result) -> None:
        before, after = result.get("size_before"), result.get("size_after")
        smaller = f"{before / after:.1f} times smaller" if before and after else ""
        self.bytes.show_figure(f"{wording.size(before)} → {wording.size(after)}", smaller)
        old, new = result.get("before") or {}, result.get("after") or {}
        figures = (wording.percent(part.get("value")) for part in (old, new))
        self.accuracy.show_figure(" → ".join(figures), wording.between(new))
        self.accuracy.setToolTip("Below: the 95 % confidence interval of the new model.")
        self.steps.fill(result.get("steps", ()))
        self.built.prefer(str(result.get("name", "")))

    def _show_files(self, result: Result) -> None:
        made = list(result.get("artifacts", ()))
        if not result.get("ok", True):
            failed = ", ".join(str(row.get("name")) for row in made if not row.get("passed"))
            self.banner.show_problem(
                f"{failed} does not answer as its model does.",
                "It cannot be packaged. Try other passes, or milder ones.",
            )
