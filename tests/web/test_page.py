"""The demo page suits every kind of model, and says what it knows about an answer."""

import csv
import io
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

import numpy as np
import pytest

from edge_targets.bundling import Options
from edge_targets.runtime.contract import Profile, Tensor
from edge_targets.runtime.profiler import features
from tests.web import pages
from tests.web.scripts import WAIT_MS

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Request

Serving = Callable[..., str]
DASH = "\N{EN DASH}"
WATCH = """(limit) => {
  window.answered = new Promise((resolve, reject) => {
    setTimeout(reject, limit, new Error("no answer"));
    const verdict = document.getElementById("verdict");
    new MutationObserver(() => resolve(true)).observe(verdict, { childList: true });
  });
}"""


@dataclass
class Visit:
    """An open page and all that went on in it."""

    page: "Page"
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def ask(self, script: str, argument: object = None) -> Any:
        return self.page.evaluate(script, argument)

    def text(self, selector: str) -> str:
        return self.page.locator(selector).inner_text()

    def button(self, name: str) -> Any:
        return self.page.get_by_role("button", name=name, exact=True)

    def answer_to(self, example: int) -> str:
        button = self.button(f"Example {example}")
        button.wait_for()
        self.ask(WATCH, WAIT_MS)  # an answer to something else may be there already
        button.click()
        self.ask("window.answered")
        self.page.locator("#answer div.actions").wait_for()
        return self.text("#verdict")


Opening = Callable[..., Visit]


