"""A model in somebody's page: three lines, on the same host, under a policy as strict as ours."""

import base64
import io
import json
import re
import shutil
import subprocess
import time
import wave
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.web import kinds, pages
from tests.web.collecting import Collector, options_for
from tests.web.driving import BROWSERS, ChromiumTab, Driven, Tab, browsers
from tests.web.scripts import WAIT_MS
from toolkit.data.audio import of_length, resampled
from toolkit.data.sources.image_folder import pixels
from toolkit.serving import bundle_app
from toolkit.workspace import Workspace

if TYPE_CHECKING:
    from playwright.sync_api import Page

REPO = Path(__file__).parents[2]

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
KINDS = ("flowers", "digits", "photos", "sounds", "sensor")


@dataclass(frozen=True)
class Visit:
    tab: ChromiumTab

    @property
    def page(self) -> "Page":
        return self.tab.page

    @property
    def complaints(self) -> list[str]:
        return self.tab.complaints

    def ask(self, script: str, argument: object = None) -> Any:
        return self.page.evaluate(script, argument)


@pytest.fixture(scope="module")
def florist(
    hosting: Callable[[Any], str], web: Path, tmp_path_factory: pytest.TempPathFactory
) -> str:
    """A host with pages of its own, and a bundle of each kind in a folder below."""
    from starlette.applications import Starlette
    from starlette.routing import Mount, Route

    folder = tmp_path_factory.mktemp("models")
    mounts = [
        Mount(f"/shop/models/{kind}", bundle_app(pages.bundled(kind, folder))) for kind in KINDS
    ]
    own = [Route(at, answering(document(text))) for at, text in TEXTS.items()]
    policy = POLICY.replace("img-src 'self'", "img-src *")
    own.append(Route("/open", answering(document(BARE), policy=policy)))
    return hosting(Starlette(routes=[*mounts, *own]))


def document(text: str) -> str:
    head = '<title>Florist</title><link rel="icon" href="data:," />'
    return f'<!doctype html><html lang="en">{head}<main>{text}</main>'


def answering(text: str, media_type: str = "text/html", policy: str = POLICY) -> Callable[..., Any]:
    """What answers with that text under a policy as strict as ours."""
    from starlette.responses import Response

    headers = {"content-security-policy": policy}
    return lambda request: Response(text, media_type=media_type, headers=headers)


@pytest.fixture(scope="module")
def driven(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Driven]]:
    """Gives `driven(name)`: that browser, running; the same one for everyone who asks."""
    with browsers() as launch:
        yield cache(lambda name: launch(name, tmp_path_factory.mktemp("profile")))


@pytest.fixture
def visit(driven: Callable[[str], Driven], florist: str) -> Iterator[Callable[[str], Visit]]:
    tabs: list[ChromiumTab] = []

    def one(path: str) -> Visit:
        tab = driven("chromium").tab()
        assert isinstance(tab, ChromiumTab)
        tabs.append(tab)
        tab.page.add_init_script(
            """window.told = [];
            for (const name of ["ready", "answer", "error"]) {
              addEventListener(`sanderling-${name}`, ({ detail }) =>
                told.push([name, detail.name ?? "", detail.label ?? detail.message ?? ""]));
            }"""
        )
        tab.open(f"{florist}{path}")
        return Visit(tab)

    yield one
    for tab in tabs:
        tab.close()


@pytest.fixture(params=BROWSERS)
def tab(request: pytest.FixtureRequest, driven: Callable[[str], Driven]) -> Iterator[Tab]:
    """An empty tab of either browser."""
    made = driven(request.param).tab()
    yield made
    made.close()


ELEMENT = "document.querySelector('sanderling-model')"
COLOUR = "one => [getComputedStyle(one).backgroundColor, getComputedStyle(one).color]"
THEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")


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

    assert seen.page.locator("#answer").evaluate(COLOUR)[0] == "rgb(1, 2, 3)"
    assert seen.page.locator("#verdict").evaluate(COLOUR)[1] == "rgb(4, 5, 6)"


