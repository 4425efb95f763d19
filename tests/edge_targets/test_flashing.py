"""An image is written whole and proven, or a card never looks finished and no file is left."""

import gzip
import hashlib
import lzma
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from edge_targets.flashing.disks import System, check_disk
from edge_targets.flashing.image import write_image
from edge_targets.flashing.sources import CHUNK
from edge_targets.flashing.table import SECTOR
from edge_targets.runtime.errors import Cancelled, DataError, DeviceError, IntegrityError
from edge_targets.runtime.events import QUIET, Event, Job
from tests.edge_targets.cards import CardReader, disk_image, entry

IMAGE = disk_image(2 * CHUNK + 12345)
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


@pytest.fixture
def reader(tmp_path: Path) -> CardReader:
    root = tmp_path / "root"
    folder = root / "sys/dev/block/0:0"  # the number that the system gives to ordinary files
    folder.mkdir(parents=True)
    (folder / "removable").write_text("1\n")
    (root / "proc").mkdir()
    (root / "proc/mounts").write_text("")
    return CardReader(root)


@pytest.fixture
def card(tmp_path: Path) -> Path:
    """Something is on it already, and there is more room than an image needs."""
    path = tmp_path / "card"
    path.write_bytes(b"\xaa" * (4 * CHUNK))
    return path


@pytest.mark.parametrize("end", [".img", ".img.gz", ".img.xz"])
def test_an_image_is_written_and_read_back(
    tmp_path: Path, card: Path, reader: CardReader, end: str
) -> None:
    events: list[Event] = []

    written = write_image(image_file(tmp_path, end), card, Job(events.append), reader)

    assert card.read_bytes() == IMAGE + b"\xaa" * (4 * CHUNK - len(IMAGE))
    assert (written.bytes_written, written.sha256) == (len(IMAGE), SHA256)
    assert {event.message for event in events} == {"write image", "read back"}
    assert events[-1].done == events[-1].total


def test_an_image_that_is_larger_than_the_card_is_refused(
    tmp_path: Path, card: Path, reader: CardReader
) -> None:
    os.truncate(card, 2 * CHUNK)
    before = card.read_bytes()

    with pytest.raises(DeviceError, match="too small"):
        write_image(image_file(tmp_path, ".img"), card, QUIET, reader)

    assert card.read_bytes() == before


def test_an_image_that_goes_on_after_its_partitions_must_fit_the_card_too(
    tmp_path: Path, card: Path, reader: CardReader
) -> None:
    os.truncate(card, 2 * CHUNK)
    image = disk_image(2 * CHUNK + 1, entry(SECTOR, CHUNK, 0x83))

    with pytest.raises(DeviceError, match="too small"):
        write_image(image_file(tmp_path, ".img", image), card, QUIET, reader)

    assert card.read_bytes()[:CHUNK] == bytes(CHUNK)


@pytest.mark.parametrize("size", [1024, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK])
def test_images_of_odd_sizes_are_written(tmp_path: Path, size: int) -> None:
    data = disk_image(size)

    written = write_image(image_file(tmp_path, ".img", data), tmp_path / "card", Job())

    assert (tmp_path / "card").read_bytes() == data
    assert written.bytes_written == size


def test_zeros_of_an_image_take_no_room_in_a_file(tmp_path: Path) -> None:
    image = disk_image(1024) + bytes(8 * CHUNK)
    (tmp_path / "system.img").write_bytes(image)

    write_image(tmp_path / "system.img", tmp_path / "card", QUIET)

    assert (tmp_path / "card").read_bytes() == image
    assert (tmp_path / "card").stat().st_blocks * 512 <= 2 * CHUNK


def test_zeros_of_an_image_overwrite_what_was_on_a_card(
    tmp_path: Path, card: Path, reader: CardReader
) -> None:
    image = disk_image(1024) + bytes(3 * CHUNK)
    (tmp_path / "system.img").write_bytes(image)

    write_image(tmp_path / "system.img", card, QUIET, reader)

    assert card.read_bytes()[: len(image)] == image


