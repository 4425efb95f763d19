"""Each kind of input in a real Chromium: what a person gives becomes what training made of it."""

import wave
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_targets.bundling import Options, bundle
from edge_targets.package import unpack
from edge_targets.runtime.contract import Manifest
from edge_targets.runtime.events import QUIET
from tests.web import kinds, packages
from toolkit import doctor
from toolkit.browser import FLAGS
from toolkit.data.audio import of_length, read_wav, resampled
from toolkit.data.sources.image_folder import pixels
from toolkit.inference import Runner

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

FAKES = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
WAIT_MS = 20_000

LISTEN = """
const post = Worker.prototype.postMessage;
window.asked = [];
Worker.prototype.postMessage = function (message, ...others) {
  if (message.kind === "predict") window.asked.push(message.words);
  return post.call(this, message, ...others);
};
addEventListener("securitypolicyviolation", (e) => console.log(`csp: ${e.blockedURI}`));
"""
"""Keeps what the page asks its worker."""


@dataclass
class Visit:
    """A page of one kind, and what went on in it."""

    page: "Page"
    manifest: Manifest
    runner: Runner
    complaints: list[str] = field(default_factory=list)

    def choose(self, *files: Path) -> None:
        self.page.locator("#input input[type=file]").set_input_files(files)

    def asked(self, count: int = 1) -> NDArray[np.float32]:
        """The first item of the newest settled question, once there were so many."""
        found = self.page.evaluate(
            """async (count) => {
              const settled = () => window.asked.filter((words) => words.count);
              for (let waited = 0; settled().length < count; waited += 20) {
                const told = document.querySelector(".input-problem")?.textContent;
                if (waited > 20_000 || told) throw new Error(`not asked: ${told}`);
                await new Promise((done) => setTimeout(done, 20));
              }
              const [{ shape, data }] = Object.values(settled().at(-1).inputs);
              return { shape, data: [...data].map((v) => (Number.isNaN(v) ? null : v)) };
            }""",
            count,
        )
        values = [np.nan if value is None else value for value in found["data"]]
        return np.array(values, np.float32).reshape(found["shape"])[0]

    def label(self) -> str:
        """What the page says, once it does."""
        told = self.page.locator("#verdict")
        told.filter(has_not_text="\N{EN DASH}").wait_for(timeout=WAIT_MS)
        return told.inner_text()

    def label_here(self, item: NDArray[np.float32]) -> str:
        shares = self.runner.first_output(item[None], QUIET)
        return self.manifest.signature.labels[int(shares.argmax())]

    def problem(self) -> str:
        told = self.page.locator(".input-problem")
        told.wait_for(timeout=WAIT_MS)
        return told.inner_text()


@pytest.fixture(scope="module")
def launch() -> "Iterator[Callable[..., Browser]]":
    program = doctor.chromium()
    if not program:
        pytest.skip("there is no Chromium here")
    sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    with sync_api.sync_playwright() as playwright:
        yield lambda *more: playwright.chromium.launch(
            executable_path=str(program), args=[*FLAGS, *more]
        )


@pytest.fixture(scope="module")
def capturing(launch: "Callable[..., Browser]") -> "Iterator[Browser]":
    """A browser with a camera that shows a clock, and a microphone that beeps."""
    browser = launch(*FAKES)
    yield browser
    browser.close()


Visiting = Callable[..., Visit]


@pytest.fixture(scope="module")
def sites(
    web: Path, serving: Callable[..., str], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], tuple[str, Path]]:
    """Gives the address and the package of each kind, made when it is first asked for."""
    made: dict[str, tuple[str, Path]] = {}

    def site(kind: str) -> tuple[str, Path]:
        if kind not in made:
            folder = tmp_path_factory.mktemp(kind)
            path = kinds.package(kind, folder)
            key = packages.KEY
            bundle(path, folder / "site", key, [key.public], Options(lite=True), web=web)
            made[kind] = serving(folder / "site"), path
        return made[kind]

    return site


