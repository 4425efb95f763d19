"""A device's configuration and payload are put on the boot partition of the image as it streams."""

import hashlib
import os
import random
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from edge_targets.flashing import enrol
from edge_targets.flashing.cloud_init import cloud_init
from edge_targets.flashing.fat import Fat
from edge_targets.flashing.firstrun import script
from edge_targets.flashing.flash import flash
from edge_targets.flashing.image import Written
from edge_targets.flashing.sources import CHUNK
from edge_targets.flashing.systems import Found, look
from edge_targets.flashing.table import read_table
from edge_targets.runtime.errors import (
    Cancelled,
    DataError,
    DeviceError,
    IntegrityError,
    UnknownNameError,
    UnsupportedError,
)
from edge_targets.runtime.events import QUIET, Event, Job
from tests.edge_targets.cards import BOOKWORM, MEGABYTE, TRIXIE, CardReader, disk_image, pi_image
from tests.edge_targets.test_first_boot import FIRST

SYSTEMS = {"bookworm": BOOKWORM, "trixie": TRIXIE}

pytestmark = pytest.mark.skipif(
    not all(map(shutil.which, ("mcopy", "mkfs.vfat"))), reason="mtools or dosfstools is missing"
)


@pytest.fixture
def payload(tmp_path: Path) -> Path:
    """A folder such as the installer lies in: some files, among them one of several chunks."""
    folder = tmp_path / "payload/sanderling"
    (folder / "wheels").mkdir(parents=True)
    (folder / "install.py").write_text("print('installed')\n")
    (folder / "settings.json").write_text('{"device": "kitchen-1"}\n')
    (folder / "wheels/numpy-2.0+local-cp311-manylinux_2_28_aarch64.whl").write_bytes(
        random.Random(5).randbytes(2 * CHUNK + 1)
    )
    (folder / "wheels/empty.txt").write_bytes(b"")
    return folder


def image_of(files: Mapping[str, bytes], tmp_path: Path, start: int = 8 * MEGABYTE) -> Path:
    path = tmp_path / "system.img"
    path.write_bytes(pi_image(files, tmp_path, start))
    return path


def boot_of(card: Path, tmp_path: Path) -> Fat:
    """The boot partition that was written."""
    data = card.read_bytes()
    boot = read_table(data[:CHUNK], card).boot
    assert boot
    path = tmp_path / "boot.img"
    path.write_bytes(data[boot.start : boot.end])
    return Fat(path)


def content(fat: Fat, tmp_path: Path) -> dict[str, bytes]:
    folder = tmp_path / "content"
    folder.mkdir()
    fat._run(["mcopy", "-s", "-n", "-i", fat.path, "::/*", folder])
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("start", [MEGABYTE, 8 * MEGABYTE])
@pytest.mark.parametrize("system", SYSTEMS)
def test_a_payload_and_the_first_boot_lie_on_the_card_and_nothing_else_has_changed(
    tmp_path: Path, payload: Path, system: str, start: int
) -> None:
    image, card = image_of(SYSTEMS[system], tmp_path, start), tmp_path / "card"

    written = flash(image, card, payload, FIRST, QUIET)

    data, before = card.read_bytes(), image.read_bytes()
    boot = read_table(before[:CHUNK], image).boot
    assert boot
    assert written.sha256 == hashlib.sha256(data).hexdigest()
    assert (data[: boot.start], data[boot.end :]) == (before[: boot.start], before[boot.end :])
    found = content(boot_of(card, tmp_path), tmp_path)
    for path in payload.rglob("*"):
        if path.is_file():
            assert found.pop(f"sanderling/{path.relative_to(payload)}") == path.read_bytes()
    for name, text in enrol.FILES.items():
        assert found.pop(name) == text
    if system == "trixie":
        for name, text in cloud_init(FIRST, SYSTEMS[system]["cmdline.txt"]).items():
            assert found.pop(name) == text
    else:
        assert found.pop("firstrun.sh") == script(FIRST).encode()
        assert b"systemd.run=/boot/firmware/firstrun.sh" in found.pop("cmdline.txt")
    known = SYSTEMS[system]
    assert found == {name: known[name] for name in found}
    assert written == Written(len(data), written.sha256, "", system, written.files)


