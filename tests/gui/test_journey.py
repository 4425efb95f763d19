"""The window and the real command line together: the whole line, by pressing buttons."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from edge_targets.bundling import WEB
from gui import wording
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
    built: Workspace, open_window: Callable[..., Window], settle: Callable[..., None], qtbot: QtBot
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

    page = window.visit("devices")
    settle(window, LIMIT_MS)
    page.more.setChecked(True)
    page.adding.name.setText("desk")
    page.adding.address.setText(str(built.root / "desk"))
    page.adding.target.choose("simulator")
    press(page, page.adding.action)
    page = window.visit("deploy")
    settle(window, LIMIT_MS)
    page.package.choose("reader.tflite-simulator")
    page.device.choose("desk")
    press(page, page.deploy_action)
    assert api.device_status("desk", workspace=built.root).state == "ready"

    if (WEB / "index.html").is_file():
        page = window.visit("browser")
        settle(window, LIMIT_MS)
        press(page, page.main)
        assert_shown_as_written(page, built.root / "site")
        assert_served(page, built.root / "site", qtbot)
        settle(window, LIMIT_MS)

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


def assert_shown_as_written(page: Any, site: Path) -> None:
    """The page Browser tells of a bundle what lies in its folder."""
    files = [path for path in site.rglob("*") if path.is_file()]
    size = wording.size(sum(path.stat().st_size for path in files))
    assert f"{len(files)} files, {size}, in {site}." in page.remark.text()

    # what a browser fetches is listed, and the list and its signature; licences are not fetched
    listed = json.loads((site / "bundle.json").read_text())["files"]
    fetched = [name for name in listed if not name.startswith("licences")]
    fetched = [*(set(fetched) - {"sanderling.d.ts"}), "bundle.json", "bundle.sig"]
    packed = [site / f"{name}.br" for name in fetched]
    sent = [(br if br.is_file() else br.with_suffix("")).stat().st_size for br in packed]
    assert sum(page.shares.bar.amounts) == sum(sent)
    assert page.total.text() == wording.size(sum(sent))


def assert_served(page: Any, site: Path, qtbot: QtBot) -> None:
    page.port.write(0)  # another test may serve at the usual one
    QTest.mouseClick(page.serve.button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(page.open.isEnabled, timeout=LIMIT_MS)
    with urlopen(page.serve.url) as answer:
        assert answer.read() == (site / "index.html").read_bytes()
    with urlopen(f"{page.serve.url}package/manifest.json") as answer:
        assert json.load(answer)["name"] == "reader"
    QTest.mouseClick(page.serve.button, Qt.MouseButton.LeftButton)


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """An ONNX file as another program writes it: its batch is one, and it has no meaning."""
    import numpy as np
    from onnx import TensorProto, checker, helper, numpy_helper, save

    random = np.random.default_rng(0)
    weights = [
        numpy_helper.from_array(random.normal(size=shape).astype(np.float32), name)
        for name, shape in (("first", (6, 8)), ("second", (8, 3)))
    ]
    nodes = [
        helper.make_node("MatMul", ["values", "first"], ["hidden"], "dense"),
        helper.make_node("Relu", ["hidden"], ["active"], "active"),
        helper.make_node("MatMul", ["active", "second"], ["scores"], "head"),
    ]
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, size])
        for name, size in (("values", 6), ("scores", 3))
    ]
    graph = helper.make_graph(nodes, "made", ends[:1], ends[1:], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    checker.check_model(model)
    save(model, tmp_path / "made.onnx")
    return tmp_path / "made.onnx"


def test_a_file_is_imported_looked_into_and_built_from_the_window(
    elsewhere: Path, open_window: Callable[..., Window], settle: Callable[..., None], tmp_path: Path
) -> None:
    shelves = Workspace.create(tmp_path / "work")
    window = open_window(shelves.root, PROGRAM)
    page: Any = window.visit("models")
    settle(window, LIMIT_MS)

    page.importing.file.drop.take(str(elsewhere))
    settle(window, LIMIT_MS)
    assert not page.banner.isVisible(), page.banner.accessibleName()
    assert page.importing.tiles[0].figure.text() == "ONNX"
    page.importing.meaning.words["meaning", "values"].setText("readings")
    QTest.mouseClick(page.importing.main.button, Qt.MouseButton.LeftButton)
    settle(window, LIMIT_MS)
    assert page.importing.done.isVisible(), page.banner.accessibleName()
    assert shelves.names("models") == ["made"]

    page.importing.onward.emit("graph", "made")
    settle(window, LIMIT_MS)
    names = [box.vertex.name for box in page.graph.view.boxes]
    assert {"values", "scores"} <= set(names)

    page.importing.onward.emit("build", "made")
    page = window.page
    settle(window, LIMIT_MS)
    assert (page.title, page.model.chosen) == ("Build", "made")
    page.compile.formats["onnx"].setChecked(True)
    QTest.mouseClick(page.main.button, Qt.MouseButton.LeftButton)
    settle(window, LIMIT_MS)
    assert not page.banner.isVisible(), page.banner.accessibleName()
    assert page.files.table.rows.rows[0]["name"] == "made.onnx"
    assert page.report.checks.rows.rows  # the file that was just made is selected
