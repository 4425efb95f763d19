"""A sound that a person gives becomes the very clip that training made of it."""

import wave
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.web import packages
from tests.web.asking import Visiting, visitors
from tests.web.scripts import WAIT_MS
from toolkit.data.audio import of_length, read_wav, resampled


@pytest.fixture(scope="module")
def visiting(
    web: Path, serving: Callable[..., str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Visiting]:
    with visitors(web, serving, tmp_path_factory.mktemp("kinds")) as visit:
        yield visit


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
