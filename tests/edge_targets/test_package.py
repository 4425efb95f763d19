"""A package is accepted when every byte is as it was packed, and refused otherwise."""

import json
import os
import stat
import struct
import subprocess
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edge_targets.package import (
    pack,
    public_key,
    unpack,
    verify,
    verify_folder,
)
from edge_targets.package.archive import MAX_FILE, archive
from edge_targets.package.keys import key_id
from edge_targets.runtime.contract import Manifest
from edge_targets.runtime.errors import IntegrityError, StorageError
from tests.edge_targets.conftest import Build
from tests.edge_targets.tiny import KEY, STRANGER, manifest, members

TRUSTED = (public_key(KEY),)


def content(file: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(file) as opened:
        return {name: opened.read(name) for name in opened.namelist()}


def refused(file: Path, *words: str) -> None:
    """Both doors say no, in two lines, and nothing is left behind."""
    folder = file.parent / "unpacked"
    doors: list[Callable[[], Manifest]] = [
        lambda: verify(file, TRUSTED),
        lambda: unpack(file, folder, TRUSTED),
    ]
    for door in doors:
        with pytest.raises(IntegrityError) as caught:
            door()
        for word in words:
            assert word in str(caught.value)
        assert caught.value.hint
        assert "\n" not in str(caught.value) + caught.value.hint
    assert not folder.exists()
    assert not list(file.parent.glob(".unpacked*"))


def test_the_same_content_gives_the_same_bytes(tmp_path: Path) -> None:
    one, two = tmp_path / "one.sndl", tmp_path / "two.sndl"

    pack(manifest(), members(), KEY, one)
    pack(manifest(), dict(reversed(members().items())), KEY, two)

    assert one.read_bytes() == two.read_bytes()


def test_a_verified_package_gives_back_what_was_packed(build: Build) -> None:
    found = verify(build(), TRUSTED)

    assert found.name == "tiny"
    assert set(found.files) == set(members())


def test_a_member_in_the_manifest_of_an_older_program_survives(tmp_path: Path) -> None:
    file = tmp_path / "tiny.sndl"
    newer = manifest().from_json({**manifest().to_json(), "colour": "blue"})

    pack(newer, members(), KEY, file)

    assert verify(file, TRUSTED).extra == {"colour": "blue"}


def test_any_zip_tool_opens_a_package(build: Build, tmp_path: Path) -> None:
    file = build()

    with zipfile.ZipFile(file) as opened:
        assert opened.testzip() is None
        names = opened.namelist()
    done = subprocess.run(["unzip", "-q", file, "-d", tmp_path / "out"], check=False)

    assert names == ["manifest.json", "manifest.sig", *sorted(members())]
    assert done.returncode == 0
    assert (tmp_path / "out/card.md").read_bytes() == b"# tiny\n"
    assert stat.S_IMODE((tmp_path / "out/card.md").stat().st_mode) & 0o600 == 0o600


def test_unpacking_writes_every_member(build: Build, tmp_path: Path) -> None:
    unpack(build(), tmp_path / "deep/slot", TRUSTED)

    assert {path.name: path.read_bytes() for path in (tmp_path / "deep/slot").iterdir()} == content(
        build()
    )
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["slot"]
    assert verify_folder(tmp_path / "deep/slot", TRUSTED).name == "tiny"


def test_unpacking_does_not_touch_a_folder_that_holds_something(
    build: Build, tmp_path: Path
) -> None:
    folder = tmp_path / "slot"
    folder.mkdir()
    (folder / "mine").write_text("keep")

    with pytest.raises(StorageError):
        unpack(build(), folder, TRUSTED)

    assert [path.name for path in folder.iterdir()] == ["mine"]


def test_a_decayed_file_in_an_unpacked_package_is_found(build: Build, tmp_path: Path) -> None:
    unpack(build(), tmp_path / "slot", TRUSTED)
    model = tmp_path / "slot/model.onnx"
    model.write_bytes(model.read_bytes()[:-1] + b"?")

    with pytest.raises(IntegrityError, match=r"model\.onnx is damaged"):
        verify_folder(tmp_path / "slot", TRUSTED)


def test_every_single_flipped_byte_is_refused(build: Build) -> None:
    file = build()
    good = file.read_bytes()
    accepted = []

    for at in range(len(good)):
        bad = bytearray(good)
        bad[at] ^= 1 << at % 8  # another bit at each byte
        file.write_bytes(bad)
        try:
            verify(file, TRUSTED)
        except IntegrityError:
            continue
        accepted.append(at)

    assert accepted == []


@pytest.mark.parametrize("kept", [0, 1, 21, 22, 30, 500, 2000, -1])
def test_a_package_that_was_cut_short_is_refused(build: Build, kept: int) -> None:
    file = build()
    file.write_bytes(file.read_bytes()[:kept])

    refused(file)


@pytest.mark.parametrize("tail", [b"\0", b"more", b"PK\5\6" + bytes(18)])
def test_bytes_after_the_end_are_refused(build: Build, tail: bytes) -> None:
    file = build()
    file.write_bytes(file.read_bytes() + tail)

    refused(file)


def test_bytes_before_the_beginning_are_refused(build: Build) -> None:
    file = build()
    file.write_bytes(b"#!/bin/sh\n" + file.read_bytes())

    refused(file)


def test_a_stranger_s_package_is_refused_and_names_the_keys(tmp_path: Path) -> None:
    file = tmp_path / "tiny.sndl"
    pack(manifest(), members(), STRANGER, file)

    refused(file, STRANGER.key_id, "not trusted")
    with pytest.raises(IntegrityError) as caught:
        verify(file, TRUSTED)
    assert KEY.key_id in caught.value.hint


def test_a_stranger_who_claims_a_trusted_key_is_refused(build: Build) -> None:
    file = build()
    found = content(file)
    proof = json.loads(found["manifest.sig"])
    text = found["manifest.json"].replace(b'"tolerance": 0.0001', b'"tolerance": 1000.0')
    assert text != found["manifest.json"]

    file.write_bytes(archive({**found, "manifest.json": text}))

    assert proof["key_id"] == key_id(public_key(KEY))
    refused(file, "signature")


def test_a_member_that_the_manifest_does_not_list_is_refused(build: Build) -> None:
    file = build()

    file.write_bytes(archive({**content(file), "zzz": b"extra"}))

    refused(file, "zzz")


def test_a_missing_member_is_refused(build: Build) -> None:
    file = build()
    found = content(file)
    del found["profile.json"]

    file.write_bytes(archive(found))

    refused(file, "list of its members")


def test_a_swapped_model_is_refused(build: Build) -> None:
    file = build()

    file.write_bytes(archive({**content(file), "model.onnx": b"another model"}))

    refused(file, "model.onnx")


@pytest.mark.parametrize(
    "name",
    [
        "../escape",
        "/etc/cron.d/x",
        "a/b",
        "a\\b",
        "..",
        ".hidden",
        "C:evil",
        "a\nb",
        "",
        "-x",
        "\0",
    ],
)
def test_a_name_that_could_climb_out_is_refused(build: Build, tmp_path: Path, name: str) -> None:
    file = build()

    file.write_bytes(archive({**content(file), name: b"x"}))

    refused(file, "could write outside its folder")
    with pytest.raises(IntegrityError, match="could write outside"):
        pack(manifest(), {**members(), name: b"x"}, KEY, tmp_path / "other.sndl")


def test_a_climbing_name_is_named_in_the_error(build: Build) -> None:
    file = build()
    with zipfile.ZipFile(file, "a") as opened:
        opened.writestr("../../etc/passwd", b"x")

    refused(file, "../../etc/passwd")


def test_two_members_of_one_name_are_refused(build: Build) -> None:
    file = build()
    found = {**content(file), "card.mx": b"other"}

    file.write_bytes(archive(found).replace(b"card.mx", b"card.md"))

    refused(file, "two members of one name")


def test_names_that_are_one_on_some_disks_are_refused(build: Build) -> None:
    file = build()

    file.write_bytes(archive({**content(file), "CARD.md": b"other"}))

    refused(file, "two members of one name")


def test_a_symbolic_link_is_refused(build: Build) -> None:
    file = build()
    data = file.read_bytes()
    plain, link = struct.pack("<I", 0o100644 << 16), struct.pack("<I", 0o120777 << 16)
    assert data.count(plain) == len(members()) + 2

    file.write_bytes(data.replace(plain, link))

    refused(file, "directory")


def test_a_bomb_is_refused_without_being_unpacked(build: Build) -> None:
    file = build()
    with zipfile.ZipFile(file, "a", zipfile.ZIP_DEFLATED) as opened:
        opened.writestr("zzz", bytes(100 << 20))

    assert file.stat().st_size < 1 << 20
    refused(file, "compressed", str(100 << 20))


def test_a_size_that_lies_is_refused(build: Build) -> None:
    file = build()
    found = content(file)
    row = struct.pack("<III", zlib.crc32(found["card.md"]), 7, 7)
    lie = struct.pack("<III", zlib.crc32(found["card.md"]), 4 << 30 - 1, 4 << 30 - 1)

    file.write_bytes(file.read_bytes().replace(row, lie))

    refused(file)


def test_too_many_members_are_refused(build: Build) -> None:
    file = build()

    file.write_bytes(archive({**content(file), **{f"z{i:03}": b"" for i in range(100)}}))

    refused(file)


def test_a_file_that_is_too_large_is_refused_without_being_read(tmp_path: Path) -> None:
    file = tmp_path / "large.sndl"
    with file.open("wb") as opened:
        opened.truncate(MAX_FILE + 1)  # takes no room: a hole

    refused(file, str(MAX_FILE))


@pytest.mark.parametrize("body", [b"", b"hello", b"PK\3\4" + bytes(100), os.urandom(3000)])
def test_what_is_no_package_is_refused(tmp_path: Path, body: bytes) -> None:
    file = tmp_path / "other.sndl"
    file.write_bytes(body)

    refused(file, "not a package")


def test_a_package_that_is_not_there_is_refused(tmp_path: Path) -> None:
    refused(tmp_path / "none.sndl", "cannot be read")


class Watched(list[str]):
    """Trusted keys that say when they are looked at."""

    def __init__(self, keys: tuple[str, ...], seen: Callable[[], None]) -> None:
        super().__init__(keys)
        self.seen = seen

    def __iter__(self) -> Iterator[str]:
        self.seen()
        return super().__iter__()


def test_a_file_that_changes_after_it_was_checked_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "tiny.sndl"
    large = bytes(1 << 20) + b"the end"  # more than a reader holds in its buffer
    pack(manifest(), {**members(), "tail.bin": large}, KEY, file)
    looks: list[int] = []

    def change_at_the_second_look() -> None:
        looks.append(len(looks))
        if len(looks) == 2:
            with file.open("r+b") as opened:
                opened.seek(file.read_bytes().index(b"the end"))
                opened.write(b"!")

    with pytest.raises(IntegrityError, match=r"tail\.bin"):
        unpack(file, tmp_path / "slot", Watched(TRUSTED, change_at_the_second_look))

    assert len(looks) == 2
    assert not (tmp_path / "slot").exists()


@pytest.mark.parametrize("name", ["Tiny", "a b", "../x", "", "a/b"])
def test_a_model_whose_name_cannot_be_in_an_address_is_not_packed(build: Build, name: str) -> None:
    with pytest.raises(IntegrityError):
        build(name=name)


def test_a_package_without_its_model_is_not_packed(build: Build) -> None:
    with pytest.raises(IntegrityError, match="not in it"):
        build(model="other.onnx")
