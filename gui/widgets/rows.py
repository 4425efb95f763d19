"""Rows of a form that is written by hand, and the small things forms share."""

import re
from collections.abc import Sequence
from typing import TypeVar

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFormLayout, QVBoxLayout, QWidget

from gui.widgets.text import label

LABELS = 120  # pixels: so that the fields of several forms line up
FIELD = 30  # pixels: the height of a line edit in our style
LETTERS = 76  # of a name: the workspace takes 80, and a number may follow
W = TypeVar("W", bound=QWidget)


def named(widget: W, name: str) -> W:
    """`widget`, with what a screen reader says of it."""
    widget.setAccessibleName(name)
    return widget


def steady(widget: W) -> W:
    """`widget`, past which the wheel scrolls the page instead of changing what it says."""
    widget.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
    widget.wheelEvent = lambda event: event.ignore()  # type: ignore[method-assign]
    return widget


def empty_rows() -> QFormLayout:
    rows = QFormLayout()
    rows.setContentsMargins(0, 0, 0, 0)
    rows.setSpacing(8)
    rows.setLabelAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
    rows.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.ExpandingFieldsGrow)
    return rows


def add_row(rows: QFormLayout, title: str, widget: QWidget, meaning: str = "") -> None:
    words = label(title, "muted")
    words.setMinimumWidth(LABELS)
    for part in (words, widget):
        part.setMinimumHeight(FIELD)  # so that their middles are level
    words.setBuddy(widget)
    for part in (words, widget):
        part.setToolTip(meaning)
    rows.addRow(words, widget)


def form_rows(*pairs: tuple[str, QWidget]) -> QFormLayout:
    rows = empty_rows()
    for title, widget in pairs:
        add_row(rows, title, widget)
    return rows


def replace_widget(place: QVBoxLayout, widget: QWidget) -> None:
    """Let `widget` be the only one in `place`."""
    while item := place.takeAt(0):
        if old := item.widget():
            old.hide()
            old.deleteLater()
    place.addWidget(widget)


def unique_name(words: str, taken: Sequence[str]) -> str:
    """A name of a workspace made of `words`, with a number where it is taken."""
    name = re.sub(r"[^a-z0-9._-]+", "-", words.lower().replace("_", "-")).strip("-._")
    name = name[:LETTERS].rstrip("-._") or "unnamed"
    number = 2
    found = name
    while found in taken:
        found, number = f"{name}-{number}", number + 1
    return found
