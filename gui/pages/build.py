"""Compile a model to files, and prove that every runtime answers as the model does."""

from PySide6.QtWidgets import QSpinBox

from gui.form import INSET
from gui.pages.base import Page, Result
from gui.panels.compiling import CompileCard, FilesCard, tell_failed
from gui.panels.proving import ReportCard
from gui.session import Asker, Command, Session
from gui.widgets.card import Card
from gui.widgets.choice import Choice
from gui.widgets.columns import Columns
from gui.widgets.command import Incomplete
from gui.widgets.rows import form_rows, named, steady
from gui.widgets.text import label

MODEL = 260  # pixels
SAMPLES, MOST_SAMPLES = 500, 100_000


class Build(Page):
    """Left what is built and asked; right the files and their proof."""

    title = "Build"
    icon = "hammer"
    order = 35

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._learner = Asker(session, self)
        self.model = Choice("Model", "No models yet: train or import one")
        self.model.setFixedWidth(MODEL)
        words = label("Model", "muted")
        words.setBuddy(self.model)
        self.header.addWidget(words)
        self.header.addWidget(self.model)
        self.model.currentIndexChanged.connect(self._choose_model)
        columns = Columns()
        self.compile = CompileCard(self, self.model)
        self.files, self.report = FilesCard(self), ReportCard()
        self.main = self.action("Build", "hammer", self.compile.command, self._built, primary=True)
        columns.left.addWidget(self.compile)
        columns.left.addWidget(self._verify_card())
        columns.left.addStretch()
        columns.right.addWidget(self.files, 2)
        columns.right.addWidget(self.report, 3)
        self.body.addWidget(columns, 1)
        self.footer.insertWidget(0, self.main)
        self.files.table.selected.connect(self.report.show_file)

    def _verify_card(self) -> Card:
        card = Card("Certificate")
        told = "Runs the same inputs through every runtime there is, and through a device."
        card.add(label(told, "muted", wrap=True))
        self.device = Choice("Device", automatic="None")
        self.samples = steady(named(QSpinBox(), "Inputs to compare at most"))
        self.samples.lineEdit().setTextMargins(INSET, 0, 0, 0)
        self.samples.setRange(1, MOST_SAMPLES)
        self.samples.setValue(SAMPLES)
        card.add(form_rows(("Device", self.device), ("Inputs", self.samples)))
        self.verify = self.action("Verify", "certificate", self.verify_command, self._verified)
        card.add(self.verify)
        self.device.currentIndexChanged.connect(self.refresh_commands)
        self.samples.valueChanged.connect(self.refresh_commands)
        return card

    def verify_command(self) -> Command:
        if not self.model.chosen:
            raise Incomplete("Train or import a model first.")
        data = ("--data", self.compile.data.chosen) if self.compile.data.chosen else ()
        device = ("--device", self.device.chosen) if self.device.chosen else ()
        samples = (
            ("--samples", str(self.samples.value())) if self.samples.value() != SAMPLES else ()
        )
        return ("verify", self.model.chosen, *data, *device, *samples)

    def prefer_model(self, name: str) -> None:
        self.model.prefer(name)

    def refresh(self) -> None:
        self.model.offer(self.session.names("models"))
        self.compile.data.offer(self.session.names("datasets"))
        self.device.offer(self.session.names("devices"))
        self.files.refresh()
        self.refresh_commands()

    def _choose_model(self) -> None:
        """Ask for the certificate of the model."""
        self.report.show_known(None)
        if self.model.chosen:
            self._learner.ask(self._learn, ("show", f"models/{self.model.chosen}"))
        self.refresh_commands()

    def _learn(self, result: Result) -> None:
        facts = result.get("facts") or {}
        if result.get("name") == self.model.chosen:
            self.report.show_known(facts.get("certificate"))

    def _built(self, result: Result) -> None:
        self.report.parts.setCurrentIndex(0)
        made = [str(row.get("name")) for row in result.get("artifacts") or ()]
        self.files.prefer(made[0] if made else "")
        tell_failed(self, result)

    def _verified(self, result: Result) -> None:
        self.report.show_certificate(result)
        if not result.get("ok", True):
            wrong = [w for w in result.get("witnesses", ()) if w.get("state") == "differs"]
            names = ", ".join(str(w.get("place")) for w in wrong)
            self.banner.show_problem(
                f"{names} does not answer as the model does.",
                "The table says at which layer they part.",
            )
