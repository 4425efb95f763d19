"""A place to drop a file on, or to choose one with the keyboard."""

from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QDragEnterEvent, QDragLeaveEvent, QDropEvent
from PySide6.QtWidgets import QFileDialog, QFrame, QHBoxLayout, QVBoxLayout

from gui.widgets.buttons import Button, Icon
from gui.widgets.text import Elided, label

HEIGHT = 150  # pixels: a target that is hard to miss


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
        self._words = label(words, "heading")
        self._place = Elided("or choose one", "muted", Qt.TextElideMode.ElideMiddle)
        self.file, self.folder = Button("File", "file"), Button("Folder", "folder-open")
        self.file.clicked.connect(self._choose_file)
        self.folder.clicked.connect(self._choose_folder)
        column = QVBoxLayout(self)
        column.setContentsMargins(16, 12, 16, 12)
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
        column.addStretch()

    def take(self, path: str) -> None:
        """As if `path` had been dropped."""
        self.path = path
        self._words.setText(Path(path).name)
        self._place.setText(str(Path(path).parent))
        self.chosen.emit(path)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:  # noqa: N802
        if self._offered(event):
            event.acceptProposedAction()
            self._invite(True)

    def dragLeaveEvent(self, event: QDragLeaveEvent) -> None:  # noqa: N802
        self._invite(False)
        super().dragLeaveEvent(event)

    def dropEvent(self, event: QDropEvent) -> None:  # noqa: N802
        self._invite(False)
        path = self._offered(event)
        if path:
            event.acceptProposedAction()
            self.take(path)

    def _offered(self, event: QDropEvent) -> str:
        """The one local file of a drag; "" where it is anything else."""
        urls = event.mimeData().urls()
        return urls[0].toLocalFile() if len(urls) == 1 else ""

    def _invite(self, over: bool) -> None:
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
