"""Buttons and icons that follow the theme."""

from typing import Literal

import qtawesome
from PySide6.QtCore import QEvent, QSize
from PySide6.QtGui import QColor, QIcon
from PySide6.QtWidgets import QLabel, QPushButton

from gui.theme import Tone, colors

ButtonRole = Literal["", "primary", "quiet"]
RESTYLED = (QEvent.Type.PaletteChange, QEvent.Type.StyleChange)


def icon(name: str, color: str, selected: str = "") -> QIcon:
    """An icon of Font Awesome 6 (solid), as `microchip`."""
    made = qtawesome.icon(f"fa6s.{name}", color=color, color_selected=selected or color)
    return QIcon(made)


def tone_color(tone: Tone) -> QColor:
    return QColor(getattr(colors(), tone))


class Button(QPushButton):
    """A push button with an icon in the theme's colours."""

    def __init__(self, text: str, icon_name: str = "", role: ButtonRole = "") -> None:
        super().__init__(text)
        self._icon_name = icon_name
        self.setProperty("role", role)
        self.setIconSize(QSize(20, 14) if text else QSize(14, 14))  # the rest parts it from text
        self._restyle()

    def set_icon(self, name: str) -> None:
        self._icon_name = name
        self._restyle()

    def changeEvent(self, event: QEvent) -> None:  # noqa: N802
        super().changeEvent(event)
        if event.type() in (*RESTYLED, QEvent.Type.EnabledChange):
            self._restyle()

    def _restyle(self) -> None:
        if self._icon_name:
            primary = self.property("role") == "primary" and self.isEnabled()
            ink = "#ffffff" if primary else colors().muted
            self.setIcon(icon(self._icon_name, ink))


def quiet(icon_name: str, name: str) -> Button:
    """A button of an icon alone; `name` is its tooltip and what a screen reader says."""
    made = Button("", icon_name, "quiet")
    made.setToolTip(name)
    made.setAccessibleName(name)
    return made


class Icon(QLabel):
    """A picture of `side` pixels in the colour of `tone`."""

    def __init__(self, name: str, tone: Tone = "muted", side: int = 16) -> None:
        super().__init__()
        self._name, self._tone, self._side = name, tone, side
        self.setFixedSize(side + 4, side + 4)
        self._restyle()

    def set_tone(self, tone: Tone) -> None:
        self._tone = tone
        self._restyle()

    def changeEvent(self, event: QEvent) -> None:  # noqa: N802
        super().changeEvent(event)
        if event.type() in RESTYLED:
            self._restyle()

    def _restyle(self) -> None:
        ink = tone_color(self._tone).name()
        self.setPixmap(icon(self._name, ink).pixmap(self._side, self._side))
