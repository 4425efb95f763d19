"""Samples in a file: a picture, an array, a table, a sound."""

import csv
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edge_targets.runtime.errors import DataError, EdgeError, UnsupportedError
from edge_targets.streams.samples import Sample

PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".ppm", ".webp")
SUFFIXES = (*PICTURES, ".npy", ".csv", ".wav")
MAX_BYTES = 64 << 20  # of a file, before anything of it is read
MAX_PIXELS = 50_000_000  # of a picture, however small its file is


def samples_in(path: Path) -> Iterator[Sample]:
    """Each sample of the file: a picture or a sound is one, a table or an array one a row.

    Raises:
        DataError: it cannot be read.
        UnsupportedError: another kind of file, or what reads it is not installed.
    """
    readers = {".npy": _rows, ".csv": _table, ".wav": _sound} | dict.fromkeys(PICTURES, _picture)
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise UnsupportedError(
            f"{path} is no kind of file that is read here.", f"Give {', '.join(SUFFIXES)}."
        )
    try:
        if path.stat().st_size > MAX_BYTES:
            raise DataError(f"{path} is larger than {MAX_BYTES >> 20} MiB.", "Give smaller files.")
        yield from reader(path)
    except EdgeError:
        raise
    except (OSError, ValueError, EOFError, wave.Error, csv.Error) as error:
        raise DataError(f"{path} cannot be read: {error}.", "Is it whole?") from error


def _rows(path: Path) -> Iterator[Sample]:
    import numpy as np

    array = np.load(path, allow_pickle=False)
    for place, row in enumerate(array if array.ndim else array[None]):
        yield Sample(row, f"{path.name}:{place}")


def _table(path: Path) -> Iterator[Sample]:
    with path.open(newline="") as file:
        for place, row in enumerate(csv.DictReader(file)):
            yield Sample({k: v or None for k, v in row.items()}, f"{path.name}:{place}")


def _sound(path: Path) -> Iterator[Sample]:
    with wave.open(str(path)) as file:
        if file.getsampwidth() != 2:
            raise DataError(f"{path} is not 16 bits a value.", "Save it as 16-bit PCM.")
        data = file.readframes(file.getnframes())
        yield Sample(sound(data, file.getnchannels()), path.name)


def sound(data: bytes, channels: int) -> Any:
    """16-bit little-endian values as numbers from -1 to 1; several channels side by side."""
    import numpy as np

    values = np.frombuffer(data, "<i2").astype(np.float32) / 32768
    return values if channels == 1 else values.reshape(-1, channels)


def _picture(path: Path) -> Iterator[Sample]:
    import numpy as np

    try:
        from PIL import Image
    except ImportError as error:
        raise UnsupportedError(
            "Pillow, which reads pictures, is not installed.", "Install python3-pil."
        ) from error
    with Image.open(path) as picture:
        if picture.width * picture.height > MAX_PIXELS:
            raise DataError(f"{path} has more than {MAX_PIXELS:,} pixels.", "Make it smaller.")
        yield Sample(np.asarray(picture.convert("RGB")), path.name)
