"""What went wrong, and what to do; stays until it is dismissed or the next job starts."""

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QHBoxLayout, QVBoxLayout

from gui.widgets.buttons import Icon, quiet
from gui.widgets.text import label


class Banner(QFrame):
    """Hidden until there is a problem to show."""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("banner")
        self._message = label("", "problem", wrap=True)
        self._hint = label("", wrap=True)
        for part in (self._message, self._hint):
            part.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.dismiss = quiet("xmark", "Dismiss")
        self.dismiss.clicked.connect(self.hide)
        words = QVBoxLayout()
        words.setSpacing(2)
        words.addWidget(self._message)
        words.addWidget(self._hint)
        row = QHBoxLayout(self)
        row.setContentsMargins(14, 10, 8, 10)
        row.setSpacing(10)
        row.addWidget(Icon("triangle-exclamation", "bad"), 0, Qt.AlignmentFlag.AlignTop)
        row.addLayout(words, 1)
        row.addWidget(self.dismiss, 0, Qt.AlignmentFlag.AlignTop)
        self.hide()

    def show_problem(self, message: str, hint: str) -> None:
        self._message.setText(message)
        self._hint.setText(hint)
        self._hint.setVisible(bool(hint))
        self.setAccessibleName(f"{message} {hint}".strip())
        self.show()
