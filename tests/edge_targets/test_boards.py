"""A board over a real sshd, from its address to its end; the board is a folder of this machine."""

import fcntl
import gc
import json
import os
import platform
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest

from edge_targets.agent.home import Settings
from edge_targets.catalog.linux_x86_64 import LinuxX8664
from edge_targets.catalog.simulator import Simulator
from edge_targets.enrolment.carry import FOLDER, as_root
from edge_targets.enrolment.wheels import AGENT
from edge_targets.package import public_key
from edge_targets.places.boards import Board
from edge_targets.places.facts import Runtime, manylinux
from edge_targets.places.target import Place
from edge_targets.runtime.errors import (
    DataError,
    DeviceError,
    IntegrityError,
    UnsupportedError,
)
from edge_targets.runtime.events import QUIET, Event, Job
from edge_targets.transport.login import CONNECTIONS, Connections
from tests.edge_targets.conftest import Build
from tests.edge_targets.payloads import PYTHON, FolderBoard
from tests.edge_targets.sshd import Sshd, password_server, sshd_in
from tests.edge_targets.test_wheels import put_wheel
from tests.edge_targets.tiny import KEY, answers, wait_until

MACHINE = platform.machine()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with sshd_in(tmp_path_factory.mktemp("boards") / "sshd") as server:
        yield server


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FolderBoard]:
    board = FolderBoard(tmp_path_factory.mktemp("board"))
    board.root.mkdir()
    yield board
    if (board.software / "start.json").exists():
        board.install(board.payload("end"), "--uninstall")


@pytest.fixture(scope="module")
def target(folder: FolderBoard, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Board]:
    """A Linux whose root is that folder; its wheels are names only: we have the modules here."""
    index = tmp_path_factory.mktemp("index")
    for name in (*AGENT, "onnxruntime"):
        put_wheel(index, name, "1.0", "py3-none-any", with_module=False)

    class FolderLinux(Board):
        title: ClassVar = "Linux in a folder"
        formats: ClassVar = ("onnx",)
        facts: ClassVar = LinuxX8664.facts
        runtime: ClassVar = Runtime(
            {"onnxruntime": "1.0"}, (PYTHON,), MACHINE, manylinux(MACHINE, 28)
        )
        python: ClassVar = sys.executable
        port: ClassVar = folder.port
        root: ClassVar = str(folder.root)
        service: ClassVar = "keeper"
        cache: ClassVar = index.parent / "cache"

    with pytest.MonkeyPatch.context() as patch:
        for name in ("PIP_EXTRA_INDEX_URL", "PIP_INDEX_URL"):
            patch.delenv(name, raising=False)
        patch.setenv("PIP_CONFIG_FILE", "/dev/null")
        patch.setenv("PIP_NO_INDEX", "1")
        patch.setenv("PIP_FIND_LINKS", str(index))
        yield FolderLinux()


