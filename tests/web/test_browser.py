"""A bundle in headless Chromium answers as the desktop does, and talks to nobody else."""

import base64
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import numpy as np
import pytest

from edge_targets.bundling import bundle
from edge_targets.bundling.parts import ROOT
from edge_targets.package import SigningKey, pack, signature_of, unpack
from edge_targets.runtime.contract import Manifest, Profile, Record, Tensor
from edge_targets.runtime.events import QUIET
from edge_targets.runtime.profiler import Profiler
from tests.web.conftest import KEY
from tests.web.scripts import WAIT_MS
from toolkit.inference import Runner

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

Serving = Callable[..., str]


@dataclass
class Visit:
    """An open page and all that went on in it."""

    page: "Page"
    address: str
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def ask(self, script: str, argument: object = None) -> Any:
        return self.page.evaluate(script, argument)

    def predict(self, images: Any) -> Any:
        """Through the page's own hook; `images` has shape (N, 1, 8, 8)."""
        words = {"image": {"shape": list(images.shape), "data": images.reshape(-1).tolist()}}
        return self.ask("words => window.sanderling.predict(words)", words)


def visit(browser: "Browser", address: str, **options: Any) -> Visit:
    page = browser.new_page(**options)
    seen = Visit(page, address)
    page.on("request", lambda request: seen.requests.append(request.url))
    page.on("console", lambda line: seen.complaints.append(f"{line.type}: {line.text}"))
    page.on("pageerror", lambda error: seen.complaints.append(str(error)))
    # the policy's own event also tells of what the console does not
    page.add_init_script(
        "addEventListener('securitypolicyviolation', e => console.log(`csp: ${e.blockedURI}`))"
    )
    page.goto(address)
    return seen


@dataclass
class Mailbox:
    """A same-origin collector as small as can be: keeps what it was sent."""

    records: list[Record] = field(default_factory=list)

    async def receive(self, request: Any) -> Any:
        from starlette.responses import JSONResponse

        body = await request.json()
        records = [Record.from_json(one) for one in body["records"]]
        self.records.extend(records)
        return JSONResponse({"accepted": [record.id for record in records]})


@pytest.fixture(scope="module")
def mailbox() -> Mailbox:
    return Mailbox()


@pytest.fixture(scope="module")
def opened(
    chromium: "Browser", serving: Serving, bundled: Path, mailbox: Mailbox
) -> Iterator[Visit]:
    from starlette.routing import Route

    address = serving(bundled, [Route("/v1/records", mailbox.receive, methods=["POST"])])
    seen = visit(chromium, address)
    seen.ask("window.sanderling.ready")
    yield seen
    seen.page.close()


@pytest.mark.parametrize("form", ["onnx", "tflite"])
def test_the_browser_answers_as_the_desktop_on_the_whole_test_split(
    form: str,
    chromium: "Browser",
    serving: Serving,
    package: Path,
    tflite: Path,
    digits: Any,
    tmp_path: Path,
) -> None:
    packed = {"onnx": package, "tflite": tflite}[form]
    bundle(packed, tmp_path / "out", KEY, [KEY.public])
    manifest = unpack(packed, tmp_path / "members", [KEY.public])
    model = (tmp_path / "members" / manifest.model).read_bytes()
    runner = Runner(model, form, manifest.signature)
    expected = runner.outputs({"image": digits.test}, QUIET)["probabilities"]

    seen = visit(chromium, serving(tmp_path / "out"))
    found = seen.predict(digits.test)

    labels = [int(answer["label"]) for answer in found["answers"]]
    shares = np.asarray(found["outputs"]["probabilities"]["data"]).reshape(360, 10)
    assert labels == expected.argmax(axis=1).tolist()
    assert np.abs(shares - expected).max() <= 1e-6
    assert np.mean(labels == digits.truth) > 0.95  # and the model is one that has learned
    confidences = [answer["confidence"] for answer in found["answers"]]
    assert confidences == pytest.approx(expected.max(axis=1).tolist(), abs=1e-6)
    assert seen.complaints == []
    seen.page.close()