@pytest.mark.parametrize("kind", KINDS)
def test_axe_finds_nothing_in_an_embedded_model_in_both_themes(
    kind: str, visit: Callable[[str], Visit]
) -> None:
    from tests.web.test_accessibility import AXE, violations

    if not AXE.is_file():
        pytest.skip("axe-core is not installed: npm ci in web/")
    seen = visit("/")
    item = pages.KINDS[kind]().items[0].reshape(-1).tolist()

    seen.ask(f"kind => {{ {ELEMENT}.src = `/shop/models/${{kind}}/` }}", kind)
    seen.ask(f"item => {ELEMENT}.ready.then(() => {ELEMENT}.predict(item))", item)
    found = {}
    for theme in THEMES:
        seen.page.emulate_media(color_scheme=theme)
        seen.page.wait_for_timeout(150)  # colours move for 120 ms
        colour = seen.page.locator("#answer").evaluate(COLOUR)[0]
        red, *_ = map(int, re.findall(r"\d+", colour))
        found[theme] = (red > 127, violations(seen.page, AXE.read_text()))

    assert found == {"light": (True, []), "dark": (False, [])}


GIVE_PICTURES = """async ({ kind, width, height, rgba, png, same }) => {
  const { load } = await import(`/shop/models/${kind}/sanderling.js`);
  const model = await load(`/shop/models/${kind}/`);
  const bytes = (text) => Uint8ClampedArray.from(atob(text), (letter) => letter.charCodeAt(0));
  const shown = new ImageData(bytes(rgba), width, height);
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  canvas.getContext("2d").putImageData(shown, 0, 0);
  const offscreen = new OffscreenCanvas(width, height);
  offscreen.getContext("2d").putImageData(shown, 0, 0);
  const image = Object.assign(new Image(), { src: `data:image/png;base64,${png}` });
  await image.decode();
  const memory = new Uint8ClampedArray(4 + 4 * width * height);
  memory.set(shown.data, 4);
  const given = {
    "tensors": { image: same },
    "canvas": canvas,
    "offscreen canvas": offscreen,
    "bitmap": await createImageBitmap(canvas),
    "image element": image,
    "pixels": shown,
    "pixels in a piece of memory": new ImageData(memory.subarray(4), width, height),
    "blob": new Blob([bytes(png)]),
    "file": new File([bytes(png)], "picture.png", { type: "image/png" }),
  };
  const found = {};
  for (const [name, one] of Object.entries(given)) {
    const { label, outputs } = await model.predict(one);
    found[name] = [label, Array.from(outputs.probabilities.data)];
  }
  model.close();
  return found;
}"""


@pytest.mark.parametrize("kind", ["photos", "digits"])
def test_a_picture_is_the_same_in_whatever_it_is_given(
    kind: str, tab: Tab, florist: str, tmp_path: Path
) -> None:
    """As numbers it is what training makes of its file."""
    picture = photograph() if kind == "photos" else scan()
    picture.save(tmp_path / "picture.png")
    [channels, height, width] = pages.KINDS[kind]().signature.inputs[0].shape[1:]
    expected = pixels(tmp_path / "picture.png", channels, height, width)
    if kind == "digits":
        expected = (expected / 255 * 16).astype(np.float32)  # its ink lies between 0 and 16
    words = {
        "kind": kind,
        "width": picture.width,
        "height": picture.height,
        "rgba": text(picture.convert("RGBA").tobytes()),
        "png": text((tmp_path / "picture.png").read_bytes()),
        "same": {"shape": [1, channels, height, width], "data": expected.reshape(-1).tolist()},
    }

    tab.open(f"{florist}/bare")
    found = tab.evaluate(GIVE_PICTURES, words)

    assert len(found) == 9
    assert {name for name, told in found.items() if told != found["tensors"]} == set()
    [here] = pages.KINDS[kind]().answers(expected[None])
    assert np.abs(found["tensors"][1] - here).max() <= 1e-5
    assert found["tensors"][0] == pages.KINDS[kind]().signature.labels[here.argmax()]


def photograph() -> Any:
    from PIL import Image

    return Image.fromarray(kinds.photographs()["dahlia"]).crop((100, 50, 420, 350))


