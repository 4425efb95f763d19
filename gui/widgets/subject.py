"""A model or artifact of the workspace, or a file."""

from collections.abc import Sequence

from PySide6.QtCore import Signal
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import QFileDialog, QHBoxLayout, QWidget

from gui.widgets.buttons import quiet
from gui.widgets.choice import Choice
from gui.widgets.drop import dropped_file


class Subject(QWidget):
    """A choice beside a button for a file; a file can be dropped on it, too."""

    changed = Signal()

    def __init__(self, name: str) -> None:
        super().__init__()
        self.setAcceptDrops(True)
        self._name = name
        self._files: list[str] = []
        self._known: list[str] = []
        self.choice = Choice(name, "No models yet")
        self.browse = quiet("folder-open", f"{name}: choose a file")
        self.browse.clicked.connect(self._browse)
        self.setFocusProxy(self.choice)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(4)
        row.addWidget(self.choice, 1)
        row.addWidget(self.browse)
        self.choice.currentIndexChanged.connect(self.changed)

    @property
    def chosen(self) -> str:
        return self.choice.chosen

    def offer(self, known: Sequence[str]) -> None:
        self._known = list(known)
        self.choice.offer([*known, *self._files])

    def take(self, path: str) -> None:
        """Choose a file."""
        if path not in self._files:
            self._files.append(path)
        self.offer(self._known)
        self.choice.choose(path)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:  # noqa: N802
        if dropped_file(event.mimeData()):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:  # noqa: N802
        path = dropped_file(event.mimeData())
        if path:
            event.acceptProposedAction()
            self.take(path)

    def _browse(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, f"{self._name}: model file")
        if path:
            self.take(path)
