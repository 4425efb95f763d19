"""The page Compress: recipes, searches and diagnoses, from their forms to their figures."""

import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QDesktopServices
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from gui.form import Form
from gui.models import BAR_ROLE
from gui.panels.candidate import format_of
from gui.panels.tradeoff import point_of
from gui.widgets.passes import MEANING
from gui.widgets.points import Point, frontier
from gui.window import Window

Open = Callable[..., Window]
Settle = Callable[[Window], None]
ALT, CONTROL = Qt.KeyboardModifier.AltModifier, Qt.KeyboardModifier.ControlModifier


@pytest.fixture
def window(open_window: Open, settle: Settle, workspace: Path) -> Window:
    made = open_window(workspace)
    made.visit("compress")
    settle(made)
    return made


@pytest.fixture
def page(window: Window) -> Any:
    return window.page


@pytest.fixture
def run(window: Window, settle: Settle) -> Callable[[int], Any]:
    """Show a part of the page, run its command to the end, and give the part back."""

    def run_part(number: int) -> Any:
        page: Any = window.page
        page.segments.setCurrentIndex(number)
        page.panels[number].main.trigger()
        settle(window)
        return page.panels[number]

    return run_part


RECIPE, SEARCH, DIAGNOSE = range(3)


def test_opening_the_page_imports_no_pass_but_the_first() -> None:
    code = (
        "import sys, gui.pages.compress; "
        "print(*[m for m in sys.modules if m.startswith('toolkit.passes.')], "
        "*[m for m in ('torch', 'onnx', 'optuna', 'pyqtgraph') if m in sys.modules])"
    )

    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert said.stdout.split() == ["toolkit.passes.base"]


def test_the_list_of_passes_says_what_each_does_once_it_is_opened(page: Any) -> None:
    offered = page.recipe.recipe.offered
    offered.choose("prune_channels")
    row = offered.currentIndex()
    assert offered.itemData(row, MEANING) is None

    offered.showPopup()
    offered.hidePopup()

    assert "channels" in offered.itemData(row, MEANING)


def test_a_recipe_is_ordered_doubled_and_cut_with_the_keyboard(window: Window, page: Any) -> None:
    editor = page.recipe.recipe
    window.activateWindow()
    assert QTest.qWaitForWindowActive(window)
    editor.list.setFocus()
    editor.forms[0][1].fields["samples"].write(64)
    editor.add("prune_channels")

    QTest.keyClick(editor.list, Qt.Key.Key_Up, ALT)
    assert editor.names == ["prune_channels", "quantize_int8"]
    editor.list.setCurrentRow(1)
    QTest.keyClick(editor.list, Qt.Key.Key_D, CONTROL)
    assert editor.names == ["prune_channels", "quantize_int8", "quantize_int8"]
    assert editor.forms[2][1].fields["samples"].read() == 64
    editor.list.setCurrentRow(0)
    QTest.keyClick(editor.list, Qt.Key.Key_Delete)

    assert editor.names == ["quantize_int8", "quantize_int8"]
    assert [form.isVisible() for _, form in editor.forms] == [True, False]


def test_a_dragged_pass_takes_its_form_along(qtbot: QtBot, page: Any) -> None:
    editor = page.recipe.recipe
    editor.add("prune_channels")
    none = editor.list.rootIndex()

    editor.list.model().moveRow(none, 1, none, 0)

    qtbot.waitUntil(lambda: editor.names == ["prune_channels", "quantize_int8"])
    assert editor.list.item(0).text().startswith("1.  Prune")


def test_the_gate_and_its_slices_go_into_the_command(page: Any) -> None:
    recipe = page.recipe
    assert "--max-drop" not in recipe.main.line.text

    recipe.gate.used.setChecked(True)
    recipe.gate.drop.setValue(0.5)
    recipe.gate.sure.setValue(99)
    recipe.gate.slices.setText("speaker, room")
    recipe.strict.setChecked(True)
    recipe.data.choose("street")

    assert (
        "--data street --max-drop 0.5% --confidence 99% --slice speaker --slice room --strict"
    ) in recipe.main.line.text


def test_what_each_pass_did_is_told_with_what_it_did_not_bring(
    page: Any, run: Callable[[int], Any]
) -> None:
    recipe = run(RECIPE)

    rows = recipe.result.steps.rows
    assert [row["name"] for row in rows.rows] == ["Original", "Prune weights", "Quantize int8"]
    assert rows.index(2, 1).data() == "50.0\u202fkB"
    tip = rows.index(2, 1).data(Qt.ItemDataRole.ToolTipRole)
    assert tip == "160\u202fkB before, 50.0\u202fkB after: 69\u202f% less"
    said = [part.text() for part in recipe.result.notes.findChildren(type(recipe.verdict.reason))]
    assert any("use prune_channels for speed" in text for text in said)
    assert "3.2× smaller" in recipe.tiles[0].remark.text()
    assert len(recipe.result.layers.rows.rows) == 8
    assert not recipe.verdict.isVisible()
    assert not page.banner.isVisible()