def test_inputs_that_do_not_fit_are_refused_in_the_words_of_a_device(opened: Visit) -> None:
    script = "words => window.sanderling.predict(words).catch(error => error.message)"

    message = opened.ask(script, {"image": {"shape": [1, 1, 4, 4], "data": [0.0] * 16}})

    assert message == "Input image has shape [1, 1, 4, 4]; the model takes [-1, 1, 8, 8]."


def test_telemetry_goes_out_after_consent_only_and_counts_as_python_does(
    opened: Visit, mailbox: Mailbox, digits: Any, bundled: Path
) -> None:
    opened.predict(digits.test[:50])
    before = opened.ask("window.sanderling.flush()")

    opened.page.locator("#consent").check()
    opened.predict(digits.test[50:170])
    opened.predict(digits.test[170:180])
    after = opened.ask("window.sanderling.flush()")

    assert before == {"sent": 0, "left": 0}
    assert after == {"sent": 1, "left": 0}
    [record] = mailbox.records
    assert record.device.startswith("browser-")
    assert (record.model, record.samples) == ("digits", 130)
    native = counted(bundled / "package", digits, slice(50, 180))
    assert {name: s.counts for name, s in record.sketches.items()} == native
    assert record.latency_ms.count == 2


def counted(folder: Path, digits: Any, items: slice) -> dict[str, list[int]]:
    """The counts that the profiler makes here, on the outputs of onnxruntime here."""
    manifest = Manifest.parse((folder / "manifest.json").read_text())
    profile = Profile.parse((folder / "profile.json").read_text())
    profiler = Profiler(manifest, profile, "desktop")
    images = digits.test[items]
    shares = digits.answers(images)
    profiler.observe(
        {"image": Tensor(images.shape, images.reshape(-1).tolist())},
        {"probabilities": Tensor(shares.shape, shares.reshape(-1).tolist())},
        1.0,
    )
    record = profiler.close()
    assert record is not None
    return {name: sketch.counts for name, sketch in record.sketches.items()}


def test_consent_taken_back_stops_the_sending(opened: Visit, mailbox: Mailbox, digits: Any) -> None:
    opened.page.locator("#consent").check()
    opened.page.locator("#consent").uncheck()
    sent = len(mailbox.records)

    opened.predict(digits.test[:5])

    assert opened.ask("window.sanderling.flush()") == {"sent": 0, "left": 0}
    assert len(mailbox.records) == sent
    kept = opened.ask("Object.keys(localStorage)")  # of engines it may remember what it tried
    assert [name for name in kept if not name.startswith("sanderling engine ")] == []


STROKES = {
    0: [[(0.5 + 0.22 * np.sin(a), 0.5 - 0.36 * np.cos(a)) for a in np.linspace(0, 2 * np.pi, 24)]],
    1: [[(0.42, 0.3), (0.52, 0.15), (0.52, 0.85)]],
    7: [[(0.28, 0.15), (0.7, 0.15), (0.58, 0.45), (0.42, 0.85)]],
}


def draw(page: "Page", strokes: list[list[tuple[float, float]]]) -> None:
    box = page.locator("#pad").bounding_box()
    assert box is not None
    for stroke in strokes:
        places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in stroke]
        page.mouse.move(*places[0])
        page.mouse.down()
        for place in places[1:]:
            page.mouse.move(*place, steps=4)
        page.mouse.up()


