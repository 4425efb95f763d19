"""The emulated board is what tests take it for: arm64, fresh, apart from this machine."""

import errno
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.edge_targets.tiny import wait_until
from tests.pi.board import Pi
from tests.pi.fixtures import StartPi

ROOT = Path(__file__).parents[2]
HWCAP_ASIMDDP = 1 << 20  # the dot product, new in Armv8.2: linux/arch/arm64 uapi asm/hwcap.h


def test_the_board_is_an_arm_machine_with_the_pis_users(pi: Pi) -> None:
    told = pi.run("uname -m; id -un; sudo -n id -un; hostname; tail -1 /proc/cpuinfo").stdout

    assert told.split("\n")[:4] == ["aarch64", "pi", "root", "raspberrypi"]
    assert "Raspberry Pi 4" in told


@pytest.mark.parametrize(
    ("cpu", "suite", "python"),
    [("cortex-a72", "bookworm", "3.11"), ("cortex-a76", "trixie", "3.13")],
)
def test_core_and_python_are_the_ones_asked_for(
    start_pi: StartPi, cpu: str, suite: str, python: str
) -> None:
    script = (
        "import ctypes, platform; getauxval = ctypes.CDLL(None).getauxval;"
        "getauxval.restype = ctypes.c_ulong;"
        "print(platform.python_version(), getauxval(ctypes.c_ulong(16)))"
    )

    version, capabilities = (
        start_pi(cpu, suite).run(f"sudo -n python3 -c '{script}'").stdout.split()
    )

    assert version.startswith(f"{python}.")
    assert bool(int(capabilities) & HWCAP_ASIMDDP) is (cpu == "cortex-a76")


def test_the_board_reaches_nobody_and_two_boards_do_not_meet(start_pi: StartPi) -> None:
    one, two = start_pi(), start_pi()
    with socket.create_server(("127.0.0.1", 0)) as ours:
        dial = "import socket; socket.create_connection(('127.0.0.1', {}), 2)"
        to_us = one.run(f'python3 -c "{dial.format(ours.getsockname()[1])}"', check=False)
    served = "import socket; s = socket.create_server(('127.0.0.1', 7734)); print('bound')"

    both = [board.run(f'python3 -c "{served}"').stdout.strip() for board in (one, two)]

    assert "ConnectionRefusedError" in to_us.stderr
    assert both == ["bound", "bound"]


def test_a_board_keeps_its_disk_and_no_process_over_a_power_cycle(
    start_pi: StartPi, tmp_path: Path
) -> None:
    disk = tmp_path / "disk"
    before = start_pi(disk=disk)
    before.run("sudo -n mkdir /opt/sanderling; nohup sleep 600 >/dev/null 2>&1 & sync")
    before.stop()

    after = start_pi(disk=disk)

    assert after.run("ls -d /opt/sanderling").returncode == 0
    assert after.run("pgrep sleep", check=False).stdout == ""
    assert after.host_key == before.host_key


def test_a_board_ends_with_whoever_started_it(start_pi: StartPi, tmp_path: Path) -> None:
    start_pi()  # or this machine cannot be a board, and the test is skipped
    words = [sys.executable, "-m", "tests.pi.board", "--disk", str(tmp_path / "disk")]
    starter = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert starter.stdout
    with starter.stdout as said:
        address = next(line for line in said if line.startswith("ssh://"))
    port = int(address.split()[0].rpartition(":")[2])
    socket.create_connection(("127.0.0.1", port), 5).close()

    starter.kill()
    starter.wait()

    wait_until(lambda: is_free(port))


def is_free(port: int) -> bool:
    with socket.socket() as asked:
        return asked.connect_ex(("127.0.0.1", port)) == errno.ECONNREFUSED


def test_the_password_opens_the_board_to_whoever_has_no_key(pi: Pi, tmp_path: Path) -> None:
    ask = tmp_path / "ask"
    ask.write_text(f"#!/bin/sh\necho {pi.password}\n")
    ask.chmod(0o700)

    opened = subprocess.run(
        ["env", f"SSH_ASKPASS={ask}", "SSH_ASKPASS_REQUIRE=force", *password_only(pi), "id -un"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert opened.stdout == "pi\n", opened.stderr


def password_only(pi: Pi) -> list[str]:
    options = (
        "StrictHostKeyChecking=no",
        "UserKnownHostsFile=/dev/null",
        "LogLevel=ERROR",
        "PubkeyAuthentication=no",
    )
    asked = [part for option in options for part in ("-o", option)]
    return ["ssh", "-F", "/dev/null", *asked, "-p", str(pi.port), f"{pi.user}@{pi.host}"]
