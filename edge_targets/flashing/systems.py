"""Which system an image holds, as its boot partition tells."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edge_targets.flashing.boot import boot_partition, edited
from edge_targets.flashing.fat import Fat
from edge_targets.flashing.sources import in_chunks, unpacked
from edge_targets.flashing.table import read_table
from edge_targets.runtime.errors import DataError, UnknownNameError, UnsupportedError
from edge_targets.runtime.events import Job

PYTHONS: Final[Mapping[str, str]] = {"bookworm": "3.11", "trixie": "3.13"}
BOOKWORM = "2023-10-10"  # when Raspberry Pi OS changed to it
KERNELS_32 = {"kernel.img", "kernel7.img", "kernel7l.img"}  # a 64-bit image brings none of them


@dataclass(frozen=True)
class Found:
    """What an image holds: "bookworm" or "trixie", its Python, and whether it has 64 bits."""

    system: str
    python: str
    wide: bool


def look(image: Path, job: Job, system: str = "") -> Found:
    """Unpack the image as far as its boot partition goes, and tell what it holds.

    Raises:
        DataError: it is no image, or has no boot partition that we know.
        UnknownNameError: no system goes by this name.
    """
    found: list[Found] = []
    with unpacked(image) as pieces:
        chunks = in_chunks(pieces)
        first = next(chunks, b"")
        boot = boot_partition(read_table(first, image), image)
        stream = (piece for part in ([first], chunks) for piece in part)
        with edited(stream, boot, lambda path: found.append(found_in(Fat(path), system)), job):
            return found[0]


def found_in(fat: Fat, system: str = "") -> Found:
    """The same of a boot partition; `system` overrules what it tells."""
    if system and system not in PYTHONS:
        raise UnknownNameError("system", system, tuple(PYTHONS))
    names = fat.names()
    if not system:
        system = _guess(fat, names)
    return Found(system, PYTHONS[system], not names & KERNELS_32)


def _guess(fat: Fat, names: frozenset[str]) -> str:
    if {"user-data", "meta-data"} <= names:
        return "trixie"
    if not {"cmdline.txt", "config.txt"} <= names:
        raise DataError(
            "The boot partition is not that of a Raspberry Pi OS.",
            f"Give such an image, or say what it is: --system {' or '.join(PYTHONS)}.",
        )
    if "issue.txt" in names:
        text = fat.read("issue.txt").decode("ascii", "replace")
        made = re.search(r"\b20\d\d-\d\d-\d\d\b", text)
        if made and made[0] < BOOKWORM:
            raise UnsupportedError(
                f"The image is of {made[0]}, older than Bookworm.",
                "Take a newer one: its Python is too old for the agent.",
            )
    return "bookworm"
