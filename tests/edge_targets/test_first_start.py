"""A card that we wrote starts a real machine, which becomes a device and serves, by itself.

systemd and cloud-init are the real ones, Debian's, and so are kernel, sshd and Python; the machine
is qemu's. It takes minutes: `make test-powercut` sets SANDERLING_MACHINES, or set it by hand.
"""

import json
import os
import subprocess
from pathlib import Path

import pytest

from edge_targets.agent.home import Settings
from edge_targets.catalog import targets
from edge_targets.emulation.sysroot import PYTHON, sysroot
from edge_targets.emulation.userland import python
from edge_targets.enrolment.payload import write_payload
from edge_targets.flashing.cloud_init import cloud_init
from edge_targets.flashing.fat import Fat
from edge_targets.flashing.first_boot import FirstBoot, Wifi, hash_password
from edge_targets.flashing.flash import flash
from edge_targets.flashing.image import Written
from edge_targets.flashing.systems import PYTHONS
from edge_targets.flashing.table import read_table
from edge_targets.package import public_key
from edge_targets.runtime.errors import DeviceError, UnsupportedError
from edge_targets.runtime.events import QUIET
from tests.edge_targets.conftest import Build
from tests.edge_targets.pi_os import Board, pi_os
from tests.edge_targets.tiny import KEY, infer_body

TARGET = "raspberry_pi_4"
SERVING_S = 900  # a start takes half a minute, installing onnxruntime on qemu some more
ASK = (
    "import sys, urllib.request as u; body = ''.join(sys.argv[2:]).encode() or None; "
    "print(u.urlopen(u.Request('http://127.0.0.1:7734/' + sys.argv[1], body, "
    "{'Content-Type': 'application/json'})).read().decode())"
)
JOINS = (  # which wireless network NetworkManager would join
    "LC_ALL=C.UTF-8 nmcli -g 802-11-wireless.ssid connection show "
    "$(nmcli -g type,uuid connection | sed -n s/802-11-wireless://p)"
)
NETWORK = 'Büro\'s "net"'

pytestmark = pytest.mark.skipif(
    not os.environ.get("SANDERLING_MACHINES"), reason="takes minutes: set SANDERLING_MACHINES"
)


@pytest.fixture
def board(tmp_path: Path) -> Board:
    key = tmp_path / "id_ed25519"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    return Board(tmp_path / "card.img", "ada", key)


def write_card(board: Board, folder: Path, build: Build, suite: str) -> Written:
    """A card that makes a board the device kitchen-1, serving `tiny`."""
    payload = folder / "sanderling"
    settings = Settings(device="kitchen-1", target=TARGET)
    try:
        write_payload(
            payload,
            settings,
            (public_key(KEY),),
            targets[TARGET](),
            PYTHONS[suite],
            ("onnx",),
            QUIET,
            build("1", target=TARGET),
        )
    except DeviceError as error:
        pytest.skip(f"the wheels cannot be had: {error}")
    first = FirstBoot(
        "kitchen-1",
        board.user,
        password=hash_password("open sesame"),
        ssh_keys=(board.key.with_suffix(".pub").read_text().strip(),),
        wifi=Wifi.joining(NETWORK, "let me in", "DE"),
        timezone="Europe/Berlin",
        keyboard="de",
    )
    return flash(pi_os(suite), board.card, payload, first, QUIET)


