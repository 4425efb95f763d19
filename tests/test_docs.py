"""The pictures in docs/: what is made is there and shown, and what is shown is there."""

import re
import runpy
import subprocess
from pathlib import Path
from typing import Any

import pytest

from gui.pages import pages
from tests.web import kinds

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
TEXTS = sorted([ROOT / "README.md", *DOCS.glob("*.md")])
NAMED = re.compile(r"""\]\(([^)\s]+\.png)\)|src="([^"]+\.png)\"""")


def script(name: str) -> dict[str, Any]:
    return runpy.run_path(str(DOCS / f"{name}.py"))


def shown(text: Path) -> list[Path]:
    found = NAMED.findall(text.read_text())
    return [(text.parent / (plain or tagged)).resolve() for plain, tagged in found]


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: text.name)
def test_every_picture_that_a_text_shows_is_there(text: Path) -> None:
    assert [picture for picture in shown(text) if not picture.is_file()] == []


def test_every_page_of_the_window_is_in_the_pictures_of_both_themes() -> None:
    pictures = script("screenshots")["PICTURES"]

    assert {name.partition("-")[0] for name in pictures} == set(pages.names())
    files = [f"{name}-{look}.png" for name in pictures for look in ("light", "dark")]
    assert [name for name in files if not (DOCS / "images" / name).is_file()] == []


def test_the_docs_show_each_kind_of_input_in_both_themes_and_on_a_phone() -> None:
    looks = script("page_pictures")["LOOKS"]
    assert set(looks) == {"light", "dark", "phone"}

    names = {picture.name for picture in shown(DOCS / "browser.md")}

    wanted = {f"page-{kind}-{look}.png" for kind in kinds.KINDS for look in looks}
    assert wanted - names == set()
    assert {"browser-light.png", "browser-dark.png"} - names == set()
    assert {path.name for path in (DOCS / "images").glob("page-*.png")} == wanted


def test_make_takes_the_pictures_of_the_window_and_of_the_page() -> None:
    command = ["env", "-u", "MAKEFLAGS", "-u", "MAKELEVEL", "make", "-n", "screenshots"]
    planned = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout

    assert "docs/screenshots.py demo" in planned
    assert "docs/page_pictures.py" in planned
