"""Who a board shall be at its first start: its name, who may log in, its network."""

from collections.abc import Mapping

from PySide6.QtCore import QLocale, QTimeZone, Signal
from PySide6.QtWidgets import QLineEdit

from edge_targets.catalog import targets
from gui.pages.base import Page
from gui.widgets.card import Card
from gui.widgets.choice import Choice
from gui.widgets.command import Incomplete
from gui.widgets.rows import form_rows, named
from gui.widgets.text import label

PASSWORD, PASSPHRASE = "SANDERLING_PASSWORD", "SANDERLING_WIFI_PASSPHRASE"
BOARDS = "raspberry_pi"
KEYS = "A key of this workspace may log in; a password only where you give one."
STORED = "Only a key made of the passphrase is stored on the card."


def field(name: str, hint: str, *, hidden: bool = False) -> QLineEdit:
    made = named(QLineEdit(placeholderText=hint), name)
    if hidden:
        made.setEchoMode(QLineEdit.EchoMode.Password)
    return made


class DeviceCard(Card):
    """Name, board, user and package; `changed` tells of what belongs into the command."""

    changed = Signal()

    def __init__(self, page: Page) -> None:
        super().__init__("Device")
        self._page = page
        self.name = field("Name of the device", "kitchen; empty writes the image as it is")
        self.target = Choice("Board", people=True)
        self.target.offer([name for name in targets.names() if name.startswith(BOARDS)])
        self.package = Choice("Package", "No packages yet", automatic="None: deploy one later")
        self.user = field("User", "pi")
        self.password = field("Password of the user", "None", hidden=True)
        self.keyboard = field("Keyboard layout", "As the image has it")
        self.keyboard.setText(layout())
        self.timezone = field("Time zone", "As the image has it")
        self.timezone.setText(timezone())
        self.add(
            form_rows(
                ("Name", self.name),
                ("Board", self.target),
                ("Package", self.package),
                ("User", self.user),
                ("Password", self.password),
                ("Time zone", self.timezone),
                ("Keyboard", self.keyboard),
            )
        )
        self.add(label(KEYS, "muted", wrap=True))
        for text in (self.name, self.user, self.password, self.keyboard, self.timezone):
            text.textChanged.connect(self.changed)
        for choice in (self.target, self.package):
            choice.currentIndexChanged.connect(self.changed)

    @property
    def named(self) -> bool:
        """Whether there is a device at all: without a name, the image is written as it is."""
        return bool(self.name.text().strip())

    def arguments(self) -> tuple[str, ...]:
        if not self.named:
            if self.package.chosen:
                raise Incomplete("Give the device a name: the package is for it.")
            return ()
        told = {
            "--device": self.name.text(),
            "--target": self.target.chosen,
            "--package": self.package.chosen,
            "--user": self.user.text(),
            "--timezone": self.timezone.text(),
            "--keyboard": self.keyboard.text(),
        }
        return tuple(w for name, text in told.items() if text.strip() for w in (name, text.strip()))

    def lent(self) -> Mapping[str, str]:
        return {PASSWORD: self.password.text()} if self.password.text() else {}


class NetworkCard(Card):
    """A wireless network, or none; `changed` as of the device."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__("Network")
        self.ssid = field("Wireless network", "Name; empty for a cable")
        self.passphrase = field("Passphrase of the network", "None: an open network", hidden=True)
        self.country = field("Country", "DE")
        self.country.setText(country())
        self.country.setMaxLength(2)
        self.rows = form_rows(
            ("Wi-Fi", self.ssid), ("Passphrase", self.passphrase), ("Country", self.country)
        )
        self.add(self.rows)
        self.add(label(STORED, "muted", wrap=True))
        for text in (self.ssid, self.passphrase, self.country):
            text.textChanged.connect(self.changed)

    def arguments(self) -> tuple[str, ...]:
        if not (ssid := self.ssid.text()):
            return ()
        if not (code := self.country.text().strip().upper()):
            raise Incomplete("Give the country, such as DE: a radio stays off without it.")
        return ("--wifi", ssid, "--country", code)

    def lent(self) -> Mapping[str, str]:
        return {PASSPHRASE: self.passphrase.text()} if self.ssid.text() else {}


def timezone() -> str:
    """Of this machine, such as Europe/Berlin."""
    name = bytes(QTimeZone.systemTimeZoneId().data()).decode("ascii", "replace")
    return name if "/" in name else ""


def country() -> str:
    """Of this machine's language; empty where it has none."""
    code = QLocale.system().name().partition("_")[2]
    return code if len(code) == 2 else ""


def layout() -> str:
    """Of a keyboard in this machine's country, where it goes by the same letters."""
    code = country().lower()
    return {"gb": "gb", "us": "us", "de": "de", "fr": "fr", "es": "es", "it": "it"}.get(code, "")
