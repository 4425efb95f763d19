"""The page Models: a file is dropped, looked into and imported; every part fits its window."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QWidget

from gui.window import Window
from tests.gui.dragging import drop
from tests.gui.model_answers import LONG

Open = Callable[..., Window]
Settle = Callable[[Window], None]
IMPORT, GRAPH, COMPARE = range(3)
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
def take(window: Window, settle: Settle) -> Callable[[str], Any]:
    """Give the page a file, and wait until it was looked into."""

    def take_file(path: str) -> Any:
        page: Any = window.page
        page.importing.file.drop.take(path)
        settle(window)
        return page.importing

    return take_file


def test_a_file_can_be_dropped_on_any_part_of_the_page(
    window: Window, settle: Settle, page: Any
) -> None:
    page.segments.setCurrentIndex(GRAPH)
    settle(window)

    taken = drop(page, "/models/net.onnx")
    settle(window)

    assert taken
    assert page.segments.currentIndex() == IMPORT
    assert page.importing.tiles[3].figure.text() == "12.5\u202fM"
    assert page.importing.tiles[3].remark.text() == "4 operators"
    assert "import /models/net.onnx --name net" in page.importing.main.line.text


@pytest.mark.parametrize("paths", [(), ("/a.onnx", "/b.onnx")])
def test_only_one_file_can_be_dropped(page: Any, paths: tuple[str, ...]) -> None:
    assert not drop(page, *paths)
    assert not drop(page.importing.file.drop, *paths)


def test_no_field_of_the_page_swallows_a_file(page: Any) -> None:
    part = page.importing
    fields = [part.meaning.name, part.meaning.labels, part.file.sizes, page.graph.search.field]

    assert not any(field.acceptDrops() for field in fields)


def test_the_drop_area_says_that_it_is_busy_while_the_file_is_looked_into(
    window: Window, settle: Settle, page: Any
) -> None:
    area = page.importing.file.drop

    area.take("/models/net.onnx")
    assert area._bar.isVisible()
    settle(window)

    assert not area._bar.isVisible()


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/m/net.onnx", []),
        ("/m/torn.onnx", []),
        ("/m/forest.pkl", ["trust"]),
        ("/m/weights.pth", ["network"]),
        ("/m/script.pt", ["sizes"]),
        ("/m/free.onnx", ["sizes"]),
    ],
)
def test_a_field_is_asked_for_only_where_it_helps(
    take: Callable[[str], Any], path: str, shown: list[str]
) -> None:
    file = take(path).file

    fields = ("sizes", "network", "trust")
    assert [name for name in fields if getattr(file, name).isVisible()] == shown


def test_a_file_that_cannot_be_imported_is_told_with_what_to_do(
    take: Callable[[str], Any], page: Any
) -> None:
    part = take("/m/torn.onnx")

    assert page.banner.accessibleName() == "torn.onnx is not a model file. Export it to ONNX."
    assert not part.main.button.isEnabled()
    assert part.file.again.isVisible()


def test_trust_looks_again_and_goes_into_the_command(
    window: Window, settle: Settle, take: Callable[[str], Any], page: Any
) -> None:
    part = take("/m/forest.pkl")

    part.file.trust.setChecked(True)
    settle(window)

    assert not page.banner.isVisible()
    assert part.main.button.isEnabled()
    assert part.main.line.text.partition(" --workspace")[0].endswith("--name forest --trust")
    part = take("/m/net.onnx")  # trust was for the other file
    assert "--trust" not in part.main.line.text


def test_sizes_that_would_do_are_proposed_and_used(
    window: Window, settle: Settle, take: Callable[[str], Any], page: Any
) -> None:
    file = take("/m/script.pt").file
    assert file.sizes.placeholderText() == "input=1,3,32,32"

    file.sizes.setText("input=1,3,64,64")
    QTest.keyClick(file.sizes, Qt.Key.Key_Return)
    settle(window)

    assert not page.banner.isVisible()
    assert "--shape input=1,3,64,64" in page.importing.main.line.text


def test_what_was_told_of_a_value_goes_into_the_command(take: Callable[[str], Any]) -> None:
    part = take("/m/net.onnx")
    words = part.meaning.words
    assert words["meaning", "image"].text() == "ink"

    words["unit", "probabilities"].setText("share")

    assert "--unit probabilities=share" in part.main.line.text
    assert "ink" not in part.main.line.text  # the file says so itself


def test_what_stands_in_the_way_of_a_format_is_told_in_full(take: Callable[[str], Any]) -> None:
    part = take("/m/net.onnx")

    part.fits.select("tflite")

    assert part.why.text() == "TFLite has nothing for Celu (node act). Use Relu instead."


@pytest.mark.parametrize(("words", "title"), [("Compress", "Compress"), ("Build", "Build")])
def test_an_imported_model_shows_where_to_go_next(
    window: Window, settle: Settle, take: Callable[[str], Any], words: str, title: str
) -> None:
    part = take("/m/digits-cnn.onnx")
    assert not part.done.isVisible()

    part.meaning.name.setText("m" * 80)  # a model that the stand-in lists
    part.main.trigger()
    settle(window)
    assert part.done.isVisible()
    [button] = [b for b in part.done.findChildren(QWidget) if getattr(b, "text", str)() == words]
    QTest.mouseClick(button, LEFT)
    settle(window)

    onward: Any = window.page
    assert (onward.title, onward.model.chosen) == (title, "m" * 80)


def test_the_keyboard_goes_through_the_fields_in_the_order_they_are_seen(
    window: Window, take: Callable[[str], Any]
) -> None:
    part = take("/m/net.onnx")
    window.activateWindow()
    assert QTest.qWaitForWindowActive(window)

    seen = []
    part.meaning.name.setFocus()
    for _ in range(6):
        focused: Any = window.focusWidget()
        seen.append(focused.accessibleName() or focused.text())
        QTest.keyClick(focused, Qt.Key.Key_Tab)

    assert seen == [
        "Name of the model", "Dataset with its inputs", "File with labels", "Browse",
        "Meaning of image", "Unit of image",
    ]  # fmt: skip


@pytest.mark.parametrize("number", [IMPORT, GRAPH, COMPARE])
def test_every_part_fits_the_smallest_window(
    window: Window, settle: Settle, take: Callable[[str], Any], number: int
) -> None:
    window.resize(960, 600)
    take(f"/m/{LONG}.onnx")
    page: Any = window.page

    page.segments.setCurrentIndex(number)
    page.panels[number].main.trigger()
    settle(window)

    assert window.width() == 960
    assert page.area.horizontalScrollBar().maximum() == 0
    assert page.panels[number].width() <= page.area.viewport().width()
