"""A drop-down of names that come and go."""

from collections.abc import Sequence

from PySide6.QtCore import Qt
from PySide6.QtGui import QPaintEvent, QPalette
from PySide6.QtWidgets import (
    QComboBox,
    QSizePolicy,
    QStyle,
    QStyleOptionComboBox,
    QStylePainter,
)

from gui import wording


class Choice(QComboBox):
    """Keeps what is chosen while its names are listed anew; says why when there are none.

    `automatic` is a first line that stands for no name: what happens when none is chosen.
    """

    def __init__(
        self, name: str, nothing: str = "None yet", *, people: bool = False, automatic: str = ""
    ) -> None:
        super().__init__()
        self._preferred = ""
        self._people = people  # show `quantize_int8` as "Quantize int8"
        self._automatic = automatic
        self.setAccessibleName(name)
        self.setPlaceholderText(nothing)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setSizeAdjustPolicy(self.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setMinimumContentsLength(10)
        self.view().setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.currentTextChanged.connect(self.setToolTip)
        self.setEnabled(False)
        self.offer(())

    def paintEvent(self, _event: QPaintEvent) -> None:  # noqa: N802
        """As ever, with the middle of a long name left out instead of its end cut off."""
        painter, option = QStylePainter(self), QStyleOptionComboBox()
        self.initStyleOption(option)
        whole, part = QStyle.ComplexControl.CC_ComboBox, QStyle.SubControl.SC_ComboBoxEditField
        room = self.style().subControlRect(whole, option, part, self).width()
        words = option.currentText or self.placeholderText()
        middle = Qt.TextElideMode.ElideMiddle
        option.currentText = option.fontMetrics.elidedText(words, middle, room)
        if not self.currentText():
            ink = self.palette().color(QPalette.ColorRole.PlaceholderText)
            option.palette.setColor(QPalette.ColorRole.ButtonText, ink)
        painter.drawComplexControl(whole, option)
        painter.drawControl(QStyle.ControlElement.CE_ComboBoxLabel, option)

    @property
    def chosen(self) -> str:
        """The name chosen; "" when there is none."""
        return str(self.currentData() or "")

    def choose(self, name: str) -> None:
        self.setCurrentIndex(self.findData(name))

    def prefer(self, name: str) -> None:
        """Choose `name` as soon as it is offered: it has only just been made."""
        known = self.findData(name) >= 0
        self._preferred = "" if known else name
        if known:
            self.choose(name)

    def offer(self, names: Sequence[str]) -> None:
        offered = [*([""] if self._automatic else []), *names]
        if offered == [self.itemData(row) for row in range(self.count())]:
            return
        kept, wanted = self.chosen, self.chosen
        if self._preferred in names:
            wanted, self._preferred = self._preferred, ""
        self.blockSignals(True)
        self.clear()
        for name in offered:
            self.addItem(self._words(name), name)
        self.setCurrentIndex(max(self.findData(wanted), 0 if offered else -1))
        self.setEnabled(bool(offered))
        self.setToolTip(self.currentText())
        self.blockSignals(False)
        if self.chosen != kept:
            self.currentIndexChanged.emit(self.currentIndex())

    def _words(self, name: str) -> str:
        if not name:
            return self._automatic
        return wording.words(name) if self._people else name
