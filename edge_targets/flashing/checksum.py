"""The SHA-256 of a download, given by hand or by a `.sha256` file beside it.

Some sites tell that of the packed file, others that of the image in it: either is taken. A packed
file is hashed before anything is written, so most bad downloads never reach a card.
"""

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

from edge_targets.flashing.sources import CHUNK, packed_size
from edge_targets.runtime.errors import DataError, IntegrityError
from edge_targets.runtime.events import Job

DIGEST = re.compile(r"\b[0-9a-fA-F]{64}\b")
MAX_FILE = 64 << 10  # bytes: a list of the digests of many images


def expected_digest(image: Path, given: str) -> str:
    """What was given, else what a file beside the image says; empty when nothing does."""
    if given:
        if not DIGEST.fullmatch(given.strip()):
            raise DataError(f"{given!r} is no SHA-256.", "It has 64 hexadecimal digits.")
        return given.strip().lower()
    for beside in (image.with_name(f"{image.name}.sha256"), image.with_suffix(".sha256")):
        try:
            with beside.open("rb") as file:
                text = file.read(MAX_FILE).decode("utf-8", "replace")
        except OSError:
            continue
        found = [line for line in text.splitlines() if DIGEST.search(line)]
        named = [line for line in found if image.name in line] or found
        if len(named) != 1:
            raise DataError(
                f"{beside} does not tell which SHA-256 is that of {image.name}.",
                "Give it by hand, or move that file away.",
            )
        return str(DIGEST.findall(named[0])[0]).lower()
    return ""


def check_file(image: Path, expected: str, job: Job) -> bool:
    """Whether the file itself has this digest; where it cannot be that of what is in it, it must.

    Raises:
        IntegrityError: the file is raw, and another.
    """
    digest, size = hashlib.sha256(), image.stat().st_size
    with image.open("rb") as file:
        for at in range(0, size, CHUNK):
            job.step("check image", at, size)
            digest.update(file.read(CHUNK))
    if digest.hexdigest() == expected:
        return True
    if packed_size(image):
        raise _another(image, expected, digest.hexdigest())
    return False


def checking(pieces: Iterator[bytes], image: Path, expected: str) -> Iterator[bytes]:
    """The same pieces; at their end they raise an `IntegrityError` if they are not those expected.

    Whoever writes them must not call them good before that.
    """
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
        yield piece
    if digest.hexdigest() != expected:
        raise _another(image, expected, digest.hexdigest())


def _another(image: Path, expected: str, found: str) -> IntegrityError:
    return IntegrityError(
        f"{image} is not the file whose SHA-256 was given: "
        f"{expected} was expected, it has {found}.",
        "Get it again, and compare with what its site tells.",
    )