def test_the_length_of_a_packed_image_is_known_from_its_partition_table(tmp_path: Path) -> None:
    events: list[Event] = []

    write_image(image_file(tmp_path, ".img.gz"), tmp_path / "card", Job(events.append))

    totals = {event.total for event in events if event.message == "write image" and event.done}
    assert totals == {len(IMAGE) // SECTOR * SECTOR}


def test_an_xz_file_of_several_streams_with_padding_is_written(tmp_path: Path) -> None:
    path = tmp_path / "system.img.xz"
    parts = IMAGE[:CHUNK], IMAGE[CHUNK:]
    path.write_bytes(b"\0\0\0\0".join(lzma.compress(part, preset=0) for part in parts) + bytes(8))

    write_image(path, tmp_path / "card", Job())

    assert (tmp_path / "card").read_bytes() == IMAGE


@pytest.mark.parametrize("at", [5, CHUNK + 5, len(IMAGE) - 1])
def test_a_byte_that_the_card_lost_is_found(
    tmp_path: Path, card: Path, reader: CardReader, at: int
) -> None:
    def wear_out(event: Event) -> None:
        stage = 0 if at < CHUNK else CHUNK  # the first chunk is read back last
        if event.message == "read back" and event.done == stage and event.total > event.done:
            with card.open("r+b") as file:
                file.seek(at)
                file.write(bytes([IMAGE[at] ^ 1]))
                os.fsync(file.fileno())

    with pytest.raises(IntegrityError, match="does not hold what was written"):
        write_image(image_file(tmp_path, ".img"), card, Job(wear_out), reader)

    assert card.read_bytes()[:CHUNK] == bytes(CHUNK)


def stopping_at(number: int, events: list[Event], how: type[BaseException]) -> Job:
    def listen(event: Event) -> None:
        events.append(event)
        if len(events) > number:
            raise how("now")

    return Job(listen)


@pytest.mark.parametrize("how", [Cancelled, KeyboardInterrupt])
def test_a_card_that_is_stopped_anywhere_cannot_boot_and_its_owner_is_told(
    tmp_path: Path, card: Path, reader: CardReader, how: type[BaseException]
) -> None:
    image, before = image_file(tmp_path, ".img"), card.read_bytes()
    events: list[Event] = []
    write_image(image, card, Job(events.append), reader)

    for stop in range(len(events)):
        card.write_bytes(before)
        with pytest.raises((how, DeviceError)) as caught:
            write_image(image, card, stopping_at(stop, [], how), reader)

        if stop == 0:
            assert caught.type is how
            assert card.read_bytes() == before
        else:
            assert "cannot be used" in str(caught.value)
            assert card.read_bytes()[:CHUNK] == bytes(CHUNK)


@pytest.mark.parametrize("how", [Cancelled, KeyboardInterrupt])
def test_a_file_that_is_stopped_anywhere_leaves_nothing(
    tmp_path: Path, how: type[BaseException]
) -> None:
    image, events = image_file(tmp_path, ".img"), list[Event]()
    write_image(image, tmp_path / "whole", Job(events.append))

    for stop in range(len(events)):
        with pytest.raises(how):
            write_image(image, tmp_path / "part", stopping_at(stop, [], how))

    assert sorted(path.name for path in tmp_path.iterdir()) == ["system.img", "whole"]


def test_what_is_in_the_first_chunk_is_written_after_all_the_rest_was_proven(
    tmp_path: Path, card: Path, reader: CardReader
) -> None:
    heads = []

    def look(event: Event) -> None:
        heads.append(card.read_bytes()[:CHUNK])

    write_image(image_file(tmp_path, ".img"), card, Job(look), reader)

    assert set(heads[1:-2]) == {bytes(CHUNK)}
    assert heads[-1] == IMAGE[:CHUNK]


@pytest.mark.parametrize("end", [".img.gz", ".img.xz"])
@pytest.mark.parametrize("kept", [10, 5000, -20])
def test_an_image_that_was_cut_short_is_refused(tmp_path: Path, end: str, kept: int) -> None:
    image = image_file(tmp_path, end)
    image.write_bytes(image.read_bytes()[:kept])

    with pytest.raises(DataError, match="cannot be unpacked"):
        write_image(image, tmp_path / "card", QUIET)

    assert [path.name for path in tmp_path.iterdir()] == [image.name]


def test_an_image_that_is_none_leaves_the_target_alone(
    tmp_path: Path, card: Path, reader: CardReader
) -> None:
    before = card.read_bytes()
    (tmp_path / "a.img.xz").write_bytes(b"no xz at all")
    (tmp_path / "a.zip").write_bytes(b"PK")
    (tmp_path / "a.img").write_bytes(b"")

    for name in ("a.img.xz", "a.zip", "a.img", "none.img"):
        with pytest.raises(DataError) as caught:
            write_image(tmp_path / name, card, QUIET, reader)
        assert caught.value.hint
        with pytest.raises(DataError):
            write_image(tmp_path / name, tmp_path / "new", QUIET)

    assert card.read_bytes() == before
    assert not list(tmp_path.glob("*new*"))


def test_a_file_that_is_there_already_is_left_alone(tmp_path: Path) -> None:
    image, target = image_file(tmp_path, ".img"), tmp_path / "thesis.txt"
    target.write_bytes(b"years of work")
    (tmp_path / "link").symlink_to(target)

    for path in (target, tmp_path / "link"):
        with pytest.raises(DeviceError, match="left alone") as caught:
            write_image(image, path, QUIET)
        assert caught.value.hint

    assert target.read_bytes() == b"years of work"


def test_an_image_is_not_written_to_itself(tmp_path: Path, reader: CardReader) -> None:
    image = image_file(tmp_path, ".img")
    (tmp_path / "link.img").symlink_to(image)

    for path in (image, tmp_path / "link.img"):
        with pytest.raises(DeviceError, match="the image itself"):
            write_image(path, image, QUIET, reader)

    assert image.read_bytes() == IMAGE


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