@pytest.fixture(scope="module")
def place(server: Sshd, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    keys = tmp_path_factory.mktemp("keys")
    server.trust(keys)
    place = Place("kitchen", str(server.address), "", (public_key(KEY),), keys)
    yield place
    CONNECTIONS.close(server.address, keys)


@pytest.fixture
def enrolled(target: Board, place: Place) -> Board:
    """It is a device, and serves nothing."""
    if target.status(place).state == "stopped":
        target.enrol(place, "", QUIET)
    for served in target.status(place).models:
        target.drop(place, served.name)
    return target


def test_an_address_is_kept_as_one_of_ssh_or_of_an_agent(target: Board) -> None:
    for given, kept in (
        ("pi@host", "ssh://pi@host"),
        ("ssh://pi@host:22", "ssh://pi@host"),
        ("http://192.168.1.20:7734", "http://192.168.1.20:7734"),
    ):
        assert target.check_address(given) == kept
        assert target.enrols(kept) == kept.startswith("ssh:")
    with pytest.raises(DeviceError, match="not the address of a Linux in a folder") as caught:
        target.check_address("./desk")
    assert "pi@raspberrypi" in caught.value.hint


def test_a_board_is_enrolled_and_again_at_no_cost(
    enrolled: Board, place: Place, folder: FolderBoard
) -> None:
    before, events = folder.status(), list[Event]()

    enrolled.enrol(place, "", Job(events.append))

    assert before["state"] == "empty"
    assert before["device"] == "kitchen"
    assert folder.status()["uptime_s"] > before["uptime_s"]  # it was not started again
    told = {event.message for event in events}
    assert {"look at the board", "try the environment"} <= told
    assert "switch" not in told
    # of the wheels only ours went over again
    assert not [message for message in told if message.startswith("send 6")]
    home = Path.home() / FOLDER
    assert not home.exists()
    settings = Settings.load(folder.home)
    assert (settings.device, settings.target) == ("kitchen", enrolled.name)


def test_a_package_is_deployed_timed_replaced_and_rolled_back(
    enrolled: Board, place: Place, build: Build
) -> None:
    first = enrolled.deploy(build("1"), place, QUIET)
    timed = enrolled.bench(build("1"), place, 1, QUIET)
    second = enrolled.deploy(build("2", scale=3.0), place, QUIET)
    both = enrolled.status(place)

    with pytest.raises(IntegrityError, match="off here"):
        enrolled.deploy(build("3", off=0.1), place, QUIET)
    back = enrolled.rollback(place, "tiny")

    assert (first.version, second.version) == ("1", "2")
    assert timed.p50_ms > 0
    assert (both.state, both.model, both.version) == ("ready", "tiny", "2")
    [served] = both.models
    assert (served.name, served.version, served.previous) == ("tiny", "2", "1")
    assert both.condition.disk_free_bytes
    assert "tiny 2 installed" in both.last_update
    assert (back.name, back.version) == ("tiny", "1")
    url = enrolled.find(place)
    assert url
    assert answers(url)
    assert [line for line in enrolled.logs(place, 50) if "tiny" in line]
    with pytest.raises(DeviceError, match="nobody"):
        enrolled.rollback(place, "nobody")
    enrolled.drop(place, "tiny")
    assert enrolled.status(place).state == "empty"


def test_settings_are_changed_and_the_agent_comes_back(
    enrolled: Board, place: Place, folder: FolderBoard
) -> None:
    enrolled.configure(place, {"window_s": 5.0, "channel": "beta"}, b'{"root": 1}', QUIET)

    settings = Settings.load(folder.home)
    assert (settings.window_s, settings.channel) == (5.0, "beta")
    assert (folder.home / "root.json").read_bytes() == b'{"root": 1}'
    assert enrolled.status(place).state == "empty"
    with pytest.raises(DataError, match="window_s"):
        enrolled.configure(place, {"window_s": 0}, b"", QUIET)
    with pytest.raises(DeviceError, match="no setting"):
        enrolled.configure(place, {"windows": 0}, b"", QUIET)


def test_a_stopped_agent_is_told_its_log_still_read_and_a_deployment_starts_it(
    enrolled: Board, place: Place, build: Build
) -> None:
    enrolled.stop(place)

    status = enrolled.status(place)
    lines = enrolled.logs(place, 5)
    done = enrolled.deploy(build("4"), place, QUIET)

    assert status.state == "stopped"
    assert "does not answer" in status.reason
    assert [line for line in lines if "stopped" in line]  # and not a word of an empty journal
    assert done.version == "4"


# asyncssh forgets the socket that it accepted for forwarding at the moment its line was lost
@pytest.mark.filterwarnings(
    r"ignore:Exception ignored in. <(socket\.socket fd|function _SelectorTransport)"
    ":pytest.PytestUnraisableExceptionWarning"
)
def test_a_lost_connection_is_opened_again(enrolled: Board, place: Place, server: Sshd) -> None:
    first = enrolled.find(place)

    server.stop()
    try:
        gone = enrolled.status(place)
    finally:
        server.start()
    back = enrolled.status(place)
    gc.collect()  # here, and not in whatever test comes next

    assert gone.state == "unreachable"
    assert "does not answer" in gone.reason
    assert back.state == "empty"
    assert back.url != first


def test_a_shell_is_opened_with_our_key_and_the_pinned_host(enrolled: Board, place: Place) -> None:
    words = enrolled.shell_words(place)

    if not shutil.which("ssh"):
        pytest.skip("openssh-client is not installed")
    done = subprocess.run(
        [*words, "echo in"], capture_output=True, text=True, check=False, timeout=30
    )
    assert done.stdout == "in\n", f"{shlex.join(words)}: {done.stderr}"


def test_a_board_of_another_kind_is_refused_before_anything_is_sent(
    target: Board, place: Place
) -> None:
    class Other(type(target)):  # type: ignore[misc]
        title: ClassVar = "Raspberry Pi"
        runtime: ClassVar = replace(target.runtime, machine="riscv64")

    with pytest.raises(UnsupportedError, match="runs programs for"):
        Other().enrol(place, "", QUIET)


def test_who_may_not_become_root_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "pi").mkdir()
    with password_server(tmp_path / "pi", "raspberry") as address:
        connections = Connections()
        ssh = connections.get(address, tmp_path / "keys", "raspberry")
        for password in ("", "raspberry"):
            with pytest.raises(DeviceError, match="may not become root") as caught:
                as_root(ssh, password)
            assert "sudo" in caught.value.hint
        connections.close(address, tmp_path / "keys")


SUDO = """#!/bin/sh
# stands for one that asks for the password each time
[ "$1 $2 $3" = "-k -S -p" ] || exit 1
shift 4
read -r given
[ "$given" = raspberry ] && exec "$@"
"""


