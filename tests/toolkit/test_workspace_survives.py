"""Kills, damage and full disks: what was stored stays readable, or it is said what is damaged."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_targets.runtime.errors import (
    IntegrityError,
    StorageError,
)
from toolkit.workspace import Entry, Workspace

WRITER = """
import sys
from pathlib import Path
from toolkit.workspace import Workspace
shelves = Workspace(Path(sys.argv[1]))
print("ready", flush=True)
for number in range(int(sys.argv[3])):
    data = f"{sys.argv[2]} {number} ".encode() * 5000
    shelves.put("models", f"m{number % 3}", {"weights": data}, {"number": number}, "train")
"""


def writer(workspace: Workspace, word: str, times: int) -> "subprocess.Popen[bytes]":
    """A process that puts models `m0`, `m1` and `m2` again and again."""
    words = [sys.executable, "-c", WRITER, str(workspace.root), word, str(times)]
    return subprocess.Popen(words, stdout=subprocess.PIPE)


def put(workspace: Workspace, name: str = "one", data: bytes = b"abc", **facts: object) -> Entry:
    return workspace.put("models", name, {"weights": data}, facts, "train", {"epochs": 3})


def files_of(workspace: Workspace) -> set[str]:
    return {str(p.relative_to(workspace.root)) for p in workspace.root.rglob("*") if p.is_file()}


@pytest.mark.parametrize("damage", [b"", b"ab", b"abd", b"abcd"])
def test_a_damaged_object_is_detected_and_made_again_it_is_mended(
    workspace: Workspace, damage: bytes
) -> None:
    entry = put(workspace)
    file = workspace.file(entry, "weights")
    file.chmod(0o644)
    file.write_bytes(damage)

    with pytest.raises(IntegrityError, match="weights of one is damaged") as caught:
        workspace.read(entry, "weights")
    assert "again" in caught.value.hint

    assert workspace.read(put(workspace), "weights") == b"abc"


def test_a_lost_object_is_detected(workspace: Workspace) -> None:
    entry = put(workspace)
    workspace.file(entry, "weights").unlink()

    with pytest.raises(IntegrityError, match="weights of one"):
        workspace.read(entry, "weights")


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"schema": 1}', b"\xff\xfe"])
def test_a_damaged_entry_is_detected(workspace: Workspace, damage: bytes) -> None:
    entry = put(workspace)
    (workspace.root / "entries" / f"{entry.digest}.json").write_bytes(damage)

    with pytest.raises(IntegrityError, match="damaged"):
        workspace.get("models", "one")


def test_an_entry_that_was_tampered_with_is_detected(workspace: Workspace) -> None:
    entry = put(workspace, passed=False)
    path = workspace.root / "entries" / f"{entry.digest}.json"
    path.write_text(path.read_text().replace("false", "true"))

    with pytest.raises(IntegrityError, match="damaged"):
        workspace.get("models", "one")


@pytest.mark.parametrize("damage", [b"", b"abc", b"../../sanderling", b"\xff" * 64, b"f" * 400])
def test_a_damaged_name_is_detected(workspace: Workspace, damage: bytes) -> None:
    put(workspace)
    (workspace.root / "names" / "models" / "one").write_bytes(damage)

    with pytest.raises(IntegrityError, match="lost entry"):
        workspace.get("models", "one")


def test_rubbish_between_the_names_is_passed_over(workspace: Workspace) -> None:
    put(workspace)
    (workspace.root / "names" / "models" / ".one.x7").write_text("half")
    (workspace.root / "names" / "models" / "Copy of one").write_text("copy")

    assert workspace.names("models") == ["one"]


@pytest.mark.parametrize("attempt", range(3))
def test_a_kill_at_any_moment_leaves_every_name_readable(
    workspace: Workspace, attempt: int
) -> None:
    child = writer(workspace, "one", 1_000_000)
    assert child.stdout
    child.stdout.readline()
    newest = workspace.root / "names" / "models" / "m2"
    while not newest.exists():
        time.sleep(0.001)
    time.sleep(0.011 * attempt)

    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()

    for name in workspace.names("models"):
        entry = workspace.get("models", name)
        expected = f"one {entry.facts['number']} ".encode() * 5000
        assert workspace.read(entry, "weights") == expected
    assert workspace.names("models") == ["m0", "m1", "m2"]


def test_two_processes_may_put_at_once(workspace: Workspace) -> None:
    children = [writer(workspace, "same", 60) for _ in range(2)]

    for child in children:
        child.communicate()

    assert [child.returncode for child in children] == [0, 0]
    numbers = [workspace.get("models", f"m{i}").facts["number"] for i in range(3)]
    assert numbers == [57, 58, 59]
    for entry in workspace.entries("models"):
        workspace.read(entry, "weights")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small disk")
    words = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    if subprocess.run(words, check=False, capture_output=True).returncode:
        pytest.skip("this machine does not let a disk be mounted")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def fill(file: Path) -> None:
    with contextlib.suppress(OSError), file.open("wb", buffering=0) as stream:
        while stream.write(b"x" * 4096):
            pass


def test_a_full_disk_is_said_and_what_was_there_stays(small_disk: Path) -> None:
    workspace = Workspace.create(small_disk)
    old = put(workspace, data=b"old")

    with pytest.raises(StorageError) as caught:
        put(workspace, data=os.urandom(400_000))

    assert "disk is full" in caught.value.hint
    assert workspace.get("models", "one") == old
    assert workspace.read(old, "weights") == b"old"
    assert not [name for name in files_of(workspace) if "/." in name]
    assert put(workspace, data=b"new") == workspace.get("models", "one")


def test_a_disk_that_is_full_to_the_last_byte_keeps_the_settings(small_disk: Path) -> None:
    workspace = Workspace.create(small_disk)
    old = put(workspace, data=b"old")
    fill(small_disk / "filler")

    with pytest.raises(StorageError):
        put(workspace, data=b"new")

    assert Workspace(small_disk).read(old, "weights") == b"old"