@pytest.mark.parametrize("suite", ["bookworm", "trixie"])
def test_a_flashed_card_becomes_a_serving_device(
    tmp_path: Path, board: Board, build: Build, suite: str
) -> None:
    written = write_card(board, tmp_path, build, suite)

    assert written.system == suite
    if suite == "bookworm":  # its first start only sets up the system, and starts again
        with board.powered() as machine:
            machine.wait(SERVING_S)
    with board.powered():
        board.ask("test -e /var/lib/sanderling-enrolled", SERVING_S)
        body = json.dumps(infer_body())
        asked = f"python3 -c \"{ASK}\" v2/models/tiny/infer '{body}'"
        answer = json.loads(board.ask(asked, SERVING_S))
        board.ask("test ! -e /boot/firmware/sanderling-enrol.sh && sync", SERVING_S)
        told = board.ask("cat /etc/hostname /etc/timezone; id -un; sudo -n id -un", 60)
        joins = board.ask(f"sudo sh -c '{JOINS}'", 60)
        if suite == "trixie":
            board.ask("cloud-init status --wait", 60)  # fails where one of its modules did
            board.ask("systemctl show cloud-init-local -p After | grep boot-firmware.mount", 60)
    with board.powered():  # as on every day after the first
        again = board.ask(f'python3 -c "{ASK}" v1/status', SERVING_S)
        failed = board.ask("systemctl --failed --plain --no-legend", 60)

    assert answer["outputs"][0]["data"]
    assert told.split() == ["kitchen-1", "Europe/Berlin", "ada", "root"]
    assert joins.strip() == NETWORK
    assert json.loads(again)["device"] == "kitchen-1"
    assert "sanderling" not in failed
    names = left(board, tmp_path)
    assert not names & {"sanderling", "firstrun.sh", "network-config", "sanderling-enrol.service"}
    if suite == "trixie":
        [text] = board.boot_files(tmp_path, "user-data")
        assert text.read_text() == "#cloud-config\n"


def test_a_first_start_that_loses_its_power_goes_on_at_the_next(
    tmp_path: Path, board: Board, build: Build
) -> None:
    write_card(board, tmp_path, build, "trixie")

    with board.powered():
        board.ask("sudo grep -q . /var/log/sanderling-enrol.log", SERVING_S)  # it has begun
        enrolled = board.ask("test -e /var/lib/sanderling-enrolled; echo $?", 60)
    with board.powered():
        board.ask("test -e /var/lib/sanderling-enrolled", SERVING_S)
        status = board.ask(f'python3 -c "{ASK}" v1/status', SERVING_S)
        told = board.ask("cat /etc/hostname; id -un; sudo -n id -un", 60)

    assert enrolled.strip() == "1"  # it was cut before the end
    assert [model["name"] for model in json.loads(status)["models"]] == ["tiny"]
    assert told.split() == ["kitchen-1", "ada", "root"]


def test_cloud_init_itself_finds_nothing_wrong_with_our_files(tmp_path: Path) -> None:
    """Trixie's own cloud-init and netplan, run by qemu, check them against their schemas."""
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI" + "A" * 43 + " 'a' \"b\" ü"
    wifi = Wifi.joining('Büro\'s "net" 😀', "let me in", "DE")
    word = hash_password("open sesame")
    first = FirstBoot("kitchen", "ada", word, (key,), wifi, "Europe/Berlin", "de", "de_DE.UTF-8")
    files = cloud_init(first, b"")
    try:
        system = sysroot("trixie", QUIET, (*PYTHON, "cloud-init", "netplan.io"))
    except (DeviceError, UnsupportedError) as error:
        pytest.skip(f"no cloud-init to ask: {error}")
    packages = system.root / "usr/lib/python3/dist-packages"

    for name, kind in (("user-data", "cloud-config"), ("network-config", "network-config")):
        (tmp_path / name).write_bytes(files[name])
        words = ["-W", "ignore", "-m", "cloudinit.cmd.main", "schema", "--schema-type", kind]
        asked = python(system, [*words, "--config-file", tmp_path / name], [packages])
        done = subprocess.run(asked, capture_output=True, text=True, check=False)
        assert "Valid schema" in done.stdout, done.stdout + done.stderr


def left(board: Board, folder: Path) -> frozenset[str]:
    """What the boot partition still holds at its top."""
    listed = folder / "boot.img"
    with board.card.open("rb") as file:
        boot = read_table(file.read(1 << 20), board.card).boot
        assert boot
        file.seek(boot.start)
        listed.write_bytes(file.read(boot.size))
    return Fat(listed).names()
