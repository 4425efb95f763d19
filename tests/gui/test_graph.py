"""The part Graph of the page Models: it is drawn, walked through and searched."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QWidget

from gui import theme
from gui.widgets import graph_parts
from gui.window import Window
from tests.gui.model_answers import LONG

Open = Callable[..., Window]
Settle = Callable[[Window], None]
GRAPH = 1  # place of the part
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
def graph(window: Window, settle: Settle) -> Any:
    """The part Graph, which has drawn the model that was chosen."""
    page: Any = window.page
    page.segments.setCurrentIndex(GRAPH)
    settle(window)
    return page.graph


def test_a_graph_is_drawn_when_its_part_is_shown(graph: Any) -> None:
    assert graph.view.isVisible()
    assert len(graph.view.boxes) == 10  # eight operators, an input and an output
    assert len(graph.view.lines) == 10
    assert graph.view.accessibleName() == "Graph of digits-cnn"


def test_a_tall_graph_does_not_make_the_page_scroll(window: Window, page: Any, graph: Any) -> None:
    nodes = [
        {"op": "Relu", "name": f"n{n}", "inputs": [f"v{n - 1}"], "outputs": [f"v{n}"]}
        for n in range(60)
    ]
    window.resize(1280, 740)

    graph.show_graph(graph_parts.graph_of({"nodes": nodes}))
    graph.view.updateGeometry()
    QApplication.processEvents()

    assert page.area.verticalScrollBar().maximum() == 0


def test_a_workspace_without_models_shows_where_to_begin(
    open_window: Open, settle: Settle, tmp_path: Path
) -> None:
    window = open_window(tmp_path / "new")
    page: Any = window.visit("models")
    page.segments.setCurrentIndex(GRAPH)
    settle(window)
    assert page.graph.empty.isVisible()
    assert not page.graph.main.button.isEnabled()

    QTest.mouseClick(page.graph.begin, LEFT)

    assert page.importing.isVisible()


def test_another_model_is_drawn_when_it_is_chosen(
    window: Window, settle: Settle, page: Any, graph: Any
) -> None:
    page.model.choose("m" * 80)
    settle(window)

    assert graph.view.accessibleName() == f"Graph of {'m' * 80}"


def test_arrow_keys_walk_along_the_lines_of_a_graph(graph: Any) -> None:
    view = graph.view
    view.setFocus()

    QTest.keyClick(view, Qt.Key.Key_Home)
    QTest.keyClick(view, Qt.Key.Key_Down)
    assert view.accessibleDescription() == "Conv, stem, batch×16×8×8"
    QTest.keyClick(view, Qt.Key.Key_Up)

    assert view.boxes[view.current].vertex.end == "Input"
    QTest.keyClick(view, Qt.Key.Key_End)
    assert view.boxes[view.current].vertex.name == "probabilities"


def test_keys_and_wheel_zoom_a_graph_within_bounds(graph: Any) -> None:
    view = graph.view
    before = view.transform().m11()

    QTest.keyClick(view, Qt.Key.Key_Plus)
    assert view.transform().m11() > before
    for _ in range(40):
        QTest.keyClick(view, Qt.Key.Key_Minus)
    assert 0.05 < view.transform().m11() < before
    QTest.keyClick(view, Qt.Key.Key_0)

    assert view.transform().m11() == pytest.approx(before)


def test_enter_goes_from_hit_to_hit_and_round_again(graph: Any) -> None:
    field = graph.search.field
    QTest.keyClicks(field, "conv")
    assert graph.search.count.text() == "2 found"
    assert [box.vertex.op for box in graph.view.boxes if box.hit] == ["Conv", "Conv"]

    seen = []
    for _ in range(3):
        QTest.keyClick(field, Qt.Key.Key_Return)
        seen.append((graph.search.count.text(), graph.view.boxes[graph.view.current].vertex.name))
    QTest.keyClick(field, Qt.Key.Key_Return, Qt.KeyboardModifier.ShiftModifier)

    assert seen == [("1 of 2", "stem"), ("2 of 2", LONG), ("1 of 2", "stem")]
    assert graph.search.count.text() == "2 of 2"
    QTest.keyClick(field, Qt.Key.Key_Escape)
    assert (field.text(), graph.search.count.text()) == ("", "")


def test_a_search_without_a_hit_says_so(graph: Any) -> None:
    graph.search.field.setText("nothing of that name")

    assert graph.search.count.text() == "None"
    assert not graph.search.after.isEnabled()
    QTest.keyClick(graph.search.field, Qt.Key.Key_Return)
    assert graph.view.current == -1


def test_a_click_on_a_box_shows_what_is_known_of_it(graph: Any) -> None:
    view = graph.view
    box = next(box for box in view.boxes if box.vertex.name == "stem")

    at = view.mapFromScene(box.sceneBoundingRect().center())
    QTest.mouseClick(view.viewport(), LEFT, pos=at)

    words = [getattr(part, "text", str)() for part in graph.facts.findChildren(QWidget)]
    assert {"Conv", "160", "32", "10\u202f240", "strides", "1, 1"} <= set(words)
    assert "stem.weight 16×1×3×3 float32" in words


def test_a_graph_too_large_to_draw_is_drawn_in_parts_that_search_goes_through(
    graph: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gui.panels.graph.MOST", 50)
    monkeypatch.setattr(graph_parts.Graph.part, "__defaults__", (50,))
    nodes = [
        {"op": "Relu", "name": f"n{n}", "inputs": [f"v{n - 1}"], "outputs": [f"v{n}"]}
        for n in range(200)
    ]

    graph.show_graph(graph_parts.graph_of({"nodes": nodes}))
    assert graph.part.text().startswith("Boxes 1 to 50 of 200")
    graph.search.field.setText("n180")
    graph.search.step(1)

    assert graph.view.boxes[graph.view.current].vertex.name == "n180"
    assert len(graph.view.boxes) == 50
    assert graph.earlier.isEnabled()


@pytest.mark.parametrize("look", ["light", "dark"])
def test_a_graph_paints_its_boxes_in_both_themes(window: Window, graph: Any, look: Any) -> None:
    window.set_theme(look)
    graph.view.choose(1)

    image = graph.view.grab().toImage()

    found = {image.pixel(x, y) for x in range(image.width()) for y in range(0, image.height(), 3)}
    accent = int(theme.resolve(look).accent.removeprefix("#"), 16) | 0xFF000000
    card = int(theme.resolve(look).card.removeprefix("#"), 16) | 0xFF000000
    assert {accent, card} <= found