@pytest.mark.parametrize("digit", STROKES)
def test_a_drawn_digit_is_read(opened: Visit, digit: int) -> None:
    page = opened.page
    page.locator("#clear").click()

    draw(page, STROKES[digit])
    page.locator("#bars li.best").wait_for()

    shares = [float(share.rstrip(" %")) for share in page.locator("#bars .share").all_inner_texts()]
    assert sum(shares) == pytest.approx(100, abs=0.6)  # ten numbers rounded to 0.1
    page.get_by_role("status").filter(has_text=str(digit)).wait_for(timeout=WAIT_MS)
    page.locator("#clear").click()
    assert page.locator("#verdict").inner_text() == "\N{EN DASH}"


def test_a_digit_can_be_drawn_with_the_keyboard(opened: Visit) -> None:
    page = opened.page
    page.locator("#clear").click()
    page.locator("#pad").focus()

    for key in ["ArrowUp"] * 6 + [" "] + ["ArrowDown"] * 12 + [" "]:
        page.keyboard.press(key)

    page.get_by_role("status").filter(has_text="1").wait_for(timeout=WAIT_MS)
    page.keyboard.press("Escape")
    assert page.locator("#verdict").inner_text() == "\N{EN DASH}"


def test_an_answer_to_what_was_cleared_meanwhile_is_not_shown(opened: Visit) -> None:
    page = opened.page
    example = page.get_by_role("button", name="Example 4", exact=True).element_handle()

    # in one task: the answer cannot come before the clearing
    page.evaluate("one => { one.click(); document.getElementById('clear').click(); }", example)
    page.get_by_role("button", name="Example 2", exact=True).click()
    page.get_by_role("status").filter(has_text="1").wait_for(timeout=WAIT_MS)
    page.evaluate("one => { one.click(); document.getElementById('clear').click(); }", example)
    page.wait_for_timeout(500)  # many times as long as an answer takes

    assert page.locator("#verdict").inner_text() == "\N{EN DASH}"


def test_an_example_is_classified_with_one_click(opened: Visit) -> None:
    page = opened.page

    page.get_by_role("button", name="Example 4", exact=True).click()  # one golden input a digit

    page.get_by_role("status").filter(has_text="3").wait_for(timeout=WAIT_MS)


def test_the_runtime_is_the_same_files_in_the_browser(opened: Visit, web: Path) -> None:
    # a fresh interpreter, so that nothing the page imported itself can help; some modules are for
    # devices and need what only bundles with packages bring: the whole of Python's library
    script = """async ([library, info]) => {
      const folder = new URL("python/", document.baseURI).href;
      const { loadPyodide } = await import(`${folder}pyodide.mjs`);
      const python = await loadPyodide({
        indexURL: folder, stdLibURL: `${folder}stdlib.zip`, packageBaseUrl: folder,
        lockFileContents: { info, packages: {} },
      });
      const bytes = Uint8Array.from(atob(library), c => c.charCodeAt(0));
      python.FS.writeFile("/lib/library.zip", bytes);
      return python.runPython(`
import importlib, json, pkgutil, sys
import edge_targets.runtime.bridge
sys.path.append("/lib/library.zip")
import edge_targets.runtime as runtime
found = [m.name for m in pkgutil.walk_packages(runtime.__path__, "edge_targets.runtime.")]
failed = {}
for name in found:
    try:
        importlib.import_module(name)
    except Exception as error:
        failed[name] = repr(error)
json.dumps([found, failed, sys.modules["edge_targets"].__file__])
`);
    }"""
    library = base64.b64encode((web / "python" / "library.zip").read_bytes()).decode()

    lock = json.loads((web / "parts.json").read_text())["lock"]

    found, failed, origin = json.loads(opened.ask(script, [library, lock]))

    here = sorted(path.stem for path in (ROOT / "runtime").glob("*.py"))
    assert set(here) - {"__init__"} <= {name.rpartition(".")[2] for name in found}
    assert "edge_targets.runtime.engines.onnx" in found
    assert failed == {}
    assert origin == "/lib/python314.zip/edge_targets/__init__.pyc"


