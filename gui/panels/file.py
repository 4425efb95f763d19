"""The file that is to be imported: dropped, looked into, and what it does not say by itself."""

import re
from typing import Any

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QCheckBox, QHBoxLayout, QLineEdit, QWidget

from gui.pages.base import Page, Result
from gui.session import Asker, Command
from gui.widgets.buttons import Button
from gui.widgets.card import Card
from gui.widgets.choice import Choice
from gui.widgets.drop import DropArea
from gui.widgets.rows import form_rows, named
from toolkit.networks import networks

SIZES = "image=1,3,224,224"
ASKED = re.compile(r"--shape (\S+=[\d,]+)")  # in a hint: sizes that would do


class FileCard(Card):
    """Looks into whatever is dropped, and asks for what the file does not say.

    That is sizes, a network and trust: each where looking into the file failed and the hint
    names it.

    Signals:
        looking: a file is looked into.
        found: what is in it.
        failed_to_look: that it could not be read, and where it is told why.
        changed: something that belongs into the command.
    """

    looking = Signal()
    found = Signal(object)
    failed_to_look = Signal(str, str)
    changed = Signal()

    def __init__(self, page: Page) -> None:
        super().__init__("File")
        self._page = page
        self.failed = False  # the file cannot be imported as it was described
        self.drop = DropArea("Drop a model here")
        self.sizes = named(QLineEdit(placeholderText=SIZES), "Sizes of inputs")
        self.sizes.setToolTip("Of inputs whose sizes the file leaves free; the batch first.")
        self.sizes.setAcceptDrops(False)
        self.network = Choice("Network", automatic="Is in the file", people=True)
        self.network.setToolTip("For a file of weights alone: the network they belong to.")
        self.network.offer(networks.names())
        self.trust = QCheckBox("I trust this file to run code here")
        self.trust.setToolTip("A pickle runs whatever code it holds (--trust).")
        self.again = Button("Look again", "rotate-right")
        self.add(self.drop)
        self.rows = form_rows(("Sizes", self.sizes), ("Network", self.network))
        self.add(self.rows)
        self.foot = QWidget()
        row = QHBoxLayout(self.foot)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.trust, 1)
        row.addStretch()
        row.addWidget(self.again)
        self.add(self.foot)
        self._asker = Asker(page.session, self)
        self._asker.failed.connect(self._fail)
        self._asker.runner.running_changed.connect(self.drop.show_busy)
        self.drop.chosen.connect(self._begin)
        self.again.clicked.connect(self.look)
        self.sizes.textEdited.connect(self.changed)
        self.sizes.returnPressed.connect(self.look)
        self.network.currentIndexChanged.connect(self.look)
        self.trust.toggled.connect(self.look)
        self._ask_for("")

    @property
    def path(self) -> str:
        return self.drop.path

    def given(self) -> Command:
        """What is said of the file, for `inspect` and `import` alike."""
        sizes = tuple(w for word in self.sizes.text().split() for w in ("--shape", word))
        network = ("--network", self.network.chosen) if self.network.chosen else ()
        return (*sizes, *network, *(("--trust",) if self.trust.isChecked() else ()))

    def look(self) -> None:
        """Ask what is in the file, described as it is now."""
        if not self.path:
            return
        self.failed = False
        self._page.banner.hide()
        self.looking.emit()
        self._asker.ask(self._take, ("inspect", self.path, *self.given()))

    def _begin(self) -> None:
        """Another file: what was said of the last one does not hold for it."""
        for widget in (self.network, self.trust):
            widget.blockSignals(True)
        self.sizes.clear()
        self.network.setCurrentIndex(0)
        self.trust.setChecked(False)
        for widget in (self.network, self.trust):
            widget.blockSignals(False)
        self._ask_for("")
        self.look()

    def _take(self, result: Result) -> None:
        inputs: list[Any] = list(result.get("inputs") or ())
        if any(-1 in list(row.get("shape") or ())[1:] for row in inputs):
            self._ask_for("--shape")
        self.found.emit(result)

    def _fail(self, message: str, hint: str) -> None:
        self.failed = True
        self._ask_for(f"{message} {hint}")
        self._page.banner.show_problem(message, hint)
        self.failed_to_look.emit("This file cannot be read", "What helps is said above.")
        self.changed.emit()

    def _ask_for(self, words: str) -> None:
        """Show the fields that `words` name, beside those that are filled in."""
        asked = ASKED.search(words)
        self.sizes.setPlaceholderText(asked.group(1) if asked else SIZES)
        sizes = "--shape" in words or bool(self.sizes.text())
        trust = "--trust" in words or self.trust.isChecked()
        self.rows.setRowVisible(self.sizes, sizes)
        self.rows.setRowVisible(self.network, "--network" in words or bool(self.network.chosen))
        self.trust.setVisible(trust)
        self.foot.setVisible(trust or sizes or self.failed)
