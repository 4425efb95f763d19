"""The cards of each kind of input in a real Chromium: forms, series, devices and words."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.web import kinds
from tests.web.asking import Visiting, visitors
from tests.web.scripts import WAIT_MS


@pytest.fixture(scope="module")
def visiting(
    web: Path, serving: Callable[..., str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Visiting]:
    with visitors(web, serving, tmp_path_factory.mktemp("kinds")) as visit:
        yield visit


HEADINGS = {
    "drawing": "Draw a digit",
    "picture": "Picture",
    "sound": "Sound",
    "series": "Series",
    "table": "Values",
    "other": "Inputs",
}


@pytest.mark.parametrize("kind", kinds.KINDS)
def test_each_kind_has_its_card_and_an_example_is_asked(kind: str, visiting: Visiting) -> None:
    seen = visiting(kind)

    seen.page.get_by_role("button", name="Example 1", exact=True).click()

    assert seen.page.locator("#input h2").inner_text() == HEADINGS[kind]
    assert seen.asked().size > 0
    assert seen.complaints == []


@pytest.mark.parametrize(
    ("kind", "button", "device"),
    [("picture", "Camera", "camera"), ("sound", "Record", "microphone")],
)
def test_a_device_that_is_refused_or_missing_is_told(
    kind: str, button: str, device: str, visiting: Visiting
) -> None:
    seen = visiting(kind, fakes=False)

    seen.page.get_by_role("button", name=button).click()
    told = seen.problem()

    assert told.startswith((f"The {device} was refused.", f"There is no {device} here."))
    assert "choose a file" in told
    assert seen.page.get_by_role("button", name=button).is_visible()


def test_a_form_knows_units_ranges_and_choices(visiting: Visiting) -> None:
    seen = visiting("table")
    page = seen.page
    field = page.get_by_label("sepal width (cm)")

    page.get_by_role("button", name="Typical values").click()
    seen.asked()
    options = page.get_by_label("garden").locator("option").all_inner_texts()
    field.fill("99")
    field.press("Enter")
    far = seen.asked(2)

    assert options == ["missing", *kinds.GARDENS]
    assert far[1] == 99
    note = page.locator(f"#{field.get_attribute('aria-describedby')}")
    assert note.inner_text().startswith("outside what was seen: 2")
    page.get_by_role("button", name="Example 1").click()  # as narrow as any that was counted
    narrow = page.get_by_label("petal width (cm)")
    note = page.locator(f"#{narrow.get_attribute('aria-describedby')}")
    assert (narrow.input_value(), note.inner_text()) == ("0.2", "seen 0.2 to 2.4")


def test_an_empty_field_is_missing_and_a_wrong_one_is_not_asked(visiting: Visiting) -> None:
    seen = visiting("table")
    page = seen.page
    page.get_by_role("button", name="Example 3").click()
    seen.asked()

    page.get_by_label("petal width").fill("")
    page.get_by_label("garden").select_option("north")
    gap = seen.asked(2)
    told = seen.label()
    page.get_by_label("petal width").fill("1,5")
    page.get_by_label("petal width").press("Enter")
    page.get_by_text("This is no number. Write it like 2.5.").wait_for(timeout=WAIT_MS)

    assert np.isnan(gap[3])
    assert gap[4] == 0
    assert told == seen.label_here(gap)
    assert page.get_by_label("petal width").get_attribute("aria-invalid") == "true"
    assert page.locator("#verdict").inner_text() == "\N{EN DASH}"


def test_a_copied_row_fills_the_form(visiting: Visiting) -> None:
    seen = visiting("table")
    names = seen.manifest.signature.inputs[0].columns
    text = "\t".join(reversed(names)) + "\nsouth\t0.2\t1.4\t?\t5.1"
    paste = """text => {
      const clipboardData = new DataTransfer();
      clipboardData.setData("text/plain", text);
      const field = document.querySelector("#fields input");
      const options = { clipboardData, bubbles: true, cancelable: true };
      field.dispatchEvent(new ClipboardEvent("paste", options));
    }"""

    seen.page.evaluate(paste, text)

    row = np.array([5.1, np.nan, 1.4, 0.2, 1], np.float32)
    assert np.array_equal(seen.asked(), row, equal_nan=True)
    assert seen.page.get_by_label("garden").input_value() == "south"
    seen.page.evaluate(paste, "1,2,3")
    assert "3 cells where 5 are needed" in seen.problem()


def test_readings_from_a_file_are_asked_by_windows(visiting: Visiting, tmp_path: Path) -> None:
    seen = visiting("series")
    values = 80 + 10 * np.sin(np.arange(100) / 7)
    rows = "".join(f"2013-12-02 21:{i % 60:02}:00,{v:.6f}\n" for i, v in enumerate(values))
    (tmp_path / "machine.csv").write_text("timestamp,value\n" + rows)

    seen.choose(tmp_path / "machine.csv")
    newest = seen.asked()
    seen.page.get_by_label("Window").focus()
    seen.page.keyboard.press("Home")
    first = seen.asked(2)

    whole = np.round(values, 6).astype(np.float32)
    assert np.array_equal(newest, whole[-32:])
    assert np.array_equal(first, whole[:32])
    assert seen.label() == seen.label_here(first)
    assert seen.page.get_by_role("img", name="32 readings between").is_visible()


def test_too_few_readings_are_told(visiting: Visiting) -> None:
    seen = visiting("series")

    seen.page.locator("#input textarea").fill("1, 2, 3")

    assert seen.problem().startswith("3 readings where the model takes 32.")


def test_a_model_of_several_inputs_says_so(visiting: Visiting) -> None:
    seen = visiting("other")

    words = seen.page.locator("#input").inner_text()

    assert "takes 2 inputs at once" in words
    assert "left wheel, rad/s" in words
