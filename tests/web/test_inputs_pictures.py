"""A picture that a person gives becomes the very numbers that training made of it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.web import kinds
from tests.web.asking import Visiting, visitors
from tests.web.scripts import WAIT_MS
from toolkit.data.sources.image_folder import pixels


@pytest.fixture(scope="module")
def visiting(
    web: Path, serving: Callable[..., str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Visiting]:
    with visitors(web, serving, tmp_path_factory.mktemp("kinds")) as visit:
        yield visit


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