def test_no_other_host_is_asked_and_nothing_complains(opened: Visit, digits: Any) -> None:
    opened.predict(digits.test[:1])

    assert {urlsplit(url).netloc for url in opened.requests} == {urlsplit(opened.address).netloc}
    assert opened.complaints == []


def test_a_bundle_lives_under_a_sub_path_with_its_own_collector(
    chromium: "Browser", bundled: Path, hosting: Callable[[Any], str], digits: Any, tmp_path: Path
) -> None:
    from starlette.applications import Starlette
    from starlette.routing import Mount

    from toolkit.serving import bundle_app
    from toolkit.telemetry import receiver
    from toolkit.telemetry.store import Store

    site = bundle_app(bundled, receiver.routes(Store(tmp_path)))
    address = f"{hosting(Starlette(routes=[Mount('/shared/demo', site)]))}/shared/demo/"
    seen = visit(chromium, address)
    seen.ask("window.sanderling.ready")

    seen.page.locator("#consent").check()
    seen.predict(digits.test[:7])

    assert seen.ask("window.sanderling.flush()") == {"sent": 1, "left": 0}
    assert all(url.startswith(address) for url in seen.requests)
    assert seen.complaints == []
    seen.page.close()


@pytest.mark.parametrize(
    "name", ["package/model.onnx", "package/golden.json", "package/manifest.json"]
)
def test_a_package_that_was_touched_is_refused_in_words(
    name: str, chromium: "Browser", serving: Serving, bundled: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(bundled, copy)
    touch(copy, name)

    seen = visit(chromium, serving(copy))
    told = seen.ask("window.sanderling.ready.then(() => 'believed', error => error.message)")

    assert told.startswith(f"{name} is not the file that was bundled")
    assert seen.page.locator("#failure").inner_text().startswith(told)
    seen.page.close()


@pytest.mark.parametrize("name", ["bundle.json", "bundle.sig"])
def test_a_list_that_is_not_as_it_was_signed_is_refused(
    name: str, chromium: "Browser", serving: Serving, bundled: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(bundled, copy)
    index = json.loads((copy / "bundle.json").read_text())
    if name == "bundle.json":
        index["telemetry"]["url"] = "https://elsewhere.example/v1/records"
        (copy / name).write_text(json.dumps(index, indent=1, sort_keys=True) + "\n")
    else:
        (copy / name).write_bytes(signature_of(SigningKey.from_seed(bytes(32)), b"another"))
    for packed in ("br", "gz"):
        (copy / f"bundle.json.{packed}").unlink(missing_ok=True)

    seen = visit(chromium, serving(copy))
    told = seen.ask("window.sanderling.first.then(() => 'believed', error => error.message)")

    assert told == "bundle.json is not as it was signed."
    assert seen.requests == [url for url in seen.requests if not url.endswith(".onnx")]
    seen.page.close()


def test_outputs_that_differ_from_the_packed_ones_are_refused(
    chromium: "Browser", serving: Serving, package: Path, tmp_path: Path
) -> None:
    strict = repacked(package, tmp_path, tolerance=-1.0)  # no answer can be as near as that
    bundle(strict, tmp_path / "out", KEY, [KEY.public])

    seen = visit(chromium, serving(tmp_path / "out"))
    told = seen.ask("window.sanderling.ready.then(() => 'believed', error => error.message)")

    assert "answers its golden inputs" in told
    seen.page.close()


def touch(folder: Path, name: str) -> None:
    """Turn one bit in the middle of a file, and in no copy of it beside."""
    file = folder / name
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    for packed in ("br", "gz"):
        (folder / f"{name}.{packed}").unlink(missing_ok=True)


def repacked(package: Path, folder: Path, **changes: Any) -> Path:
    """A package with another manifest, signed anew."""
    manifest = unpack(package, folder / "members", [KEY.public])
    members = {name: (folder / "members" / name).read_bytes() for name in manifest.files}
    pack(replace(manifest, **changes), members, KEY, folder / "changed.sndl")
    return folder / "changed.sndl"