def scan() -> Any:
    """A three, of the size that the model of digits reads, in levels of grey."""
    from PIL import Image

    [ink] = pages.KINDS["digits"]().items[3]
    return Image.fromarray((ink / 16 * 255).round().astype(np.uint8))


def text(data: bytes) -> str:
    return base64.b64encode(data).decode()


GIVE_SOUNDS = """async ({ rate, channels, wav, same }) => {
  const { load } = await import("/shop/models/sounds/sanderling.js");
  const model = await load("/shop/models/sounds/");
  const [{ length }] = channels;
  const buffer = new AudioBuffer({ length, sampleRate: rate, numberOfChannels: channels.length });
  channels.forEach((values, i) => buffer.copyToChannel(Float32Array.from(values), i));
  const bytes = Uint8Array.from(atob(wav), (letter) => letter.charCodeAt(0));
  const given = { tensors: { audio: same }, buffer, blob: new Blob([bytes]) };
  const found = {};
  for (const [name, one] of Object.entries(given)) {
    const { label, outputs } = await model.predict(one);
    found[name] = [label, Array.from(outputs.probabilities.data)];
  }
  model.close();
  return found;
}"""


@pytest.mark.parametrize(("rate", "channels"), [(8000, 1), (44_100, 2)])
def test_a_sound_is_the_same_as_audio_and_as_a_wav(
    rate: int, channels: int, tab: Tab, florist: str
) -> None:
    """As numbers it is what training makes of its file."""
    made = pages.KINDS["sounds"]()
    tone = 0.4 * np.sin(2 * np.pi * 900 * np.arange(int(0.4 * rate)) / rate)
    noise = np.random.default_rng(7).normal(0, 0.02, (len(tone), channels))
    samples = np.round((tone[:, None] + noise) * 2**15).astype("<i2")
    clip = resampled((samples / 2**15).mean(axis=1).astype(np.float32), rate, 8000)
    expected = of_length(clip, 4000)[None]
    words = {
        "rate": rate,
        "channels": (samples.T / 2**15).tolist(),
        "wav": text(wav(samples, rate)),
        "same": {"shape": [1, 1, 4000], "data": expected.reshape(-1).tolist()},
    }

    tab.open(f"{florist}/bare")
    found = tab.evaluate(GIVE_SOUNDS, words)

    [here] = made.answers(expected[None])
    assert {label for label, _ in found.values()} == {made.signature.labels[here.argmax()]}
    assert found["buffer"] == found["blob"]
    off = [np.abs(shares - here).max() for _, shares in found.values()]
    assert max(off) <= 1e-5
    if rate == 8000:  # else two programs compute the spectrum
        assert found["buffer"] == found["tensors"]


def wav(samples: NDArray[np.int16], rate: int) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as stream:
        stream.setparams((samples.shape[1], 2, rate, 0, "NONE", ""))
        stream.writeframes(samples.tobytes())
    return file.getvalue()


REFUSED = """async ([kind, wav]) => {
  const { load, EdgeError } = await import(`/shop/models/${kind}/sanderling.js`);
  const model = await load(`/shop/models/${kind}/`);
  const canvas = Object.assign(document.createElement("canvas"), { width: 40, height: 30 });
  canvas.getContext("2d").fillRect(5, 5, 20, 9);
  const given = {
    canvas,
    bitmap: await createImageBitmap(canvas),
    sound: new AudioBuffer({ length: 100, sampleRate: 8000, numberOfChannels: 1 }),
    row: { "petal length": 1 },
    "png file": await new Promise((resolve) => canvas.toBlob(resolve)),
    "wav file": new Blob([Uint8Array.from(atob(wav), (letter) => letter.charCodeAt(0))]),
    "empty file": new Blob([]),
    "blank canvas": Object.assign(document.createElement("canvas"), { width: 40, height: 30 }),
    "canvas of no size": Object.assign(document.createElement("canvas"), { width: 0 }),
    element: document.body,
    nothing: null,
  };
  const found = {};
  for (const [name, one] of Object.entries(given)) {
    found[name] = await model.predict(one).then(
      ({ label }) => `answers ${label}`,
      (error) => error instanceof EdgeError ? [error.message, error.hint] : `throws ${error}`,
    );
  }
  model.close();
  return found;
}"""
DRAWINGS = {"canvas", "bitmap", "png file"}
TAKES = {  # what each model answers to, and how it calls what it takes
    "flowers": ({"row"}, "a table"),
    "digits": (DRAWINGS, "a drawing"),
    "photos": (DRAWINGS | {"blank canvas"}, "a picture"),
    "sounds": ({"sound", "wav file"}, "a sound"),
    "sensor": (set[str](), "a series"),
}


