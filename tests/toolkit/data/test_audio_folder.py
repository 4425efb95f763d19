"""Folders of sounds: what becomes of a clip, whose it is, and which folders are refused."""

import contextlib
import struct
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal  # type: ignore[import-untyped]

from edge_targets.runtime.errors import DataError
from edge_targets.runtime.events import QUIET, Event, Job
from toolkit import shelf
from toolkit.data import Dataset
from toolkit.data.audio import of_length, read_wav, resampled
from toolkit.data.sources import source_for
from toolkit.data.sources.audio_folder import AudioFolder
from toolkit.workspace import Workspace

Array = np.ndarray[Any, Any]
SPOKEN = Path(__file__).resolve().parents[3].parent / "shared" / "data" / "spoken_digits"


def tone(frequency: float = 440, seconds: float = 0.5, rate: int = 8000) -> Array:
    return 0.5 * np.sin(2 * np.pi * frequency * np.arange(round(seconds * rate)) / rate)


def wav(values: Array, rate: int = 8000, coding: int = 1, bits: int = 16) -> bytes:
    """A file as other programs write it; several columns are channels."""
    channels = 1 if values.ndim == 1 else values.shape[1]
    flat = values.reshape(-1)
    if coding == 3:
        data = flat.astype(f"<f{bits // 8}").tobytes()
    elif bits == 8:
        data = np.clip(np.rint(flat * 128 + 128), 0, 255).astype(np.uint8).tobytes()
    else:
        most = 2 ** (bits - 1)
        whole = np.clip(np.rint(flat * most), -most, most - 1).astype("<i4")
        data = whole.view(np.uint8).reshape(-1, 4)[:, : bits // 8].tobytes()
    frame = channels * bits // 8
    style = struct.pack("<HHIIHH", coding, channels, rate, rate * frame, frame, bits)
    return riff((b"fmt ", style), (b"LIST", b"odd"), (b"data", data))


def riff(*chunks: tuple[bytes, bytes]) -> bytes:
    body = b"".join(
        kind + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)
        for kind, data in chunks
    )
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WAVE" + body


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Ten clips of each of two words, five by each of two speakers, as Spoken Digits names them."""
    place = tmp_path / "words"
    place.mkdir()
    for label, frequency in (("no", 300), ("yes", 900)):
        for speaker in ("ann", "bob"):
            for index in range(5):
                file = place / f"{label}_{speaker}_{index}.wav"
                file.write_bytes(wav(tone(frequency + index)))
    return place


@pytest.fixture
def classes(tmp_path: Path) -> Path:
    """The same kind of clips with a folder a class, as Speech Commands names them."""
    place = tmp_path / "classes"
    for label in ("no", "yes"):
        (place / label).mkdir(parents=True)
        for index in range(6):
            name = f"{'ab'[index % 2]}c0ffee_nohash_{index}.wav"
            (place / label / name).write_bytes(wav(tone(300 + index)))
    return place


def dataset(folder: Path, **parameters: Any) -> Dataset:
    return AudioFolder(**parameters).dataset("sounds", str(folder), None, QUIET)


def refused(folder: Path, **parameters: Any) -> DataError:
    with pytest.raises(DataError) as caught:
        dataset(folder, **parameters)
    assert caught.value.hint
    return caught.value


def test_a_folder_with_sounds_in_it_is_an_audio_folder(folder: Path, classes: Path) -> None:
    assert source_for(str(folder)) == "audio_folder"
    assert source_for(str(classes)) == "audio_folder"


def test_a_folder_without_is_one_of_images(tmp_path: Path) -> None:
    (tmp_path / "pictures" / "cat").mkdir(parents=True)

    assert source_for(str(tmp_path / "pictures")) == "image_folder"


def test_names_say_class_and_speaker(folder: Path) -> None:
    data = dataset(folder)

    assert data.labels == ("no", "yes")
    assert data.inputs.shape == (20, 1, 8000)
    assert data.inputs.dtype == np.float32
    assert data.targets.tolist() == [0] * 10 + [1] * 10
    assert data.groups is not None
    assert data.groups.tolist() == (["ann"] * 5 + ["bob"] * 5) * 2


def test_the_signature_says_the_sample_rate(folder: Path) -> None:
    [spec] = dataset(folder, sample_rate=16_000, seconds=0.25).signature().inputs

    assert (spec.name, spec.shape, spec.dtype) == ("audio", (-1, 1, 4000), "float32")
    assert spec.unit == "-1 to 1 at 16000 Hz"


def test_a_folder_a_class_is_read_with_the_speakers_in_the_names(classes: Path) -> None:
    data = dataset(classes)

    assert data.labels == ("no", "yes")
    assert data.groups is not None
    assert set(data.groups) == {"ac0ffee", "bc0ffee"}


def test_clips_that_do_not_say_whose_they_are_have_no_groups(classes: Path) -> None:
    (classes / "no" / "door.wav").write_bytes(wav(tone()))

    assert dataset(classes).groups is None
    assert "door.wav" in str(refused(classes, split="group"))
    assert "door.wav" in str(refused(classes, test_below=1))


def test_the_datas_own_test_part_is_kept(folder: Path) -> None:
    data = dataset(folder, test_below=2)

    assert data.split.reshape(4, 5)[:, :2].tolist() == [[2, 2]] * 4
    assert (data.split.reshape(4, 5)[:, 2:] < 2).all()
    assert [data.count(part) for part in ("train", "validation", "test")] == [10, 2, 8]


def test_a_test_part_that_leaves_nothing_to_learn_from_is_refused(folder: Path) -> None:
    assert "too few" in str(refused(folder, test_below=5))


def test_a_class_that_is_all_test_part_is_refused(folder: Path) -> None:
    (folder / "maybe_ann_0.wav").write_bytes(wav(tone()))

    assert "outside the test part" in str(refused(folder, test_below=1))


def test_two_ways_to_choose_the_test_part_are_one_too_many(folder: Path) -> None:
    assert "test_below" in str(refused(folder, test_below=2, split="group"))


def test_a_split_by_speaker_keeps_each_in_one_part(folder: Path) -> None:
    for index in range(5):
        (folder / f"no_cyd_{index}.wav").write_bytes(wav(tone()))

    data = dataset(folder, split="group", validation_share=0.3, test_share=0.3)

    assert data.groups is not None
    for speaker in ("ann", "bob", "cyd"):
        assert len(set(data.split[data.groups == speaker])) == 1


@pytest.mark.parametrize("parameters", [{"split": "time"}, {"split_column": "speaker"}])
def test_sounds_have_no_column_to_split_by(folder: Path, parameters: dict[str, str]) -> None:
    assert "split=group" in refused(folder, **parameters).hint


def test_groups_survive_the_workspace_and_stand_beside_unknown_ones(
    folder: Path, classes: Path, workspace: Workspace
) -> None:
    (classes / "no" / "door.wav").write_bytes(wav(tone()))
    known, unknown = dataset(folder), dataset(classes)

    shelf.save_dataset(workspace, known, "data add", {})
    again = shelf.dataset(workspace, "sounds")
    both = again.merged(unknown)

    assert known.groups is not None
    assert again.groups is not None
    assert both.groups is not None
    assert again.groups.tolist() == known.groups.tolist()
    assert both.groups.tolist() == [*known.groups.tolist(), *[""] * len(unknown.inputs)]


def test_reading_reports_every_clip(folder: Path, job: Job, events: list[Event]) -> None:
    AudioFolder().read(str(folder), None, job)

    assert [event.done for event in events] == list(range(21))


# what a rounding step of each width is worth
@pytest.mark.parametrize(
    ("coding", "bits", "step"),
    [
        (1, 8, 1 / 128),
        (1, 16, 2.0**-15),
        (1, 24, 2.0**-23),
        (1, 32, 1e-7),
        (3, 32, 1e-7),
        (3, 64, 1e-7),
    ],
)
def test_every_width_gives_the_same_sound(
    tmp_path: Path, coding: int, bits: int, step: float
) -> None:
    file = tmp_path / "clip.wav"
    file.write_bytes(wav(tone(), 8000, coding, bits))

    values, rate = read_wav(file)

    assert rate == 8000
    np.testing.assert_allclose(values, tone(), atol=step)


def test_a_file_of_the_standard_librarys_writer_is_read(tmp_path: Path) -> None:
    file = tmp_path / "clip.wav"
    with wave.open(str(file), "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(11_025)
        writer.writeframes(np.array([0, 16384, -32768], "<i2").tobytes())

    values, rate = read_wav(file)

    assert (values.tolist(), rate) == ([0, 0.5, -1], 11_025)


def test_a_long_name_for_a_plain_format_and_an_unknown_length_are_read(tmp_path: Path) -> None:
    plain = wav(tone())
    head = struct.pack("<HHIIHHHHI", 0xFFFE, 1, 8000, 16_000, 2, 16, 22, 16, 4)
    guid = struct.pack("<H", 1) + bytes.fromhex("000000001000800000aa00389b71")
    data = plain[plain.index(b"data") + 8 :]
    file = tmp_path / "clip.wav"
    stream = riff((b"fmt ", head + guid), (b"data", data))
    file.write_bytes(stream.replace(struct.pack("<4sI", b"data", len(data)), b"data" + b"\xff" * 4))

    np.testing.assert_allclose(read_wav(file)[0], tone(), atol=1e-4)


def test_channels_are_brought_to_their_mean(tmp_path: Path) -> None:
    file = tmp_path / "clip.wav"
    file.write_bytes(wav(np.stack([tone(), np.zeros(4000)], axis=1)))

    np.testing.assert_allclose(read_wav(file)[0], tone() / 2, atol=1e-4)


@pytest.mark.parametrize(("rate", "wanted"), [(16_000, 8000), (44_100, 8000), (8000, 22_050)])
def test_another_rate_gives_the_same_tone(rate: int, wanted: int) -> None:
    found = resampled(tone(700, rate=rate).astype(np.float32), rate, wanted)

    assert len(found) == wanted // 2
    # the ends ring: there the tone begins and stops at once
    inner = slice(wanted // 10, -wanted // 10)
    np.testing.assert_allclose(found[inner], tone(700, rate=wanted)[inner], atol=2e-2)


def test_a_tone_too_high_for_the_new_rate_becomes_silence_and_no_other_tone() -> None:
    found = resampled(tone(6000, rate=16_000).astype(np.float32), 16_000, 8000)

    assert abs(found[400:-400]).max() < 0.01


def test_resampling_agrees_with_scipys(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, 12_000)
    soft = signal.lfilter(*signal.butter(4, 0.2), noise).astype(np.float32)

    found = resampled(soft, 12_000, 8000)

    np.testing.assert_allclose(found[50:-50], signal.resample_poly(soft, 2, 3)[50:-50], atol=2e-3)


def test_a_short_clip_stands_in_silence_and_of_a_long_one_the_loudest_part_is_kept() -> None:
    short = np.ones(3, np.float32)
    long = np.array([0.1, 0, 0, 0.5, -1, 0.5, 0.1], np.float32)

    assert of_length(short, 6).tolist() == [0, 1, 1, 1, 0, 0]
    assert of_length(long, 3).tolist() == [0.5, -1, 0.5]
    assert of_length(long, 7).tolist() == long.tolist()


@given(length=st.integers(1, 40), wanted=st.integers(1, 40))
def test_whatever_the_length_it_becomes_the_one_that_is_wanted(length: int, wanted: int) -> None:
    values = np.linspace(-1, 1, length, dtype=np.float32)

    found = of_length(values, wanted)

    assert len(found) == wanted
    assert set(found.tolist()) <= {0.0, *values.tolist()}


def test_like_takes_rate_length_and_classes_over(folder: Path, classes: Path) -> None:
    old = dataset(folder, sample_rate=4000, seconds=0.2)
    for file in (classes / "yes").iterdir():
        file.unlink()
    (classes / "yes").rmdir()

    new = AudioFolder().dataset("new", str(classes), None, QUIET, old)

    assert new.inputs.shape == (6, 1, 800)
    assert new.labels == ("no", "yes")


def test_a_class_that_like_does_not_have_is_refused_by_name(folder: Path, classes: Path) -> None:
    (classes / "maybe").mkdir()
    (classes / "maybe" / "a_1.wav").write_bytes(wav(tone()))

    with pytest.raises(DataError, match="'maybe'"):
        AudioFolder().dataset("new", str(classes), None, QUIET, dataset(folder))


def test_sounds_cannot_be_read_like_pictures(folder: Path, digits: Dataset) -> None:
    with pytest.raises(DataError) as caught:
        AudioFolder().dataset("new", str(folder), None, QUIET, digits)

    assert caught.value.hint


def damaged() -> dict[str, bytes]:
    whole = wav(tone())
    return {
        "nothing": b"",
        "text": b"this is text, and a good deal of it",
        "cut off in the head": whole[:30],
        "cut off in the sound": whole[:2000],
        "no sound": wav(np.zeros(0)),
        "no sound chunk": riff((b"fmt ", whole[20:36])),
        "sound before its format": riff((b"data", bytes(100))),
        "compressed": whole.replace(struct.pack("<HH", 1, 1), struct.pack("<HH", 0x55, 1), 1),
        "a rate of zero": whole.replace(struct.pack("<I", 8000), struct.pack("<I", 0), 1),
        "not-a-numbers": wav(np.full(100, np.nan), coding=3, bits=32),
    }


@pytest.mark.parametrize("damage", damaged())
def test_a_sound_that_cannot_be_read_is_refused_by_name(folder: Path, damage: str) -> None:
    (folder / "yes_ann_1.wav").write_bytes(damaged()[damage])

    assert str(folder / "yes_ann_1.wav") in str(refused(folder))


def test_a_recording_of_hours_is_refused_without_being_read(folder: Path) -> None:
    head = wav(np.zeros(0)).removesuffix(struct.pack("<I", 0))
    with (folder / "yes_ann_1.wav").open("wb") as file:
        file.write(head + struct.pack("<I", 2_000_000_000))
        file.truncate(2_000_000_000)  # a hole: no disk is used

    assert "longer than 60 seconds" in str(refused(folder))


def test_a_name_that_says_no_class_is_refused(folder: Path) -> None:
    (folder / "noise.wav").write_bytes(wav(tone()))

    assert "noise.wav" in str(refused(folder))


def test_clips_beside_folders_of_clips_are_refused(classes: Path) -> None:
    (classes / "no_ann_1.wav").write_bytes(wav(tone()))

    assert str(classes / "no") in str(refused(classes))


def test_a_class_without_a_sound_is_refused_by_name(classes: Path) -> None:
    (classes / "maybe").mkdir()

    assert str(classes / "maybe") in str(refused(classes))


def test_one_class_only_is_refused(folder: Path) -> None:
    for file in folder.glob("no_*"):
        file.unlink()

    assert "fewer than two classes" in str(refused(folder))


@pytest.mark.parametrize("name", ["none", "file", "empty"])
def test_what_holds_no_sounds_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "empty").mkdir()

    assert str(tmp_path / name) in str(refused(tmp_path / name))


@settings(max_examples=80)
@given(place=st.integers(0, 60), value=st.integers(0, 255), length=st.integers(0, 400))
def test_any_damage_gives_a_sound_or_two_clear_lines(
    tmp_path_factory: pytest.TempPathFactory, place: int, value: int, length: int
) -> None:
    file = tmp_path_factory.getbasetemp() / "damaged.wav"
    whole = bytearray(wav(tone(seconds=0.02)))
    whole[place] = value
    file.write_bytes(whole[:length])

    with contextlib.suppress(DataError):
        values, rate = read_wav(file)
        assert np.isfinite(resampled(values, rate, 8000)).all()


def test_the_spoken_digits_come_with_their_own_test_part() -> None:
    if not SPOKEN.is_dir():
        pytest.skip(f"{SPOKEN.name} is not here")
    few = AudioFolder(sample_rate=4000, seconds=0.2, test_below=5)

    data = few.dataset("spoken", str(SPOKEN), None, QUIET)

    assert data.labels == tuple("0123456789")
    assert (len(data.inputs), data.count("test")) == (2000, 200)
    assert data.groups is not None
    assert set(data.groups[data.split == 2]) == {"george", "jackson", "nicolas", "theo"}
