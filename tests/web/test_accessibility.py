"""Everybody can use the page: checked by axe-core, by the keyboard alone, and by listening."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from edge_targets.bundling import bundle
from tests.web import kinds, packages, pages
from tests.web.scripts import WAIT_MS

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

AXE = Path(__file__).parents[2] / "web" / "node_modules" / "axe-core" / "axe.min.js"
PHONE, DESK = (390, 844), (1280, 800)


@pytest.fixture(scope="module")
def axe() -> str:
    if not AXE.is_file():
        pytest.skip("axe-core is not installed: npm ci in web/")
    return AXE.read_text()


@pytest.fixture(scope="module")
def opened(
    chromium: "Browser",
    serving: Callable[..., str],
    web: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[[str], "Page"]]:
    """Gives `opened(kind)`, a page whose model answers; the same kind is the same page."""
    folder, known = tmp_path_factory.mktemp("sites"), dict[str, Any]()

    def one(kind: str) -> "Page":
        if kind not in known:
            page = known[kind] = chromium.new_context().new_page()
            page.goto(serving(site(kind, folder)))
            page.evaluate("window.sanderling.ready")
        page = known[kind]
        page.emulate_media(color_scheme="light")
        resize(page, DESK)
        return page  # type: ignore[no-any-return]

    yield one
    for page in known.values():
        page.context.close()


def site(kind: str, folder: Path) -> Path:
    """The bundle of a kind below `folder`; `other` takes two inputs, for which there is no form."""
    if kind in pages.KINDS:
        return pages.bundled(kind, folder)
    package, key = kinds.two_inputs(folder / "sum.sndl"), packages.KEY
    bundle(package, folder / kind, key, [key.public], pages.LITE)
    return folder / kind


def resize(page: "Page", size: tuple[int, int]) -> None:
    width, height = size
    page.set_viewport_size({"width": width, "height": height})


def violations(page: "Page", axe: str) -> list[str]:
    if not page.evaluate("'axe' in window"):
        page.evaluate(axe)
    found = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")["violations"]
    return [f"{one['id']}: {node['html'][:200]}" for one in found for node in one["nodes"]]


@pytest.mark.parametrize("kind", pages.KINDS)
def test_axe_finds_nothing_on_any_kind_of_page_in_both_themes_and_on_a_phone(
    kind: str, opened: Callable[[str], "Page"], axe: str
) -> None:
    page = opened(kind)
    before = violations(page, axe)

    page.get_by_role("button", name="Example 2", exact=True).click()
    page.locator("#answer div.actions").wait_for()
    for name in ("Why?", "Wrong?", "Measure"):
        page.get_by_role("button", name=name, exact=True).click()
    page.locator("#timing dl").wait_for(timeout=WAIT_MS)
    page.locator(".explanation > :not(.running)").first.wait_for(timeout=WAIT_MS)
    found = everywhere(page, axe)

    assert before == []
    assert not any(found.values()), found


def everywhere(page: "Page", axe: str) -> dict[tuple[str, int], list[str]]:
    """Its violations in both themes and on a phone, by theme and width."""
    found = dict[tuple[str, int], list[str]]()
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme)
        for size in (DESK, PHONE):
            resize(page, size)
            page.wait_for_timeout(150)  # colours move for 120 ms
            found[theme, size[0]] = violations(page, axe)
            wide = page.evaluate("document.documentElement.scrollWidth")
            assert wide == size[0], "the page scrolls sideways"
    return found


def test_axe_finds_nothing_on_the_page_of_a_model_that_no_form_can_ask(
    opened: Callable[[str], "Page"], axe: str
) -> None:
    page = opened("other")
    before = violations(page, axe)

    page.get_by_role("button", name="Example 1", exact=True).click()
    page.locator("#answer div.actions").wait_for()
    page.get_by_role("button", name="Measure", exact=True).click()
    page.locator("#timing dl").wait_for(timeout=WAIT_MS)
    found = everywhere(page, axe)

    assert before == []
    assert not any(found.values()), found


def test_axe_finds_nothing_in_a_table_of_many_answers(
    opened: Callable[[str], "Page"], axe: str, tmp_path: Path
) -> None:
    page = opened("flowers")
    (tmp_path / "many.csv").write_text("5,3,1,0\n" * 300)

    page.locator("#batch input[type=file]").first.set_input_files(tmp_path / "many.csv")
    page.get_by_role("button", name="Download as CSV").wait_for()

    assert page.locator("#batch tbody tr").count() == 200
    assert violations(page, axe) == []


def test_axe_finds_nothing_on_a_page_that_did_not_start(
    chromium: "Browser", serving: Callable[..., str], web: Path, tmp_path: Path, axe: str
) -> None:
    site = pages.bundled("sensor", tmp_path)
    (site / "package" / "golden.json").write_text("{}")
    for packed in site.glob("package/golden.json.*"):
        packed.unlink()
    page = chromium.new_context().new_page()
    page.goto(serving(site))

    page.get_by_role("alert").filter(has_text="golden.json").wait_for()

    assert violations(page, axe) == []
    page.context.close()


FOCUSABLE = "button, input:not([type=file]), select, textarea, summary, a[href], canvas[tabindex]"


@pytest.mark.parametrize(
    "kind", ["digits", "flowers", "photos", "sensor", "sounds", "species", "other"]
)
def test_the_tabulator_reaches_all_that_can_be_used_and_shows_where_it_is(
    kind: str, opened: Callable[[str], "Page"]
) -> None:
    page = opened(kind)
    page.get_by_role("button", name="Example 1", exact=True).click()
    page.locator("#answer div.actions").wait_for()
    page.locator(".feedback").wait_for(state="hidden")  # what another test left open closes
    wanted = page.evaluate(
        """selector => {
          const seen = [...document.querySelectorAll(selector)].filter(
            one => one.checkVisibility({ visibilityProperty: true }) && !one.disabled);
          seen.forEach((one, index) => { one.dataset.reach = index; });
          return seen.length;
        }""",
        FOCUSABLE,
    )

    page.evaluate("document.activeElement.blur()")
    reached, unmarked = set(), []
    for _ in range(2 * wanted + 5):
        page.keyboard.press("Tab")
        place, marked, html = page.evaluate(
            """() => {
              const one = document.activeElement;
              const visible = one.matches('input[type=file]') ? one.parentElement : one;
              const marked = getComputedStyle(visible).outlineStyle !== 'none';
              return [one.dataset.reach, marked, one.outerHTML.slice(0, 80)];
            }"""
        )
        if place is not None:
            reached.add(int(place))
            if not marked:
                unmarked.append(html)

    assert reached == set(range(wanted))
    assert unmarked == []


def test_an_answer_is_asked_explained_corrected_and_kept_by_keyboard(
    opened: Callable[[str], "Page"],
) -> None:
    page = opened("flowers")
    press = page.keyboard.press

    page.get_by_role("button", name="Example 2", exact=True).focus()
    press("Enter")
    page.locator("#answer div.actions").wait_for()
    page.get_by_role("button", name="Why?").focus()
    press("Space")
    page.locator(".explanation li").first.wait_for()
    page.get_by_role("button", name="Wrong?").focus()
    press("Enter")
    page.keyboard.type("set")  # the menu has the focus; letters choose
    press("Tab")
    press("Enter")

    assert "1 label kept" in page.locator("#kept").inner_text()
    assert page.evaluate("document.activeElement.textContent") == "Wrong?"


def test_a_drawing_is_announced_once_it_is_done(opened: Callable[[str], "Page"]) -> None:
    page = opened("digits")
    page.get_by_role("button", name="Clear").click()
    page.evaluate(
        """() => {
          window.told = [];
          new MutationObserver(() => told.push(document.getElementById('said').textContent))
            .observe(document.getElementById('said'), { childList: true });
        }"""
    )
    page.locator("#pad").focus()

    for key in ["ArrowUp"] * 6 + [" "] + ["ArrowDown"] * 12 + [" "]:
        page.keyboard.press(key)
    page.wait_for_timeout(1500)  # three times as long as a drawing takes to settle

    told = page.evaluate("told")
    assert len(told) == 1
    assert told[0].startswith("1, ")
    assert told[0].endswith(" sure")


def test_nothing_moves_for_those_who_asked_for_that(opened: Callable[[str], "Page"]) -> None:
    page = opened("digits")
    length = "getComputedStyle(document.querySelector('.bar')).transitionDuration"

    moving = page.evaluate(length)
    page.emulate_media(reduced_motion="reduce")
    still = page.evaluate(length)
    page.emulate_media(reduced_motion="no-preference")

    assert (moving, still) == ("0.12s", "0s")