@pytest.mark.parametrize("kind", TAKES)
def test_what_a_model_does_not_take_is_refused_in_words(
    kind: str, visit: Callable[[str], Visit]
) -> None:
    accepted, takes = TAKES[kind]
    seen = visit("/bare")

    found = seen.ask(REFUSED, [kind, text(wav(np.zeros((50, 1), np.int16), 8000))])

    answered = {name for name, told in found.items() if str(told).startswith("answers")}
    told = {name: one for name, one in found.items() if name not in answered}
    assert answered == accepted
    assert all(message and hint for message, hint in told.values()), told
    for name, what in {"canvas": "a picture", "sound": "a sound", "row": "a row"}.items():
        if name not in accepted:
            assert told[name][0] == f"The model takes {takes}; {what} was given."
    assert seen.complaints == []


def test_a_picture_of_another_host_is_refused_in_words(
    tab: Tab, florist: str, hosting: Callable[[Any], str]
) -> None:
    from starlette.applications import Starlette
    from starlette.responses import Response
    from starlette.routing import Route

    file = io.BytesIO()
    photograph().save(file, "PNG")
    picture = Response(file.getvalue(), media_type="image/png")
    elsewhere = hosting(Starlette(routes=[Route("/photo.png", lambda request: picture)]))

    tab.open(f"{florist}/open")
    told = tab.evaluate(
        """async (src) => {
          const { load, EdgeError } = await import("/shop/models/photos/sanderling.js");
          const model = await load("/shop/models/photos/");
          const image = Object.assign(new Image(), { src });
          await image.decode();
          return model.predict(image).catch((error) => [error instanceof EdgeError, error.message]);
        }""",
        f"{elsewhere}/photo.png",
    )

    assert told == [True, "The picture comes from another host, whose pixels a page may not read."]


PAGE = REPO.joinpath("docs", "browser.md").read_text().partition("## In a page of your own")[2]
SECTION = PAGE.partition("\n## ")[0]
SNIPPETS = dict(re.findall(r"```(html|js)\n(.*?)```", SECTION, re.DOTALL))
DRAW = """
const pen = document.querySelector("canvas").getContext("2d");
pen.lineWidth = 26;  // black on nothing, as every canvas begins
for (const [x, y] of [[70, 70], [220, 70], [130, 330]]) pen.lineTo(x, y);
pen.stroke();
"""
TOLD = "\nwindow.found = { label, confidence, ready: await model.ready };"


def test_what_the_documentation_shows_works_as_it_stands(
    tab: Tab, hosting: Callable[[Any], str], web: Path, tmp_path: Path
) -> None:
    from starlette.applications import Starlette
    from starlette.routing import Mount, Route

    drawing = '<canvas width="300" height="400"></canvas><script src="/draw.js"></script>'
    script = '<script type="module" src="/own.js"></script>'
    texts = {
        "/": (document(f"{SNIPPETS['html']}{drawing}{script}"), "text/html"),
        "/draw.js": (DRAW, "text/javascript"),
        "/own.js": (SNIPPETS["js"] + TOLD, "text/javascript"),
    }
    own = [Route(at, answering(*made)) for at, made in texts.items()]
    site = Mount("/site", bundle_app(pages.bundled("digits", tmp_path)))
    host = hosting(Starlette(routes=[site, *own]))

    tab.open(f"{host}/")
    found = tab.evaluate(
        """async () => {
          while (!window.found) await new Promise((resolve) => setTimeout(resolve, 20));
          const place = document.querySelector("sanderling-model");
          const model = await place.ready;
          const { label } = await place.predict(document.querySelector("canvas"));
          const shown = place.shadowRoot.querySelector("#verdict").textContent;
          return [window.found, model.name, label, shown];
        }"""
    )

    loaded, name, label, shown = found
    assert (name, label, shown) == ("digits", "7", "7")
    assert loaded["label"] == "7"
    assert 0.1 < loaded["confidence"] <= 1
    assert loaded["ready"] is False  # a lite bundle
    assert {url.removeprefix(host).partition("/")[0] for url in tab.requests} <= {"", "data:,"}


