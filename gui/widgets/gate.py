"""What a smaller model may lose, and how sure that must be."""

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QCheckBox, QLineEdit, QVBoxLayout, QWidget

from gui.widgets.amount import percent_box
from gui.widgets.rows import add_row, form_rows, named

SURE = 95.0  # per cent: what the command line takes when it is not told


class GateFields(QWidget):
    """May lose at most so much, with so much confidence; `slices` asks for columns too."""

    changed = Signal()

    def __init__(self, *, optional: bool, slices: bool = False) -> None:
        super().__init__()
        self.used = QCheckBox("Refuse a model that loses too much")
        self.used.setToolTip(
            "What is lost on unseen items must surely be no more, for each class too."
        )
        self.used.setChecked(not optional)
        self.drop = percent_box("May lose at most, per cent", 0.0, 100.0, 1.0)
        self.sure = percent_box("Confidence, per cent", 50.0, 99.99, SURE)
        self.slices = named(QLineEdit(self, placeholderText="Columns, parted by commas"), "Slices")
        self.slices.setVisible(slices)
        self.slices.setToolTip("Columns or groups of the data that are judged one by one.")
        rows = form_rows(("May lose at most", self.drop), ("Confidence", self.sure))
        if slices:
            add_row(rows, "Also for each", self.slices, self.slices.toolTip())
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        column.addWidget(self.used)
        self.used.setVisible(optional)  # not before: without a parent it would be a window
        column.addLayout(rows)
        self.used.toggled.connect(self._enable)
        self.used.toggled.connect(self.changed)
        self.drop.valueChanged.connect(self.changed)
        self.sure.valueChanged.connect(self.changed)
        self.slices.textChanged.connect(self.changed)
        self._enable(self.used.isChecked())

    @property
    def max_drop(self) -> float:
        """As a share."""
        return float(self.drop.value()) / 100

    def arguments(self) -> tuple[str, ...]:
        if not self.used.isChecked():
            return ()
        words = ["--max-drop", f"{self.drop.value():g}%"]
        if self.sure.value() != SURE:
            words += ["--confidence", f"{self.sure.value():g}%"]
        for column in filter(None, map(str.strip, self.slices.text().split(","))):
            words += ["--slice", column]
        return tuple(words)

    def _enable(self, on: bool) -> None:
        for widget in (self.drop, self.sure, self.slices):
            widget.setEnabled(on)