@pytest.fixture
def visiting(
    capturing: "Browser", sites: Callable[[str], tuple[str, Path]], tmp_path: Path
) -> Iterator[Visiting]:
    contexts = []

    def visit(kind: str, browser: "Browser" = capturing, **options: Any) -> Visit:
        address, path = sites(kind)
        manifest = unpack(path, tmp_path / "unpacked", [packages.KEY.public])
        model = (tmp_path / "unpacked" / manifest.model).read_bytes()
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        seen = Visit(page, manifest, Runner(model, manifest.format, manifest.signature))
        page.add_init_script(LISTEN)
        page.on("console", lambda line: seen.complaints.append(line.text))
        page.on("pageerror", lambda error: seen.complaints.append(str(error)))
        page.goto(address)
        page.evaluate("window.sanderling.ready")
        return seen

    yield visit
    for context in contexts:
        context.close()


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


PICTURES: dict[str, Callable[[Any], Any]] = {
    "colour.png": lambda image: image,
    "grey.png": lambda image: image.convert("L"),
    "palette.png": lambda image: image.quantize(16),
    "clear.png": lambda image: half_clear(image),
    "grey_clear.png": lambda image: half_clear(image).convert("LA"),
    "tall.png": lambda image: image.resize((61, 300)),
    "wide.png": lambda image: image.resize((300, 61)),
    "tiny.png": lambda image: image.resize((7, 9)),
    "same.png": lambda image: image.resize((kinds.SIDE, kinds.SIDE)),
    "colour.bmp": lambda image: image,
    "lossless.webp": lambda image: image,
}


def half_clear(image: Any) -> Any:
    from PIL import Image

    shades = np.arange(image.width * image.height, dtype=np.uint8)
    clear = Image.fromarray(shades.reshape(image.height, image.width))
    both = image.copy()
    both.putalpha(clear)
    return both


def photograph() -> Any:
    from PIL import Image

    return Image.fromarray(kinds.photographs()["dahlia"]).crop((100, 50, 420, 350))


def test_a_picture_file_becomes_the_very_numbers_of_training(
    visiting: Visiting, tmp_path: Path
) -> None:
    seen = visiting("picture")

    for count, (name, made) in enumerate(PICTURES.items(), 1):
        file = tmp_path / name
        made(photograph()).save(file, **({"lossless": True} if "lossless" in name else {}))
        seen.choose(file)

        found = seen.asked(count)

        expected = pixels(file, 3, kinds.SIDE, kinds.SIDE)
        assert np.array_equal(found, expected), (name, np.abs(found - expected).max())
    assert seen.label() == seen.label_here(expected)


@pytest.mark.parametrize("sampling", [0, 2], ids=["4:4:4", "4:2:0"])
def test_a_jpeg_is_unpacked_as_here_to_within_a_level(
    sampling: int, visiting: Visiting, tmp_path: Path
) -> None:
    file = tmp_path / "photo.jpg"
    photograph().save(file, quality=85, subsampling=sampling)
    seen = visiting("picture")

    seen.choose(file)
    found = seen.asked()

    expected = pixels(file, 3, kinds.SIDE, kinds.SIDE)
    assert np.abs(found - expected).max() <= 1
    assert seen.label() == seen.label_here(expected)


def test_a_photo_that_notes_its_turn_is_upright(visiting: Visiting, tmp_path: Path) -> None:
    from PIL import Image

    file = tmp_path / "turned.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6  # held on its side
    photograph().save(file, exif=exif, quality=95)
    seen = visiting("picture")

    seen.choose(file)

    assert np.abs(seen.asked() - pixels(file, 3, kinds.SIDE, kinds.SIDE)).max() <= 2


def test_a_dropped_and_a_pasted_picture_are_asked(visiting: Visiting, tmp_path: Path) -> None:
    photograph().save(tmp_path / "photo.png")
    data = list((tmp_path / "photo.png").read_bytes())
    seen = visiting("picture")
    transfer = """data => {
      const transfer = new DataTransfer();
      transfer.items.add(new File([Uint8Array.from(data)], "photo.png", { type: "image/png" }));
      return transfer;
    }"""
    handle = seen.page.evaluate_handle(transfer, data)

    seen.page.dispatch_event("#input", "drop", {"dataTransfer": handle})
    dropped = seen.asked()
    seen.page.evaluate(
        "data => document.dispatchEvent(new ClipboardEvent('paste', { clipboardData: data }))",
        handle,
    )
    pasted = seen.asked(2)

    expected = pixels(tmp_path / "photo.png", 3, kinds.SIDE, kinds.SIDE)
    assert np.array_equal(dropped, expected)
    assert np.array_equal(pasted, expected)


