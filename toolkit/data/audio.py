"""Sounds as numbers: WAV files (RIFF, Microsoft and IBM 1991), their rate and their length."""

import math
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from edge_targets.runtime.contract import TensorSpec
from edge_targets.runtime.errors import DataError
from toolkit.data.folders import visible

SUFFIX = ".wav"
LONGEST_S = 60.0  # of one file: more is a recording to be cut, not a clip
LARGEST = 64 << 20  # bytes of one file that are read, whatever its head makes of them
RATES = range(1000, 1_000_000)  # hertz
PCM, FLOAT, EXTENSIBLE = 1, 3, 0xFFFE  # of a WAV file's format
TO_THE_END = 0xFFFFFFFF  # the size that a program writes which did not know it yet
Floats = NDArray[np.float32]


def audio_spec(rate: int, samples: int) -> TensorSpec:
    """A clip with one channel; the rate is a part of the unit: at another one it is another."""
    unit = f"-1 to 1 at {rate} Hz"
    return TensorSpec("audio", (-1, 1, samples), meaning="sound pressure", unit=unit)


def sample_rate_of(spec: TensorSpec) -> int:
    """In hertz; 0 when `spec` is no sound."""
    found = re.search(r" at (\d+) Hz$", spec.unit)
    return int(found[1]) if spec.name == "audio" and found else 0


def holds_sounds(location: str) -> bool:
    """Whether `location` is a folder with .wav files in it, or in a folder inside it."""
    folder = Path(location)
    if not folder.is_dir():
        return False
    inner = (place for place in visible(folder) if place.is_dir())
    return any(sounds(folder)) or any(any(sounds(place)) for place in inner)


def sounds(folder: Path) -> Iterator[Path]:
    return (f for f in visible(folder) if f.suffix.lower() == SUFFIX and not f.is_dir())


def read_wav(file: Path) -> tuple[Floats, int]:
    """The mean of the channels, -1 to 1, shape (samples,), and the sample rate.

    Raises:
        DataError: the file is damaged, empty, too long, or compressed.
    """
    try:
        with file.open("rb") as stream:
            return decoded(stream, file)
    except OSError as error:
        raise damaged(file, str(error)) from error
    except struct.error as error:
        raise damaged(file, "it ends too early") from error


def decoded(stream: BinaryIO, file: Path) -> tuple[Floats, int]:
    riff, _, wave = struct.unpack("<4sI4s", stream.read(12))
    if (riff, wave) != (b"RIFF", b"WAVE"):
        raise damaged(file, "it is no WAV file")
    style: tuple[int, ...] = ()
    while True:
        kind, size = struct.unpack("<4sI", stream.read(8))
        if kind == b"data" and style:
            return samples_of(stream, file, size, style), style[2]
        if kind == b"fmt ":
            head = stream.read(min(size, 40))
            style = struct.unpack("<HHIIHH", head[:16])
            if style[0] == EXTENSIBLE:  # the format proper begins the long name behind
                style = (*struct.unpack("<H", head[24:26]), *style[1:])
            size -= len(head)
        stream.seek(size + size % 2, 1)


def samples_of(stream: BinaryIO, file: Path, size: int, style: tuple[int, ...]) -> Floats:
    """The data chunk, at which `stream` stands."""
    coding, channels, rate, _, frame, bits = style
    known = bits in {8, 16, 24, 32} if coding == PCM else coding == FLOAT and bits in {32, 64}
    if not known:
        raise DataError(
            f"{file} is stored in a way that is not read (format {coding}, {bits} bits).",
            "Save it as PCM with 8, 16, 24 or 32 bits, or as 32-bit float.",
        )
    if rate not in RATES or not channels or frame != channels * bits // 8:
        raise damaged(file, "its head contradicts itself")
    most = min(int(LONGEST_S * rate) * frame, LARGEST)
    data = stream.read(min(size, most + 1))
    if len(data) > most:
        raise DataError(
            f"{file} is longer than {LONGEST_S:g} seconds.", "Cut it into clips of one sound each."
        )
    if len(data) < size != TO_THE_END:
        raise damaged(file, f"{size} bytes of sound are announced, {len(data)} are there")
    whole = data[: len(data) // frame * frame]
    if not whole:
        raise DataError(f"{file} holds no sound: it is 0 seconds long.", "Take it away.")
    values = numbers(whole, coding, bits).reshape(-1, channels).mean(axis=1, dtype=np.float64)
    if not np.isfinite(values).all():
        raise damaged(file, "it holds values that are no numbers")
    sound: Floats = np.clip(values, -1, 1).astype(np.float32)
    return sound


def numbers(data: bytes, coding: int, bits: int) -> NDArray[np.floating]:
    if coding == FLOAT:
        return np.frombuffer(data, f"<f{bits // 8}")
    if bits == 8:  # the only width without a sign
        return (np.frombuffer(data, np.uint8) - 128.0) / 128
    width = bits // 8
    padded = np.zeros((len(data) // width, 4), np.uint8)
    padded[:, 4 - width :] = np.frombuffer(data, np.uint8).reshape(-1, width)
    return padded.view("<i4")[:, 0] / 2.0**31


def damaged(file: Path, why: str) -> DataError:
    return DataError(
        f"{file} is not a sound that can be read: {why}.",
        "Replace the file or take it out of the folder.",
    )


def resampled(values: Floats, rate: int, wanted: int) -> Floats:
    """At another rate, by way of the spectrum: what the new rate cannot hold is cut off."""
    if rate == wanted or not len(values):
        return values
    # a second copy of silence behind it: the spectrum takes the end for a neighbour of the start
    count = math.ceil(len(values) * wanted / rate)
    step = rate // math.gcd(rate, wanted)
    long = math.ceil(2 * len(values) / step) * step
    spectrum = np.fft.rfft(values, long)
    size = long * wanted // rate
    kept = np.zeros(size // 2 + 1, np.complex128)
    both = min(len(spectrum), len(kept))
    kept[:both] = spectrum[:both]
    found = np.fft.irfft(kept, size)[:count] * (wanted / rate)
    return np.clip(found, -1, 1).astype(np.float32)


def of_length(values: Floats, length: int) -> Floats:
    """Exactly `length` samples: the loudest stretch of a longer clip, silence around a shorter."""
    missing = length - len(values)
    if missing >= 0:
        return np.pad(values, (missing // 2, missing - missing // 2))
    energy = np.concatenate([[0.0], np.cumsum(values.astype(np.float64) ** 2)])
    start = int((energy[length:] - energy[:-length]).argmax())
    return values[start : start + length]
