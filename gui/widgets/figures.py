"""A few figures in a row: each with its name above and a remark below, on no ground of its own."""

from collections.abc import Sequence

from PySide6.QtWidgets import QGridLayout, QWidget

from gui.theme import Tone
from gui.widgets.lineage import clear
from gui.widgets.text import Elided

Figure = tuple[str, str, str, Tone | None]
"""Name, figure, remark, tone."""


class Figures(QWidget):
    """For the details of what is selected in a table."""

    def __init__(self) -> None:
        super().__init__()
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setHorizontalSpacing(18)
        self._grid.setVerticalSpacing(2)

    def show_figures(self, figures: Sequence[Figure]) -> None:
        clear(self._grid)
        remarks = any(remark for _, _, remark, _ in figures)
        for column, (name, figure, remark, tone) in enumerate(figures):
            middle = Elided(figure, "heading")
            middle.set_tone(tone)
            middle.setAccessibleName(f"{name}: {figure} {remark}".strip())
            self._grid.addWidget(Elided(name, "muted"), 0, column)
            self._grid.addWidget(middle, 1, column)
            if remarks:
                self._grid.addWidget(Elided(remark, "muted"), 2, column)
            self._grid.setColumnStretch(column, 1)
