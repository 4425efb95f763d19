"""A kill at any moment leaves the old package active or the new one."""

import subprocess
import sys
from pathlib import Path

import pytest

from edge_targets.agent.home import child_environment
from edge_targets.agent.slots import Slots
from edge_targets.package import public_key, unpack, verify_folder
from tests.edge_targets.conftest import Build
from tests.edge_targets.tiny import KEY

TRUSTED = (public_key(KEY),)


def put(slots: Slots, package: Path) -> None:
    staged = slots.staging()
    unpack(package, staged, TRUSTED)
    slots.commit(staged)


def active_version(slots: Slots) -> str:
    assert slots.active
    return verify_folder(slots.active, TRUSTED).version


def test_nothing_is_active_before_the_first_package(tmp_path: Path) -> None:
    assert Slots(tmp_path / "slots").active is None


def test_packages_take_turns_in_the_slots(build: Build, tmp_path: Path) -> None:
    slots = Slots(tmp_path / "slots")
    used = []

    for version in ("1", "2", "3"):
        put(slots, build(version))
        assert slots.active
        used.append(slots.active.name)

    assert used == ["a", "b", "a"]
    assert active_version(slots) == "3"
    assert verify_folder(slots.free, TRUSTED).version == "2"
    assert sorted(path.name for path in slots.folder.iterdir()) == ["a", "active", "b"]


@pytest.mark.parametrize("text", ["", "c", "../../etc", "a\0", "b"])
def test_a_pointer_to_nothing_is_no_pointer(build: Build, tmp_path: Path, text: str) -> None:
    slots = Slots(tmp_path / "slots")
    put(slots, build())

    slots.pointer.write_text(text)

    assert slots.active is None


# In each child of this program the kernel's kill comes at another file operation: Python tells
# of each one (an audit event) before it is done.
CRASHES = """
import os, shutil, signal, sys
from pathlib import Path
from edge_targets.agent.slots import Slots
from edge_targets.package import unpack

root, package, *trusted = sys.argv[1:]
left = [0]

def audit(event, words):
    if event == "open" or event.startswith(("os.", "shutil.")):
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

def attempt():
    slots = Slots(Path(root) / "slots")
    slots.clean()
    staged = slots.staging()
    unpack(Path(package), staged, trusted)
    slots.commit(staged)

for moment in range(1, 1000):
    here = Path(root) / str(moment)
    shutil.copytree(Path(root) / "slots", here / "slots")
    pid = os.fork()
    if pid == 0:
        root = str(here)
        left[0] = moment
        sys.addaudithook(audit)
        attempt()
        os._exit(0)
    if os.waitpid(pid, 0)[1] == 0:
        break
print(moment)
"""


def test_a_kill_at_every_file_operation_leaves_the_old_or_the_new(
    build: Build, tmp_path: Path
) -> None:
    slots = Slots(tmp_path / "slots")
    put(slots, build("1"))
    put(slots, build("2"))
    package = build("3")

    done = subprocess.run(
        [sys.executable, "-c", CRASHES, tmp_path, package, *TRUSTED],
        env=child_environment(),
        capture_output=True,
        text=True,
        check=True,
    )

    moments = int(done.stdout)
    found = []
    for moment in range(1, moments + 1):
        after = Slots(tmp_path / str(moment) / "slots")
        found.append(active_version(after))
        after.clean()
        assert active_version(after) == found[-1]
        put(after, package)  # and the next installation works
        assert active_version(after) == "3"
        assert sorted(path.name for path in after.folder.iterdir()) == ["a", "active", "b"]
    assert found == sorted(found)
    assert set(found) == {"2", "3"}
    assert moments > 30
