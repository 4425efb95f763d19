"""A place to drop a file on, or to choose one with the keyboard."""

from pathlib import Path

from PySide6.QtCore import QMimeData, Qt, Signal
from PySide6.QtGui import QDragEnterEvent, QDragLeaveEvent, QDropEvent
from PySide6.QtWidgets import QFileDialog, QFrame, QHBoxLayout, QProgressBar, QVBoxLayout

from gui.widgets.buttons import Button, Icon
from gui.widgets.rows import named
from gui.widgets.text import Elided

HEIGHT = 160  # pixels: a target that is hard to miss
BAR = 6  # pixels


def dropped_file(data: QMimeData) -> str:
    """The one file or folder of this machine that is dragged; "" where it is anything else."""
    urls = data.urls()
    return urls[0].toLocalFile() if len(urls) == 1 else ""


class DropArea(QFrame):
    """Takes one file or folder of this machine; `chosen` tells which."""

    chosen = Signal(str)

    def __init__(self, words: str) -> None:
        super().__init__()
        self.setObjectName("drop")
        self.setAccessibleName(words)
        self.setAcceptDrops(True)
        self.setMinimumHeight(HEIGHT)
        self.path = ""
        self._words = Elided(words, "heading")
        self._place = Elided("or choose one", "muted", Qt.TextElideMode.ElideMiddle)
        self.file, self.folder = Button("File", "file"), Button("Folder", "folder-open")
        self.file.clicked.connect(self._choose_file)
        self.folder.clicked.connect(self._choose_folder)
        column = QVBoxLayout(self)
        column.setContentsMargins(16, 12, 16, 12)
        column.addSpacing(BAR + column.spacing())  # so that all but the bar is in the middle
        column.addStretch()
        column.addWidget(Icon("file-import", side=26), 0, Qt.AlignmentFlag.AlignHCenter)
        for part in (self._words, self._place):
            part.setAlignment(Qt.AlignmentFlag.AlignHCenter)
            column.addWidget(part)
        buttons = QHBoxLayout()
        buttons.addStretch()
        buttons.addWidget(self.file)
        buttons.addWidget(self.folder)
        buttons.addStretch()
        column.addLayout(buttons)
        column.addWidget(self._busy_bar())
        column.addStretch()

    def _busy_bar(self) -> QProgressBar:
        self._bar = named(QProgressBar(), "Looking into the file")
        self._bar.setRange(0, 0)
        self._bar.setTextVisible(False)
        self._bar.setFixedHeight(BAR)
        kept = self._bar.sizePolicy()
        kept.setRetainSizeWhenHidden(True)
        self._bar.setSizePolicy(kept)
        self._bar.hide()
        return self._bar

    def show_busy(self, busy: bool) -> None:
        """While the file is looked into."""
        self._bar.setVisible(busy)
        place = str(Path(self.path).parent) if self.path else "or choose one"
        self._place.setText("Looking into it…" if busy else place)

    def take(self, path: str) -> None:
        """As if `path` had been dropped."""
        self.path = path
        self._words.setText(Path(path).name)
        self._place.setText(str(Path(path).parent))
        self.chosen.emit(path)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:  # noqa: N802
        if dropped_file(event.mimeData()):
            event.acceptProposedAction()
            self.invite(True)

    def dragLeaveEvent(self, event: QDragLeaveEvent) -> None:  # noqa: N802
        self.invite(False)
        super().dragLeaveEvent(event)

    def dropEvent(self, event: QDropEvent) -> None:  # noqa: N802
        self.invite(False)
        path = dropped_file(event.mimeData())
        if path:
            event.acceptProposedAction()
            self.take(path)

    def invite(self, over: bool) -> None:
        """Show that a file can be dropped now."""
        self.setProperty("over", over)
        self.style().unpolish(self)
        self.style().polish(self)

    def _choose_file(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Model file")
        if path:
            self.take(path)

    def _choose_folder(self) -> None:
        path = QFileDialog.getExistingDirectory(self, "Model folder")
        if path:
            self.take(path)
