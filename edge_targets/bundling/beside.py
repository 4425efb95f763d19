"""Every file once more in fewer bytes, for hosts that offer what is compressed already."""

import gzip
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from edge_targets.runtime.errors import UnsupportedError
from edge_targets.runtime.events import Job

ENCODINGS = {".br": "br", ".gz": "gzip"}  # the better first; as HTTP calls them
WORTH = 256  # bytes: less is one network packet in any case
PACKED = (".br", ".gz", ".png", ".jpg", ".webp")
BEST, QUICK = 11, 9  # of brotli's qualities; 11 takes a second for each megabyte
GZIP = 6  # of 9: a third of the time for 0.5 % more bytes, for hosts that know no brotli
LARGE = 16 << 20  # bytes: from here on 9, which takes a fifth of the time for 2 % more bytes
CHUNK = 1 << 20  # bytes between two looks at whether the job was cancelled


class Compressor(Protocol):
    """As of brotli: what it gives back is to be joined."""

    def process(self, data: bytes) -> bytes: ...
    def finish(self) -> bytes: ...


def write_beside(
    folder: Path, names: Sequence[str], sources: Mapping[str, Path], job: Job
) -> dict[str, int]:
    """Write X.br and X.gz beside each X where they are smaller; their sizes by name.

    The file that X was copied from, where it is in `sources`, may have a copy beside it already.

    Raises:
        UnsupportedError: the package that compresses is not installed.
    """
    sizes = {}
    for name in job.track(names, "compress the files"):
        path = folder / name
        data = path.read_bytes()
        if len(data) < WORTH or path.suffix in PACKED:
            continue
        for suffix in ENCODINGS:
            there = path.with_name(path.name + suffix)
            if ready := _ready(sources.get(name), suffix, data):
                shutil.copyfile(ready, there)
            else:
                there.write_bytes(compressed(data, suffix, job))
            size = there.stat().st_size
            if size < len(data):
                sizes[f"{name}{suffix}"] = size
            else:
                there.unlink()
    return sizes


def _ready(source: Path | None, suffix: str, data: bytes) -> Path | None:
    """The compressed copy beside a source; None where it has none, or is not of these bytes."""
    if source is None:
        return None
    beside = source.with_name(source.name + suffix)
    return beside if beside.is_file() and source.read_bytes() == data else None


def compressed(data: bytes, suffix: str, job: Job) -> bytes:
    if suffix == ".gz":
        return gzip.compress(data, GZIP, mtime=0)  # else no two runs gave the same bytes
    return b"".join(_brotli(data, job))


def _brotli(data: bytes, job: Job) -> Iterator[bytes]:
    try:
        import brotli
    except ImportError as error:
        raise UnsupportedError(
            "The package that compresses bundles is missing.", "pip install 'sanderling[browser]'"
        ) from error
    packer: Compressor = brotli.Compressor(quality=QUICK if len(data) > LARGE else BEST, lgwin=24)
    for start in range(0, len(data), CHUNK):
        job.step("compress the files", start, len(data))
        yield packer.process(data[start : start + CHUNK])
    yield packer.finish()
