"""Passes in order, each with its form."""

from PySide6.QtCore import Signal
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QListWidget,
    QListWidgetItem,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from gui import wording
from gui.form import Form
from gui.widgets.buttons import Button, quiet
from gui.widgets.choice import Choice
from gui.widgets.text import label
from toolkit.passes import Pass, passes
from toolkit.recipe import Recipe

ROW = 32  # pixels
MOST = 5  # passes in sight


class RecipeEditor(QWidget):
    """Add, order and adjust the passes of one recipe."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.offered = Choice("Pass to add", people=True)
        self.offered.offer(passes.names())
        self.add_button = Button("Add", "plus")
        self.up, self.down = quiet("arrow-up", "Move up"), quiet("arrow-down", "Move down")
        self.remove = quiet("trash", "Remove this pass")
        self.list = QListWidget()
        self.list.setAccessibleName("Passes of the recipe, in order")
        self.list.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.meaning = label("", "muted", wrap=True)
        self.stack = QStackedWidget()
        self.stack.addWidget(label("Add a pass to adjust it here.", "muted", wrap=True))
        self.forms: list[tuple[str, Form]] = []
        adding, moving = QHBoxLayout(), QHBoxLayout()
        adding.addWidget(self.offered, 1)
        adding.addWidget(self.add_button)
        moving.addWidget(label("In this order", "muted"))
        moving.addStretch()
        for button in (self.up, self.down, self.remove):
            moving.addWidget(button)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        column.addLayout(adding)
        column.addLayout(moving)
        column.addWidget(self.list)
        column.addWidget(self.meaning)
        column.addWidget(self.stack)
        self.add_button.clicked.connect(lambda: self.add(self.offered.chosen))
        self.up.clicked.connect(lambda: self._move(-1))
        self.down.clicked.connect(lambda: self._move(1))
        self.remove.clicked.connect(self._remove)
        self.list.currentRowChanged.connect(self._show_row)
        self.add("quantize_int8")

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.forms]

    def recipe(self) -> Recipe:
        """What the forms say; raises `Incomplete` where one is not filled in."""
        made: list[Pass] = []
        for name, form in self.forms:
            made.append(passes[name].model_validate(form.values()))
        return Recipe(tuple(made))

    def add(self, name: str) -> None:
        form = Form(passes[name])
        form.changed.connect(self.changed)
        self.forms.append((name, form))
        self.stack.addWidget(form)
        self._list_again(len(self.forms) - 1)

    def _move(self, by: int) -> None:
        row = self.list.currentRow()
        if 0 <= row + by < len(self.forms):
            self.forms.insert(row + by, self.forms.pop(row))
            self._list_again(row + by)

    def _remove(self) -> None:
        row = self.list.currentRow()
        if row >= 0:
            _, form = self.forms.pop(row)
            self.stack.removeWidget(form)
            form.deleteLater()
            self._list_again(min(row, len(self.forms) - 1))

    def _list_again(self, row: int) -> None:
        self.list.blockSignals(True)
        self.list.clear()
        for number, name in enumerate(self.names, 1):
            self.list.addItem(QListWidgetItem(f"{number}.  {wording.words(name)}"))
        self.list.blockSignals(False)
        self.list.setFixedHeight(ROW * min(max(len(self.forms), 1), MOST))
        self.list.setCurrentRow(row)
        self._show_row(row)
        self.changed.emit()

    def _show_row(self, row: int) -> None:
        some = 0 <= row < len(self.forms)
        self.up.setEnabled(some and row > 0)
        self.down.setEnabled(some and row < len(self.forms) - 1)
        self.remove.setEnabled(some)
        self.meaning.setVisible(some)
        if some:
            name, form = self.forms[row]
            self.meaning.setText((passes[name].__doc__ or "").splitlines()[0])
            self.stack.setCurrentWidget(form)
        else:
            self.stack.setCurrentIndex(0)
