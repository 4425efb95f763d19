"""The page Build: formats, files, their proof and the certificate of a model."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gui import wording
from gui.models import Column, Kind
from gui.window import Window

Open = Callable[..., Window]
Settle = Callable[[Window], None]
NAN = float("nan")


@pytest.fixture
def window(open_window: Open, settle: Settle, workspace: Path) -> Window:
    made = open_window(workspace)
    made.visit("build")
    settle(made)
    return made


@pytest.fixture
def page(window: Window) -> Any:
    return window.page


def test_what_is_built_while_no_format_is_ticked_is_said(page: Any) -> None:
    card = page.compile
    assert card.told.text() == "None ticked: the usual formats are built."

    card.target.choose("browser")
    assert card.told.text() == "None ticked: all that Browser takes."
    card.formats["tflite"].setChecked(True)

    assert card.told.text() == "Only those ticked are built."
    assert "build digits-cnn --format tflite --target browser" in page.main.line.text


def test_formats_and_runtimes_are_spelled_as_their_makers_do(page: Any) -> None:
    assert page.compile.formats["ort"].text() == "ORT"
    assert page.compile.formats["tflite_int8"].text() == "TFLite int8"
    assert wording.words("litert_js") == "LiteRT.js"


def test_a_certificate_that_is_kept_is_shown_with_its_model(
    window: Window, settle: Settle, page: Any
) -> None:
    page.report.parts.setCurrentIndex(1)
    rows = page.report.runtimes.rows.rows
    assert [(row["place"], row["state"]) for row in rows] == [
        ("torch", "reference"), ("litert", "agrees"),
    ]  # fmt: skip
    assert page.report.told.text().startswith("Certified 2026-11-20 10:05.")
    assert page.report.runtimes.view.isColumnHidden(2)  # figures are not kept with it

    page.model.choose("m" * 80)  # which has none
    settle(window)

    assert page.report.runtimes.empty.isVisible()
    assert not page.report.told.isVisible()


def test_a_runtime_that_answers_otherwise_is_told_with_its_layer(
    window: Window, settle: Settle, page: Any
) -> None:
    page.model.choose("m" * 80)
    settle(window)

    page.verify.trigger()
    settle(window)

    assert page.report.parts.currentIndex() == 1
    assert "litert" in page.banner.accessibleName()
    states = [row["state"] for row in page.report.runtimes.rows.rows]
    assert states == ["reference", "differs", "left out"]
    cell = page.report.runtimes.rows.index(1, 4)
    assert cell.data() == "stem"


def test_a_verified_model_keeps_its_figures_on_screen(
    window: Window, settle: Settle, page: Any
) -> None:
    page.verify.trigger()
    settle(window)

    assert not page.banner.isVisible()
    assert page.report.runtimes.rows.rows[1]["relative"] == 0.01
    assert not page.report.runtimes.view.isColumnHidden(2)
    assert page.report.told.text() == "Certified 2026-11-20 10:05, on 200 items of digits."


@pytest.mark.parametrize("missing", [None, NAN, ""])
def test_a_figure_that_is_missing_or_no_number_is_a_dash(missing: object) -> None:
    kinds: tuple[Kind, ...] = ("number", "percent", "size", "text")
    for kind in kinds:
        column = Column("x", "X", kind)
        assert column.show({"x": missing}) == wording.NOTHING
