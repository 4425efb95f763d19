"""What compression brought: figures after every pass, and what each did to each layer."""

from collections.abc import Callable, Sequence
from typing import Any

from PySide6.QtWidgets import QVBoxLayout, QWidget

from gui import wording
from gui.models import Column, Kind, Row
from gui.pages.base import Result
from gui.widgets.card import Card, Tile
from gui.widgets.empty import Empty
from gui.widgets.notes import Notes, step_notes, warning_notes
from gui.widgets.segments import Segments
from gui.widgets.table import Table

ORIGINAL = "Original"
SHOWN: tuple[tuple[str, str, Kind, str, Callable[[Any], str]], ...] = (
    ("size", "Size", "size", "999 MB", wording.size),
    ("zipped", "Zipped", "size", "999 MB", wording.size),
    ("macs", "MACs", "count", "9 999 999", wording.count),
    ("latency_ms", "Latency", "ms", "0.999 ms", wording.milliseconds),
)
"""Key, title, kind, sample and wording of what is told before and after each pass."""


def before_and_after(key: str, show: Callable[[Any], str]) -> Callable[[Row], str]:
    """The tooltip of a figure: what it was before the pass, and by how much it changed."""

    def tip(row: Row) -> str:
        before, after = row.get(f"{key}_was"), row.get(key)
        if before is None:
            return show(after)
        changed = wording.change(before, after)
        return f"{show(before)} before, {show(after)} after{changed and ': '}{changed}"

    return tip


STEPS = (
    Column("name", "After", stretch=1, sample="Quantize weights"),
    *(
        Column(key, title, kind, stretch=0, sample=sample, tip=before_and_after(key, show))
        for key, title, kind, sample, show in SHOWN
    ),
    Column("accuracy", "Accuracy", "percent", stretch=0),
)
LAYERS = (
    Column("layer", "Layer", stretch=2, sample="features.2"),
    Column(
        "step",
        "Pass",
        value=lambda row: wording.words(str(row["step"])),
        stretch=2,
        sample="Quantize int8",
    ),
    Column("done", "What was done", stretch=4, sample="what was done"),
    Column("bits", "Bits", value=lambda row: bits(row), stretch=0, sample="32 to 16"),
    Column("parameters_after", "Weights", "count", stretch=0),
    Column("nonzero_after", "Not zero", "percent", stretch=0),
)


def bits(row: Row) -> str:
    before, after = row.get("bits_before"), row.get("bits_after")
    return str(after) if before == after else f"{before} to {after}"


def step_rows(result: Result) -> list[Row]:
    """The original, then what it was after each pass."""
    steps: Sequence[Row] = result.get("steps") or ()
    if not steps:
        return []
    first: dict[str, Any] = {"name": ORIGINAL}
    first["accuracy"] = (result.get("before") or {}).get("value")
    rows: list[Row] = [first]
    for step in steps:
        row: dict[str, Any] = {"name": wording.words(str(step.get("name", "")))}
        row["accuracy"] = step.get("accuracy")
        for key, *_ in SHOWN:
            stem, unit = key.removesuffix("_ms"), "_ms" if key.endswith("_ms") else ""
            row[key] = step.get(f"{stem}_after{unit}")
            row[f"{key}_was"] = step.get(f"{stem}_before{unit}")
            first.setdefault(key, row[f"{key}_was"])
        rows.append(row)
    return rows


def show_tiles(made: Sequence[Tile], result: Result) -> None:
    """Size, latency and accuracy of the smaller model, and what they were."""
    size, latency, accuracy = made
    before, after = result.get("size_before"), result.get("size_after")
    times = f", {before / after:.1f}× smaller" if before and after else ""
    size.show_figure(wording.size(after), f"was {wording.size(before)}{times}")
    steps: Sequence[Row] = result.get("steps") or ({},)
    old, new = steps[0].get("latency_before_ms"), steps[-1].get("latency_after_ms")
    times = f", {old / new:.1f}× faster" if old and new and old > new else ""
    latency.show_figure(wording.milliseconds(new), f"was {wording.milliseconds(old)}{times}")
    was, now = result.get("before") or {}, result.get("after") or {}
    accuracy.show_figure(
        wording.percent(now.get("value")), f"was {wording.percent(was.get('value'))}"
    )
    accuracy.setToolTip(f"95 % confidence interval: {wording.between(now)}")


class CompressedCard(Card):
    """Two tables of one result, of which one is shown, and what the passes said."""

    def __init__(self) -> None:
        super().__init__("What each pass did")
        self.parts = Segments("Detail", ("Passes", "Layers"))
        self.header.addWidget(self.parts)
        self.steps = Table(
            "Steps of the recipe",
            STEPS,
            Empty("compress", "Nothing compressed yet", "Choose passes and press Compress."),
            sortable=False,
        )
        self.notes = Notes()
        self.layers = Table(
            "Layers of the model",
            LAYERS,
            Empty(
                "layer-group", "No layers to show", "What each pass does to a layer is told here."
            ),
        )
        self._pages = (QWidget(), self.layers)
        column = QVBoxLayout(self._pages[0])
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(10)
        column.addWidget(self.steps)
        column.addWidget(self.notes)
        column.addStretch()
        for page in self._pages:
            self.add(page, 1)
        self.layers.setMinimumHeight(190)
        self.steps.fit()
        self.parts.currentChanged.connect(self._show_part)
        self._show_part(0)

    def _show_part(self, chosen: int) -> None:
        for number, page in enumerate(self._pages):
            page.setVisible(number == chosen)

    def show_result(self, result: Result) -> None:
        self.steps.fill(step_rows(result))
        self.steps.fit()
        doubts = warning_notes(result.get("warnings") or ())
        self.notes.show_notes([*doubts, *step_notes(result.get("steps") or ())])
        self.layers.fill(result.get("layers") or ())
