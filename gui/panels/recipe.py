"""Passes in order, the gate they must hold, and what became of the model."""

from pathlib import Path

from PySide6.QtWidgets import QCheckBox, QLineEdit

from edge_targets.runtime.durable import replace_file, storing
from gui.pages.base import Page, Result
from gui.panels.base import Panel
from gui.panels.compressed import CompressedCard, show_tiles
from gui.session import Command
from gui.widgets.card import Card, Tile, tiles
from gui.widgets.choice import Choice
from gui.widgets.command import Incomplete
from gui.widgets.gate import GateFields
from gui.widgets.recipe import RecipeEditor
from gui.widgets.rows import form_rows, named, unique_name
from gui.widgets.verdict import VerdictCard


class RecipePanel(Panel):
    """Compress with passes that a person chose."""

    def __init__(self, page: Page, model: Choice) -> None:
        super().__init__(page, model)
        self.left.addWidget(self._recipe_card())
        self.left.addWidget(self._gate_card())
        self.left.addStretch()
        self.tiles = [Tile("Size"), Tile("Latency here"), Tile("Accuracy on test")]
        self.verdict = VerdictCard()
        self.result = CompressedCard()
        self.right.addLayout(tiles(*self.tiles))
        self.right.addWidget(self.verdict)
        self.right.addWidget(self.result, 2)
        self.main = page.action(
            "Compress",
            "compress",
            self.command,
            self._show_result,
            primary=True,
            prepare=self._write_recipe,
        )

    def _recipe_card(self) -> Card:
        card = Card("Recipe")
        self.recipe = RecipeEditor()
        self.data = Choice("Calibration data", automatic="What the model learned from")
        self.data.currentIndexChanged.connect(self.page.refresh_commands)
        self.name = named(QLineEdit(), "Name of the smaller model")
        self.recipe.changed.connect(self.page.refresh_commands)
        self.name.textEdited.connect(self.page.refresh_commands)
        card.add(self.recipe)
        card.add(form_rows(("Data", self.data), ("Name", self.name)))
        return card

    def _gate_card(self) -> Card:
        card = Card("Quality gate")
        self.gate = GateFields(optional=True, slices=True)
        self.strict = QCheckBox("Fail when a pass brings nothing")
        self.strict.setToolTip("The command then ends with exit code 3 (--strict).")
        self.gate.changed.connect(self.page.refresh_commands)
        self.strict.toggled.connect(self.page.refresh_commands)
        card.add(self.gate)
        card.add(self.strict)
        return card

    def command(self) -> Command:
        model, steps = self.chosen_model(), self.recipe.recipe().steps
        if not steps:
            raise Incomplete("Add a pass to the recipe.")
        if all(step == type(step)() for step in steps):
            how = ("--passes", ",".join(self.recipe.names))
        else:
            how = ("--recipe", str(self.recipe_file))
        data = ("--data", self.data.chosen) if self.data.chosen else ()
        strict = ("--strict",) if self.strict.isChecked() else ()
        return (
            "compress", model, *how, "--name", self.chosen_name, *data,
            *self.gate.arguments(), *strict,
        )  # fmt: skip

    @property
    def chosen_name(self) -> str:
        return self.name.text().strip() or self.name.placeholderText()

    @property
    def recipe_file(self) -> Path:
        """Beside what it made, so that the command still works when it is pasted later."""
        return self.session.workspace / "recipes" / f"{self.chosen_name}.toml"

    def _write_recipe(self) -> None:
        if "--recipe" in self.command():
            with storing(self.recipe_file):
                self.recipe_file.parent.mkdir(exist_ok=True)
            replace_file(self.recipe_file, self.recipe.recipe().to_toml().encode())

    def propose(self) -> None:
        words = "-".join([self.model.chosen or "model", *self.recipe.names])
        self.name.setPlaceholderText(unique_name(words, self.session.names("models")))

    def refresh(self) -> None:
        self.data.offer(self.session.names("datasets"))
        self.recipe.offer_models(self.session.names("models"))

    def _show_result(self, result: Result) -> None:
        show_tiles(self.tiles, result)
        self.verdict.show_verdict(result.get("gate"))
        self.result.show_result(result)
        self._tell_refused(result)

    def _tell_refused(self, result: Result) -> None:
        gate = result.get("gate")
        idle = [str(s.get("name")) for s in result.get("steps", ()) if not s.get("changed")]
        if gate and not gate.get("passed"):
            self.page.banner.show_problem(
                f"{result.get('name')} was refused by the gate, and not kept.",
                "Choose milder passes, or allow it to lose more.",
            )
        elif result.get("strict") and idle:
            self.page.banner.show_problem(
                f"{', '.join(idle)} changed nothing.", "Leave it out of the recipe."
            )
