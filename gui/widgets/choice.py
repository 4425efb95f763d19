"""A drop-down of names that come and go."""

from collections.abc import Sequence

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QComboBox, QSizePolicy

from gui import wording


class Choice(QComboBox):
    """Keeps what is chosen while its names are listed anew; says why when there are none."""

    def __init__(self, name: str, nothing: str = "None yet", *, people: bool = False) -> None:
        super().__init__()
        self._preferred = ""
        self._people = people  # show `quantize_int8` as "Quantize int8"
        self.setAccessibleName(name)
        self.setPlaceholderText(nothing)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setSizeAdjustPolicy(self.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setMinimumContentsLength(10)
        self.view().setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.currentTextChanged.connect(self.setToolTip)
        self.setEnabled(False)

    @property
    def chosen(self) -> str:
        """The name chosen; "" when there is none."""
        return str(self.currentData() or "")

    def choose(self, name: str) -> None:
        self.setCurrentIndex(self.findData(name))

    def prefer(self, name: str) -> None:
        """Choose `name` as soon as it is offered: it has only just been made."""
        self._preferred = name
        if self.findData(name) >= 0:
            self.choose(name)

    def offer(self, names: Sequence[str]) -> None:
        if names == [self.itemData(row) for row in range(self.count())]:
            return
        kept, wanted = self.chosen, self.chosen
        if self._preferred in names:
            wanted, self._preferred = self._preferred, ""
        self.blockSignals(True)
        self.clear()
        for name in names:
            self.addItem(wording.words(name) if self._people else name, name)
        self.setCurrentIndex(max(self.findData(wanted), 0 if names else -1))
        self.setEnabled(bool(names))
        self.setToolTip(self.currentText())
        self.blockSignals(False)
        if self.chosen != kept:
            self.currentIndexChanged.emit(self.currentIndex())
