"""The window and the real command line together: from digits to a smaller model."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from gui.session import PROGRAM
from gui.window import Window

LIMIT_MS = 60_000  # a job of this test takes seconds; a busy machine may take more


def test_digits_are_added_trained_and_compressed_from_the_window(
    open_window: Callable[..., Window], settle: Callable[..., None], tmp_path: Path
) -> None:
    window = open_window(tmp_path / "work", PROGRAM)
    page: Any = window.page

    # the first-run page makes the workspace, and goes on to the next page
    QTest.mouseClick(page.digits, Qt.MouseButton.LeftButton)
    settle(window, LIMIT_MS)
    page = window.page
    assert page.title == "Train", window.made
    assert page.data.chosen == "digits"
    assert "1\u202f797 rows" in page.facts.text()

    page.network.choose("mlp")
    page.settings.fields["epochs"].write(2)
    QTest.mouseClick(page.start.button, Qt.MouseButton.LeftButton)
    settle(window, LIMIT_MS)
    assert not page.banner.isVisible(), page.banner.accessibleName()
    assert page.test.figure.text().endswith("%")
    assert window.session.names("models") == ["digits-mlp"]

    page = window.visit("compress")
    settle(window, LIMIT_MS)
    page.recipe.forms[0][1].fields["samples"].write(16)
    QTest.mouseClick(page.compress.button, Qt.MouseButton.LeftButton)
    settle(window, LIMIT_MS)
    assert not page.banner.isVisible(), page.banner.accessibleName()
    assert len(page.steps.rows.rows) == 1
    assert "digits-mlp-quantize-int8" in window.session.names("models")

    page = window.visit("overview")
    page.table.select("digits-mlp-quantize-int8")
    settle(window, LIMIT_MS)
    assert page.beside.currentIndex() == 1
