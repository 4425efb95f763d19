"""An image is written whole and proven, or the target never looks finished."""

import gzip
import hashlib
import lzma
import os
import random
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from edge_targets.flashing.disks import System, check_disk
from edge_targets.flashing.image import CHUNK, write_image
from edge_targets.runtime.errors import Cancelled, DataError, DeviceError, IntegrityError
from edge_targets.runtime.events import Event, Job

IMAGE = random.Random(1).randbytes(2 * CHUNK + 12345)
SHA256 = hashlib.sha256(IMAGE).hexdigest()


PACK: dict[str, Callable[[bytes], bytes]] = {
    ".img": lambda raw: raw,
    ".img.gz": lambda raw: gzip.compress(raw, 1),
    ".img.xz": lambda raw: lzma.compress(raw, preset=0),
}


@cache
def packed(end: str, data: bytes) -> bytes:
    return PACK[end](data)  # seconds for xz


def image_file(tmp_path: Path, end: str, data: bytes = IMAGE) -> Path:
    path = tmp_path / f"system{end}"
    path.write_bytes(packed(end, data))
    return path


@pytest.mark.parametrize("end", [".img", ".img.gz", ".img.xz"])
def test_an_image_is_written_and_read_back(tmp_path: Path, end: str) -> None:
    events: list[Event] = []
    target = tmp_path / "card"
    target.write_bytes(bytes(4 * CHUNK))

    written = write_image(image_file(tmp_path, end), target, Job(events.append))

    assert target.read_bytes() == IMAGE
    assert (written.bytes_written, written.sha256) == (len(IMAGE), SHA256)
    assert {event.message for event in events} == {"write image", "read back"}
    assert events[-1].done == events[-1].total


@pytest.mark.parametrize("size", [1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK])
def test_images_of_odd_sizes_are_written(tmp_path: Path, size: int) -> None:
    data = IMAGE[:size]

    written = write_image(image_file(tmp_path, ".img", data), tmp_path / "card", Job())

    assert (tmp_path / "card").read_bytes() == data
    assert written.bytes_written == size


def test_an_xz_file_of_several_streams_with_padding_is_written(tmp_path: Path) -> None:
    path = tmp_path / "system.img.xz"
    parts = IMAGE[:CHUNK], IMAGE[CHUNK:]
    path.write_bytes(b"\0\0\0\0".join(lzma.compress(part, preset=0) for part in parts) + bytes(8))

    write_image(path, tmp_path / "card", Job())

    assert (tmp_path / "card").read_bytes() == IMAGE


@pytest.mark.parametrize("at", [5, CHUNK + 5, len(IMAGE) - 1])
def test_a_byte_that_the_card_lost_is_found(tmp_path: Path, at: int) -> None:
    target = tmp_path / "card"

    def wear_out(event: Event) -> None:
        stage = 0 if at < CHUNK else CHUNK  # the first chunk is read back last
        if event.message == "read back" and event.done == stage and event.total > event.done:
            with target.open("r+b") as file:
                file.seek(at)
                file.write(bytes([IMAGE[at] ^ 1]))
                os.fsync(file.fileno())

    with pytest.raises(IntegrityError, match="does not hold what was written"):
        write_image(image_file(tmp_path, ".img"), target, Job(wear_out))

    assert target.read_bytes()[:CHUNK] == bytes(CHUNK)


def test_cancelling_at_any_step_leaves_a_target_that_cannot_boot(tmp_path: Path) -> None:
    image, target = image_file(tmp_path, ".img"), tmp_path / "card"
    events: list[Event] = []
    write_image(image, target, Job(events.append))

    for stop in range(len(events)):
        target.unlink()
        seen: list[Event] = []

        def listen(event: Event, stop: int = stop, seen: list[Event] = seen) -> None:
            seen.append(event)
            if len(seen) > stop:
                raise Cancelled("now")

        with pytest.raises(Cancelled):
            write_image(image, target, Job(listen))

        assert target.read_bytes()[:CHUNK].strip(b"\0") == b""


def test_what_is_in_the_first_chunk_is_written_after_all_the_rest_was_proven(
    tmp_path: Path,
) -> None:
    target = tmp_path / "card"
    heads = []

    def look(event: Event) -> None:
        if target.exists():
            heads.append(target.read_bytes()[:CHUNK].strip(b"\0") == b"")

    write_image(image_file(tmp_path, ".img"), target, Job(look))

    assert all(heads[:-2])
    assert not heads[-1]


@pytest.mark.parametrize("end", [".img.gz", ".img.xz"])
@pytest.mark.parametrize("kept", [10, 5000, -20])
def test_an_image_that_was_cut_short_is_refused(tmp_path: Path, end: str, kept: int) -> None:
    image = image_file(tmp_path, end)
    image.write_bytes(image.read_bytes()[:kept])

    with pytest.raises(DataError, match="cannot be unpacked"):
        write_image(image, tmp_path / "card", Job())

    assert (tmp_path / "card").read_bytes()[:CHUNK].strip(b"\0") == b""


