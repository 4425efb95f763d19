"""The disks a user may choose from: removable ones, with what is on them."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edge_targets.flashing.disks import Disk, System, check_name, disks
from edge_targets.flashing.image import write_image
from edge_targets.flashing.sources import CHUNK
from edge_targets.runtime.errors import DeviceError
from edge_targets.runtime.events import QUIET
from tests.edge_targets.cards import disk_image

CARD = "pci/usb1/1-1/block/sdb"


def put(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text + "\n" if text else "")


@pytest.fixture
def system(tmp_path: Path) -> System:
    """A machine with a built-in disk, a card in a reader, an empty reader, and a loop."""
    root = tmp_path / "root"
    devices = root / "sys/devices"
    put(devices / "pci/ata1/block/sda", {"dev": "8:0", "size": "2000000", "removable": "0"})
    put(devices / "pci/ata1/block/sda", {"device/model": "built in"})
    put(
        devices / CARD,
        {
            "dev": "8:16",
            "size": "62333952",
            "removable": "1",
            "device/vendor": "Generic",
            "device/model": "SD/MMC  ",
            "sdb1/partition": "1",
            "sdb1/dev": "8:17",
            "sdb1/size": "1048576",
            "sdb2/partition": "2",
            "sdb2/dev": "8:18",
            "sdb2/size": "4194304",
        },
    )
    put(devices / "pci/usb1/1-2/block/sdc", {"dev": "8:32", "size": "0", "removable": "1"})
    put(devices / "pci/usb1/1-2/block/sdc", {"device/model": "empty"})
    put(devices / "virtual/block/loop0", {"dev": "7:0", "size": "0", "removable": "0"})
    put(root, {"run/udev/data/b8:17": "E:ID_FS_LABEL=bootfs\nE:ID_FS_TYPE=vfat", "proc/mounts": ""})
    put(root, {"run/udev/data/b8:18": "E:ID_FS_TYPE=ext4"})
    for numbers in ("sys/dev/block", "sys/block"):
        (root / numbers).mkdir(parents=True)
    for folder in devices.glob("**/block/*"):
        (root / "sys/block" / folder.name).symlink_to(folder)
        (root / "sys/dev/block" / (folder / "dev").read_text().strip()).symlink_to(folder)
    return System(root)


def test_the_removable_disks_are_told_with_what_is_on_them(system: System) -> None:
    assert disks(system) == (
        Disk(
            "sdb",
            str(system.root / "dev/sdb"),
            62333952 * 512,
            "Generic SD/MMC",
            ("sdb1: 0.5 GB bootfs", "sdb2: 2.1 GB ext4"),
        ),
    )


def test_a_disk_in_use_is_told_with_the_reason(system: System) -> None:
    (system.root / "proc/mounts").write_text("/dev/sdb1 /media/card vfat rw 0 0\n")

    [disk] = disks(system)

    assert "mounted at /media/card" in disk.refused


def test_this_machine_tells_its_disks() -> None:
    for disk in disks():
        assert disk.size_bytes > 0


@pytest.mark.parametrize("typed", ["", "sda", "SDB", "sdb1", "sdb "])
def test_another_name_than_the_disks_is_refused_telling_what_would_be_lost(
    system: System, typed: str
) -> None:
    with pytest.raises(DeviceError, match=r"sdb \(Generic SD/MMC, 31.9 GB, sdb1: 0.5 GB bootfs"):
        check_name(Path("/dev/sdb"), os.makedev(8, 16), typed, system)


@pytest.mark.parametrize("typed", ["sdb", "/dev/sdb"])
def test_the_name_or_the_path_of_the_disk_confirms(system: System, typed: str) -> None:
    check_name(Path("/dev/sdb"), os.makedev(8, 16), typed, system)


# ----------------------------------------------------------------------- a real block device


class Removable(System):
    """This machine, with a loop device taken for a card that can be pulled out."""

    def block(self, number: int) -> Path:
        return self.root / "card"


@contextmanager
def looped(backing: Path) -> Iterator[Path]:
    backing.touch()
    os.truncate(backing, 4 * CHUNK)
    if os.geteuid() != 0:
        pytest.skip("only root can make a loop device")
    made = subprocess.run(
        ["losetup", "--find", "--show", backing], capture_output=True, text=True, check=False
    )
    if made.returncode:
        pytest.skip(f"this machine has no loop devices: {made.stderr.strip()}")
    try:
        yield Path(made.stdout.strip())
    finally:
        subprocess.run(["losetup", "--detach", made.stdout.strip()], check=True)


@pytest.fixture
def loop(tmp_path: Path) -> Iterator[Path]:
    with looped(tmp_path / "backing") as device:
        yield device


@pytest.fixture
def machine(tmp_path: Path) -> System:
    put(tmp_path / "root", {"card/removable": "1", "proc/mounts": ""})
    return Removable(tmp_path / "root")


def test_an_image_is_written_to_a_block_device_and_read_back(
    tmp_path: Path, loop: Path, machine: System
) -> None:
    data = disk_image(2 * CHUNK + 512)
    (tmp_path / "system.img").write_bytes(data)

    write_image(tmp_path / "system.img", loop, QUIET, machine, confirmed="card")

    assert loop.read_bytes()[: len(data)] == data


def test_a_block_device_that_is_too_small_is_left_alone(
    tmp_path: Path, loop: Path, machine: System
) -> None:
    (tmp_path / "system.img").write_bytes(disk_image(5 * CHUNK))

    with pytest.raises(DeviceError, match="too small"):
        write_image(tmp_path / "system.img", loop, QUIET, machine)

    assert loop.read_bytes() == bytes(4 * CHUNK)


def test_a_block_device_that_somebody_else_uses_is_refused_by_the_kernel(
    tmp_path: Path, loop: Path, machine: System
) -> None:
    (tmp_path / "system.img").write_bytes(disk_image(CHUNK))
    taken = os.open(loop, os.O_RDONLY | os.O_EXCL)
    try:
        with pytest.raises(DeviceError, match="cannot be opened") as caught:
            write_image(tmp_path / "system.img", loop, QUIET, machine)
    finally:
        os.close(taken)

    assert "in use" in caught.value.hint


def test_a_loop_device_of_this_machine_is_no_card(tmp_path: Path, loop: Path) -> None:
    (tmp_path / "system.img").write_bytes(disk_image(CHUNK))

    with pytest.raises(DeviceError, match="built into this machine"):
        write_image(tmp_path / "system.img", loop, QUIET)


def test_a_card_that_fails_under_way_is_told_from_a_full_disk(
    tmp_path: Path, machine: System
) -> None:
    """The loop device says it has 16 MiB and its store has 4: what does not fit is an I/O error."""
    store = tmp_path / "store"
    store.mkdir()
    (tmp_path / "system.img").write_bytes(disk_image(3 * CHUNK))
    mount: list[str | Path] = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", store]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("this machine mounts no tmpfs")
    try:
        with (
            looped(store / "backing") as device,
            pytest.raises(DeviceError, match="does not answer any more") as caught,
        ):
            write_image(tmp_path / "system.img", device, QUIET, machine)
    finally:
        subprocess.run(["umount", "--lazy", store], check=True)

    assert "pulled out" in caught.value.hint
