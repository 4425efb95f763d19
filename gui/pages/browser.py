"""A model on a web page: what the bundle holds, how large it is, and a look at it."""

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import QUrl
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QCheckBox, QFileDialog, QHBoxLayout, QLineEdit

from gui import wording
from gui.form import make_field
from gui.pages.base import Page, Result
from gui.panels.packages import Packages
from gui.session import Command, Session
from gui.widgets.buttons import Button
from gui.widgets.card import Card
from gui.widgets.choice import Choice
from gui.widgets.columns import Columns
from gui.widgets.command import Incomplete
from gui.widgets.rows import add_row, empty_rows, form_rows, named, steady
from gui.widgets.shares import Share, Shares
from gui.widgets.text import Elided, label

ABOUT = "A folder that any web server can offer. Nothing in it is fetched from elsewhere."
EMPTY = "Make a bundle to see what a browser fetches, part by part."
WHEELS = "Wheels (*.whl)"
PORT = 8080  # as `serve` has it
PORTS = {"type": "integer", "minimum": 0, "maximum": 65535}


class Browser(Page):
    """What goes into the bundle on the left; what came of it on the right."""

    title = "Browser"
    icon = "globe"
    order = 48

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self.packages: list[tuple[str, str]] = []  # how each comes in, and its path
        self.main = self.action("Bundle", "box-archive", self.command, self._bundled, primary=True)
        columns = Columns(flipped=True)
        columns.right.addWidget(self._bundle_card())
        columns.right.addWidget(self._python_card())
        columns.right.addWidget(self._telemetry_card())
        columns.right.addStretch()
        columns.left.addWidget(self._bytes_card())
        columns.left.addWidget(self._look_card())
        columns.left.addStretch()
        self.body.addWidget(columns, 1)
        self.footer.insertWidget(0, self.main)
        self._packages = Packages(self, self.package, lambda target: target in ("browser", ""))
        self._settle()

    def _bundle_card(self) -> Card:
        card = Card("Bundle")
        self.package = Choice("Package", "No package for the browser yet")
        self.folder = named(QLineEdit(str(self.session.workspace / "site")), "Folder of the bundle")
        browse = Button("Browse", "folder-open")
        browse.clicked.connect(self._browse)
        row = QHBoxLayout()
        row.setSpacing(10)
        row.addWidget(self.folder, 1)
        row.addWidget(browse)
        self.accelerate = QCheckBox("Bring faster engines: threads and WebGPU, tried on the page")
        card.add(label(ABOUT, "muted", wrap=True))
        card.add(form_rows(("Package", self.package)))
        card.add(row)
        card.add(self.accelerate)
        self.folder.textChanged.connect(self.refresh_commands)
        self.package.currentIndexChanged.connect(self.refresh_commands)
        self.accelerate.toggled.connect(self.refresh_commands)
        return card

    def _python_card(self) -> Card:
        card = Card("Python")
        self.python = QCheckBox("Python in the page: telemetry, and code of your own")
        self.python.setChecked(True)
        self.named_packages = Elided("", "muted")
        self.add_wheel = Button("Add a wheel", "plus")
        self.add_folder = Button("Build a folder", "hammer")
        self.clear_packages = Button("Clear", "xmark")
        row = QHBoxLayout()
        row.setSpacing(10)
        row.addWidget(self.add_wheel)
        row.addWidget(self.add_folder)
        row.addStretch()
        row.addWidget(self.clear_packages)
        self.after = named(
            QLineEdit(placeholderText="Optional: module:function"), "After an answer"
        )
        card.add(self.python)
        card.add(self.named_packages)
        card.add(row)
        card.add(form_rows(("After an answer", self.after)))
        self.python.toggled.connect(self._settle)
        self.after.textChanged.connect(self.refresh_commands)
        self.add_wheel.clicked.connect(self._choose_wheels)
        self.add_folder.clicked.connect(self._choose_folder)
        self.clear_packages.clicked.connect(lambda: self.take_packages(()))
        return card

    def _telemetry_card(self) -> Card:
        card = Card("Telemetry")
        self.collector = named(
            QLineEdit(placeholderText="Optional; the page's own host otherwise"), "Collector"
        )
        self.notice = named(QLineEdit(placeholderText="Optional; ours otherwise"), "Question")
        card.add(label("Off until the visitor agrees, and never an input.", "muted", wrap=True))
        card.add(form_rows(("Collector", self.collector), ("Question", self.notice)))
        for text in (self.collector, self.notice):
            text.textChanged.connect(self.refresh_commands)
        return card

    def _bytes_card(self) -> Card:
        card = Card("Where the bytes go")
        self.empty = label(EMPTY, "muted", wrap=True)
        self.total = Elided("", "figure")
        self.remark = label("", "muted", wrap=True)
        self.shares = Shares("Parts of the bundle")
        for part in (self.empty, self.total, self.remark, self.shares):
            card.add(part)
        for part in (self.total, self.remark, self.shares):
            part.hide()
        return card

    def _look_card(self) -> Card:
        card = Card("Look at it")
        self.open = Button("Open in browser", "arrow-up-right-from-square")
        self.port = make_field(PORTS)
        self.port.write(PORT)
        self.serve = self.service("Serve", "play", self.serve_command)
        self.serve.answers.connect(lambda _url: self.open.setEnabled(True))
        self.serve.stopped.connect(lambda: self.open.setEnabled(False))
        self.open.setEnabled(False)
        self.open.clicked.connect(lambda: QDesktopServices.openUrl(QUrl(self.serve.url)))
        self.port.changed.connect(self.refresh_commands)
        card.header.addWidget(self.open)
        card.add(label("Only this machine can reach it.", "muted", wrap=True))
        rows = empty_rows()
        add_row(rows, "Port", named(steady(self.port.widget), "Port"), "0 takes any free one.")
        card.add(rows)
        card.add(self.serve)
        card.add(self.serve.said)  # beside the command there is no room for an address
        return card

    def command(self) -> Command:
        if not self.package.chosen:
            raise Incomplete("Package a model for the target Browser first, on the page Deploy.")
        options = {
            "--after": self.after.text().strip() if self.python.isChecked() else "",
            "--collector": self.collector.text().strip(),
            "--notice": self.notice.text().strip(),
        }
        given = [part for option, text in options.items() if text for part in (option, text)]
        packages = self.packages if self.python.isChecked() else []
        return (
            *("bundle", self.package.chosen, self._folder()),
            *(() if self.python.isChecked() else ("--lite",)),
            *(("--accelerate",) if self.accelerate.isChecked() else ()),
            *(part for package in packages for part in package),
            *given,
        )

    def serve_command(self) -> Command:
        port = self.port.read()
        return ("serve", self._folder(), *(("--port", str(port)) if port != PORT else ()))

    def refresh(self) -> None:
        self._packages.refresh()

    def take_packages(self, packages: Sequence[tuple[str, str]]) -> None:
        """These and no others: ("--with", a wheel) or ("--build", a folder to make one of)."""
        self.packages = list(packages)
        self._settle()

    def _settle(self) -> None:
        """Without Python nothing of it can be chosen."""
        wanted = self.python.isChecked()
        for part in (self.named_packages, self.add_wheel, self.add_folder, self.after):
            part.setEnabled(wanted)
        self.clear_packages.setVisible(wanted and bool(self.packages))
        names = ", ".join(Path(path).name for _, path in self.packages)
        self.named_packages.setText(names or "No packages beside the runtime")
        self.refresh_commands()

    def _folder(self) -> str:
        if folder := self.folder.text().strip():
            return folder
        raise Incomplete("Choose a folder for the bundle.")

    def _browse(self) -> None:
        if folder := QFileDialog.getExistingDirectory(self, "Folder of the bundle"):
            self.folder.setText(folder)

    def _choose_wheels(self) -> None:
        paths, _ = QFileDialog.getOpenFileNames(self, "Python packages", "", WHEELS)
        self.take_packages([*self.packages, *(("--with", path) for path in paths)])

    def _choose_folder(self) -> None:
        if folder := QFileDialog.getExistingDirectory(self, "Folder of a Python package"):
            self.take_packages([*self.packages, ("--build", folder)])

    def _bundled(self, result: Result) -> None:
        parts = result.get("parts") or []
        shares = [
            Share(
                wording.words(str(part["name"])),
                float(part["sent_bytes"]),
                f"{part['files']} files, {wording.size(part['size_bytes'])} unpacked",
            )
            for part in parts
        ]
        sent = result.get("sent_bytes") or 0
        others = sum(share.amount for share in shares) > sent
        browser = "a browser that stays with the first engine" if others else "a browser"
        self.total.setText(wording.size(sent))
        self.remark.setText(
            f"on the way to {browser}, when its host compresses. {result.get('files')} files, "
            f"{wording.size(result.get('size_bytes'))}, in {result.get('directory')}."
        )
        self.shares.show_shares(shares)
        self.empty.hide()
        for part in (self.total, self.remark, self.shares):
            part.show()
