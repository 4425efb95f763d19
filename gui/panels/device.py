"""One device: how it is, what it serves, and what can be done to it."""

from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtGui import QFontDatabase
from PySide6.QtWidgets import QLineEdit, QPlainTextEdit

from gui import wording
from gui.models import Column, Row
from gui.pages.base import Page, Result
from gui.session import Command
from gui.widgets.buttons import Button
from gui.widgets.card import Card
from gui.widgets.choice import Choice
from gui.widgets.columns import Columns
from gui.widgets.command import Incomplete
from gui.widgets.empty import Empty
from gui.widgets.facts import Facts, Section
from gui.widgets.rows import form_rows, named
from gui.widgets.table import Table
from gui.widgets.text import Elided

LINES = "200"  # of a log: as much as one looks through by eye


def probation(row: Row) -> str:
    left = row.get("probation_s")
    return "kept" if left is None else f"on trial, {left:.0f} s"


MODELS = (
    Column("name", "Model", stretch=3),
    Column("version", "Version", stretch=0, sample="03b9b16885e6"),
    Column("format", "Format", value=lambda r: wording.words(str(r.get("format", ""))), stretch=1),
    Column("previous", "Before", stretch=0, sample="03b9b16885e6"),
    Column("state", "State", "state", value=probation, stretch=2),
)


