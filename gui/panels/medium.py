"""What an image is written to: one of the removable disks, or a new file."""

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QFileDialog, QHBoxLayout, QLineEdit, QVBoxLayout, QWidget

from gui import wording
from gui.models import Column, Row
from gui.pages.base import Page, Result
from gui.widgets.buttons import Button
from gui.widgets.card import Card
from gui.widgets.command import Incomplete
from gui.widgets.empty import Empty
from gui.widgets.rows import form_rows, named
from gui.widgets.segments import Segments
from gui.widgets.table import Table
from gui.widgets.text import label

DISKS = (
    Column("name", "Disk", stretch=0, sample="mmcblk0"),
    Column("model", "Model", stretch=2),
    Column("size_bytes", "Size", "size", stretch=0),
    Column("holds", "On it now", value=lambda row: ", ".join(row.get("holds") or ()), stretch=4,
           tip=lambda row: "\n".join(row.get("holds") or ("Nothing that is known",))),
    Column("state", "State", "state", value=lambda row: "in use" if row.get("refused") else "ready",
           stretch=0, sample="In use", tip=lambda row: str(row.get("refused") or "Ready")),
)  # fmt: skip
CARD, FILE = range(2)


class MediumCard(Card):
    """A disk is confirmed by typing its name: all that is on it will be lost.

    `changed` tells of whatever belongs into the command.
    """

    changed = Signal()

    def __init__(self, page: Page) -> None:
        super().__init__("Write to")
        self._page = page
        self.kind = Segments("Kind of place", ("A card", "A file"))
        self.again = Button("Look again", "rotate")
        self.again.setToolTip(page.session.shell(("disks",)))
        self.again.clicked.connect(self.look)
        self.header.addWidget(self.again)
        self.table = Table(
            "Removable disks",
            DISKS,
            Empty("sd-card", "No card", "Put one in. Disks that are built in are never shown."),
            sortable=False,
        )
        self.table.fit(4)
        self.warning = label("", "problem", wrap=True)
        self.typed = named(QLineEdit(), "Name of the disk, to confirm")
        self.confirm = form_rows(("Type its name", self.typed))
        self.file = named(QLineEdit(placeholderText="A new file, such as kitchen.img"), "File")
        self.add(self.kind)
        self.add(self._disk_part())
        self.add(self._file_part())
        self.kind.currentChanged.connect(self._show_kind)
        self.table.selected.connect(self._select)
        for text in (self.typed, self.file):
            text.textChanged.connect(self.changed)
        self._show_kind(CARD)
        self._select(None)

    def _disk_part(self) -> QWidget:
        self.disks = QWidget()
        column = QVBoxLayout(self.disks)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.table)
        column.addWidget(self.warning)
        column.addLayout(self.confirm)
        return self.disks

    def _file_part(self) -> QWidget:
        self.files = QWidget()
        browse = Button("Browse", "folder-open")
        browse.clicked.connect(self._browse)
        row = QHBoxLayout(self.files)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.file, 1)
        row.addWidget(browse)
        return self.files

    def arguments(self) -> tuple[str, tuple[str, ...]]:
        """The place, and the options that go with it."""
        if self.kind.currentIndex() == FILE:
            if not (path := self.file.text().strip()):
                raise Incomplete("Name a new file to write.")
            return path, ()
        disk = self.table.current
        if disk is None:
            raise Incomplete("Put in a card, and choose it.")
        if reason := disk.get("refused"):
            raise Incomplete(str(reason))
        name = str(disk["name"])
        if self.typed.text().strip() != name:
            raise Incomplete(f"Type {name} to confirm: everything on it will be lost.")
        return str(disk["path"]), ("--yes", name)

    def look(self) -> None:
        """Ask which disks there are."""
        self._page.ask(self._take, ("disks",))

    def _take(self, result: Result) -> None:
        self.table.fill(result.get("disks") or ())
        self.table.fit(4)
        self._select(self.table.current)

    def _select(self, disk: Row | None) -> None:
        self.typed.clear()  # what was typed was meant for another
        free = disk is not None and not disk.get("refused")
        self.confirm.setRowVisible(self.typed, free)
        self.warning.setVisible(disk is not None)
        if disk is not None:
            about = f"{disk.get('model') or disk['name']}, {wording.size(disk.get('size_bytes'))}"
            lost = f"Everything on {disk['name']} ({about}) will be lost."
            self.warning.setText(str(disk.get("refused") or lost))
            self.typed.setPlaceholderText(str(disk["name"]))
        self.changed.emit()

    def _show_kind(self, kind: int) -> None:
        self.disks.setVisible(kind == CARD)
        self.files.setVisible(kind == FILE)
        self.again.setVisible(kind == CARD)
        self.changed.emit()

    def _browse(self) -> None:
        path, _ = QFileDialog.getSaveFileName(self, "Image to write", "card.img")
        if path:
            self.file.setText(path)
