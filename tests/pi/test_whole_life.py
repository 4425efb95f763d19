"""A Raspberry Pi's life with us, from the day it is added to the day it goes; all parts real.

The board is an arm64 Debian with its own sshd and Python and no network; wheels, agent and engine
run there under qemu as they would on its processor.
"""

from dataclasses import replace
from pathlib import Path

from edge_targets.catalog import targets
from edge_targets.package import pack, public_key
from edge_targets.places.target import Place, Target
from edge_targets.runtime.events import Event, Job
from tests.edge_targets import tiny
from tests.pi.fixtures import StartPi


def package(folder: Path, version: str, target: str) -> Path:
    """One whose answers tell the version: its weights are so many times as large."""
    out = folder / f"tiny-{version}.sndl"
    manifest = replace(tiny.manifest(version), target=target)
    pack(manifest, tiny.members(float(version)), tiny.KEY, out)
    return out


def test_a_board_is_added_deployed_to_updated_rolled_back_and_let_go(
    start_pi: StartPi, tmp_path: Path
) -> None:
    target, cpu, suite = "raspberry_pi_5", "cortex-a76", "trixie"  # Python 3.13
    pi = start_pi(cpu, suite)
    events: list[Event] = []
    job = Job(events.append)
    board = targets[target]()
    place = Place("kitchen", pi.address, "", (public_key(tiny.KEY),), tmp_path / "keys")
    one, two = (package(tmp_path, version, target) for version in ("1", "2"))

    board.enrol(place, pi.password, job)
    assert board.status(place).state == "empty"

    first = board.deploy(one, place, job)
    assert tiny.answers(first.url, 1.0)

    timed = board.bench(two, place, 1, job)
    assert timed.runs > 0
    assert timed.p50_ms > 0
    assert tiny.answers(first.url, 1.0)  # and it serves what it did

    second = board.deploy(two, place, job)
    assert tiny.answers(second.url, 2.0)
    assert board.status(place).models[0].previous == "1"

    pi.stop()
    start_pi(cpu, suite, disk=pi.disk, port=pi.port)  # somebody pulled the plug, and put it back
    until_ready(board, place)
    assert board.status(place).version == "2"

    back = board.rollback(place, "tiny")
    assert back.version == "1"
    assert tiny.answers(board.status(place).url, 1.0)
    assert any("tiny" in line for line in board.logs(place, 100))

    board.withdraw(place, job)
    left = "ls -d /opt/sanderling /var/lib/sanderling; pgrep --full edge_targets.agent"
    assert pi.run(left, user="root", check=False).stdout == ""


def until_ready(board: Target, place: Place) -> None:
    tiny.wait_until(lambda: board.status(place).state == "ready", limit_s=300)
