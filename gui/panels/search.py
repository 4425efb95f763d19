"""A search to a budget: what may be needed and lost, and the candidates found so far."""

from typing import Any

from PySide6.QtWidgets import QLineEdit, QSizePolicy, QSpinBox

from edge_targets.catalog import targets
from edge_targets.runtime.events import Event
from gui.form import INSET
from gui.pages.base import Page, Result
from gui.panels.base import Panel, chosen_data
from gui.panels.candidate import CandidateCard
from gui.panels.outcome import OutcomeCard
from gui.panels.tradeoff import TradeoffCard
from gui.session import Command
from gui.widgets.amount import Amount
from gui.widgets.card import Card
from gui.widgets.choice import Choice
from gui.widgets.gate import GateFields
from gui.widgets.points import Limits
from gui.widgets.rows import form_rows, named, steady
from gui.widgets.verdict import VerdictCard
from toolkit.passes import passes
from toolkit.quantities import milliseconds, seconds, size_bytes

FIRST_TARGET = "raspberry_pi_4"
TRIALS = 40
STUDY = ("--data", "--target", "--name")  # with the model, what tells one search from another


class SearchPanel(Panel):
    """Compress until the budget is kept."""

    def __init__(self, page: Page, model: Choice) -> None:
        super().__init__(page, model)
        self._study: Command = ()
        self.left.addWidget(self._budget_card())
        self.left.addWidget(self._effort_card())
        self.left.addStretch()
        self.outcome = OutcomeCard(self.session.workspace)
        self.verdict = VerdictCard()
        self.tradeoff = TradeoffCard()
        self.candidate = CandidateCard(page)
        self.tradeoff.selected.connect(self.candidate.show_candidate)
        self.right.addWidget(self.outcome)
        self.right.addWidget(self.tradeoff, 1)
        self.right.addWidget(self.candidate)
        self.right.addWidget(self.verdict)
        self.main = page.action(
            "Search", "magnifying-glass", self.command, self._show_result, primary=True
        )
        self.main.triggered.connect(self._begin)
        page.runner.progressed.connect(self._take)

    def _budget_card(self) -> Card:
        card = Card("Budget")
        self.data = Choice("Data", "No data yet: add some")
        self.target = Choice("Target", people=True)
        self.target.offer(targets.names())
        self.target.choose(FIRST_TARGET)
        self.device = Choice("Device to measure on", automatic="None: estimate for the target")
        self.largest = Amount("Size", "--max-size", "200kB", size_bytes)
        self.longest = Amount("Latency", "--max-latency", "5ms", milliseconds)
        self.most = Amount("Memory", "--max-ram", "8MB", size_bytes)
        self.gate = GateFields(optional=False)
        card.add(
            form_rows(
                ("Data", self.data), ("Target", self.target), ("Measure on", self.device),
                ("Largest size", self.largest), ("Longest latency", self.longest),
                ("Most memory", self.most),
            )
        )  # fmt: skip
        card.add(self.gate)
        for choice in (self.data, self.target, self.device):
            steady(choice).currentIndexChanged.connect(self.page.refresh_commands)
        for amount in (self.largest, self.longest, self.most):
            amount.textChanged.connect(self._change_budget)
        self.gate.changed.connect(self._change_budget)
        return card

    def _effort_card(self) -> Card:
        card = Card("Effort")
        self.trials = steady(QSpinBox(minimum=1, maximum=10_000, value=TRIALS))
        self.time = Amount("Time", "--time", "10min", seconds)
        self.families = QLineEdit(placeholderText="All, or passes parted by commas")
        self.families.setToolTip(f"Of: {', '.join(passes.names())}")
        self.study = QLineEdit(placeholderText="Model and target")
        self.study.setToolTip("A study that was stopped goes on when it is searched again.")
        self.seed = steady(QSpinBox(minimum=0, maximum=2**31 - 1))
        rows = (
            ("Trials", self.trials), ("Time", self.time), ("Families", self.families),
            ("Study", self.study), ("Seed", self.seed),
        )  # fmt: skip
        card.add(form_rows(*((title, named(widget, title)) for title, widget in rows)))
        for box in (self.trials, self.seed):
            box.lineEdit().setTextMargins(INSET, 0, 0, 0)
            box.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
            box.valueChanged.connect(self.page.refresh_commands)
        for line in (self.time, self.families, self.study):
            line.textChanged.connect(self.page.refresh_commands)
        return card

    def command(self) -> Command:
        model, data = self.chosen_model(), chosen_data(self.data)
        device = ("--device", self.device.chosen) if self.device.chosen else ()
        families = ",".join(filter(None, map(str.strip, self.families.text().split(","))))
        study = self.study.text().strip()
        return (
            "search", model, "--data", data, "--target", self.target.chosen, *device,
            *self.largest.arguments(), *self.longest.arguments(), *self.most.arguments(),
            *self.gate.arguments(), "--trials", str(self.trials.value()),
            *self.time.arguments(), *(("--families", families) if families else ()),
            *(("--name", study) if study else ()),
            *(("--seed", str(self.seed.value())) if self.seed.value() else ()),
        )  # fmt: skip

    @property
    def limits(self) -> dict[str, Limits]:
        """The budget on each axis that the plot can have."""
        drop = self.gate.max_drop
        return {
            "latency_ms": Limits(self.longest.value, drop),
            "size_bytes": Limits(self.largest.value, drop),
        }

    def prefer_data(self, name: str) -> None:
        self.data.prefer(name)

    def refresh(self) -> None:
        self.data.offer(self.session.names("datasets"))
        self.device.offer(self.session.names("devices"))
        self.candidate.refresh()

    def _change_budget(self) -> None:
        self.tradeoff.show_limits(self.limits)
        self.page.refresh_commands()

    def _begin(self, commands: tuple[Command, ...]) -> None:
        """Another search begins with nothing; the same one goes on with what it found."""
        [command] = commands
        named_by = [command[1]]
        for option in STUDY:
            named_by += command[command.index(option) :][:2] if option in command else []
        self.outcome.hide()
        self.verdict.hide()
        if tuple(named_by) != self._study:
            self._study = tuple(named_by)
            self.tradeoff.clear()
        self.tradeoff.show_limits(self.limits)
        self.tradeoff.say_running()

    def _take(self, event: Event) -> None:
        found = event.facts.get("candidate")
        if isinstance(found, dict) and "trial" in found:
            self.tradeoff.take(found, str(event.facts.get("best") or ""))

    def _show_result(self, result: Result) -> None:
        pick = str(result.get("pick") or "")
        front: tuple[dict[str, Any], ...] = tuple(result.get("front") or ())
        self.tradeoff.show_front(front, pick)
        self.outcome.show_outcome(result)
        self.verdict.show_verdict(result.get("gate"))