def test_what_the_file_system_does_not_keep_is_found_by_reading_it_back(
    tmp_path: Path, payload: Path
) -> None:
    """FAT takes names that differ in their case alone for the same."""
    (payload / "wheels/name.whl").write_bytes(b"one")
    (payload / "wheels/NAME.whl").write_bytes(b"another")

    with pytest.raises(IntegrityError, match="does not hold what was written"):
        flash(image_of(BOOKWORM, tmp_path), tmp_path / "card", payload, FIRST, QUIET)

    assert not (tmp_path / "card").exists()


def test_an_image_without_a_device_is_left_as_it_is(tmp_path: Path) -> None:
    image = image_of(BOOKWORM, tmp_path)

    flash(image, tmp_path / "card", None, None, QUIET)

    assert (tmp_path / "card").read_bytes() == image.read_bytes()


@pytest.mark.parametrize("system", SYSTEMS)
def test_looking_at_an_image_tells_which_python_the_payload_needs(
    tmp_path: Path, system: str
) -> None:
    image = image_of(SYSTEMS[system], tmp_path)

    python = {"bookworm": "3.11", "trixie": "3.13"}[system]
    assert look(image, QUIET) == Found(system, python, wide=True)


def test_only_as_much_of_an_image_is_read_as_it_takes_to_know_it(tmp_path: Path) -> None:
    image = image_of(TRIXIE, tmp_path)
    os.truncate(image, image.stat().st_size - MEGABYTE)  # all after the boot partition

    assert look(image, QUIET).system == "trixie"


def test_what_the_image_does_not_tell_can_be_said(tmp_path: Path) -> None:
    image = image_of({"cmdline.txt": b"root=/dev/vda2\n"}, tmp_path)
    with pytest.raises(DataError, match="not that of a Raspberry Pi OS") as caught:
        flash(image, tmp_path / "card", None, FIRST, QUIET)
    assert "--system" in caught.value.hint
    assert not (tmp_path / "card").exists()

    assert flash(image, tmp_path / "card", None, FIRST, QUIET, system="bookworm").files == 4

    with pytest.raises(UnknownNameError, match="jessie"):
        look(image, QUIET, "jessie")


def test_an_image_older_than_bookworm_is_refused(tmp_path: Path) -> None:
    old = BOOKWORM | {"issue.txt": b"Raspberry Pi reference 2023-05-03\n"}

    with pytest.raises(UnsupportedError, match="older than Bookworm"):
        look(image_of(old, tmp_path), QUIET)


def test_a_payload_for_64_bits_does_not_go_on_a_32_bit_image(tmp_path: Path, payload: Path) -> None:
    image = image_of(BOOKWORM | {"kernel7.img": b"kernel"}, tmp_path)

    with pytest.raises(UnsupportedError, match="32-bit"):
        flash(image, tmp_path / "card", payload, FIRST, QUIET)


@pytest.fixture
def reader(tmp_path: Path) -> CardReader:
    folder = tmp_path / "root/sys/dev/block/0:0"
    folder.mkdir(parents=True)
    (folder / "removable").write_text("1\n")
    (tmp_path / "root/proc").mkdir()
    (tmp_path / "root/proc/mounts").write_text("")
    return CardReader(tmp_path / "root")


@pytest.fixture
def card(tmp_path: Path) -> Path:
    path = tmp_path / "card"
    path.write_bytes(b"\xaa" * (64 * MEGABYTE))
    return path


