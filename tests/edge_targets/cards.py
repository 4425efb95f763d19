"""Disk images as small as tests want them, and a card reader that takes files for cards."""

import os
import random
import struct
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from edge_targets.flashing.disks import System
from edge_targets.flashing.table import SECTOR

MEGABYTE = 1 << 20
NOTHING = bytes(16)


def entry(start: int, size: int, kind: int) -> bytes:
    """Of an MBR, by bytes."""
    return bytes(4) + bytes([kind]) + bytes(3) + struct.pack("<II", start // SECTOR, size // SECTOR)


def disk_image(size: int, *entries: bytes, seed: int = 1) -> bytes:
    """Noise behind an MBR, whose one partition has all whole sectors unless `entries` say more."""
    known = entries or (entry(SECTOR, (size // SECTOR - 1) * SECTOR, 0x83),)
    noise = random.Random(seed).randbytes(size)
    table = b"".join([*known, *[NOTHING] * (4 - len(known))])
    return (noise[:446] + table + b"\x55\xaa" + noise[512:])[:size]


class CardReader(System):
    """Takes files for the cards in it; all else is as on a machine where nothing is mounted."""

    def is_disk(self, found: os.stat_result) -> bool:
        return True


def fat_image(files: Mapping[str, bytes], tmp_path: Path, megabytes: int = 40) -> bytes:
    """A FAT file system with these files at its top."""
    path = tmp_path / "fat.img"
    path.write_bytes(b"")
    os.truncate(path, megabytes * MEGABYTE)
    words = ["mkfs.vfat", "-F", "32", "-s", "1", "-n", "bootfs", "-i", "5A17C0DE", "--invariant"]
    run([*words, str(path)])
    for name, data in files.items():
        run(["mcopy", "-i", str(path), "-", f"::{name}"], data)
    return path.read_bytes()


def run(words: list[str], data: bytes = b"") -> bytes:
    try:
        return subprocess.run(words, input=data, capture_output=True, check=True).stdout
    except FileNotFoundError:
        pytest.skip(f"{words[0]} is not installed")


BOOKWORM = {
    "cmdline.txt": b"console=serial0,115200 console=tty1 root=PARTUUID=5a17c0de-02 rootwait\n",
    "config.txt": b"arm_64bit=1\n",
    "issue.txt": b"Raspberry Pi reference 2025-05-13\nGenerated using pi-gen\n",
    "kernel8.img": b"kernel",
}
TRIXIE = BOOKWORM | {
    "issue.txt": b"Raspberry Pi reference 2025-10-01\nGenerated using pi-gen\n",
    "user-data": b"#cloud-config\n# comments\n",
    "network-config": b"# comments\n",
    "meta-data": b"dsmode: local\ninstance_id: rpios-image\n",
}


def pi_image(
    files: Mapping[str, bytes], tmp_path: Path, start: int = 8 * MEGABYTE, megabytes: int = 40
) -> bytes:
    """A disk as Raspberry Pi OS has it: a boot partition with these files, and another."""
    boot = fat_image(files, tmp_path, megabytes)
    rest = random.Random(2).randbytes(MEGABYTE)
    table = entry(start, len(boot), 0x0C) + entry(start + len(boot), len(rest), 0x83)
    head = random.Random(3).randbytes(446) + table + bytes(32) + b"\x55\xaa"
    return head + bytes(start - len(head)) + boot + rest
