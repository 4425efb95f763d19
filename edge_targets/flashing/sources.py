"""Unpack a downloaded image, piece by piece and in bounded memory.

What a file is shows in its first bytes (its magic number), not in its name: raw, gzip (RFC 1952),
xz, Zstandard (RFC 8878), or a ZIP archive with one image in it.
"""

import gzip
import lzma
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from edge_targets.runtime.errors import DataError, UnsupportedError

CHUNK = 4 << 20  # bytes: the erase block of many cards; a multiple of any sector
MAX_MEMORY = 256 << 20  # bytes: `xz -9` needs 65 MiB to unpack, `zstd --long` 128 MiB
ZSTD_INPUT = 256  # bytes: 4 of them can stand for a block of 128 KiB, so these for 8 MiB
MAX_DIRECTORY = 1 << 20  # bytes: the table of contents of a ZIP file with one image takes 100
ZIP_END = struct.Struct("<4s4H2LH")  # "end of central directory", the last thing in a ZIP file
DAMAGED = "It is damaged or cut short: get it again."
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # the others unpack without a bound


@contextmanager
def unpacked(image: Path) -> Iterator[Iterator[bytes]]:
    """The bytes of the image in pieces of any size.

    Raises:
        DataError: it cannot be read or unpacked; the pieces raise it too.
        UnsupportedError: it is packed in a way that we do not unpack.
    """
    try:
        file = image.open("rb")
    except OSError as error:
        raise DataError(f"{image} cannot be read: {error.strerror}.", "Check the path.") from error
    with file:
        yield _pieces(image, file)


def packed_size(image: Path) -> int:
    """Bytes that unpacking gives, as far as it is known before: 0 when it is not."""
    try:
        with image.open("rb") as file:
            packed = _unpacker(file.read(6)) is not _raw
        return 0 if packed else image.stat().st_size
    except OSError:
        return 0


def in_chunks(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The same bytes in chunks of exactly `CHUNK`, but for the last."""
    pending = bytearray()
    for piece in pieces:
        pending += piece
        while len(pending) >= CHUNK:
            yield bytes(pending[:CHUNK])
            del pending[:CHUNK]
    if pending:
        yield bytes(pending)


def _pieces(image: Path, file: IO[bytes]) -> Iterator[bytes]:
    foreign = (OSError, EOFError, RuntimeError, lzma.LZMAError, zlib.error, zipfile.BadZipFile)
    try:
        unpack = _unpacker(file.read(6))
        file.seek(0)
        yield from unpack(file)
    except foreign as error:
        raise DataError(f"{image} cannot be unpacked: {error}.", DAMAGED) from error


def _unpacker(magic: bytes) -> Callable[[IO[bytes]], Iterator[bytes]]:
    known = {
        b"\x1f\x8b": _gunzip,
        b"\xfd7zXZ\0": _unxz,
        b"\x28\xb5\x2f\xfd": _unzstd,
        b"PK\x03\x04": _unzip,
    }
    return next((way for start, way in known.items() if magic.startswith(start)), _raw)


def _raw(file: IO[bytes]) -> Iterator[bytes]:
    yield from iter(lambda: file.read(CHUNK), b"")


def _gunzip(file: IO[bytes]) -> Iterator[bytes]:
    with gzip.GzipFile(fileobj=file) as inside:
        yield from iter(lambda: inside.read(CHUNK), b"")


def _unxz(file: IO[bytes]) -> Iterator[bytes]:
    """Also files of several streams, as `cat` makes them."""
    decoder = lzma.LZMADecompressor(memlimit=MAX_MEMORY)
    data = file.read(CHUNK)
    while True:
        if decoder.eof:
            # zeros may follow a stream, as padding
            data = decoder.unused_data.lstrip(b"\0") or file.read(CHUNK).lstrip(b"\0")
            if not data:
                return
            decoder = lzma.LZMADecompressor(memlimit=MAX_MEMORY)
        elif decoder.needs_input and not data:
            data = file.read(CHUNK)
            if not data:
                raise EOFError("the end is missing")
        yield decoder.decompress(data, max_length=CHUNK)
        data = b""


def _unzstd(file: IO[bytes]) -> Iterator[bytes]:
    import zstandard

    decoder = zstandard.ZstdDecompressor(max_window_size=MAX_MEMORY)
    frame, started, data = decoder.decompressobj(), False, b""
    try:
        while data := data or file.read(ZSTD_INPUT):
            if frame.eof:
                frame = decoder.decompressobj()
            started = True
            yield frame.decompress(data)
            data = frame.unused_data if frame.eof else b""
    except zstandard.ZstdError as error:
        raise EOFError(str(error)) from error
    if started and not frame.eof:
        raise EOFError("the end is missing")


def _unzip(file: IO[bytes]) -> Iterator[bytes]:
    _check_directory(file)
    with zipfile.ZipFile(file) as archive:
        images = [item for item in archive.infolist() if item.filename.lower().endswith(".img")]
        if len(images) != 1:
            raise DataError(
                f"The ZIP file holds {len(images)} images (.img); one is needed.",
                "Unpack it, and give the image you mean.",
            )
        if images[0].flag_bits & 1 or images[0].compress_type not in METHODS:
            raise UnsupportedError(
                f"{images[0].filename} is encrypted or packed in an unusual way.",
                "Unpack the ZIP file, and give the image in it.",
            )
        with archive.open(images[0]) as inside:  # checks its CRC at the end
            yield from iter(lambda: inside.read(CHUNK), b"")


def _check_directory(file: IO[bytes]) -> None:
    """The table of contents is read whole by `zipfile`: look at its size first."""
    size = file.seek(0, 2)
    file.seek(max(0, size - ZIP_END.size - 0xFFFF))  # a comment may follow it
    tail = file.read()
    file.seek(0)
    at = tail.rfind(b"PK\5\6")
    if at < 0 or at + ZIP_END.size > len(tail):
        raise zipfile.BadZipFile("the end is missing")
    directory = ZIP_END.unpack_from(tail, at)[5]
    if directory > MAX_DIRECTORY:
        raise zipfile.BadZipFile(f"its table of contents has {directory} bytes")
