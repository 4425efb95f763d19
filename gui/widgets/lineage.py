"""What something was made from, and what is known about it."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QGridLayout, QHBoxLayout, QLayout, QVBoxLayout, QWidget

from gui import wording
from gui.models import Row
from gui.widgets.buttons import Icon
from gui.widgets.text import Elided, label

KIND_ICONS = {
    "datasets": "database",
    "models": "diagram-project",
    "artifacts": "microchip",
    "packages": "box",
    "devices": "server",
}
INDENT = 18  # pixels a generation
DIGEST = re.compile("[0-9a-f]{64}")
SHORT = 10  # digits of a digest that tell things of one workspace apart
LINES = 14  # facts shown; the rest is for `sanderling show`


def clear(layout: QLayout) -> None:
    while item := layout.takeAt(0):
        if widget := item.widget():
            widget.hide()
            widget.deleteLater()
        elif inner := item.layout():
            clear(inner)


def fact_text(name: str, value: Any) -> str:
    """A fact in a line."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        if "inputs" in value and "outputs" in value:
            sides = (value["inputs"], value["outputs"])
            return " to ".join(", ".join(tensor_text(t) for t in side) for side in sides)
        if set(value) >= {"value", "low", "high"}:
            return wording.percent(value["value"])
        return ", ".join(f"{k.replace('_', ' ')} {fact_text(k, v)}" for k, v in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(fact_text(name, v) for v in value) or wording.NOTHING
    if isinstance(value, int) and name == "size_bytes":
        return wording.size(value)
    if isinstance(value, float):
        return wording.number(value)
    text = " ".join(str(value if value is not None else "").split())
    return text[:SHORT] if DIGEST.fullmatch(text) else text or wording.NOTHING


def tensor_text(spec: Row) -> str:
    """`image 1x8x8`: the name and the shape of one item."""
    shape = "x".join(str(size) for size in spec.get("shape", ())[1:])
    return f"{spec.get('name', '')} {shape}".strip()


class Lineage(QWidget):
    """One thing: its facts, then its ancestors, each below what was made from it."""

    def __init__(self) -> None:
        super().__init__()
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(8)

    def show_thing(
        self, name: str, kind: str, facts: Mapping[str, Any], lineage: Sequence[Row]
    ) -> None:
        clear(self._column)
        head = QHBoxLayout()
        head.setSpacing(8)
        head.addWidget(Icon(KIND_ICONS.get(kind, "cube"), "accent"))
        head.addWidget(Elided(name, "heading"), 1)
        head.addWidget(label(wording.words(kind.removesuffix("s")), "muted"))
        self._column.addLayout(head)
        grid = QGridLayout()
        grid.setHorizontalSpacing(14)
        grid.setVerticalSpacing(5)
        grid.setColumnStretch(1, 1)
        for row, (key, value) in enumerate(list(facts.items())[:LINES]):
            grid.addWidget(label(wording.words(key), "muted"), row, 0)
            text = Elided(fact_text(key, value), mode=Qt.TextElideMode.ElideRight)
            text.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            grid.addWidget(text, row, 1)
        self._column.addLayout(grid)
        self._column.addSpacing(6)
        self._column.addWidget(label("Made from", "heading"))
        for step in lineage:
            self._column.addLayout(self._step(step))
        self._column.addStretch()

    def _step(self, step: Row) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setSpacing(8)
        depth, kind = int(step.get("depth", 0)), str(step.get("kind", ""))
        row.addSpacing(INDENT * depth)
        row.addWidget(Icon(KIND_ICONS.get(kind, "cube"), "accent" if depth == 0 else "muted", 14))
        name = Elided(str(step.get("name", "")))
        digest = str(step.get("digest", ""))
        name.setToolTip(f"{name.text()}\n{digest}")
        row.addWidget(name, 1)
        row.addWidget(label(str(step.get("verb", "")), "muted"))
        row.addWidget(label(digest[:SHORT], "code"))
        return row
