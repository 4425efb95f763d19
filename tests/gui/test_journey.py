"""The window and the real command line together: the whole line, by pressing buttons."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from edge_targets.catalog.browser import WEB
from gui.session import PROGRAM
from gui.window import Window
from toolkit import api
from toolkit.workspace import Workspace

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
    page.recipe.recipe.forms[0][1].fields["samples"].write(16)
    QTest.mouseClick(page.recipe.main.button, Qt.MouseButton.LeftButton)
    settle(window, LIMIT_MS)
    assert not page.banner.isVisible(), page.banner.accessibleName()
    assert len(page.recipe.result.steps.rows.rows) == 2
    assert "digits-mlp-quantize-int8" in window.session.names("models")

    page = window.visit("overview")
    page.table.select("digits-mlp-quantize-int8")
    settle(window, LIMIT_MS)
    assert page.beside.currentIndex() == 1


@pytest.fixture
def built(tmp_path: Path) -> Iterator[Workspace]:
    """A workspace with a model built in both formats; its devices are stopped in the end."""
    root = Workspace.create(tmp_path / "work").root
    api.data_add("digits", name="digits", workspace=root)
    few = ["epochs=20", "hidden=32"]
    api.train("digits", name="reader", network="mlp", set=few, workspace=root)
    api.build("reader", workspace=root)
    yield Workspace(root)
    for name in Workspace(root).names("devices"):
        api.device_stop(name, workspace=root)


def test_a_model_is_packaged_deployed_bundled_and_retrained_from_the_window(
    built: Workspace, open_window: Callable[..., Window], settle: Callable[..., None]
) -> None:
    window = open_window(built.root, PROGRAM)
    settle(window, LIMIT_MS)

    def press(page: Any, action: Any) -> None:
        QTest.mouseClick(action.button, Qt.MouseButton.LeftButton)
        settle(window, LIMIT_MS)
        assert not page.banner.isVisible(), page.banner.accessibleName()

    page: Any = window.visit("deploy")
    settle(window, LIMIT_MS)
    page.artifact.choose("reader.tflite")
    press(page, page.package_action)
    page.artifact.choose("reader.onnx")
    page.target.choose("browser")
    press(page, page.package_action)
    assert built.names("packages") == ["reader.onnx-browser", "reader.tflite-simulator"]

    page.more.setChecked(True)
    page.device_name.setText("desk")
    page.address.setText(str(built.root / "desk"))
    press(page, page.add_action)
    page.package.choose("reader.tflite-simulator")
    page.device.choose("desk")
    press(page, page.deploy_action)
    assert api.device_status("desk", workspace=built.root).state == "ready"

    if (WEB / "index.html").is_file():
        press(page, page.bundle_action)
        assert (built.root / "site" / "index.html").is_file()

    page = window.visit("monitor")
    settle(window, LIMIT_MS)
    page.model.choose("reader")
    QTest.mouseClick(page.now.button, Qt.MouseButton.LeftButton)
    settle(window, LIMIT_MS)
    assert page.banner.accessibleName().startswith("No device has reported on reader")
    assert page.no_plot.isVisible()
    api.data_add("digits", name="field", set=["rotation_deg=25"], workspace=built.root)
    window.session.refresh()
    settle(window, LIMIT_MS)
    page.data.choose("field")
    press(page, page.retrain)
    assert "reader-again" in built.names("models")
    assert len(page.comparisons.rows.rows) == 2