def test_a_refused_model_is_told_with_the_class_it_ruins(
    page: Any, run: Callable[[int], Any]
) -> None:
    page.recipe.gate.used.setChecked(True)
    page.recipe.name.setText("refused")

    recipe = run(RECIPE)

    assert page.banner.accessibleName().startswith("refused was refused by the gate")
    assert recipe.verdict.badge.text == "Refused"
    assert recipe.verdict.groups.isVisible()
    assert recipe.verdict.groups.rows.index(0, 0).data() == "class 8"


def test_results_outlive_another_part_and_another_theme(
    window: Window, page: Any, run: Callable[[int], Any], settle: Settle
) -> None:
    run(SEARCH)
    run(RECIPE)

    window.set_theme("dark")
    window.session.refresh()
    settle(window)
    page.segments.setCurrentIndex(SEARCH)

    assert page.search.outcome.isVisible()
    assert page.search.tradeoff.table.current["model"] == "digits-cnn-s-2"
    assert len(page.recipe.result.steps.rows.rows) == 3


def test_a_search_shows_its_candidates_while_it_runs(
    qtbot: QtBot, open_window: Open, settle: Settle, workspace: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("STANDIN_PAUSE", "0.3")
    window = open_window(workspace)
    page: Any = window.visit("compress")
    settle(window)
    page.segments.setCurrentIndex(SEARCH)
    card = page.search.tradeoff

    page.search.main.trigger()
    assert card.nothing.isVisible()
    qtbot.waitUntil(lambda: len(card.table.rows.rows) >= 2)
    assert page.runner.running
    assert len(card._front.points) >= 2

    settle(window)
    assert len(card.rows) == 5
    assert [p.trial for p in card._front.points if p.picked] == [2]
    assert not card.rows[3]["pareto"]


def test_a_point_that_is_clicked_is_selected_told_and_built(
    window: Window, page: Any, run: Callable[[int], Any], settle: Settle
) -> None:
    search = run(SEARCH)
    page.reveal(search.tradeoff)
    front = search.tradeoff._front
    [point] = [p for p in front.points if p.trial == 1]

    scene = front.getPlotItem().getViewBox().mapViewToScene(QPointF(point.x, point.y))
    place = front.mapFromScene(scene)
    QTest.mouseClick(front.viewport(), Qt.MouseButton.LeftButton, pos=QPoint(place))

    assert search.tradeoff.table.current["trial"] == 1
    assert front.current == 1
    assert search.candidate.name.text() == "Trial 1: digits-cnn-s-1"
    assert "build digits-cnn-s-1 --format tflite" in search.candidate.build.line.text
    search.candidate.build.trigger()
    settle(window)
    assert search.candidate.built.text().startswith("Built digits-cnn-s-1.tflite")


def test_the_table_of_candidates_selects_in_the_plot_too(run: Callable[[int], Any]) -> None:
    search = run(SEARCH)
    view = search.tradeoff.table.view
    view.selectRow(0)

    QTest.keyClick(view, Qt.Key.Key_Down)

    assert search.tradeoff._front.current == 1


def test_the_plot_can_have_the_size_below_it_with_its_own_limit(run: Callable[[int], Any]) -> None:
    search = run(SEARCH)
    search.largest.setText("90kB")
    search.longest.setText("0.3ms")
    front = search.tradeoff._front
    assert front.limits.x == pytest.approx(0.3)

    search.tradeoff.axis.setCurrentIndex(1)

    assert (front.limits.x, front.limits.y) == (90, 1)
    assert max(p.x for p in front.points) == 160


def test_the_same_study_goes_on_and_another_begins_with_nothing(
    page: Any, run: Callable[[int], Any]
) -> None:
    search = run(SEARCH)
    begun: list[int] = []
    page.runner.progressed.connect(lambda _: begun.append(len(search.tradeoff.rows)))

    search.trials.setValue(60)
    run(SEARCH)
    assert begun[0] == 5

    begun.clear()
    search.study.setText("another")
    run(SEARCH)
    assert begun[0] == 0


def test_an_impossible_budget_names_what_is_nearest(page: Any, run: Callable[[int], Any]) -> None:
    page.search.most.setText("1MB")

    search = run(SEARCH)

    assert search.outcome.badge.text == "Not possible"
    assert "nearest" in search.outcome.reason.text()
    assert not page.banner.isVisible()


def test_the_report_is_opened_where_it_lies(
    run: Callable[[int], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(QDesktopServices, "openUrl", lambda url: opened.append(url.toLocalFile()))
    search = run(SEARCH)

    QTest.mouseClick(search.outcome.open, Qt.MouseButton.LeftButton)

    assert opened[0].endswith("/my work/reports/digits-cnn-s.html")


@pytest.mark.parametrize("text", ["much", "-5", "5ms"])
def test_a_budget_that_is_no_amount_is_told_in_place_of_the_command(page: Any, text: str) -> None:
    page.search.largest.setText(text)

    assert not page.search.main.button.isEnabled()
    assert f"{text} is no amount" in page.search.main.button.toolTip()


def test_the_budget_goes_into_the_command_as_it_was_written(page: Any) -> None:
    page.search.largest.setText("200kB")
    page.search.time.setText("10min")
    page.search.device.choose("porch")
    page.search.families.setText("prune_channels, quantize_int8")

    words = shlex.split(page.search.main.line.text)

    assert words[1:-2] == [
        "search", "digits-cnn", "--data", "street", "--target", "raspberry_pi_4",
        "--device", "porch", "--max-size", "200kB", "--max-drop", "1%", "--trials", "40",
        "--time", "10min", "--families", "prune_channels,quantize_int8",
    ]  # fmt: skip


def test_a_diagnosis_ranks_the_layers_and_tells_what_mending_them_brought(
    page: Any, run: Callable[[int], Any]
) -> None:
    page.diagnose.repair.setChecked(True)

    diagnose = run(DIAGNOSE)

    layers = diagnose.layers
    assert layers.current["layer"].startswith("a_very_long_layer_name")
    assert [round(layers.rows.index(row, 2).data(BAR_ROLE), 2) for row in range(2)] == [1.0, 0.09]
    assert diagnose.details.isVisible()
    assert "per_channel" in diagnose.blame.text()
    assert [row["kept"] for row in diagnose.repairs.rows.rows] == [False, True]
    assert diagnose.tiles[2].figure.text() == "97.5\u202f%"
    assert diagnose.tiles[2].remark.text() == "digits-cnn-repaired"


def test_what_a_model_learned_from_is_proposed(page: Any) -> None:
    assert page.search.data.chosen == "street"
    assert page.diagnose.data.chosen == "street"


def test_in_a_narrow_window_results_lie_below_and_are_scrolled_to(
    window: Window, page: Any, run: Callable[[int], Any]
) -> None:
    assert not page.search.narrow

    window.resize(1000, 700)
    search = run(SEARCH)

    assert search.narrow
    assert search.results.y() > search.left.geometry().bottom()
    assert page.area.verticalScrollBar().value() > 0


def point(x: float, y: float, *, pareto: bool = True) -> Point:
    return Point(0, x, y, y, y, True, pareto, False, "")


def test_the_line_of_the_front_falls_and_leaves_out_what_is_behind_it() -> None:
    points = [point(3, 1), point(1, 3), point(2, 4), point(2, 2), point(1.5, 0, pareto=False)]

    assert [(p.x, p.y) for p in frontier(points)] == [(1, 3), (2, 2), (3, 1)]


def test_a_candidate_that_was_not_measured_is_not_drawn() -> None:
    row = {"trial": 1, "drop": 0.01, "latency_ms": None, "size_bytes": 2_000, "model": "m"}

    assert point_of(row, "latency_ms", "") is None
    drawn = point_of(row, "size_bytes", "m")
    assert drawn is not None
    assert (drawn.x, drawn.y, drawn.picked) == (2, 1, True)


@pytest.mark.parametrize(("runtime", "name"), [("tflite x4", "tflite"), ("abacus", ""), (None, "")])
def test_the_format_is_that_of_the_runtime(runtime: str | None, name: str) -> None:
    assert format_of({"runtime": runtime}) == name


class Naming(BaseModel):
    """A parameter that names something saved."""

    teacher: Annotated[str, Field(json_schema_extra={"names": "models"})] = ""


def test_a_field_that_names_a_model_offers_those_that_are_saved(qtbot: QtBot) -> None:
    form = Form(Naming)
    qtbot.addWidget(form)
    form.offer("models", ["large", "small"])
    form.offer("datasets", ["digits"])
    assert form.values() == {"teacher": ""}

    form.fields["teacher"].write("small")

    assert form.arguments() == ("--set", "teacher=small")
