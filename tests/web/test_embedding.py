"""A model in somebody's page: three lines, on the same host, under a policy as strict as ours."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.web import pages
from toolkit.serving import bundle_app

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; connect-src 'self'; "
    "worker-src 'self'; style-src 'self'; img-src 'self' data:; base-uri 'none'; "
    "require-trusted-types-for 'script'; trusted-types sanderling"
)
THREE_LINES = """\
<script type="module" src="/shop/models/flowers/sanderling.js"></script>
<h1>A florist</h1>
<sanderling-model src="/shop/models/flowers/"></sanderling-model>
"""
HEADLESS = """\
<script type="module" src="/shop/models/flowers/sanderling.js"></script>
<sanderling-model headless src="/shop/models/flowers/"></sanderling-model>
"""
BARE = "<p>Nothing yet.</p>"
TEXTS = {"/": THREE_LINES, "/shop/headless": HEADLESS, "/bare": BARE}
MODULE = "/shop/models/flowers/sanderling.js"


@dataclass
class Visit:
    page: "Page"
    complaints: list[str] = field(default_factory=list)

    def ask(self, script: str, argument: object = None) -> Any:
        return self.page.evaluate(script, argument)


@pytest.fixture(scope="module")
def florist(
    hosting: Callable[[Any], str], web: Path, tmp_path_factory: pytest.TempPathFactory
) -> str:
    """A host with pages of its own, and two bundles in folders below."""
    from starlette.applications import Starlette
    from starlette.responses import HTMLResponse
    from starlette.routing import Mount, Route

    folder = tmp_path_factory.mktemp("models")

    def own(text: str) -> Callable[..., Any]:
        head = '<title>Florist</title><link rel="icon" href="data:," />'
        html = f'<!doctype html><html lang="en">{head}<main>{text}</main>'
        return lambda request: HTMLResponse(html, headers={"content-security-policy": POLICY})

    mounts = [
        Mount(f"/shop/models/{kind}", bundle_app(pages.bundled(kind, folder)))
        for kind in ("flowers", "digits")
    ]
    return hosting(Starlette(routes=[*mounts, *(Route(at, own(t)) for at, t in TEXTS.items())]))


@pytest.fixture
def visit(chromium: "Browser", florist: str) -> Iterator[Callable[[str], Visit]]:
    contexts = []

    def one(path: str) -> Visit:
        context = chromium.new_context()
        contexts.append(context)
        page = context.new_page()
        seen = Visit(page)
        page.on("console", lambda line: seen.complaints.append(f"{line.type}: {line.text}"))
        page.on("pageerror", lambda error: seen.complaints.append(str(error)))
        page.add_init_script(
            """window.told = [];
            for (const name of ["ready", "answer", "error"]) {
              addEventListener(`sanderling-${name}`, ({ detail }) =>
                told.push([name, detail.name ?? "", detail.label ?? detail.message ?? ""]));
            }"""
        )
        page.goto(f"{florist}{path}")
        return seen

    yield one
    for context in contexts:
        context.close()


ELEMENT = "document.querySelector('sanderling-model')"


def test_three_lines_put_a_model_into_a_page(visit: Callable[[str], Visit]) -> None:
    seen = visit("/")
    seen.page.locator("sanderling-model").get_by_label("petal length").wait_for()

    for name, value in zip(("sepal length", "sepal width"), ("5", "3"), strict=True):
        seen.page.get_by_label(name).fill(value)
    seen.page.get_by_label("petal length").fill("1.4")
    seen.page.get_by_label("petal width").fill("0.2")
    seen.page.get_by_label("petal width").press("Enter")
    seen.page.locator("#verdict").filter(has_text="setosa").wait_for()

    told = seen.ask("told")
    assert told[0] == ["ready", "flowers", ""]
    assert told[-1] == ["answer", "", "setosa"]
    assert seen.complaints == []


def test_load_gives_a_model_that_answers_as_the_desktop(visit: Callable[[str], Visit]) -> None:
    made = pages.KINDS["flowers"]()
    seen = visit("/bare")
    names = made.signature.inputs[0].columns
    rows = [dict(zip(names, map(float, item), strict=True)) for item in made.items[:20]]

    found = seen.ask(
        """async ([module, rows]) => {
          const { load } = await import(module);
          const model = await load("/shop/models/flowers");
          const answers = [];
          for (const row of rows) answers.push((await model.predict(row)).label);
          const batch = await model.predictBatch({
            features: { shape: [rows.length, 4], data: rows.flatMap((row) => Object.values(row)) },
          }, false);
          const facts = [model.name, model.labels, model.trust.signed, await model.ready];
          const shares = Array.from(batch.outputs.probabilities.data);
          model.close();
          const closed = await model.predict(rows[0]).catch((error) => error.message);
          return { answers, shares, facts, closed };
        }""",
        [MODULE, rows],
    )

    shares = made.answers(made.items[:20])
    assert found["answers"] == [made.signature.labels[i] for i in shares.argmax(axis=1)]
    assert np.abs(np.reshape(found["shares"], shares.shape) - shares).max() <= 1e-5
    assert found["facts"] == ["flowers", list(made.signature.labels), True, False]
    assert found["closed"] == "The model was closed."
    assert seen.complaints == []


def test_a_headless_element_shows_nothing_and_answers(visit: Callable[[str], Visit]) -> None:
    seen = visit("/shop/headless")

    label = seen.ask(f"{ELEMENT}.ready.then(() => {ELEMENT}.predict([5, 3, 1.4, 0.2]))")["label"]

    assert label == "setosa"
    assert not seen.page.locator("sanderling-model").is_visible()
    assert seen.ask(f"{ELEMENT}.shadowRoot.childElementCount") == 0
    assert seen.ask("told.at(-1)") == ["answer", "", "setosa"]
    assert len(seen.page.workers) == 1


def test_what_a_program_asks_is_shown_where_a_person_would_give_it(
    visit: Callable[[str], Visit],
) -> None:
    seen = visit("/")
    seen.ask(f"{ELEMENT}.ready")

    seen.ask(f"{ELEMENT}.predict([6.5, 3, 5.5, 2])")

    assert seen.page.get_by_label("petal length").input_value() == "5.5"
    assert seen.page.locator("#verdict").inner_text() == "virginica"
    seen.ask(f"{ELEMENT}.clear()")
    assert seen.page.get_by_label("petal length").input_value() == ""
    assert seen.page.locator("#verdict").inner_text() == "\N{EN DASH}"


def test_an_element_tells_what_went_wrong_and_goes_on(visit: Callable[[str], Visit]) -> None:
    seen = visit("/")
    seen.ask(f"{ELEMENT}.ready")

    refused = seen.ask(f"{ELEMENT}.predict([1, 2]).catch(error => error.name)")
    shown = seen.page.get_by_role("alert").inner_text()
    seen.ask(f"{ELEMENT}.predict([6.5, 3, 5.5, 2])")

    assert refused == "EdgeError"
    assert shown
    assert [name for name, *_ in seen.ask("told")] == ["ready", "error", "answer"]
    assert not seen.page.get_by_role("alert").is_visible()


def test_an_address_without_a_bundle_is_told_in_words(visit: Callable[[str], Visit]) -> None:
    seen = visit("/bare")

    told = seen.ask(
        """async (module) => {
          await import(module);
          const place = document.createElement("sanderling-model");
          place.src = "/shop/nothing/";
          document.body.append(place);
          const rejected = await place.ready.catch((error) => error.name);
          return [rejected, place.shadowRoot.textContent, window.told.at(-1)[0]];
        }""",
        MODULE,
    )

    assert told[0] == "EdgeError"
    assert told[1].strip()
    assert told[2] == "error"


def test_another_address_is_another_model_and_what_is_removed_gives_its_worker_back(
    visit: Callable[[str], Visit],
) -> None:
    seen = visit("/")
    seen.ask(f"{ELEMENT}.ready")

    seen.ask(f"document.body.append({ELEMENT})")  # moved: nothing is loaded anew
    moved = seen.ask(f"{ELEMENT}.model?.name")
    name = seen.ask(
        f"{ELEMENT}.src = '/shop/models/digits/'; {ELEMENT}.ready.then(({{ name }}) => name)"
    )
    working = len(seen.page.workers)
    seen.ask(f"{ELEMENT}.remove()")
    seen.page.wait_for_timeout(200)  # until the browser has told

    assert (moved, name) == ("flowers", "digits")
    assert working == 1
    assert seen.page.workers == []


def test_the_page_around_it_gives_it_its_colours(visit: Callable[[str], Visit]) -> None:
    seen = visit("/")
    seen.ask(f"{ELEMENT}.ready")

    seen.ask(
        """() => {
          const sheet = new CSSStyleSheet();
          sheet.replaceSync(`sanderling-model { --card: rgb(1, 2, 3); }
            sanderling-model::part(verdict) { color: rgb(4, 5, 6); }`);
          document.adoptedStyleSheets = [sheet];
        }"""
    )

    colour = "one => [getComputedStyle(one).backgroundColor, getComputedStyle(one).color]"
    assert seen.page.locator("#answer").evaluate(colour)[0] == "rgb(1, 2, 3)"
    assert seen.page.locator("#verdict").evaluate(colour)[1] == "rgb(4, 5, 6)"


def test_axe_finds_nothing_in_an_embedded_model(visit: Callable[[str], Visit]) -> None:
    from tests.web.test_accessibility import AXE, violations

    if not AXE.is_file():
        pytest.skip("axe-core is not installed: npm ci in web/")
    seen = visit("/")
    seen.ask(f"{ELEMENT}.ready.then(() => {ELEMENT}.predict([6.5, 3, 5.5, 2]))")

    assert violations(seen.page, AXE.read_text()) == []
