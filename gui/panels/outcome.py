"""What a search chose, and why; or what is nearest when nothing fits."""

from pathlib import Path

from PySide6.QtCore import QUrl
from PySide6.QtGui import QDesktopServices

from gui import wording
from gui.pages.base import Result
from gui.widgets.badge import Badge
from gui.widgets.buttons import Button
from gui.widgets.card import Card
from gui.widgets.text import Elided, label


class OutcomeCard(Card):
    """Hidden until a search has ended."""

    def __init__(self, workspace: Path) -> None:
        super().__init__("Outcome")
        self.badge = Badge()
        self.open = Button("Open report", "arrow-up-right-from-square")
        self.open.clicked.connect(self._open)
        self.header.addWidget(self.badge)
        self.header.addSpacing(8)
        self.header.addWidget(self.open)
        self.reason = label("", wrap=True)
        self.trials = Elided("", "muted")
        self.add(self.reason)
        self.add(self.trials)
        self._workspace, self._report = workspace, ""
        self.hide()

    def show_outcome(self, result: Result) -> None:
        pick = str(result.get("pick") or "")
        self.badge.show_state(pick or "Not possible", "good" if pick else "bad")
        self.reason.setText(wording.sentence(str(result.get("reason") or "")))
        trials, stopped, failed = (result.get(k) or 0 for k in ("trials", "stopped", "failed"))
        told = [f"{trials} trials"]
        told += [f"{stopped} of them stopped early"] if stopped else []
        told += [f"{failed} failed"] if failed else []
        self.trials.setText(f"Study {result.get('study', '')}: {', '.join(told)}")
        self._report = str(result.get("report") or "")
        self.open.setVisible(bool(self._report))
        self.open.setToolTip(self._report)
        self.show()

    def _open(self) -> None:
        QDesktopServices.openUrl(QUrl.fromLocalFile(str(self._workspace / self._report)))