@pytest.fixture(scope="module")
def site(web: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Gives `site(kind)`, a bundle; each is made once."""
    folder, known = tmp_path_factory.mktemp("sites"), dict[str, Path]()

    def one(kind: str) -> Path:
        if kind not in known:
            known[kind] = pages.bundled(kind, folder)
        return known[kind]

    return one


@pytest.fixture(scope="module")
def opened(chromium: "Browser", serving: Serving, site: Callable[[str], Path]) -> Iterator[Opening]:
    """Gives `opened(kind)`, a page whose model answers; the same kind is the same page."""
    known = dict[str, Visit]()

    def one(kind: str) -> Visit:
        if kind not in known:
            known[kind] = visit(chromium, serving(site(kind)))
            known[kind].ask("window.sanderling.ready")
        return known[kind]

    yield one
    for seen in known.values():
        seen.page.context.close()


def visit(browser: "Browser", address: str, **options: Any) -> Visit:
    page = browser.new_context(**options).new_page()
    seen = Visit(page)
    page.on("request", lambda request: seen.requests.append(request.url))
    page.on("console", lambda line: seen.complaints.append(f"{line.type}: {line.text}"))
    page.on("pageerror", lambda error: seen.complaints.append(str(error)))
    page.add_init_script(
        "addEventListener('securitypolicyviolation', e => console.log(`csp: ${e.blockedURI}`))"
    )
    page.goto(address)
    return seen


def saved(page: "Page", button: str) -> list[dict[str, str]]:
    """The rows of the CSV that a click on that button downloads."""
    with page.expect_download() as download:
        page.get_by_role("button", name=button, exact=True).click()
    text = Path(download.value.path()).read_text()
    return list(csv.DictReader(io.StringIO(text)))


@pytest.mark.parametrize("kind", pages.KINDS)
def test_every_kind_of_model_answers_its_examples_and_nothing_complains(
    kind: str, opened: Opening
) -> None:
    made = pages.KINDS[kind]()
    seen = opened(kind)

    told = seen.answer_to(2)

    answers = made.answers(made.items[1:2])[0]
    label = made.signature.labels[answers.argmax()] if made.signature.labels else ""
    if made.abstention:
        assert told == "No answer"
        assert seen.text("#sure").startswith(f"not sure enough: {label} at ")
    elif label:
        assert told == label
        assert seen.text("#sure") == f"{100 * answers.max():.1f} % sure"
    else:
        assert told == f"{answers[0]:.1f} thousand €"
    assert not seen.page.locator("#unlike").is_visible()  # examples are real items
    seen.page.locator("#stage-offline.ready").wait_for(timeout=WAIT_MS)
    assert len({urlsplit(url).netloc for url in seen.requests}) == 1
    assert seen.complaints == []


def test_a_drawn_or_chosen_item_is_no_longer_than_the_page_is_wide(opened: Opening) -> None:
    page = opened("species").page
    opened("species").answer_to(1)

    page.set_viewport_size({"width": 360, "height": 800})
    page.locator("summary").click()
    page.locator("details li").first.wait_for()  # they are made when they are asked for
    rows = page.locator("details li").count()
    wide = page.evaluate("document.documentElement.scrollWidth")
    page.locator("summary").click()
    page.set_viewport_size({"width": 1280, "height": 720})

    assert rows == 995
    assert wide == 360


def test_what_training_did_not_see_is_found_as_python_reads_it(opened: Opening, site: Any) -> None:
    from sklearn.datasets import load_digits

    made = pages.KINDS["digits"]()
    seen = opened("digits")
    fresh = load_digits().images[1400:, None]  # not in the profile
    noise = np.random.default_rng(0).uniform(0, 16, (200, 1, 8, 8)).astype(np.float32)
    profile = Profile.parse((site("digits") / "package" / "profile.json").read_text())

    normal, odd = unlike(seen, fresh), unlike(seen, noise)

    assert np.mean([bool(found) for found in normal]) <= 0.01
    assert np.mean([bool(found) for found in odd]) >= 0.95
    # the same numbers as on a device, of the noise's first item
    [scores] = [made.answers(noise[:1])]
    native = features(
        made.signature, {"image": tensor(noise[:1])}, {"probabilities": tensor(scores)}
    )
    for found in odd[0]:
        if found["reading"] in ("mean", "std"):
            assert found["value"] == pytest.approx(native[found["feature"]][0], abs=1e-12)
        sketch = profile.sketches[found["feature"]]
        assert (found["low"], found["high"]) == (sketch.minimum, sketch.maximum)
    assert {found["feature"] for found in odd[0]} >= {"image.mean"}


def unlike(seen: Visit, images: Any) -> list[list[dict[str, Any]]]:
    words = {"image": {"shape": list(images.shape), "data": images.reshape(-1).tolist()}}
    found: list[list[dict[str, Any]]] = seen.ask("words => window.sanderling.unlike(words)", words)
    return found


def tensor(values: Any) -> Tensor:
    return Tensor(values.shape, values.reshape(-1).tolist())


def test_an_unusual_value_is_named_beside_the_answer(opened: Opening) -> None:
    seen = opened("flowers")
    seen.answer_to(1)

    seen.page.get_by_label("petal length").fill("50")
    seen.page.get_by_label("petal length").press("Enter")

    hint = seen.page.locator("#unlike")
    hint.wait_for()
    assert hint.inner_text() == (
        "Unlike the training data. petal length is 50, training saw 1 to 6.9."
    )
    seen.answer_to(1)
    hint.wait_for(state="hidden")


def test_an_explanation_of_a_table_tells_what_each_value_adds(opened: Opening) -> None:
    made = pages.KINDS["flowers"]()
    seen = opened("flowers")
    seen.answer_to(2)

    seen.button("Why?").click()
    lines = seen.page.locator(".explanation li")
    lines.first.wait_for()
    found = {
        line.locator(".name").inner_text(): line.locator(".share").inner_text()
        for line in lines.all()
    }

    item = made.items[1:2]
    base = made.answers(item)[0]
    for place, name in enumerate(made.signature.inputs[0].columns):
        without = item.copy()
        without[0, place] = np.median(made.items[:, place])
        drop = base.max() - made.answers(without)[0, base.argmax()]
        # the profile knows its medians to within a bin of a tenth of the items
        assert float(found[name].replace("\N{MINUS SIGN}", "-").rstrip(" %")) == pytest.approx(
            100 * drop, abs=6
        )
    seen.button("Why?").click()
    assert not seen.page.locator(".explanation").is_visible()


@pytest.mark.parametrize("kind", ["digits", "photos", "sensor", "sounds"])
def test_an_explanation_of_a_picture_or_series_is_drawn(kind: str, opened: Opening) -> None:
    seen = opened(kind)
    seen.answer_to(1)

    seen.button("Why?").click()
    drawn = seen.page.locator(".explanation [role=img]")
    drawn.wait_for()

    assert "What the answer rests on" in (drawn.get_attribute("aria-label") or "")
    seen.answer_to(2)  # of another item it would be wrong
    assert not drawn.is_visible()


def test_a_measurement_can_be_copied(opened: Opening) -> None:
    seen = opened("sensor")
    seen.page.context.grant_permissions(["clipboard-read", "clipboard-write"])

    seen.button("Measure").click()
    seen.button("Copy").click()
    text = seen.ask("navigator.clipboard.readText()")

    shown = seen.text("#timing dd >> nth=0")
    assert text.startswith(f"sensor: p50 {shown}, p90 ")
    assert "(100 runs)\nONNX Runtime Web " in text
    assert "Chrome/" in text


def test_a_table_of_many_rows_is_answered_and_saved(opened: Opening, tmp_path: Path) -> None:
    made = pages.KINDS["flowers"]()
    seen = opened("flowers")
    columns = made.signature.inputs[0].columns
    write_csv(tmp_path / "many.csv", columns, made.items)

    seen.page.locator("#batch input[type=file]").first.set_input_files(tmp_path / "many.csv")
    seen.button("Download as CSV").wait_for()
    rows = saved(seen.page, "Download as CSV")

    shares = made.answers(made.items)
    labels = made.signature.labels
    assert [row["answer"] for row in rows] == [labels[i] for i in shares.argmax(axis=1)]
    found = np.array([[float(row[label]) for label in labels] for row in rows])
    assert np.abs(found - shares).max() <= 1e-5
    assert {row["unlike_training"] for row in rows} == {"0"}
    assert seen.text("#batch-work > p") == "150 items answered."


def write_csv(path: Path, columns: Sequence[str], items: Any) -> None:
    lines = [",".join(columns), *(",".join(map(str, row)) for row in items.tolist())]
    path.write_text("\n".join(lines))


def test_dropped_pictures_are_answered_and_a_bad_one_says_why(
    opened: Opening, tmp_path: Path
) -> None:
    from PIL import Image

    made = pages.KINDS["photos"]()
    seen = opened("photos")
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number, item in enumerate(made.items[:5]):
        pixels = item.transpose(1, 2, 0).round().astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    (folder / "5.png").write_bytes(b"no picture")

    seen.page.locator("#batch input[type=file]").last.set_input_files(folder)
    seen.button("Download as CSV").wait_for()
    rows = saved(seen.page, "Download as CSV")

    rounded = made.items[:5].round()
    labels = [made.signature.labels[i] for i in made.answers(rounded).argmax(axis=1)]
    assert [row["answer"] for row in rows] == [*labels, ""]
    assert [row["item"] for row in rows] == [f"pictures/{i}.png" for i in range(6)]
    assert "5.png" in rows[5]["problem"]
    assert seen.text("#batch-work > p") == "5 items answered, 1 not read."


def test_a_dropped_folder_is_walked_through(opened: Opening) -> None:
    seen = opened("flowers")

    # folders cannot be made for a drop, files can: the walk itself is the browser's
    seen.ask(
        """() => {
          const dropped = new DataTransfer();
          for (const name of ["b.csv", "a.csv", ".hidden.csv"]) {
            dropped.items.add(new File(["5,3,1.4,0.2\\n6,3,5,2"], name));
          }
          document.getElementById("batch").dispatchEvent(
            new DragEvent("drop", { dataTransfer: dropped, bubbles: true, cancelable: true }));
        }"""
    )
    seen.page.locator("#batch-work > p").filter(has_text="4 items answered.").wait_for()

    names = seen.page.locator("#batch td:first-child").all_inner_texts()
    assert [name.split(",")[0] for name in names] == ["a.csv", "a.csv", "b.csv", "b.csv"]


def test_many_at_once_can_be_stopped(opened: Opening, tmp_path: Path) -> None:
    seen = opened("sounds")
    # stopped by the program as soon as the button is there: before the second request
    seen.ask(
        """() => new MutationObserver((_, observer) => {
          const stop = [...document.querySelectorAll("#batch .running button")].at(0);
          if (!stop) return;
          observer.disconnect();
          stop.click();
        }).observe(document.getElementById("batch-work"), { childList: true })"""
    )

    seen.page.locator("#batch input[type=file]").first.set_input_files(wavs(tmp_path, 3))
    told = seen.page.locator("#batch-work > p").first
    told.wait_for()

    assert told.inner_text() == "Stopped: 0 items answered."


def wavs(folder: Path, count: int) -> list[Path]:
    import wave

    files = [folder / f"{number}.wav" for number in range(count)]
    for file in files:
        with wave.open(str(file), "wb") as sound:
            sound.setparams((1, 2, 8000, 0, "NONE", ""))
            sound.writeframes(bytes(8000))
    return files


def test_what_a_visitor_corrects_stays_here_until_it_is_saved(
    opened: Opening, site: Callable[[str], Path]
) -> None:
    made = pages.KINDS["flowers"]()
    seen = opened("flowers")
    told = seen.answer_to(3)
    asked: list[Request] = []
    seen.page.on("request", lambda request: asked.append(request))

    seen.button("Wrong?").click()
    seen.page.get_by_label("It is").select_option("setosa")
    seen.button("Keep").click()
    rows = saved(seen.page, "Download")

    [row] = rows
    assert (row["predicted"], row["label"]) == (told, "setosa")
    names = made.signature.inputs[0].columns
    assert [float(row[name]) for name in names] == pytest.approx(made.items[2].tolist())
    assert seen.text("#kept span >> nth=0") == "1 label kept with the input, in this tab only."
    # a page that has time tries another engine: to fetch a file by its bare name tells nothing
    folder = site("flowers")
    files = (path.relative_to(folder).as_posix() for path in folder.rglob("*"))
    told_of_nothing = {urljoin(seen.page.url, name) for name in files}
    sent = [one for one in asked if one.method != "GET" or one.url not in told_of_nothing]
    assert [one.url for one in sent if not one.url.startswith("blob:")] == []
    seen.button("Forget").click()
    assert not seen.page.locator("#kept").is_visible()


def test_of_many_classes_only_a_known_one_can_be_kept(opened: Opening) -> None:
    seen = opened("species")
    seen.answer_to(1)
    seen.button("Wrong?").click()
    field = seen.page.get_by_label("It is")

    field.fill("no such bird")
    seen.button("Keep").click()
    refused = field.evaluate("field => field.validationMessage")
    field.fill("class 42")
    seen.button("Keep").click()

    assert refused == "Choose one of the model's classes."
    assert seen.page.locator("#kept").is_visible()


def test_the_owner_of_a_page_words_its_request_for_counts(
    chromium: "Browser", serving: Serving, web: Path, tmp_path: Path
) -> None:
    notice = "We count readings, to notice broken sensors."
    options = Options(notice=notice, collector="https://counts.example/v1/records")
    seen = visit(chromium, serving(pages.bundled("sensor", tmp_path, options)))
    seen.ask("window.sanderling.ready")

    assert seen.text("#consent-help") == f"{notice} They go to counts.example."
    assert not seen.page.locator("#consent").is_checked()
    seen.page.context.close()


def test_a_program_that_was_touched_is_refused_and_the_page_says_so(
    chromium: "Browser", serving: Serving, site: Any, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(site("sensor"), copy)
    with (copy / "page.js").open("a") as file:
        file.write("// touched")
    for packed in copy.glob("page.js.*"):
        packed.unlink()

    seen = visit(chromium, serving(copy))
    told = seen.page.locator("#refused")
    hidden = not told.is_visible()
    told.wait_for(timeout=WAIT_MS)  # the style sheet shows it after some seconds

    assert hidden
    assert "was refused" in told.inner_text()
    seen.page.context.close()


def test_without_javascript_the_page_says_what_it_needs(
    chromium: "Browser", serving: Serving, site: Any
) -> None:
    seen = visit(chromium, serving(site("sensor")), java_script_enabled=False)

    assert "needs JavaScript" in seen.text("main")
    assert not seen.page.locator(".ghost").first.is_visible()
    assert not seen.page.locator("#refused").is_visible()
    seen.page.context.close()


def test_a_bundle_that_is_not_whole_says_what_is_missing(
    chromium: "Browser", serving: Serving, site: Any, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(site("sensor"), copy)
    for part in copy.glob("package/model.onnx*"):
        part.unlink()

    seen = visit(chromium, serving(copy))
    told = seen.ask("window.sanderling.ready.then(() => 'believed', error => error.message)")

    assert "package/model.onnx" in told
    assert seen.text("#failure-message") == told
    assert seen.text("#stage-engine") == "Engine not started"
    assert seen.text("#version") == "not loaded"
    assert not seen.page.locator(".ghost").first.is_visible()
    seen.page.context.close()


def test_a_python_that_was_touched_is_told_and_the_page_answers_without_it(
    chromium: "Browser", serving: Serving, web: Path, tmp_path: Path
) -> None:
    folder = pages.bundled("digits", tmp_path, Options())
    for file in folder.glob("python/stdlib.zip*"):
        file.unlink()
    (folder / "python" / "stdlib.zip").write_bytes(b"another one")

    seen = visit(chromium, serving(folder))
    told = seen.ask("window.sanderling.ready.then(() => 'believed', error => error.message)")

    assert "python/stdlib.zip is not the file that was bundled" in told
    assert seen.text("#failure-message") == told
    assert seen.text("#stage-python") == "Python not started"
    assert seen.answer_to(2) == "1"
    seen.page.context.close()


def test_clearing_takes_the_answer_back(opened: Opening) -> None:
    seen = opened("digits")
    seen.answer_to(1)

    seen.button("Clear").click()

    assert seen.text("#verdict") == DASH
    assert not seen.button("Why?").is_visible()
    assert not seen.page.locator("#example-row [aria-pressed=true]").count()
