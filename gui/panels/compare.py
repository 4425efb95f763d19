"""Two models side by side: how large, which layers belong together, and where they part."""

from collections.abc import Callable

from PySide6.QtWidgets import QGridLayout, QWidget

from gui import wording
from gui.models import Row
from gui.pages.base import Page, Result
from gui.panels.base import Panel
from gui.panels.compared import ComparedCard
from gui.session import Command
from gui.widgets.card import Card, Tile, tiles
from gui.widgets.choice import Choice
from gui.widgets.command import Incomplete
from gui.widgets.subject import Subject
from gui.widgets.text import label


def became(before: float | None, after: float | None, show: Callable[[float], str]) -> str:
    """What an amount was, in few letters: "was 164 kB, 70 % less" with a sign."""
    if before is None or after is None:
        return ""
    if before == after:
        return "the same"
    share = f", {100 * (after / before - 1):+.0f}{wording.NARROW}%" if before else ""
    return f"was {show(before)}{share.replace('-', wording.MINUS)}"


class ComparePanel(Panel):
    """All in one column: what is held against each other is as wide as the page."""

    def __init__(self, page: Page, model: Choice) -> None:
        super().__init__(page, model)
        self.side.hide()
        self.first, self.second = Subject("First model"), Subject("Second model")
        self.data = Choice("Data to compare answers on", automatic="None")
        self.right.addWidget(self._question_card())
        self.tiles = [Tile("Size"), Tile("MACs"), Tile("Same labels"), Tile("First to part")]
        self.right.addLayout(tiles(*self.tiles))
        self.result = ComparedCard()
        self.right.addWidget(self.result, 1)
        self.main = page.action(
            "Compare", "code-compare", self.command, self.show_result, primary=True
        )
        for part in (self.first, self.second):
            part.changed.connect(page.refresh_commands)
        self.data.currentIndexChanged.connect(page.refresh_commands)

    def _question_card(self) -> Card:
        card = Card()
        card.setAccessibleName("What to compare")
        grid = QGridLayout()
        grid.setHorizontalSpacing(14)
        grid.setVerticalSpacing(5)
        asked: tuple[tuple[str, QWidget], ...] = (
            ("First", self.first), ("Second", self.second), ("Data", self.data),
        )  # fmt: skip
        for column, (title, widget) in enumerate(asked):
            words = label(title, "muted")
            words.setBuddy(widget)
            grid.addWidget(words, 0, column)
            grid.addWidget(widget, 1, column)
            grid.setColumnStretch(column, 1)
        card.add(grid)
        return card

    def command(self) -> Command:
        first, second = self.first.chosen, self.second.chosen
        if not first or not second:
            raise Incomplete("Choose two models, or files.")
        if first == second:
            raise Incomplete("Choose two different models.")
        data = ("--data", self.data.chosen) if self.data.chosen else ()
        return ("diff", first, second, *data)

    def refresh(self) -> None:
        artifacts = [f"artifacts/{name}" for name in self.session.names("artifacts")]
        known = [*self.session.names("models"), *artifacts]
        empty = not self.second.chosen
        self.first.offer(known)
        self.second.offer(known)
        if empty and len(known) > 1:
            self.second.choice.choose(known[1])
        self.data.offer(self.session.names("datasets"))

    def show_result(self, result: Result) -> None:
        size, macs, labels, parting = self.tiles
        first: Row = result.get("first") or {}
        second: Row = result.get("second") or {}
        for tile, key, show in (
            (size, "size_bytes", wording.size), (macs, "macs", wording.short),
        ):  # fmt: skip
            before, after = first.get(key), second.get(key)
            tile.show_figure(show(after), became(before, after, show))
            tile.setToolTip(f"{wording.count(before)}, then {wording.count(after)}")
        samples = result.get("samples") or 0
        on = f"of {wording.count(samples)} items" if samples else "no items compared"
        labels.show_figure(wording.percent(result.get("label_agreement")), on)
        found = str(result.get("parting") or "")
        alike = "all layers agree" if samples else "no items compared"
        parting.show_figure(found or wording.NOTHING, "beyond rounding" if found else alike)
        self.result.show_result(result)
