"""Passes in order, each with its form."""

from collections.abc import Sequence

from PySide6.QtCore import QSize, Qt, QTimer, Signal
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QListWidget,
    QListWidgetItem,
    QVBoxLayout,
    QWidget,
)

from gui import wording
from gui.form import Form
from gui.widgets.buttons import Button, quiet
from gui.widgets.passes import PassChoice, meaning_of
from gui.widgets.text import label
from toolkit.networks import networks
from toolkit.passes import Pass, passes
from toolkit.recipe import Recipe

ROW = 34  # pixels
MOST = 7  # passes in sight


class RecipeEditor(QWidget):
    """Add, order and adjust the passes of one recipe.

    In the list: Alt+Up and Alt+Down move a pass, Ctrl+D doubles it, Del removes it; so does
    dragging, and the buttons.
    """

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._models: tuple[str, ...] = ()
        self.offered = PassChoice()
        self.add_button = Button("Add", "plus")
        self.up = quiet("arrow-up", "Move up (Alt+Up)")
        self.down = quiet("arrow-down", "Move down (Alt+Down)")
        self.double = quiet("clone", "Duplicate this pass (Ctrl+D)")
        self.remove = quiet("trash", "Remove this pass (Del)")
        self.list = QListWidget()
        self.list.setAccessibleName("Passes of the recipe, in order")
        self.list.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.list.setDragDropMode(QAbstractItemView.DragDropMode.InternalMove)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.meaning = label("", "muted", wrap=True)
        self.none = label("Add a pass to adjust it here.", "muted", wrap=True)
        self.forms: list[tuple[str, Form]] = []
        self._forms = QVBoxLayout()  # of which one form shows: a stack is as tall as its tallest
        adding, moving = QHBoxLayout(), QHBoxLayout()
        adding.setSpacing(8)
        moving.setSpacing(2)
        adding.addWidget(self.offered, 1)
        adding.addWidget(self.add_button)
        moving.addWidget(label("In this order", "muted"))
        moving.addStretch()
        for button in (self.up, self.down, self.double, self.remove):
            moving.addWidget(button)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        column.addLayout(adding)
        column.addLayout(moving)
        column.addWidget(self.list)
        column.addWidget(self.meaning)
        column.addWidget(self.none)
        column.addLayout(self._forms)
        self._connect()
        self.add("quantize_int8")

    def _connect(self) -> None:
        self.add_button.clicked.connect(lambda: self.add(self.offered.chosen))
        self.list.currentRowChanged.connect(self._show_row)
        # not at once: the list is still moving the item
        self.list.model().rowsMoved.connect(lambda: QTimer.singleShot(0, self, self._take_order))
        for button, keys, does in (
            (self.up, "Alt+Up", lambda: self._move(-1)),
            (self.down, "Alt+Down", lambda: self._move(1)),
            (self.double, "Ctrl+D", self._double),
            (self.remove, "Del", self._remove),
        ):
            button.clicked.connect(does)
            key = QShortcut(QKeySequence(keys), self.list)
            key.setContext(Qt.ShortcutContext.WidgetShortcut)
            key.activated.connect(does)

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.forms]

    def recipe(self) -> Recipe:
        """What the forms say; raises `Incomplete` where one is not filled in."""
        made: list[Pass] = []
        for name, form in self.forms:
            made.append(passes[name].model_validate(form.values()))
        return Recipe(tuple(made))

    def offer_models(self, names: Sequence[str]) -> None:
        """Saved models, for fields that name one."""
        self._models = tuple(names)
        for _, form in self.forms:
            form.offer("models", names)

    def add(self, name: str) -> None:
        self._insert(len(self.forms), name)

    def _insert(self, row: int, name: str) -> Form:
        form = Form(passes[name])
        form.offer("models", self._models)
        form.offer("networks", networks.names())
        form.changed.connect(self.changed)
        self.forms.insert(row, (name, form))
        self._forms.addWidget(form)
        self._list_again(row)
        return form

    def _double(self) -> None:
        row = self.list.currentRow()
        if row >= 0:
            name, form = self.forms[row]
            self._insert(row + 1, name).copy(form)

    def _move(self, by: int) -> None:
        row = self.list.currentRow()
        if row >= 0 and 0 <= row + by < len(self.forms):
            self.forms.insert(row + by, self.forms.pop(row))
            self._list_again(row + by)

    def _take_order(self) -> None:
        """The order that the list was dragged into."""
        was = [self.list.item(r).data(Qt.ItemDataRole.UserRole) for r in range(self.list.count())]
        self.forms = [self.forms[row] for row in was]
        self._list_again(self.list.currentRow())

    def _remove(self) -> None:
        row = self.list.currentRow()
        if row >= 0:
            _, form = self.forms.pop(row)
            form.hide()
            form.deleteLater()
            self._list_again(min(row, len(self.forms) - 1))

    def _list_again(self, row: int) -> None:
        self.list.blockSignals(True)
        self.list.clear()
        for number, name in enumerate(self.names):
            item = QListWidgetItem(f"{number + 1}.  {wording.words(name)}")
            item.setData(Qt.ItemDataRole.UserRole, number)
            item.setSizeHint(QSize(0, ROW))
            self.list.addItem(item)
        self.list.blockSignals(False)
        self.list.setFixedHeight(ROW * min(max(len(self.forms), 1), MOST) + 2)
        self.list.setVisible(bool(self.forms))
        self.list.setCurrentRow(row)
        self._show_row(row)
        self.changed.emit()

    def _show_row(self, row: int) -> None:
        some = 0 <= row < len(self.forms)
        self.up.setEnabled(some and row > 0)
        self.down.setEnabled(some and row < len(self.forms) - 1)
        for button in (self.double, self.remove):
            button.setEnabled(some)
        self.meaning.setVisible(some)
        self.none.setVisible(not some)
        self.meaning.setText(meaning_of(self.forms[row][0]) if some else "")
        for number, (_, form) in enumerate(self.forms):
            form.setVisible(number == row)
