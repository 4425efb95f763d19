"""Colours, words and tables."""

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from gui import theme, wording
from gui.models import SORT_ROLE, TONE_ROLE, Column, Rows
from gui.theme import DARK, LIGHT, Colors
from gui.widgets.choice import Choice
from gui.widgets.empty import Empty
from gui.widgets.rows import unique_name
from gui.widgets.table import Table

GROUNDS = ("background", "card", "side", "alternate")
INKS = ("text", "muted", "accent", "good", "watch", "bad")
PAIRS = [(ink, ground) for ink in INKS for ground in GROUNDS]
PAIRS += [("muted", "well"), ("accent", "selected"), ("text", "selected"), ("bad", "bad_ground")]


def luminance(color: str) -> float:
    """Relative luminance (WCAG 2.2)."""
    parts = (QColor(color).redF(), QColor(color).greenF(), QColor(color).blueF())
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("colors", [LIGHT, DARK])
@pytest.mark.parametrize(("ink", "ground"), PAIRS)
def test_text_can_be_read_on_its_ground(colors: Colors, ink: str, ground: str) -> None:
    assert contrast(getattr(colors, ink), getattr(colors, ground)) >= 4.5


@pytest.mark.parametrize("colors", [LIGHT, DARK])
def test_white_can_be_read_on_a_primary_button(colors: Colors) -> None:
    assert contrast("#ffffff", colors.button) >= 4.5
    assert contrast("#ffffff", colors.button_hover) >= 4.5


@pytest.mark.parametrize("colors", [LIGHT, DARK])
def test_the_style_sheet_leaves_nothing_to_fill_in(colors: Colors) -> None:
    sheet = theme.style_sheet(colors)

    assert "$" not in sheet


def test_the_colours_in_force_follow_the_theme(qapp: QApplication) -> None:
    theme.apply(qapp, "dark")
    assert theme.colors() is DARK

    theme.apply(qapp, "light")
    assert theme.colors() is LIGHT


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (wording.count(1797), "1\u202f797"),
        (wording.count(None), wording.NOTHING),
        (wording.short(9_999), "9\u202f999"),
        (wording.short(12_501_632), "12.5\u202fM"),
        (wording.short(999_600), "1\u202fM"),
        (wording.short(None), wording.NOTHING),
        (wording.number(1e30), "1.0e+30"),
        (wording.size(25_312), "25.3\u202fkB"),
        (wording.size(999), "999\u202fB"),
        (wording.size(1_640_000), "1.6\u202fMB"),
        (wording.percent(0.9722), "97.2\u202f%"),
        (wording.between({"value": 0.97, "low": 0.955, "high": 0.981}), "95.5 to 98.1\u202f%"),
        (wording.between(None), ""),
        (wording.number(0.00001234), "1.2e-05"),
        (wording.number(0.12345), "0.123"),
        (wording.number(0), "0"),
        (wording.points(-0.01234), "\u22121.23"),
        (wording.points(-0.00001), "0.00"),
        (wording.milliseconds(0.0312), "0.031\u202fms"),
        (wording.change(160, 50), "69\u202f% less"),
        (wording.change(100, 100.2), "unchanged"),
        (wording.sentence("not possible: it is large"), "Not possible: it is large"),
        (wording.sentence("net-int8 is large"), "net-int8 is large"),
        (wording.words("quantize_int8"), "Quantize int8"),
        (wording.words("small_cnn"), "Small CNN"),
        (wording.words("raspberry_pi_4"), "Raspberry Pi 4"),
        (wording.words("onnx"), "ONNX"),
        (wording.moment("2026-11-21T03:12:44.123+00:00"), "2026-11-21 03:12"),
    ],
)
def test_figures_are_written_for_people(said: str, words: str) -> None:
    assert said == words


@pytest.mark.parametrize(
    ("words", "taken", "name"),
    [
        ("Small_CNN", [], "small-cnn"),
        ("digits", ["digits", "digits-2"], "digits-3"),
        ("../Ünsafe name!", [], "nsafe-name"),
        ("###", [], "unnamed"),
        ("n" * 200, ["n" * 76], "n" * 76 + "-2"),
    ],
)
def test_a_proposed_name_is_allowed_and_free(words: str, taken: list[str], name: str) -> None:
    assert unique_name(words, taken) == name


def test_a_table_shows_sorts_and_aligns_by_kind(qtbot: QtBot) -> None:
    columns = (Column("name", "Name"), Column("size", "Size", "size"), Column("s", "S", "state"))
    rows = Rows(columns)
    rows.fill([{"name": "a", "size": 25_312, "s": "alarm"}, {"name": "b"}])

    size, missing, state = rows.index(0, 1), rows.index(1, 1), rows.index(0, 2)

    assert size.data() == "25.3\u202fkB"
    assert size.data(SORT_ROLE) == 25_312
    assert size.data(Qt.ItemDataRole.TextAlignmentRole) & Qt.AlignmentFlag.AlignRight
    assert missing.data() == wording.NOTHING
    assert (state.data(), state.data(TONE_ROLE)) == ("Alarm", "bad")


def test_a_table_is_empty_until_filled_and_keeps_its_selection(qtbot: QtBot) -> None:
    empty = Empty("cube", "Nothing", "Do something.")
    table = Table("Things", (Column("name", "Name"),), empty)
    qtbot.addWidget(table)
    table.show()
    assert empty.isVisible()

    table.fill([{"name": "a"}, {"name": "b"}])
    table.select("b")
    table.fill([{"name": "b"}, {"name": "c"}])

    assert not empty.isVisible()
    assert table.current == {"name": "b"}


def test_a_choice_keeps_what_was_chosen_and_takes_what_was_just_made(qtbot: QtBot) -> None:
    choice = Choice("Model")
    qtbot.addWidget(choice)
    choice.offer(["a", "b"])
    choice.choose("b")

    choice.offer(["a", "b", "c"])
    assert choice.chosen == "b"

    choice.prefer("d")
    choice.offer(["a", "b", "d"])
    assert choice.chosen == "d"

    choice.offer([])
    assert choice.chosen == ""
    assert not choice.isEnabled()
