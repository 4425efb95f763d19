"""Take the boot partition out of an image that streams by, change it, and put it in its place."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import IO

from edge_targets.flashing.sources import CHUNK
from edge_targets.flashing.table import Partition, Table
from edge_targets.runtime.durable import storing
from edge_targets.runtime.errors import DataError
from edge_targets.runtime.events import Job

BLOCK = 64 << 10  # bytes: zeros of this size become holes
MAX_BOOT = 8 << 30  # bytes; Raspberry Pi OS has 512 MiB
MAX_HEAD = 64 << 20  # bytes before the boot partition, which stay in memory; it has 8 MiB
Edit = Callable[[Path], object]


def boot_partition(table: Table, image: Path) -> Partition:
    """The one that we can change.

    Raises:
        DataError: there is none.
    """
    boot = table.boot
    if boot is None:
        raise DataError(
            f"{image} has no boot partition with a FAT file system.",
            "Give a Raspberry Pi OS image; others are written without --device.",
        )
    if boot.size > MAX_BOOT or boot.start > MAX_HEAD:
        raise DataError(
            f"The boot partition of {image} is too large, or too far from the beginning.",
            "Give a Raspberry Pi OS image.",
        )
    return boot


@contextmanager
def edited(
    pieces: Iterator[bytes], boot: Partition, edit: Edit, job: Job
) -> Iterator[Iterator[bytes]]:
    """The same image, with the boot partition changed by `edit`.

    `edit` has run when this returns: what it refuses, it refuses before a card is touched.
    """
    with tempfile.TemporaryDirectory(prefix="sanderling-boot-") as folder:
        path = Path(folder) / "boot.img"
        with storing(path), path.open("wb") as file:
            file.truncate(boot.size)
            head, tail = _take_out(pieces, boot, file, job)
        edit(path)
        with path.open("rb") as file:
            changed = iter(lambda: file.read(CHUNK), b"")
            yield chain([head], changed, [tail], pieces)


def _take_out(
    pieces: Iterator[bytes], boot: Partition, file: IO[bytes], job: Job
) -> tuple[bytes, bytes]:
    """Write the partition to `file`; what lies before it, and what of the last piece after it."""
    head, at = bytearray(), 0
    for piece in pieces:
        job.step("read boot partition", max(0, at - boot.start), boot.size)
        low, high = max(0, boot.start - at), max(0, boot.end - at)
        head += piece[:low]
        _put_sparse(file, piece[low:high], at + low - boot.start)
        at += len(piece)
        if at >= boot.end:
            return bytes(head), piece[high:]
    raise DataError("The image ends within its boot partition.", "It is cut short: get it again.")


def _put_sparse(file: IO[bytes], data: bytes, offset: int) -> None:
    for start in range(0, len(data), BLOCK):
        block = data[start : start + BLOCK]
        if block != bytes(len(block)):
            file.seek(offset + start)
            file.write(block)
