"""What goes wrong on a board's own processor, before anything of ours runs there."""

import json
import zipfile
from pathlib import Path

import pytest

from edge_targets.agent.home import Settings
from edge_targets.catalog import targets
from edge_targets.enrolment.carry import as_root, carry, install
from edge_targets.enrolment.payload import Board, fill
from edge_targets.enrolment.probe import PYTHON, probe, suggest
from edge_targets.runtime.errors import DeviceError, IntegrityError, UnsupportedError
from edge_targets.runtime.events import Event, Job
from edge_targets.transport.borders import ssh_address
from edge_targets.transport.login import Connections
from tests.pi.fixtures import StartPi

# 0x00000000 is `udf #0`, an instruction that no arm64 processor has (Arm ARM, C6.2, UDF)
ILLEGAL = """
import ctypes, mmap
page = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
page.write(bytes(16))
ctypes.CFUNCTYPE(None)(ctypes.addressof(ctypes.c_char.from_buffer(page)))()
"""


def test_a_board_says_what_it_is_and_an_illegal_instruction_ends_nothing_but_its_trial(
    start_pi: StartPi, tmp_path: Path
) -> None:
    pi = start_pi(cpu="cortex-a53")
    pi.run("echo 0x50005 > /run/throttled; rm -f /etc/sudoers.d/none", user="root")
    connections, address, keys = Connections(), ssh_address(pi.address), tmp_path / "keys"
    bad = tmp_path / "numpy-1-py3-none-any.whl"
    with zipfile.ZipFile(bad, "w") as archive:
        archive.writestr("numpy.py", ILLEGAL)
    events: list[Event] = []
    try:
        with pytest.raises(DeviceError, match="does not take our key"):
            connections.get(address, keys)
        ssh = connections.get(address, keys, pi.password)
        found = probe(ssh, Job())
        root = as_root(ssh, "")
        told = []
        for machine, python in (("x86_64", "3.11"), ("aarch64", "3.13"), ("aarch64", "3.11")):
            payload = tmp_path / f"{machine}-{python}"
            plan = fill(payload, [bad], Board(python, machine), Settings(), (), {})
            carry(ssh, payload, plan, False, Job())
            with pytest.raises((IntegrityError, UnsupportedError)) as caught:
                install(root, PYTHON, [], Job(events.append))
            told.append(str(caught.value))
        left = pi.run("ls /opt/sanderling /opt/sanderling/environments", user="root").stdout
        running = pi.run("pgrep --full edge_targets.agent", user="root", check=False).stdout
    finally:
        connections.close(address, keys)

    assert suggest(found, {name: targets[name].facts for name in targets.names()}).startswith(
        "raspberry_pi"
    )
    assert (found.machine, found.bits, found.python) == ("aarch64", 64, "3.11")
    assert found.is_root
    assert found.service == "keeper"
    assert found.throttled == 0x50005
    assert "this board is aarch64" in told[0]
    assert "this board has 3.11" in told[1]
    assert "died of SIGILL" in told[2]
    assert "current" not in left
    assert plan.environment not in left
    assert not running
    assert json.loads(events[-1].to_json())["message"] == "try the environment"