def test_the_camera_is_looked_through_and_let_go(visiting: Visiting) -> None:
    seen = visiting("picture")
    page = seen.page

    page.get_by_role("button", name="Camera").click()
    page.get_by_label("What the camera sees").wait_for(timeout=WAIT_MS)
    looked = page.evaluate(
        """async () => {
          for (let i = 0; i < 500 && window.asked.length < 2; i++) {
            await new Promise((done) => setTimeout(done, 20));
          }
          return window.asked.map((words) => words.count);
        }"""
    )
    page.get_by_role("button", name="Take picture").click()
    taken = seen.asked()

    assert looked[:2] == [False, False]  # looks are not counted
    assert taken.shape == (3, kinds.SIDE, kinds.SIDE)
    assert taken[1].mean() > taken[0].mean() + 50  # the pretended camera shows green
    assert page.get_by_label("What the camera sees").is_hidden()
    assert page.evaluate("document.querySelector('video').srcObject") is None
    assert seen.complaints == []


@pytest.mark.parametrize(
    ("kind", "button", "device"),
    [("picture", "Camera", "camera"), ("sound", "Record", "microphone")],
)
def test_a_device_that_is_refused_or_missing_is_told(
    kind: str,
    button: str,
    device: str,
    visiting: Visiting,
    launch: "Callable[..., Browser]",
) -> None:
    browser = launch()  # without pretended devices
    seen = visiting(kind, browser)

    seen.page.get_by_role("button", name=button).click()
    told = seen.problem()

    assert told.startswith((f"The {device} was refused.", f"There is no {device} here."))
    assert "choose a file" in told
    assert seen.page.get_by_role("button", name=button).is_visible()
    browser.close()


