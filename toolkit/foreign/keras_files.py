"""Keras files, taken apart without Keras: sizes and links are looked at before anything is read.

A `.keras` file is a zip archive of three members; an older `.h5` is an HDF5 file that holds the
architecture as an attribute. HDF5 may point out of the file (external links, external storage,
virtual data sets), and both kinds may unpack to far more than they are.
"""

import io
import json
import math
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_targets.runtime.errors import IntegrityError, UnsupportedError, first_line

CONFIG, WEIGHTS, METADATA = "config.json", "model.weights.h5", "metadata.json"
HDF5 = b"\x89HDF\r\n\x1a\n"
MOST_CONFIG = 16 << 20  # bytes; that of a network of a thousand layers is one megabyte
MOST_WEIGHTS = 800 << 20  # bytes: 100 million numbers in float64
MOST_PARTS = 100_000  # groups and data sets in a file of weights
DAMAGE = (
    OSError, zipfile.BadZipFile, KeyError, ValueError, RuntimeError, EOFError, OverflowError,
)  # fmt: skip
"""What reading a torn archive, or HDF5 that points beyond its end, raises."""
FILTERS = {None, "gzip", "lzf"}  # that HDF5 undoes itself: others are loaded as plugins


@dataclass(frozen=True)
class KerasFile:
    """What a file says, and the file of weights as bytes; `legacy` as Keras 2 and `.h5` have it."""

    config: dict[str, Any]
    metadata: dict[str, str]
    weights: bytes
    legacy: bool


def read_keras(path: Path) -> KerasFile:
    """A file in either form.

    Raises:
        IntegrityError: it is damaged, or points out of itself.
        UnsupportedError: it holds weights without their architecture.
    """
    try:
        if zipfile.is_zipfile(path):
            return read_archive(path)
        return read_hdf5(path.read_bytes(), path)
    except DAMAGE as error:
        raise damaged(path, first_line(error)) from error


def damaged(path: Path, why: str) -> IntegrityError:
    return IntegrityError(f"{path} is damaged: {why}.", "Copy or save the model again.")


def read_archive(path: Path) -> KerasFile:
    with zipfile.ZipFile(path) as archive:
        config = parsed(member(archive, CONFIG, MOST_CONFIG, path), path)
        metadata = parsed(member(archive, METADATA, MOST_CONFIG, path), path)
        if WEIGHTS not in archive.namelist():
            raise UnsupportedError(
                f"{path} keeps its weights in several files.",
                "Save it in one: model.save('model.keras').",
            )
        weights = member(archive, WEIGHTS, MOST_WEIGHTS, path)
    check_hdf5(weights, path)
    return KerasFile(config, texts(metadata), weights, legacy=False)


def member(archive: zipfile.ZipFile, name: str, most: int, path: Path) -> bytes:
    """One file out of the archive, if it is as large as it says and no larger than that."""
    if archive.getinfo(name).file_size > most:
        raise damaged(path, f"{name} would unpack to more than {most >> 20} MB")
    with archive.open(name) as stream:
        data = stream.read(most + 1)
    if len(data) > most:
        raise damaged(path, f"{name} unpacks to more than it says")
    return data


def parsed(text: bytes | str, path: Path) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise damaged(path, f"its description is no JSON ({first_line(error)})") from error
    if not isinstance(found, dict):
        raise damaged(path, "its description is no JSON object")
    return found


def texts(facts: dict[str, Any]) -> dict[str, str]:
    return {str(key): str(value) for key, value in facts.items() if isinstance(value, str | int)}


def read_hdf5(data: bytes, path: Path) -> KerasFile:
    import h5py

    check_hdf5(data, path)
    with h5py.File(io.BytesIO(data), "r") as file:
        config = file.attrs.get("model_config")
        if config is None:
            raise UnsupportedError(
                f"{path} holds weights of a Keras model, and not its architecture.",
                "Save the whole model: model.save('model.keras').",
            )
        if len(config) > MOST_CONFIG:
            raise damaged(path, "its description is too long")
        version = file.attrs.get("keras_version", "")
        version = version.decode() if isinstance(version, bytes) else str(version)
    return KerasFile(parsed(config, path), {"keras_version": version}, data, legacy=True)


def check_hdf5(data: bytes, path: Path) -> None:
    """Refuse what points out of the file, or unpacks to more than a model holds."""
    import h5py

    size = 0
    with h5py.File(io.BytesIO(data), "r") as file:
        for name, dataset in datasets(file, path):
            if dataset.external or dataset.is_virtual:
                raise damaged(path, f"{name!r} is kept in another file")
            if dataset.compression not in FILTERS:
                raise damaged(path, f"{name!r} is packed in a way that Keras does not use")
            size += math.prod(dataset.shape or ()) * dataset.dtype.itemsize
            if size > MOST_WEIGHTS:
                raise damaged(path, f"its weights unpack to more than {MOST_WEIGHTS >> 20} MB")


def datasets(file: Any, path: Path) -> Iterator[tuple[str, Any]]:
    """Every data set with its name; links by name instead of by place are refused."""
    import h5py

    seen, waiting = set(), [("", file["/"])]
    while waiting:
        place, group = waiting.pop()
        for name in group:
            link = group.get(name, getlink=True)
            if not isinstance(link, h5py.HardLink):
                raise damaged(path, f"{name!r} points to another place or file")
            inner = group[name]
            if inner.id in seen:  # a group may hold itself
                continue
            seen.add(inner.id)
            if len(seen) > MOST_PARTS:
                raise damaged(path, f"it has more than {MOST_PARTS:,} parts")
            if isinstance(inner, h5py.Group):
                waiting.append((f"{place}/{name}", inner))
            elif isinstance(inner, h5py.Dataset):
                yield f"{place}/{name}", inner
