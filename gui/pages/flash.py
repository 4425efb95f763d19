"""A memory card that makes a board one of ours: image, card, device, network, package."""

from collections.abc import Mapping
from pathlib import Path

from PySide6.QtWidgets import QFileDialog, QHBoxLayout, QLineEdit

from gui import wording
from gui.pages.base import Page, Result
from gui.panels.first_start import DeviceCard, NetworkCard
from gui.panels.medium import MediumCard
from gui.session import Command, Session
from gui.widgets.buttons import Button
from gui.widgets.card import Card
from gui.widgets.columns import Columns
from gui.widgets.command import Incomplete
from gui.widgets.notes import Note, Notes
from gui.widgets.rows import form_rows, named
from gui.widgets.text import label

IMAGES = "Images (*.img *.xz *.zip *.gz *.zst);;All files (*)"
ABOUT = (
    "A 64-bit Raspberry Pi OS, Bookworm or Trixie, as it was downloaded. It is unpacked on the "
    "way, and read back from the card."
)
CHECKED = {
    "file": "The download has the SHA-256 that was given.",
    "image": "The unpacked image has the SHA-256 that was given.",
}


class Flash(Page):
    """What is written and where; beside it who the board will be."""

    title = "Flash"
    icon = "sd-card"
    order = 47

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self.medium, self.device, self.network = MediumCard(self), DeviceCard(self), NetworkCard()
        self.main = self.action(
            "Write card", "sd-card", self.command, self._written, primary=True, lent=self.lent
        )
        columns = Columns(flipped=True)
        columns.right.addWidget(self._image_card())
        columns.right.addWidget(self.medium)
        columns.right.addWidget(self._result_card())
        columns.right.addStretch()
        columns.left.addWidget(self.device)
        columns.left.addWidget(self.network)
        columns.left.addStretch()
        self.body.addWidget(columns, 1)
        self.footer.insertWidget(0, self.main)
        for part in (self.medium, self.device, self.network):
            part.changed.connect(self.refresh_commands)
        self.runner.running_changed.connect(self._settle)

    def _image_card(self) -> Card:
        card = Card("Image")
        self.image = named(QLineEdit(placeholderText="raspios-arm64-lite.img.xz"), "Image")
        self.sha256 = named(
            QLineEdit(placeholderText="Optional; a .sha256 file beside the image is found"),
            "SHA-256 of the image",
        )
        browse = Button("Browse", "folder-open")
        browse.clicked.connect(self._browse)
        row = QHBoxLayout()
        row.addWidget(self.image, 1)
        row.addWidget(browse)
        card.add(label(ABOUT, "muted", wrap=True))
        card.add(row)
        card.add(form_rows(("SHA-256", self.sha256)))
        for text in (self.image, self.sha256):
            text.textChanged.connect(self.refresh_commands)
        return card

    def _result_card(self) -> Card:
        self.result = Card("Written")
        self.notes = Notes()
        self.result.add(self.notes)
        self.result.hide()
        return self.result

    def command(self) -> Command:
        if not (image := self.image.text().strip()):
            raise Incomplete("Choose an image of Raspberry Pi OS.")
        place, confirmed = self.medium.arguments()
        digest = self.sha256.text().strip()
        return (
            *("flash", image, place),
            *self.device.arguments(),
            *(self.network.arguments() if self.device.named else ()),
            *(("--sha256", digest) if digest else ()),
            *confirmed,
        )

    def lent(self) -> Mapping[str, str]:
        """Secrets: they go through the environment, where no list of processes shows them."""
        return {**self.device.lent(), **self.network.lent()} if self.device.named else {}

    def refresh(self) -> None:
        self.device.package.offer(self.session.names("packages"))
        self.medium.look()
        self.refresh_commands()

    def _browse(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Image of Raspberry Pi OS", "", IMAGES)
        if path:
            self.image.setText(path)

    def _settle(self, running: bool) -> None:
        """While a card is written, nothing that it is made of can be changed."""
        for part in (self.medium, self.device, self.network):
            part.setDisabled(running)
        if running:
            self.result.hide()

    def _written(self, result: Result) -> None:
        place, size = Path(str(result.get("path", ""))).name, wording.size(result["bytes_written"])
        notes = [Note(f"{size} written to {place}, and read back as they are.")]
        if checked := CHECKED.get(str(result.get("checked"))):
            notes.append(Note(checked))
        if device := result.get("device"):
            system = wording.words(str(result.get("system", "")))
            notes.append(
                Note(
                    f"Its first start makes the board {device}; {system} is its system.",
                    "Put the card into the board and give it power. After some minutes it serves, "
                    "and what is secret has left the card's boot partition.",
                )
            )
        self.medium.typed.clear()  # the next card is confirmed anew
        self.notes.show_notes(notes)
        self.result.show()
