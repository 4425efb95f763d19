"""A search field with its hits: how many there are, and which one is shown."""

from collections.abc import Sequence

from PySide6.QtCore import QEvent, Qt, Signal
from PySide6.QtGui import QKeyEvent, QKeySequence, QShortcut
from PySide6.QtWidgets import QHBoxLayout, QLineEdit, QWidget

from gui.widgets.buttons import quiet
from gui.widgets.text import label

FIELD, COUNT = 190, 64  # pixels


class SearchField(QLineEdit):
    """Enter goes on to the next hit, with Shift to the one before, Escape empties the field."""

    stepped = Signal(int)  # 1 or -1

    def __init__(self, name: str) -> None:
        super().__init__(placeholderText=name)
        self.setAccessibleName(name)
        self.setToolTip("Enter: the next hit; Shift+Enter: the one before; Ctrl+F: come here.")
        self.setAcceptDrops(False)
        self.setClearButtonEnabled(True)

    def event(self, event: QEvent) -> bool:
        """Escape is for the field while there are words in it, and not for the window."""
        if event.type() != QEvent.Type.ShortcutOverride or not isinstance(event, QKeyEvent):
            return super().event(event)
        if event.key() == Qt.Key.Key_Escape and self.text():
            event.accept()
            return True
        return super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            back = bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
            self.stepped.emit(-1 if back else 1)
        elif event.key() == Qt.Key.Key_Escape and self.text():
            self.clear()
        else:
            super().keyPressEvent(event)


class Search(QWidget):
    """`sought` tells the words, `shown` the hit to look at."""

    sought = Signal(str)
    shown = Signal(int)

    def __init__(self, name: str, owner: QWidget) -> None:
        super().__init__()
        self.hits: tuple[int, ...] = ()
        self._at = -1
        self.field = SearchField(name)
        self.field.setFixedWidth(FIELD)
        self.count = label("", "muted")
        self.count.setMinimumWidth(COUNT)
        self.before = quiet("chevron-up", "Hit before")
        self.after = quiet("chevron-down", "Next hit")
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(4)
        for part in (self.field, self.count, self.before, self.after):
            row.addWidget(part)
        self.field.textChanged.connect(self.sought)
        self.field.stepped.connect(self.step)
        self.before.clicked.connect(lambda: self.step(-1))
        self.after.clicked.connect(lambda: self.step(1))
        find = QShortcut(QKeySequence.StandardKey.Find, owner)
        find.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        find.activated.connect(self.field.setFocus)
        self.show_hits(())

    def show_hits(self, hits: Sequence[int]) -> None:
        self.hits, self._at = tuple(hits), -1
        self._tell()

    def step(self, way: int) -> None:
        """On to the next hit; after the last comes the first."""
        if not self.hits:
            return
        self._at = (self._at + way) % len(self.hits) if self._at >= 0 or way > 0 else -1
        self._at %= len(self.hits)
        self._tell()
        self.shown.emit(self.hits[self._at])

    def _tell(self) -> None:
        many = len(self.hits)
        words = f"{self._at + 1} of {many}" if self._at >= 0 else f"{many} found"
        self.count.setText((words if many else "None") if self.field.text().strip() else "")
        self.count.setAccessibleName(self.count.text())
        for button in (self.before, self.after):
            button.setEnabled(many > 0)
