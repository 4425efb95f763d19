"""The form that makes a board one of ours."""

from collections.abc import Mapping

from PySide6.QtWidgets import QLineEdit, QVBoxLayout, QWidget

from edge_targets.catalog import targets
from gui.pages.base import Page, Result, Then
from gui.session import Command
from gui.widgets.choice import Choice
from gui.widgets.command import Incomplete
from gui.widgets.rows import form_rows, named
from gui.widgets.text import label

BROWSER = "browser"
PASSWORD = "SANDERLING_PASSWORD"  # noqa: S105 - the name of a variable; it never is in a command
ABOUT = (
    "All a board needs is carried there over SSH: a runtime for its processor, the agent, and the "
    "service that starts it. It needs no internet. A password is used once."
)


class Enrolling(QWidget):
    """Name, address and target; a password where no key is trusted yet."""

    def __init__(self, page: Page, then: Then) -> None:
        super().__init__()
        self.name = named(QLineEdit(placeholderText="kitchen"), "Name of the device")
        self.address = named(
            QLineEdit(placeholderText="pi@kitchen.local, http://HOST:PORT, or a folder"),
            "Address of the device",
        )
        self.target = Choice("Target of the device", people=True, automatic="The board tells")
        self.target.offer([name for name in targets.names() if name != BROWSER])
        self.password = named(
            QLineEdit(placeholderText="Only where no key is trusted yet"), "Password of the board"
        )
        self.password.setEchoMode(QLineEdit.EchoMode.Password)
        self._then = then
        self.action = page.action(
            "Add", "plus", self.command, self._done, primary=True, lent=self.lent
        )
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 6)
        column.setSpacing(8)
        column.addWidget(label(ABOUT, "muted", wrap=True))
        column.addLayout(
            form_rows(
                ("Name", self.name),
                ("Address", self.address),
                ("Target", self.target),
                ("Password", self.password),
            )
        )
        column.addWidget(self.action)
        for text in (self.name, self.address):
            text.textChanged.connect(page.refresh_commands)
        self.target.currentIndexChanged.connect(page.refresh_commands)

    def lent(self) -> Mapping[str, str]:
        """What the command gets in its environment, where no other program can read it."""
        return {PASSWORD: self.password.text()} if self.password.text() else {}

    def _done(self, result: Result) -> None:
        for text in (self.name, self.address, self.password):
            text.clear()
        self._then(result)

    def command(self) -> Command:
        name, address = self.name.text().strip(), self.address.text().strip()
        if not address:
            raise Incomplete("Say where it is: pi@HOST, or a folder for the simulator.")
        if not name:
            raise Incomplete("Give the device a name.")
        target = ("--target", self.target.chosen) if self.target.chosen else ()
        return ("device", "add", name, address, *target)
