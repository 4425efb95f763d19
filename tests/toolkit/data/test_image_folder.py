"""Folders of images: what becomes of a picture, and which folders are refused."""

import contextlib
import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from edge_targets.runtime.errors import DataError
from edge_targets.runtime.events import QUIET, Event, Job
from toolkit.data.sources import source_for
from toolkit.data.sources.base import Samples
from toolkit.data.sources.image_folder import ImageFolder, pixels


def picture(colour: tuple[int, int, int] = (255, 0, 0), size: tuple[int, int] = (6, 4)) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", size, colour).save(stream, "PNG")
    return stream.getvalue()


def read(folder: Path, **parameters: Any) -> Samples:
    return ImageFolder(**parameters).read(str(folder), None, QUIET)


def refused(folder: Path, **parameters: Any) -> DataError:
    with pytest.raises(DataError) as caught:
        ImageFolder(**parameters).dataset("pictures", str(folder), None, QUIET)
    assert caught.value.hint
    return caught.value


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three red and three blue pictures."""
    for label, colour in (("red", (255, 0, 0)), ("blue", (0, 0, 255))):
        inner = tmp_path / "pictures" / label
        inner.mkdir(parents=True)
        for number in range(3):
            (inner / f"{number}.png").write_bytes(picture(colour))
    return tmp_path / "pictures"


def test_a_folder_is_an_image_folder(folder: Path) -> None:
    assert source_for(str(folder)) == "image_folder"


def test_every_picture_is_resized_and_keeps_its_colours(folder: Path) -> None:
    samples = read(folder, height=5, width=7)

    assert samples.inputs.shape == (6, 3, 5, 7)
    assert samples.inputs.dtype == np.float32
    assert samples.facts.input.shape == (-1, 3, 5, 7)
    assert samples.facts.labels == ("blue", "red")
    assert samples.targets.tolist() == [0, 0, 0, 1, 1, 1]
    assert samples.inputs[0, :, 2, 3].tolist() == [0, 0, 255]


def test_grey_is_the_brightness_of_a_colour(folder: Path) -> None:
    samples = read(folder, colour="grey")

    assert samples.inputs.shape == (6, 1, 32, 32)
    # ITU-R BT.601: brightness is 0.299 red + 0.587 green + 0.114 blue
    assert samples.inputs[:, 0, 0, 0].tolist() == [29, 29, 29, 76, 76, 76]


def test_sixteen_bits_of_grey_are_not_cut_off(folder: Path) -> None:
    values = np.array([[0, 128 * 257, 255 * 257]], np.uint16)
    Image.fromarray(values).save(folder / "blue" / "0.png")

    samples = read(folder, colour="grey", height=1, width=3)

    assert samples.inputs[0, 0, 0].tolist() == pytest.approx([0, 128, 255], abs=1)


def test_a_palette_picture_with_transparency_is_read(folder: Path) -> None:
    image = Image.new("P", (4, 4))
    image.putpalette([0, 0, 0, 255, 255, 255])
    image.info["transparency"] = bytes([0, 255])
    image.save(folder / "blue" / "0.png")

    assert read(folder).inputs.shape == (6, 3, 32, 32)


def test_reading_reports_every_picture(folder: Path, job: Job, events: list[Event]) -> None:
    ImageFolder().read(str(folder), None, job)

    assert [event.done for event in events] == list(range(7))


def test_what_a_file_manager_hides_is_no_picture(folder: Path) -> None:
    (folder / ".thumbnails").mkdir()
    (folder / ".thumbnails" / "0.png").write_bytes(picture())
    (folder / "red" / "._0.png").write_bytes(b"resource fork")
    (folder / "red" / "notes.txt").write_text("not a picture")

    assert read(folder).facts.labels == ("blue", "red")
    assert len(read(folder).inputs) == 6


def test_an_image_that_is_none_is_refused_by_name(folder: Path) -> None:
    (folder / "red" / "1.png").write_text("this is text")

    assert str(folder / "red" / "1.png") in str(refused(folder))


def test_a_truncated_image_is_refused_by_name(folder: Path) -> None:
    whole = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(whole, "PNG")
    (folder / "blue" / "2.png").write_bytes(whole.getvalue()[:3000])

    assert str(folder / "blue" / "2.png") in str(refused(folder))


def test_one_class_only_is_refused(folder: Path) -> None:
    for file in (folder / "red").iterdir():
        file.unlink()
    (folder / "red").rmdir()

    error = refused(folder)

    assert "fewer than two classes" in str(error)
    assert "folder of its own" in error.hint


def test_a_class_without_a_picture_is_refused_by_name(folder: Path) -> None:
    (folder / "green").mkdir()

    assert str(folder / "green") in str(refused(folder))


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    assert "neither images nor sounds" in str(refused(tmp_path))


def test_a_picture_that_unpacks_to_gigabytes_is_refused(folder: Path) -> None:
    # a header that claims 60,000 x 60,000 pixels, and almost no data
    huge = bytearray(picture())
    huge[16:24] = (60_000).to_bytes(4, "big") * 2
    ihdr = bytes(huge[12:29])
    huge[29:33] = zlib.crc32(ihdr).to_bytes(4, "big")
    (folder / "red" / "0.png").write_bytes(bytes(huge))

    assert str(folder / "red" / "0.png") in str(refused(folder))


@pytest.mark.parametrize("split", ["group", "time"])
def test_images_have_no_column_to_split_by(folder: Path, split: str) -> None:
    assert "split=stratified" in refused(folder, split=split).hint


def test_images_have_no_target_to_choose(folder: Path) -> None:
    with pytest.raises(DataError, match="'kind'"):
        ImageFolder().dataset("pictures", str(folder), "kind", QUIET)


@pytest.mark.parametrize("name", ["none", "file"])
def test_what_cannot_be_listed_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_bytes(b"")

    assert str(tmp_path / name) in str(refused(tmp_path / name))


def half_and_half(orientation: int, form: str) -> bytes:
    """Black left, white right, as a camera stores it that was held in another way."""
    stream = io.BytesIO()
    pixels = np.zeros((16, 16), np.uint8)
    pixels[:, 8:] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010F], exif[0x011A] = "maker", 72.0  # a text and a ratio, as cameras write
    Image.fromarray(pixels).save(stream, form, exif=exif)
    return stream.getvalue()


# Exif 2.32, tag 0x0112: which side of the scene is stored first; 3 is upside down, 6 and 8 lie
@pytest.mark.parametrize(
    ("orientation", "white"), [(1, "right"), (3, "left"), (6, "bottom"), (8, "top")]
)
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_a_picture_is_turned_as_the_camera_was_held(
    folder: Path, orientation: int, white: str, form: str
) -> None:
    (folder / "blue" / "0.png").write_bytes(half_and_half(orientation, form))

    image = read(folder, colour="grey", height=16, width=16).inputs[0, 0]

    sides = {"left": image[:, 1], "right": image[:, -2], "top": image[1], "bottom": image[-2]}
    assert [side for side, values in sides.items() if values.min() > 200] == [white]


@settings(max_examples=100)
@given(
    damage=st.lists(st.tuples(st.integers(0, 60), st.integers(0, 255)), min_size=1, max_size=3),
    form=st.sampled_from(["JPEG", "WEBP"]),
)
def test_a_damaged_note_on_the_turn_costs_no_more_than_the_turn(
    tmp_path_factory: pytest.TempPathFactory, damage: list[tuple[int, int]], form: str
) -> None:
    file = tmp_path_factory.mktemp("pictures", numbered=True) / "0.jpg"
    damaged = bytearray(half_and_half(6, form))
    start = damaged.find(b"MM\0*")
    for place, value in damage:
        damaged[start + place] = value

    file.write_bytes(damaged)

    assert pixels(file, 1, 16, 16).max() > 200


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def hostile() -> dict[str, bytes]:
    whole = picture()
    text = b"words\0\0" + zlib.compress(bytes(2 << 20))
    tiff = io.BytesIO()
    Image.new("L", (4, 4)).save(tiff, "TIFF")
    flat = bytearray(tiff.getvalue())
    width = flat.find(struct.pack("<HH", 256, 4))  # tag 256, a long
    flat[width + 2] = 11  # now a float
    return {
        "a text that unpacks to more than it may": whole[:33] + chunk(b"zTXt", text) + whole[33:],
        "a head that is cut off": whole[:8] + chunk(b"IHDR", whole[16:24]) + whole[33:],
        "a width that is no whole number": bytes(flat),
    }


@pytest.mark.parametrize("damage", hostile())
def test_a_picture_that_breaks_its_own_format_is_refused_by_name(folder: Path, damage: str) -> None:
    (folder / "red" / "1.png").write_bytes(hostile()[damage])

    assert str(folder / "red" / "1.png") in str(refused(folder))


def test_a_program_for_a_printer_is_not_run_whatever_it_is_called(folder: Path) -> None:
    (folder / "red" / "1.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 4 4\n")

    assert "cannot identify" in str(refused(folder))


@settings(max_examples=60)
@given(place=st.integers(0, 90), value=st.integers(0, 255), length=st.integers(8, 200))
def test_any_damage_gives_a_picture_or_two_clear_lines(
    tmp_path_factory: pytest.TempPathFactory, place: int, value: int, length: int
) -> None:
    folder = tmp_path_factory.mktemp("pictures", numbered=True)
    for label in "ab":
        (folder / label).mkdir()
        (folder / label / "0.png").write_bytes(picture())
    damaged = bytearray(picture())
    damaged[min(place, len(damaged) - 1)] = value
    (folder / "a" / "0.png").write_bytes(damaged[:length])

    with contextlib.suppress(DataError):
        assert read(folder).inputs.shape == (2, 3, 32, 32)