BAD = {
    "words.png": (b"these are words", "words.png is not an image that can be read."),
    "none.jpg": (b"", "none.jpg is empty: it has 0 bytes."),
    "torn.png": (b"\x89PNG\r\n\x1a\n" + bytes(40), "is not an image that can be read."),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_picture_is_refused_in_words(
    name: str, visiting: Visiting, tmp_path: Path
) -> None:
    data, words = BAD[name]
    (tmp_path / name).write_bytes(data)
    seen = visiting("picture")

    seen.choose(tmp_path / name)

    assert words in seen.problem()


def test_a_file_that_is_too_large_is_not_read(visiting: Visiting, tmp_path: Path) -> None:
    with (tmp_path / "huge.png").open("wb") as stream:
        stream.truncate(300 << 20)
    seen = visiting("picture")

    seen.choose(tmp_path / "huge.png")

    assert seen.problem().startswith("huge.png has 300 MB; 64 MB are read.")


SOUNDS = {  # rate, channels, bytes a sample
    "same.wav": (8000, 1, 2),
    "studio.wav": (44_100, 2, 2),
    "half.wav": (22_050, 1, 2),
    "bytes.wav": (11_025, 1, 1),
    "fine.wav": (48_000, 2, 3),
    "odd.wav": (7919, 1, 2),  # a prime
}


def test_a_sound_file_becomes_the_clip_of_training(visiting: Visiting, tmp_path: Path) -> None:
    seen = visiting("sound")
    [spec] = seen.manifest.signature.inputs
    rng = np.random.default_rng(0)

    for count, (name, (rate, channels, width)) in enumerate(SOUNDS.items(), 1):
        seconds = 0.9 if count % 2 else 0.31
        noise = (
            rng.normal(0, 0.1, (int(rate * seconds), channels))
            * np.hanning(int(rate * seconds))[:, None]
        )
        write_wav(tmp_path / name, noise, rate, width)
        seen.choose(tmp_path / name)

        found = seen.asked(count)

        sound = resampled(*read_wav(tmp_path / name), 4000)
        expected = of_length(sound, spec.shape[-1])[None]
        assert np.abs(found - expected).max() <= 1e-6, name
    assert seen.label() == seen.label_here(expected)


def write_wav(file: Path, values: NDArray[np.float64], rate: int, width: int) -> None:
    whole = np.round(values * 2 ** (8 * width - 1)).astype("<i4")
    low = whole + 128 if width == 1 else whole
    raw = low.reshape(-1, 1).view(np.uint8)[:, :width].tobytes()
    with wave.open(str(file), "wb") as stream:
        stream.setparams((values.shape[1], width, rate, 0, "NONE", ""))
        stream.writeframes(raw)


def test_real_words_get_the_labels_of_the_desktop(visiting: Visiting) -> None:
    files = sorted(packages.beside("spoken_digits").glob("*_george_0.wav"))
    seen = visiting("sound")

    for count, file in enumerate(files, 1):
        seen.choose(file)
        found = seen.asked(count)
        expected = of_length(resampled(*read_wav(file), 4000), found.shape[-1])[None]
        assert seen.label_here(found) == seen.label_here(expected), file.name
        seen.page.get_by_role("status").filter(has_text=seen.label_here(expected)).first.wait_for(
            timeout=WAIT_MS
        )


def test_the_microphone_is_heard_and_shown(visiting: Visiting) -> None:
    seen = visiting("sound")
    page = seen.page

    page.get_by_role("button", name="Record").click()
    page.wait_for_timeout(2500)  # the pretended microphone beeps once a second
    drawn = page.evaluate(
        """() => {
          const { width, height } = document.querySelector(".input-spectrogram");
          const context = document.querySelector(".input-spectrogram").getContext("2d");
          const { data } = context.getImageData(0, 0, width, height);
          return [width, height, Math.max(...data.filter((_, i) => i % 4 === 3))];
        }"""
    )
    page.get_by_role("button", name="Stop").click()
    heard = seen.asked()

    assert drawn[0] > 100
    assert drawn[2] > 100  # there was something to be seen while it was recorded
    assert heard.shape[-1] == seen.manifest.signature.inputs[0].shape[-1]
    assert np.abs(heard).max() > 0.1
    assert page.get_by_role("button", name="Play").is_visible()
    assert any(not words for words in page.evaluate("window.asked.map((words) => words.count)"))
    assert seen.complaints == []


def test_a_compressed_sound_is_unpacked_by_the_browser(visiting: Visiting, tmp_path: Path) -> None:
    (tmp_path / "tone.flac").write_bytes(b"fLaC not at all")
    seen = visiting("sound")

    seen.choose(tmp_path / "tone.flac")

    assert "this browser does not know its format" in seen.problem()
    (tmp_path / "torn.wav").write_bytes(b"RIFF\0\0\0\0WAVEfmt ")
    seen.choose(tmp_path / "torn.wav")
    seen.page.get_by_text("it ends too early").wait_for(timeout=WAIT_MS)


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
    assert note.inner_text().startswith("outside what was seen 2")


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


def test_the_photo_of_a_drawn_digit_is_read(visiting: Visiting, tmp_path: Path) -> None:
    from PIL import Image, ImageDraw

    paper = Image.new("L", (640, 480), 225)
    pen = ImageDraw.Draw(paper)
    pen.line([(300, 120), (420, 120), (350, 360)], fill=50, width=26, joint="curve")
    noisy = np.asarray(paper) + np.random.default_rng(0).normal(0, 4, (480, 640))
    Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(tmp_path / "seven.jpg")
    seen = visiting("drawing")

    seen.choose(tmp_path / "seven.jpg")

    assert seen.asked().shape == (1, 8, 8)
    assert seen.label() == "7"
    Image.new("L", (300, 300), 200).save(tmp_path / "blank.png")
    seen.choose(tmp_path / "blank.png")
    assert "There is no drawing to be seen." in seen.problem()
