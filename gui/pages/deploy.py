"""From a file to a place: sign a package, put it on a device or into a browser."""

from PySide6.QtCore import QUrl
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QFileDialog, QHBoxLayout, QLineEdit

from edge_targets.catalog import targets
from gui import wording
from gui.pages.base import Page, Result
from gui.session import Command, Session
from gui.widgets.buttons import Button
from gui.widgets.card import Card
from gui.widgets.choice import Choice
from gui.widgets.command import Incomplete
from gui.widgets.rows import form_rows, named
from gui.widgets.text import Elided

BROWSER = "browser"


class Deploy(Page):
    """Above what to put where; below the browser bundle."""

    title = "Deploy"
    icon = "rocket"
    order = 40

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._target_of: dict[str, str] = {}  # of a package, by its digest
        row = QHBoxLayout()
        row.setSpacing(14)
        row.addWidget(self._package_card(), 1)
        row.addWidget(self._deploy_card(), 1)
        self.body.addLayout(row)
        self.body.addWidget(self._browser_card())
        self.body.addStretch()

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

    def _browser_card(self) -> Card:
        card = Card("Run in a browser")
        self.in_browser = Choice("Package for the browser", "No packages yet")
        self.folder = named(QLineEdit(), "Folder of the bundle")
        self.folder.setText(str(self.session.workspace / "site"))
        browse = Button("Browse", "folder-open")
        browse.clicked.connect(self._browse)
        row = QHBoxLayout()
        row.setSpacing(10)
        row.addWidget(self.in_browser, 2)
        row.addWidget(self.folder, 3)
        row.addWidget(browse)
        self.bundle_action = self.action("Bundle", "globe", self.bundle_command, self._bundled)
        self.open = Button("Open in browser", "arrow-up-right-from-square")
        self.serve = self.service("Serve", "play", self.serve_command)
        self.serve.answers.connect(lambda _url: self.open.setEnabled(True))
        self.serve.stopped.connect(lambda: self.open.setEnabled(False))
        self.open.setEnabled(False)
        self.open.clicked.connect(lambda: QDesktopServices.openUrl(QUrl(self.serve.url)))
        card.header.addWidget(self.open)
        card.add(row)
        self.bundled = Elided("", "muted")
        self.bundled.hide()
        card.add(self.bundle_action)
        card.add(self.bundled)
        card.add(self.serve)
        self.folder.textChanged.connect(self.refresh_commands)
        self.in_browser.currentIndexChanged.connect(self.refresh_commands)
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

    def bundle_command(self) -> Command:
        if not self.in_browser.chosen:
            raise Incomplete("Sign a package for the target Browser first.")
        return ("bundle", self.in_browser.chosen, self._folder())

    def serve_command(self) -> Command:
        return ("serve", self._folder())

    def _folder(self) -> str:
        if folder := self.folder.text().strip():
            return folder
        raise Incomplete("Choose a folder for the bundle.")

    def _browse(self) -> None:
        if folder := QFileDialog.getExistingDirectory(self, "Folder of the bundle"):
            self.folder.setText(folder)

    def refresh(self) -> None:
        self.artifact.offer(self.session.names("artifacts"))
        self.device.offer(self.session.names("devices"))
        self._offer_packages()
        self.ask_packages()

    def _offer_packages(self) -> None:
        """Each kind of package where it belongs; one not known yet in both places."""
        found = [
            (str(item["name"]), self._target_of.get(str(item["digest"])))
            for item in self.session.items
            if item.get("kind") == "packages"
        ]
        self.package.offer([name for name, target in found if target != BROWSER])
        self.in_browser.offer([name for name, target in found if target in (BROWSER, None)])
        self.refresh_commands()

    def ask_packages(self) -> None:
        unknown = [
            ("show", f"packages/{item['name']}")
            for item in self.session.items
            if item.get("kind") == "packages" and str(item["digest"]) not in self._target_of
        ]
        self.ask(self._take_package, *unknown)

    def _take_package(self, result: Result) -> None:
        lineage = result.get("lineage") or [{}]
        target = (result.get("facts") or {}).get("target", "")
        self._target_of[str(lineage[0].get("digest"))] = str(target)
        self._offer_packages()

    def _packaged(self, result: Result) -> None:
        self.packaged.setText(
            f"{result.get('name')}, version {result.get('version')}, "
            f"{wording.size(result.get('size_bytes'))}, signed with key {result.get('key_id')}"
        )
        self.packaged.show()
        name = str(result.get("name", ""))
        (self.in_browser if result.get("target") == BROWSER else self.package).prefer(name)

    def _deployed(self, result: Result) -> None:
        difference = wording.number(result.get("golden_difference"))
        self.deployed.setText(
            f"{result.get('device')} runs {result.get('package')}; its own answers to the golden "
            f"inputs differ by {difference} at most."
        )
        self.deployed.show()

    def _bundled(self, result: Result) -> None:
        self.bundled.setText(
            f"{result.get('files')} files, {wording.size(result.get('size_bytes'))}, "
            f"in {result.get('directory')}"
        )
        self.bundled.show()