def test_an_image_that_is_none_leaves_the_target_alone(tmp_path: Path) -> None:
    target = tmp_path / "card"
    target.write_bytes(b"precious")
    (tmp_path / "a.img.xz").write_bytes(b"no xz at all")
    (tmp_path / "a.zip").write_bytes(b"PK")
    (tmp_path / "a.img").write_bytes(b"")

    for name in ("a.img.xz", "a.zip", "a.img", "none.img"):
        with pytest.raises(DataError) as caught:
            write_image(tmp_path / name, target, Job())
        assert caught.value.hint

    assert target.read_bytes() == b"precious"


def test_a_folder_or_a_terminal_is_no_target(tmp_path: Path) -> None:
    for target in (tmp_path, Path("/dev/null")):
        with pytest.raises(DeviceError, match="neither a disk nor a file"):
            write_image(image_file(tmp_path, ".img"), target, Job())


# A tree such as the kernel shows: sda is built in and holds the system, sdb is a USB card reader
# with two parts, mmcblk0 an SD card, mmcblk1 a soldered eMMC, sdc a USB disk under encryption.
DISKS = {
    "8:0": "pci/ata1/block/sda",
    "8:1": "pci/ata1/block/sda/sda1",
    "8:16": "pci/usb1/1-1/block/sdb",
    "8:17": "pci/usb1/1-1/block/sdb/sdb1",
    "8:32": "pci/usb1/1-2/block/sdc",
    "179:0": "soc/mmc0/block/mmcblk0",
    "179:8": "soc/mmc1/block/mmcblk1",
}


@pytest.fixture
def system(tmp_path: Path) -> System:
    root = tmp_path / "root"
    (root / "sys/dev/block").mkdir(parents=True)
    for number, where in DISKS.items():
        folder = root / "sys/devices" / where
        folder.mkdir(parents=True)
        (folder / "dev").write_text(number + "\n")
        (folder / "removable").write_text("0\n")
        if folder.name in ("sda1", "sdb1"):
            (folder / "partition").write_text("1\n")
        (root / "sys/dev/block" / number).symlink_to(folder)
    for name, kind in (("mmcblk0", "SD"), ("mmcblk1", "MMC")):
        [folder] = (root / "sys/devices").glob(f"**/{name}")
        (folder / "device").mkdir()
        (folder / "device/type").write_text(kind + "\n")
    [folder] = (root / "sys/devices").glob("**/sdc")
    (folder / "holders/dm-0").mkdir(parents=True)
    (root / "proc").mkdir()
    (root / "proc/mounts").write_text("/dev/sda1 / ext4 rw 0 0\ntmpfs /tmp tmpfs rw 0 0\n")
    return System(root)


@pytest.mark.parametrize(("name", "number"), [("sdb", (8, 16)), ("mmcblk0", (179, 0))])
def test_a_card_that_nothing_uses_may_be_overwritten(
    system: System, name: str, number: tuple[int, int]
) -> None:
    check_disk(Path("/dev") / name, os.makedev(*number), system)


@pytest.mark.parametrize(
    ("name", "number", "reason"),
    [
        ("sda", (8, 0), "built into"),
        ("sdb1", (8, 17), "part of a disk"),
        ("mmcblk1", (179, 8), "built into"),
        ("sdc", (8, 32), "dm-0"),
        ("sdz", (65, 0), "no disk"),
    ],
)
def test_a_disk_whose_loss_would_hurt_is_refused(
    system: System, name: str, number: tuple[int, int], reason: str
) -> None:
    with pytest.raises(DeviceError, match=reason) as caught:
        check_disk(Path("/dev") / name, os.makedev(*number), system)

    assert caught.value.hint


@pytest.mark.parametrize("line", ["/dev/sdb1 /media/card vfat rw 0 0", "/dev/sdb /mnt ext4 rw 0 0"])
def test_a_mounted_card_is_refused(system: System, line: str) -> None:
    (system.root / "proc/mounts").write_text(line + "\n")

    with pytest.raises(DeviceError, match="is mounted at") as caught:
        check_disk(Path("/dev/sdb"), os.makedev(8, 16), system)

    assert "umount" in caught.value.hint


def test_a_card_that_swaps_is_refused(system: System) -> None:
    (system.root / "proc/swaps").write_text("Filename Type\n/dev/sdb1 partition 1 0 -2\n")

    with pytest.raises(DeviceError, match="in use"):
        check_disk(Path("/dev/sdb"), os.makedev(8, 16), system)