class DevicePanel(Columns):
    """Facts and models on the right, what can be done on the left."""

    def __init__(self, page: Page) -> None:
        super().__init__()
        self.page, self.session = page, page.session
        self.device = ""
        self.left.addWidget(self._change_card())
        self.left.addWidget(self._update_card())
        self.left.addStretch()
        self.right.addWidget(self._facts_card())
        self.right.addWidget(self._log_card(), 1)

    def _change_card(self) -> Card:
        card = Card("Models")
        self.package = Choice("Package", "No packages yet")
        self.deploy = self.page.action(
            "Deploy", "rocket", self.deploy_command, self._deployed, primary=True
        )
        self.bench = self.page.action("Time it there", "gauge", self.bench_command, self._benched)
        self.served = Choice("Served model", "Nothing is served")
        self.rollback = self.page.action(
            "Roll back", "clock-rotate-left", self.rollback_command, self._rolled_back
        )
        self.told = Elided("", "muted")
        self.told.hide()
        card.add(form_rows(("Package", self.package)))
        card.add(self.deploy)
        card.add(self.bench)
        card.add(form_rows(("Served model", self.served)))
        card.add(self.rollback)
        card.add(self.told)
        for box in (self.package, self.served):
            box.currentIndexChanged.connect(self.page.refresh_commands)
        return card

    def _update_card(self) -> Card:
        card = Card("Updates by itself")
        self.repository = named(
            QLineEdit(placeholderText="http://HOST/…, or none"),
            "Address of the repository",
        )
        self.channel = named(QLineEdit("stable"), "Channel")
        self.every = named(QLineEdit("1h"), "Time between two looks")
        self.follow = self.page.action("Follow", "rss", self.follow_command, self._followed)
        card.add(
            form_rows(
                ("Repository", self.repository), ("Channel", self.channel), ("Every", self.every)
            )
        )
        card.add(self.follow)
        for text in (self.repository, self.channel, self.every):
            text.textChanged.connect(self.page.refresh_commands)
        return card

    def _facts_card(self) -> Card:
        self.facts_card = card = Card("Device")
        self.stop = Button("Stop", "stop")
        self.remove = Button("Forget", "trash-can")
        for button, verb in ((self.stop, "stop"), (self.remove, "remove")):
            button.clicked.connect(lambda _=False, verb=verb: self._do(verb))
            card.header.addWidget(button)
        self.facts = Facts("What the device tells")
        self.facts.setMinimumHeight(196)
        self.models = Table(
            "Models of the device", MODELS,
            Empty("cube", "It serves nothing yet", "Deploy a package to it."), sortable=False,
        )  # fmt: skip
        card.add(self.facts)
        card.add(self.models)
        return card

    def _log_card(self) -> Card:
        card = Card("Log")
        self.read = Button("Read", "rotate")
        self.read.clicked.connect(self.ask_log)
        card.header.addWidget(self.read)
        self.log = named(QPlainTextEdit(), "Log of the device")
        self.log.setReadOnly(True)
        self.log.setPlaceholderText("What its agent wrote stands here once you have read it.")
        self.log.setFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
        self.log.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self.log.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAsNeeded)
        self.log.setMinimumHeight(150)
        card.add(self.log, 1)
        return card

    def choose(self, name: str) -> None:
        """Be about another device; what was known of the one before goes."""
        if name == self.device:
            return
        self.device = name
        self.log.clear()
        self.told.hide()
        self.facts.show_sections(())
        self.models.fill(())
        self.models.fit()
        self.served.offer(())
        self.page.refresh_commands()

    def show_device(self, found: Result) -> None:
        self.facts.show_sections(sections(found))
        rows = tuple(found.get("models") or ())
        self.models.fill(rows)
        self.models.fit(4)
        self.served.offer([str(row["name"]) for row in rows])
        self.page.refresh_commands()

    def chosen(self) -> str:
        if not self.device:
            raise Incomplete("Choose a device in the table.")
        return self.device

    def deploy_command(self) -> Command:
        return ("deploy", self._package(), self.chosen())

    def bench_command(self) -> Command:
        return ("device", "bench", self.chosen(), self._package())

    def _package(self) -> str:
        if not self.package.chosen:
            raise Incomplete("Sign a package first, on the page Deploy.")
        return self.package.chosen

    def rollback_command(self) -> Command:
        name = self.chosen()
        if not self.served.chosen:
            raise Incomplete("It serves nothing that could be rolled back.")
        rows = {str(row["name"]): row for row in self.models.rows.rows}
        if not rows[self.served.chosen].get("previous"):
            raise Incomplete("It keeps no version before this one.")
        return ("rollback", name, "--model", self.served.chosen)

    def follow_command(self) -> Command:
        name, repository = self.chosen(), self.repository.text().strip()
        if not repository:
            raise Incomplete("Say where the repository is.")
        channel, every = self.channel.text().strip(), self.every.text().strip()
        if not channel or not every:
            raise Incomplete("Name the channel, and the time between two looks.")
        return ("device", "follow", name, repository, "--channel", channel, "--every", every)

    def ask_log(self) -> None:
        if self.device:
            self.page.ask(self._take_log, ("device", "logs", self.device, "--lines", LINES))

    def _take_log(self, result: Result) -> None:
        self.log.setPlainText("\n".join(str(line) for line in result.get("lines") or ()))
        self.log.verticalScrollBar().setValue(self.log.verticalScrollBar().maximum())

    def _do(self, verb: str) -> None:
        if self.device:
            self.page.run((("device", verb, self.device),), lambda _: None)

    def _tell(self, text: str) -> None:
        self.told.setText(text)
        self.told.show()

    def _deployed(self, result: Result) -> None:
        self._tell(
            f"{result.get('package')} runs there; its answers to the golden inputs differ by "
            f"{wording.number(result.get('golden_difference'))} at most."
        )

    def _benched(self, result: Result) -> None:
        median, slow = (wording.milliseconds(result.get(key)) for key in ("p50_ms", "p90_ms"))
        self._tell(f"{result.get('package')}: {median} in the median, {slow} for one in ten.")

    def _rolled_back(self, result: Result) -> None:
        self._tell(f"{result.get('model')} is version {result.get('version')} again.")

    def _followed(self, result: Result) -> None:
        following = f"It follows {result.get('channel')} of {result.get('repository')}."
        self._tell(str(result.get("note") or following))


def sections(found: Result) -> tuple[Section, ...]:
    """What a device told, in words."""
    slowed = ", ".join(str(reason) for reason in found.get("throttled") or ())
    told: list[tuple[str, Any]] = [
        ("State", wording.words(str(found.get("state", "")))),
        ("Why", found.get("reason")),
        ("Address", found.get("address")),
        ("Temperature", wording.celsius(found.get("temperature_c"))),
        ("Slowed by", slowed),
        ("Memory free", wording.size(found.get("memory_available_bytes"))),
        ("Disk free", wording.size(found.get("disk_free_bytes"))),
        ("Items answered", wording.count(found.get("samples"))),
        ("Not sent yet", wording.count(found.get("pending"))),
        ("Last update", found.get("last_update")),
        ("Last look for one", found.get("last_look")),
    ]
    known = [(name, str(value)) for name, value in told if value not in ("", None, wording.NOTHING)]
    return (("", known),)