def test_where_sudo_asks_the_settings_are_changed_with_the_password_too(
    enrolled: Board, folder: FolderBoard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sudo").write_text(SUDO)
    (tmp_path / "sudo").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    (tmp_path / "pi").mkdir()
    keys = tmp_path / "keys"
    with password_server(tmp_path / "pi", "raspberry") as address:
        CONNECTIONS.get(address, keys, "raspberry")  # as `device add` does
        place = Place("kitchen", str(address), keys=keys)

        with pytest.raises(DeviceError, match="may not become root") as caught:
            enrolled.configure(place, {"pull_s": 7000}, b"", QUIET)
        enrolled.configure(replace(place, password="raspberry"), {"pull_s": 7000}, b"", QUIET)
        CONNECTIONS.close(address, keys)

    assert "SANDERLING_PASSWORD" in caught.value.hint
    assert "raspberry" not in repr(replace(place, password="raspberry"))
    assert Settings.load(folder.home).pull_s == 7000


def test_an_agent_over_http_has_no_settings_and_no_shell(target: Board) -> None:
    place = Place("far", "http://127.0.0.1:9")

    with pytest.raises(UnsupportedError, match="over HTTP"):
        target.configure(place, {}, b"", QUIET)
    with pytest.raises(UnsupportedError, match="shell"):
        target.shell_words(place)
    target.enrol(place, "", QUIET)  # there is nothing to put
    with pytest.raises(UnsupportedError, match="uninstalled from far over HTTP"):
        target.withdraw(place, QUIET)
    assert target.status(place).state == "unreachable"
    with pytest.raises(DeviceError, match="no folder for the key"):
        target.find(Place("kitchen", "ssh://pi@host"))


def test_a_simulator_is_let_go_with_all_that_is_its_own(tmp_path: Path, build: Build) -> None:
    folder = tmp_path / "desk"
    place = Place("desk", str(folder), "", (public_key(KEY),))
    simulator = Simulator()
    simulator.withdraw(place, QUIET)  # nothing is there yet
    simulator.deploy(build("1"), place, QUIET)
    (folder / "notes.txt").write_text("mine")

    simulator.withdraw(place, QUIET)

    assert simulator.status(place).state == "stopped"
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]
    (folder / "notes.txt").unlink()
    simulator.deploy(build("1"), place, QUIET)
    simulator.withdraw(place, QUIET)
    assert not folder.exists()


def test_a_simulator_is_configured_logs_and_rolls_back(tmp_path: Path, build: Build) -> None:
    place = Place("desk", str(tmp_path / "desk"), "", (public_key(KEY),))
    simulator = Simulator()
    try:
        simulator.configure(place, {"window_s": 99.0}, b"{}", QUIET)
        simulator.deploy(build("1"), place, QUIET)
        simulator.deploy(build("2", scale=3.0), place, QUIET)
        back = simulator.rollback(place, "")
        simulator.configure(place, {"threads": 2}, b"", QUIET)  # and it comes back
        settings = json.loads((tmp_path / "desk/settings.json").read_text())

        assert (back.name, back.version) == ("tiny", "1")
        assert simulator.status(place).version == "1"
        assert (settings["window_s"], settings["threads"]) == (99.0, 2)
        assert (tmp_path / "desk/root.json").read_bytes() == b"{}"
        assert [line for line in simulator.logs(place, 100) if "tiny" in line]
    finally:
        simulator.stop(place)
    assert simulator.logs(place, 3)


def test_a_board_is_let_go_and_comes_back_over_a_line_that_breaks_at_every_step(
    enrolled: Board, place: Place, folder: FolderBoard, server: Sshd
) -> None:
    def cut(step: str) -> Job:
        def listen(event: Event) -> None:
            if event.message.startswith(step) and server.process:
                server.stop()

        return Job(listen)

    enrolled.withdraw(place, QUIET)
    left = {path.relative_to(folder.root).as_posix() for path in folder.root.rglob("*.*")}
    status = enrolled.status(place)
    for attempt in (enrolled.stop, lambda place: enrolled.configure(place, {}, b"", QUIET)):
        with pytest.raises(DeviceError, match="no agent of ours") as caught:
            attempt(place)
        assert "device add" in caught.value.hint
    for step in ("look at the board", "send 2", "check payload", "try the environment"):
        try:
            with pytest.raises(DeviceError) as caught:
                enrolled.enrol(place, "", cut(step))
        finally:
            server.stop()
            server.start()
        assert caught.value.hint
        wait_until(lambda: alone(folder), limit_s=120)  # an installer goes on without us
    enrolled.enrol(place, "", QUIET)

    assert left <= {"etc/rc.local"}
    assert status.state == "stopped"
    assert "no agent is installed" in status.reason
    assert "goes on by itself" in str(caught.value)
    assert enrolled.status(place).state == "empty"


def alone(folder: FolderBoard) -> bool:
    """Whether no installer runs."""
    try:
        with (folder.software / "install.lock").open("rb+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True
