"""The page and the picture of a search."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from tests.toolkit.search.test_front import ONE
from toolkit.search import Options
from toolkit.search.report import Story, write_report

FOUND = (
    ONE,
    replace(ONE, trial=1, model="s-t001", recipe="int8 <b>", size_bytes=300, pareto=True),
    replace(ONE, trial=2, model="s-t002", latency_ms=0.3, drop=0.02, pareto=True),
)


def story(found: tuple[object, ...] = FOUND) -> Story:
    return Story("s", "m", found, "s-t001", "because", Options(max_size=400))  # type: ignore[arg-type]


def test_the_page_asks_nobody_and_shows_every_trial(tmp_path: Path) -> None:
    page, _ = write_report(story(), tmp_path / "new")

    text = page.read_text()
    assert not re.search(r"https?:|//|@import|url\(|<script|<link|src=", text)
    assert text.count("<circle") == 2 * len(FOUND)
    assert text.count('class="dot pick"') == 2
    assert "prefers-color-scheme: dark" in text
    for one in FOUND:
        assert one.model in text


def test_what_names_bring_along_stays_text(tmp_path: Path) -> None:
    page, _ = write_report(story(), tmp_path)

    assert "int8 <b>" not in page.read_text()
    assert "int8 &lt;b&gt;" in page.read_text()


@pytest.mark.parametrize("found", [FOUND, FOUND[:1], ()])
def test_the_picture_opens(tmp_path: Path, found: tuple[object, ...]) -> None:
    _, picture = write_report(story(found), tmp_path)

    with Image.open(picture) as image:
        image.verify()
        assert image.format == "PNG"
        assert image.width > 1000


def test_a_report_leaves_nothing_half_written(tmp_path: Path) -> None:
    write_report(story(), tmp_path)
    write_report(story(), tmp_path)

    assert sorted(file.name for file in tmp_path.iterdir()) == ["front.png", "report.html"]
