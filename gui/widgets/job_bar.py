"""How far a job is, and the button that stops it."""

from PySide6.QtWidgets import QHBoxLayout, QProgressBar, QSizePolicy

from edge_targets.runtime.events import Event
from gui.runner import Runner
from gui.widgets.buttons import Button
from gui.widgets.card import Card
from gui.widgets.text import Elided

SLOTS = 1000  # a progress bar counts in 32-bit integers, a job may count bytes


class JobBar(Card):
    """Visible while its runner runs, and a moment of words after."""

    def __init__(self, runner: Runner) -> None:
        super().__init__()
        self._runner = runner
        self.message = Elided("")
        self.bar = QProgressBar(textVisible=False)
        self.bar.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.bar.setAccessibleName("Progress")
        self.cancel = Button("Cancel", "xmark")
        self.cancel.setToolTip("Stop this job (Esc)")
        self.cancel.clicked.connect(self._cancel)
        row = QHBoxLayout()
        row.setSpacing(14)
        row.addWidget(self.message, 2)
        row.addWidget(self.bar, 3)
        row.addWidget(self.cancel)
        self.add(row)
        runner.progressed.connect(self.show_event)
        runner.running_changed.connect(self._show_running)
        self.hide()

    def show_event(self, event: Event) -> None:
        counted = f"  {event.done}/{event.total}" if 0 < event.total <= SLOTS else ""
        self.message.setText(event.message + counted)
        self.bar.setRange(0, SLOTS if event.total > 0 else 0)
        if event.total > 0:
            self.bar.setValue(min(SLOTS, SLOTS * max(0, event.done) // event.total))

    def _show_running(self, running: bool) -> None:
        self.setVisible(running)
        self.cancel.setEnabled(running)
        if running:
            self.show_event(Event("Starting"))

    def _cancel(self) -> None:
        self._runner.cancel()
        self.cancel.setEnabled(False)
        self.message.setText("Stopping")
