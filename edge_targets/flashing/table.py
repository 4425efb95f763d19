"""The partition table at the head of a disk image: MBR, or GPT (UEFI specification 2.10, 5.3)."""

import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

from edge_targets.runtime.errors import DataError

SECTOR = 512  # bytes: what all images for these boards use
FAT_KINDS = {0x04, 0x06, 0x0B, 0x0C, 0x0E, 0xEF}
FAT_GUIDS = {
    bytes.fromhex("28732ac11ff8d211ba4b00a0c93ec93b"),  # EFI system partition
    bytes.fromhex("a2a0d0ebe5b9334487c068b6b72699c7"),  # basic data
}
PROTECTIVE = 0xEE  # the one entry in the MBR of a disk with GPT
GPT = struct.Struct("<8s4sII4xQQQQ16sQIII")
MAX_ENTRIES = 1024


@dataclass(frozen=True)
class Partition:
    """Where one lies, in bytes; `fat` when its type says that it holds a FAT file system."""

    start: int
    size: int
    fat: bool

    @property
    def end(self) -> int:
        return self.start + self.size


@dataclass(frozen=True)
class Table:
    """All partitions in their order; never none."""

    partitions: tuple[Partition, ...]

    @property
    def end(self) -> int:
        return max(part.end for part in self.partitions)

    @property
    def boot(self) -> Partition | None:
        return next((part for part in self.partitions if part.fat), None)


def read_table(head: bytes, image: Path) -> Table:
    """The table in the first bytes of `image`.

    Raises:
        DataError: there is none, or it is damaged.
    """
    entries = [head[at : at + 16] for at in range(446, 510, 16)]
    signed = head[510:512] == b"\x55\xaa" and all(entry[0] in (0, 0x80) for entry in entries)
    parts = tuple(_old(entry) for entry in entries if entry[4]) if signed else ()
    if any(entry[4] == PROTECTIVE for entry in entries if signed):
        parts = _new(head, image)
    parts = tuple(part for part in parts if part.size)
    if not parts:
        raise DataError(
            f"{image} is not a disk image: it has no partition table.",
            "Give a Raspberry Pi OS image: .img, or packed as .xz, .zip, .gz or .zst.",
        )
    return Table(parts)


def _old(entry: bytes) -> Partition:
    start, sectors = struct.unpack_from("<II", entry, 8)
    return Partition(start * SECTOR, sectors * SECTOR, entry[4] in FAT_KINDS)


def _new(head: bytes, image: Path) -> tuple[Partition, ...]:
    damaged = DataError(f"The partition table of {image} is damaged.", "Get the image again.")
    if len(head) < 2 * SECTOR or head[SECTOR : SECTOR + 8] != b"EFI PART":
        raise damaged
    found = GPT.unpack_from(head, SECTOR)
    size, crc, array, count, each, array_crc = found[2], found[3], *found[9:13]
    if not (GPT.size <= size <= SECTOR and 0 < count <= MAX_ENTRIES and 128 <= each <= 4096):
        raise damaged
    header = bytearray(head[SECTOR : SECTOR + size])
    header[16:20] = bytes(4)  # its own checksum is taken with zeros in its place
    entries = head[array * SECTOR : array * SECTOR + count * each]
    if zlib.crc32(header) != crc or zlib.crc32(entries) != array_crc:
        raise damaged
    parts = []
    for at in range(0, len(entries), each):
        first, last = struct.unpack_from("<QQ", entries, at + 32)
        if any(entries[at : at + 16]) and last >= first:
            fat = entries[at : at + 16] in FAT_GUIDS
            parts.append(Partition(first * SECTOR, (last + 1 - first) * SECTOR, fat))
    return tuple(parts)
