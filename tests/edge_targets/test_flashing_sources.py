"""An image comes packed in five ways; what is damaged, another, a bomb or no image is refused."""

import gzip
import hashlib
import io
import lzma
import struct
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from edge_targets.flashing.image import sized, write_image
from edge_targets.flashing.sources import CHUNK, in_chunks, unpacked
from edge_targets.flashing.table import FAT_GUIDS, GPT, SECTOR, Partition, Table, read_table
from edge_targets.runtime.errors import DataError, EdgeError, IntegrityError, UnsupportedError
from edge_targets.runtime.events import QUIET
from tests.edge_targets.cards import CardReader, disk_image, entry

IMAGE = disk_image(CHUNK + 12345)


def zipped(raw: bytes, name: str = "system.img", method: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        archive.writestr("README.txt", "an image")
        archive.writestr(name, raw)
    return file.getvalue()


PACK: dict[str, Callable[[bytes], bytes]] = {
    "gz": lambda raw: gzip.compress(raw, 1),
    "xz": lambda raw: lzma.compress(raw, preset=0),
    "zip": zipped,
    "zst": lambda raw: zstandard.ZstdCompressor().compress(raw),
}


@cache
def packed(kind: str) -> bytes:
    return PACK[kind](IMAGE)


@pytest.fixture
def reader(tmp_path: Path) -> CardReader:
    folder = tmp_path / "root/sys/dev/block/0:0"  # the number of ordinary files
    folder.mkdir(parents=True)
    (folder / "removable").write_text("1\n")
    (tmp_path / "root/proc").mkdir()
    (tmp_path / "root/proc/mounts").write_text("")
    return CardReader(tmp_path / "root")


@pytest.mark.parametrize("kind", PACK)
@pytest.mark.parametrize("name", ["system.img.{}", "download"])
def test_an_image_is_unpacked_whatever_its_name_says(tmp_path: Path, kind: str, name: str) -> None:
    image = tmp_path / name.format(kind)
    image.write_bytes(packed(kind))

    written = write_image(image, tmp_path / "card", QUIET)

    assert (tmp_path / "card").read_bytes() == IMAGE
    assert written.sha256 == hashlib.sha256(IMAGE).hexdigest()


def test_frames_of_zstandard_may_follow_each_other(tmp_path: Path) -> None:
    image = tmp_path / "system.img.zst"
    image.write_bytes(PACK["zst"](IMAGE[:CHUNK]) + PACK["zst"](IMAGE[CHUNK:]))

    write_image(image, tmp_path / "card", QUIET)

    assert (tmp_path / "card").read_bytes() == IMAGE


@pytest.mark.parametrize("kind", PACK)
@pytest.mark.parametrize("kept", [10, 5000, -12])
def test_a_file_that_was_cut_short_is_refused(tmp_path: Path, kind: str, kept: int) -> None:
    image = tmp_path / f"system.img.{kind}"
    image.write_bytes(packed(kind)[:kept])

    with pytest.raises(DataError, match="cannot be unpacked"):
        write_image(image, tmp_path / "card", QUIET)

    assert [path.name for path in tmp_path.iterdir()] == [image.name]


@pytest.mark.parametrize("kind", ["gz", "xz", "zip"])
def test_a_bit_that_flipped_on_the_way_is_found(tmp_path: Path, kind: str) -> None:
    data = bytearray(packed(kind))
    data[len(data) // 2] ^= 1
    (tmp_path / "system.img").write_bytes(data)

    with pytest.raises(DataError, match="cannot be unpacked"):
        write_image(tmp_path / "system.img", tmp_path / "card", QUIET)


def test_an_image_that_ends_before_its_last_partition_is_refused(tmp_path: Path) -> None:
    (tmp_path / "system.img").write_bytes(IMAGE[:-SECTOR])

    with pytest.raises(DataError, match="cut short"):
        write_image(tmp_path / "system.img", tmp_path / "card", QUIET)

    assert not (tmp_path / "card").exists()


@pytest.mark.parametrize("kind", PACK)
def test_a_bomb_is_stopped_by_what_its_partition_table_says_and_takes_no_memory(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_targets.flashing.image.SLACK", 4 * CHUNK)
    bomb = tmp_path / "bomb.img"
    bomb.write_bytes(PACK[kind](disk_image(SECTOR, entry(SECTOR, SECTOR, 0x83)) + bytes(96 << 20)))
    tracemalloc.start()

    with pytest.raises(DataError, match="far longer"):
        write_image(bomb, tmp_path / "card", QUIET)

    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert bomb.stat().st_size < 1 << 20
    assert peak < 48 << 20
    assert not (tmp_path / "card").exists()


def test_only_one_image_may_be_in_a_zip_file(tmp_path: Path) -> None:
    for names in ([], ["a.img", "b.img"]):
        path = tmp_path / "many.zip"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("README", "")
            for name in names:
                archive.writestr(name, IMAGE[:SECTOR])

        with pytest.raises(DataError, match=f"holds {len(names)} images"):
            write_image(path, tmp_path / "card", QUIET)


def test_a_zip_file_that_is_packed_without_a_bound_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "odd.zip"
    path.write_bytes(zipped(IMAGE, method=zipfile.ZIP_BZIP2))

    with pytest.raises(UnsupportedError, match="unusual"):
        write_image(path, tmp_path / "card", QUIET)


def test_a_zip_file_with_an_endless_table_of_contents_is_not_read(tmp_path: Path) -> None:
    data = bytearray(zipped(IMAGE[:SECTOR]))
    struct.pack_into("<L", data, len(data) - 10, 0xFFFF_FFFE)  # the size of the table
    (tmp_path / "odd.zip").write_bytes(data)

    with pytest.raises(DataError, match="table of contents"):
        write_image(tmp_path / "odd.zip", tmp_path / "card", QUIET)


@pytest.mark.parametrize(
    "data",
    [
        b"%PDF-1.7 " + bytes(2048),
        bytes(CHUNK),
        bytes(510) + b"\x55\xaa",  # signed, and no partition in it
        b"\xeb\x58\x90" + b"A" * 507 + b"\x55\xaa",  # a lone file system
        b"",
    ],
)
def test_what_is_no_disk_image_is_refused_before_the_card_is_touched(
    tmp_path: Path, reader: CardReader, data: bytes
) -> None:
    card, image = tmp_path / "card", tmp_path / "thesis.img"
    card.write_bytes(b"\xaa" * CHUNK)
    image.write_bytes(data)

    with pytest.raises(DataError, match=r"not a disk image|is empty") as caught:
        write_image(image, card, QUIET, reader)

    assert caught.value.hint
    assert card.read_bytes() == b"\xaa" * CHUNK


def gpt(*parts: tuple[bytes, int, int]) -> bytes:
    """A head with these partitions: kind, first and last sector."""
    entries = b"".join(
        kind + b"\x11" * 16 + struct.pack("<QQ", first, last) + bytes(80)
        for kind, first, last in parts
    )
    entries += bytes(128 * 128 - len(entries))

    def header(crc: int) -> bytes:
        return GPT.pack(
            b"EFI PART", b"\0\0\1\0", 92, crc, 1, 99, 34, 90, b"d" * 16, 2, 128, 128,
            zlib.crc32(entries),
        )  # fmt: skip

    made = header(zlib.crc32(header(0)))
    protective = bytes(446) + entry(SECTOR, 99 * SECTOR, 0xEE) + bytes(48) + b"\x55\xaa"
    return protective + made.ljust(SECTOR, b"\0") + entries


def test_the_boot_partition_of_a_gpt_disk_is_found() -> None:
    linux, efi = b"\xaf" * 16, next(iter(FAT_GUIDS))

    table = read_table(gpt((linux, 40, 41), (efi, 50, 59)), Path("a.img"))

    assert table.partitions[0] == Partition(40 * SECTOR, 2 * SECTOR, fat=False)
    assert table.boot == Partition(50 * SECTOR, 10 * SECTOR, fat=True)
    assert table.end == 60 * SECTOR


@given(at=st.integers(SECTOR, SECTOR + 91), bit=st.integers(0, 7))
def test_a_damaged_gpt_is_refused(at: int, bit: int) -> None:
    head = bytearray(gpt((b"\xaf" * 16, 40, 41)))
    head[at] ^= 1 << bit

    with pytest.raises(DataError, match="partition table"):
        read_table(bytes(head), Path("a.img"))


@given(st.binary(max_size=2048))
def test_any_bytes_are_a_table_or_a_data_error(head: bytes) -> None:
    for data in (head, head[:510].ljust(510, b"\0") + b"\x55\xaa" + head[510:]):
        with suppress(DataError):
            assert read_table(data, Path("a.img")).end > 0


@given(st.lists(st.integers(0, 3 * CHUNK), max_size=5))
def test_chunks_are_the_same_bytes(sizes: list[int]) -> None:
    chunks = list(in_chunks(bytes([number]) * size for number, size in enumerate(sizes)))

    assert sum(map(len, chunks)) == sum(sizes)
    assert all(len(chunk) == CHUNK for chunk in chunks[:-1])
    assert hashlib.sha256(b"".join(chunks)).digest() == (
        hashlib.sha256(b"".join(bytes([n]) * size for n, size in enumerate(sizes))).digest()
    )


def test_what_follows_the_last_partition_is_an_image_up_to_a_bound() -> None:
    table = Table((Partition(0, SECTOR, fat=False),))

    def stream(size: int) -> Iterator[bytes]:
        return sized(iter([bytes(SECTOR)] * (size // SECTOR)), table, Path("a.img"))

    assert sum(map(len, stream(CHUNK))) == CHUNK


# ------------------------------------------------------------------------------- SHA-256


@pytest.mark.parametrize("kind", PACK)
@pytest.mark.parametrize("of", ["file", "image"])
def test_the_sha256_of_the_download_or_of_the_image_in_it_is_checked(
    tmp_path: Path, kind: str, of: str
) -> None:
    image = tmp_path / f"system.img.{kind}"
    image.write_bytes(packed(kind))
    digest = hashlib.sha256(packed(kind) if of == "file" else IMAGE).hexdigest()

    written = write_image(image, tmp_path / "card", QUIET, sha256=digest.upper())

    assert written.checked == of


@pytest.mark.parametrize("line", ["{digest}", "{digest}  {name}\n", "SHA256 ({name}) = {digest}"])
def test_a_sha256_file_beside_the_image_is_taken(tmp_path: Path, line: str) -> None:
    image = tmp_path / "system.img.gz"
    image.write_bytes(packed("gz"))
    digest = hashlib.sha256(packed("gz")).hexdigest()
    beside = tmp_path / "system.img.gz.sha256"
    beside.write_text(line.format(digest=digest, name=image.name))

    assert write_image(image, tmp_path / "card", QUIET).checked == "file"

    beside.write_text(line.format(digest="0" * 64, name=image.name))
    with pytest.raises(IntegrityError, match="not the file whose SHA-256"):
        write_image(image, tmp_path / "another", QUIET)
    assert not (tmp_path / "another").exists()


def test_a_list_that_does_not_name_the_image_is_not_guessed_from(tmp_path: Path) -> None:
    image = tmp_path / "system.img"
    image.write_bytes(IMAGE)
    (tmp_path / "system.img.sha256").write_text(f"{'0' * 64}  a.img\n{'1' * 64}  b.img\n")

    with pytest.raises(DataError, match="does not tell"):
        write_image(image, tmp_path / "card", QUIET)


@pytest.mark.parametrize("kind", [None, "xz"])
def test_an_image_that_is_another_never_boots(
    tmp_path: Path, reader: CardReader, kind: str | None
) -> None:
    card, image = tmp_path / "card", tmp_path / "system.img"
    card.write_bytes(b"\xaa" * (2 * CHUNK))
    image.write_bytes(packed(kind) if kind else IMAGE)

    with pytest.raises(IntegrityError, match="not the file whose SHA-256"):
        write_image(image, card, QUIET, reader, sha256="0" * 64)

    # a raw image is known to be another before anything is written
    assert card.read_bytes()[:CHUNK] == (bytes(CHUNK) if kind else b"\xaa" * CHUNK)


@pytest.mark.parametrize("word", ["abc", "g" * 64, "0" * 63])
def test_a_word_that_is_no_sha256_is_refused(tmp_path: Path, word: str) -> None:
    (tmp_path / "system.img").write_bytes(IMAGE)

    with pytest.raises(DataError, match="no SHA-256"):
        write_image(tmp_path / "system.img", tmp_path / "card", QUIET, sha256=word)


@given(data=st.binary(max_size=300), magic=st.sampled_from([b"\x1f\x8b", b"\xfd7zXZ\0", b"PK\3\4"]))
def test_noise_behind_any_magic_number_ends_in_an_error_of_ours(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, magic: bytes
) -> None:
    path = tmp_path_factory.mktemp("noise") / "a.img"
    path.write_bytes(magic + data)

    with pytest.raises(EdgeError), unpacked(path) as pieces:
        list(pieces)
