"""The part Compare of the page Models: two models side by side."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QWidget

from gui.panels.compared import layer_differs
from gui.window import Window
from tests.gui.dragging import drop
from tests.gui.model_answers import LONG

Open = Callable[..., Window]
Settle = Callable[[Window], None]
COMPARE = 2  # place of the part
LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def window(open_window: Open, settle: Settle, workspace: Path) -> Window:
    made = open_window(workspace)
    made.visit("models")
    settle(made)
    return made


@pytest.fixture
def page(window: Window) -> Any:
    return window.page


@pytest.fixture
def compare(window: Window, settle: Settle) -> Callable[[], Any]:
    """Compare what is chosen, to the end."""

    def run() -> Any:
        page: Any = window.page
        page.segments.setCurrentIndex(COMPARE)
        page.compare.main.trigger()
        settle(window)
        return page.compare

    return run


def test_a_comparison_needs_two_different_models(page: Any) -> None:
    page.segments.setCurrentIndex(COMPARE)
    part = page.compare
    assert part.main.button.isEnabled()

    part.second.choice.choose(part.first.chosen)

    assert not part.main.button.isEnabled()
    assert "two different" in part.main.button.toolTip()


def test_a_file_can_be_compared_too(page: Any) -> None:
    page.segments.setCurrentIndex(COMPARE)
    part = page.compare

    assert drop(part.second, "/m/other.tflite")
    part.data.choose("digits")

    assert "diff digits-cnn /m/other.tflite --data digits" in part.main.line.text
    page.refresh()
    assert part.second.chosen == "/m/other.tflite"


def test_a_comparison_shows_sizes_layers_and_where_models_part(
    page: Any, compare: Callable[[], Any]
) -> None:
    page.compare.data.choose("digits")

    part = compare()

    size, macs, labels, parting = part.tiles
    assert (size.figure.text(), size.remark.text()) == (
        "48.2\u202fkB", "was 164\u202fkB, \u221271\u202f%",
    )  # fmt: skip
    assert macs.remark.text().startswith("was 12.5\u202fM")
    assert labels.figure.text() == "99.4\u202f%"
    assert parting.figure.text() == LONG
    rows = part.result.layers.rows
    shown = [[rows.index(row, column).data() for column in (3, 4)] for row in range(3)]
    assert shown == [
        ["16×1×3×3", "32"], ["16×16×3×3 → 12×16×3×3", "32 → 8"], ["10×64", "32"],
    ]  # fmt: skip
    assert part.result.outputs.rows.rows[0]["output"] == "probabilities"


def test_only_what_differs_leaves_out_layers_and_operators_that_are_alike(
    compare: Callable[[], Any],
) -> None:
    part = compare()

    part.result.only.setChecked(True)

    assert [row["first"] for row in part.result.layers.rows.rows] == [LONG, "head"]
    assert [row["operator"] for row in part.result.operators.rows.rows] == ["QuantizeLinear"]


ALIKE = {
    "first": "a", "second": "b", "shape_first": "8×4", "shape_second": "8×4", "bits_first": 32,
    "bits_second": 32, "weight_error": 1e-7, "output_error": None,
}  # fmt: skip


@pytest.mark.parametrize(
    "other",
    [
        {"second": ""}, {"first": ""}, {"shape_second": "6×4"}, {"bits_second": 8},
        {"weight_error": 0.01}, {"output_error": 0.01},
    ],
)  # fmt: skip
def test_a_layer_differs_in_any_one_thing(other: dict[str, object]) -> None:
    assert not layer_differs(ALIKE)

    assert layer_differs({**ALIKE, **other})


def test_a_layer_without_a_counterpart_is_told_when_it_is_chosen(
    compare: Callable[[], Any],
) -> None:
    part = compare()

    part.result.layers.view.selectRow(2)

    told = [getattr(w, "text", str)() for w in part.result.figures.findChildren(QWidget)]
    assert "no counterpart" in told


def test_why_answers_are_not_compared_is_told(compare: Callable[[], Any]) -> None:
    part = compare()

    assert part.result.notes.isVisible()
    assert part.tiles[2].figure.text() == "\u2013"
    assert part.tiles[2].remark.text() == "no items compared"
    part.result.parts.setCurrentIndex(2)
    assert part.result.outputs.empty.isVisible()