def test_what_does_not_fit_is_refused_before_the_card_is_touched(
    tmp_path: Path, payload: Path, card: Path, reader: CardReader
) -> None:
    (payload / "wheels/large.whl").write_bytes(bytes(40 * MEGABYTE))

    with pytest.raises(DeviceError, match="bytes free") as caught:
        flash(
            image_of(BOOKWORM, tmp_path), card, payload, FIRST, QUIET, confirmed="0:0", host=reader
        )

    assert re.search(r"has \d{8} bytes free; \d{8} are needed", str(caught.value))
    assert set(card.read_bytes()) == {0xAA}


def test_without_mtools_the_package_is_named_and_the_card_is_untouched(
    tmp_path: Path, card: Path, reader: CardReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = image_of(BOOKWORM, tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(DeviceError, match="mtools is not installed") as caught:
        flash(image, card, None, FIRST, QUIET, confirmed="0:0", host=reader)

    assert "apt install mtools" in caught.value.hint
    assert set(card.read_bytes()) == {0xAA}


def test_a_disk_whose_name_was_not_typed_is_not_touched(
    tmp_path: Path, card: Path, reader: CardReader
) -> None:
    image = image_of(BOOKWORM, tmp_path)
    for typed in ("", "sdb", "0:"):
        with pytest.raises(DeviceError, match="will be lost") as caught:
            flash(image, card, None, None, QUIET, confirmed=typed, host=reader)
        assert "--yes 0:0" in caught.value.hint
    assert set(card.read_bytes()) == {0xAA}

    flash(image, card, None, None, QUIET, confirmed="0:0", host=reader)


def test_a_damaged_file_system_is_refused(tmp_path: Path, payload: Path) -> None:
    image = image_of(BOOKWORM, tmp_path)
    data = bytearray(image.read_bytes())
    data[8 * MEGABYTE : 9 * MEGABYTE] = random.Random(9).randbytes(MEGABYTE)
    image.write_bytes(data)

    with pytest.raises(DataError, match="boot partition"):
        flash(image, tmp_path / "card", payload, FIRST, QUIET)

    assert not (tmp_path / "card").exists()


def test_an_image_without_a_boot_partition_takes_no_device(tmp_path: Path) -> None:
    (tmp_path / "linux.img").write_bytes(disk_image(MEGABYTE))

    with pytest.raises(DataError, match="no boot partition"):
        flash(tmp_path / "linux.img", tmp_path / "card", None, FIRST, QUIET)


def test_a_payload_needs_an_installer_and_a_device_and_no_links(
    tmp_path: Path, payload: Path
) -> None:
    image, card = image_of(BOOKWORM, tmp_path), tmp_path / "card"
    with pytest.raises(DataError, match="device"):
        flash(image, card, payload, None, QUIET)
    (payload / "link").symlink_to("/etc/shadow")
    with pytest.raises(DataError, match="neither a file nor a folder"):
        flash(image, card, payload, FIRST, QUIET)
    (payload / "install.py").unlink()
    with pytest.raises(DataError, match="no payload"):
        flash(image, card, payload, FIRST, QUIET)

    assert not card.exists()


def test_stopping_while_the_boot_partition_is_read_leaves_the_card_alone(
    tmp_path: Path, card: Path, reader: CardReader
) -> None:
    def stop(event: Event) -> None:
        if event.message == "read boot partition" and event.done:
            raise Cancelled("now")

    with pytest.raises(Cancelled):
        flash(
            image_of(BOOKWORM, tmp_path),
            card,
            None,
            FIRST,
            Job(stop),
            confirmed="0:0",
            host=reader,
        )

    assert set(card.read_bytes()) == {0xAA}


def test_the_unpacked_sha256_is_that_of_the_image_before_it_was_changed(
    tmp_path: Path, payload: Path
) -> None:
    import gzip

    image = image_of(BOOKWORM, tmp_path)
    digest = hashlib.sha256(image.read_bytes()).hexdigest()
    packed = tmp_path / "system.img.gz"
    packed.write_bytes(gzip.compress(image.read_bytes(), 1))

    written = flash(packed, tmp_path / "card", payload, FIRST, QUIET, sha256=digest)

    assert written.checked == "image"
    assert written.sha256 != digest
