"""From a file to a place: sign a package, put it on a device."""

from PySide6.QtWidgets import QHBoxLayout

from edge_targets.catalog import targets
from gui import wording
from gui.pages.base import Page, Result
from gui.panels.packages import Packages
from gui.session import Command, Session
from gui.widgets.card import Card
from gui.widgets.choice import Choice
from gui.widgets.command import Incomplete
from gui.widgets.rows import form_rows
from gui.widgets.text import Elided

BROWSER = "browser"


class Deploy(Page):
    """A package on the left, a device on the right."""

    title = "Deploy"
    icon = "rocket"
    order = 40

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        row = QHBoxLayout()
        row.setSpacing(14)
        row.addWidget(self._package_card(), 1)
        row.addWidget(self._deploy_card(), 1)
        self.body.addLayout(row)
        self.body.addStretch()
        self._packages = Packages(self, self.package, lambda target: target != BROWSER)

    def _package_card(self) -> Card:
        card = Card("Sign a package")
        self.artifact = Choice("Artifact", "No files yet: build a model")
        self.target = Choice("Target", people=True)
        self.target.offer(targets.names())
        self.target.choose("simulator")
        self.package_action = self.action("Package", "box", self.package_command, self._packaged)
        self.packaged = Elided("", "muted")
        self.packaged.hide()
        card.add(form_rows(("File", self.artifact), ("Target", self.target)))
        card.add(self.package_action)
        card.add(self.packaged)
        for box in (self.artifact, self.target):
            box.currentIndexChanged.connect(self.refresh_commands)
        return card

    def _deploy_card(self) -> Card:
        card = Card("Deploy to a device")
        self.package = Choice("Package", "No packages yet")
        self.device = Choice("Device", "No devices yet")
        self.deploy_action = self.action(
            "Deploy", "rocket", self.deploy_command, self._deployed, primary=True
        )
        self.deployed = Elided("", "muted")
        self.deployed.hide()
        card.add(form_rows(("Package", self.package), ("Device", self.device)))
        card.add(self.deploy_action)
        card.add(self.deployed)
        for box in (self.package, self.device):
            box.currentIndexChanged.connect(self.refresh_commands)
        return card

    def package_command(self) -> Command:
        if not self.artifact.chosen:
            raise Incomplete("Build a model first, on the page Compress.")
        return ("package", self.artifact.chosen, "--target", self.target.chosen)

    def deploy_command(self) -> Command:
        if not self.package.chosen:
            raise Incomplete("Sign a package first.")
        if not self.device.chosen:
            raise Incomplete("Add a device first, on the page Devices.")
        return ("deploy", self.package.chosen, self.device.chosen)

    def refresh(self) -> None:
        self.artifact.offer(self.session.names("artifacts"))
        self.device.offer(self.session.names("devices"))
        self._packages.refresh()

    def _packaged(self, result: Result) -> None:
        self.packaged.setText(
            f"{result.get('name')}, version {result.get('version')}, "
            f"{wording.size(result.get('size_bytes'))}, signed with key {result.get('key_id')}"
        )
        self.packaged.show()
        if result.get("target") != BROWSER:  # its page takes those
            self.package.prefer(str(result.get("name", "")))

    def _deployed(self, result: Result) -> None:
        difference = wording.number(result.get("golden_difference"))
        self.deployed.setText(
            f"{result.get('device')} runs {result.get('package')}; its own answers to the golden "
            f"inputs differ by {difference} at most."
        )
        self.deployed.show()