def test_what_the_documentation_shows_has_the_types_of_the_bundle(
    web: Path, tmp_path: Path
) -> None:
    node = shutil.which("node") or shutil.which("node", path=REPO / ".venv" / "bin")
    compiler = REPO / "web" / "node_modules" / "typescript" / "bin" / "tsc"
    if not node or not compiler.is_file():
        pytest.skip("TypeScript is not installed: npm ci in web/")
    site = pages.bundled("digits", tmp_path)
    site.rename(tmp_path / "site")

    def compiled(script: str) -> str:
        (tmp_path / "own.ts").write_text(f"{script}\nexport {{}};\n")
        options = {
            "module": "esnext",
            "moduleResolution": "bundler",
            "target": "es2022",
            "lib": ["es2024", "dom", "dom.iterable"],
            "types": [],
            "noEmit": True,
            "strict": True,
            "strictNullChecks": False,  # only the page knows whether there is a canvas
            "paths": {"/site/*": ["./site/*"]},
        }
        settings = {"compilerOptions": options, "files": ["own.ts"]}
        (tmp_path / "tsconfig.json").write_text(json.dumps(settings))
        words = [node, str(compiler), "--project", str(tmp_path)]
        return subprocess.run(words, capture_output=True, text=True, check=False).stdout

    assert compiled(SNIPPETS["js"]) == ""
    assert "'lable' does not exist" in compiled(SNIPPETS["js"].replace("label", "lable"))


def test_nothing_is_sent_but_while_the_visitor_agrees(
    driven: Callable[[str], Driven],
    hosting: Callable[[Any], str],
    web: Path,
    tmp_path: Path,
) -> None:
    from starlette.applications import Starlette
    from starlette.routing import Mount, Route

    collector = Collector(Workspace.create(tmp_path / "ws"))
    site = pages.bundled("flowers", tmp_path, options_for(collector, "flowers"))
    own = Route("/", answering(document(BARE)))
    host = hosting(Starlette(routes=[Mount("/site", bundle_app(site)), own]))
    tab = driven("chromium").tab()
    assert isinstance(tab, ChromiumTab)
    tab.page.clock.install()
    collector.up()

    def predict(times: int) -> None:
        row = {"petal length": 1.4, "petal width": 0.2, "sepal length": 5, "sepal width": 3}
        tab.evaluate(
            """async ([row, times]) => {
              for (let i = 0; i < times; i++) await window.model.predict(row);
            }""",
            [row, times],
        )
        tab.page.clock.run_for(61_000)

    try:
        tab.open(f"{host}/")
        ready = tab.evaluate(
            """async () => {
              window.model = await (await import("/site/sanderling.js")).load("/site/");
              return window.model.ready;
            }"""
        )
        predict(7)
        before = tab.evaluate("window.model.share(true)")
        predict(2)
        until(lambda: len(collector.heard) > 0)
        after = tab.evaluate("window.model.share(false)")
        predict(7)
        tab.evaluate("window.model.share(true)")
        predict(1)
        until(lambda: len(collector.heard) > 1)
    finally:
        tab.close()
        collector.down()

    assert ready is True
    assert [before, after] == [{"sent": 0, "left": 0}] * 2
    records = [record for heard in collector.heard for record in heard.records]
    assert [record["samples"] for record in records] == [2, 1]
    assert len({record["device"] for record in records}) == 2  # a no forgets the name as well


def until(happened: Callable[[], bool]) -> None:
    limit = time.monotonic() + WAIT_MS / 1000
    while not happened():
        assert time.monotonic() < limit, "nothing came"
        time.sleep(0.05)
