"""A board without systemd: the agent is started again, ended when it hangs, and never twice."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edge_targets.agent.access import Listening
from edge_targets.agent.agent import Agent
from edge_targets.agent.home import Home, Settings, TrustedKeys, child_environment
from edge_targets.agent.notify import ALIVE, READY, Pulse, notify, watchdog_s
from edge_targets.agent.selfcheck import SelfCheck
from edge_targets.agent.server import Server
from edge_targets.agent.trial import attempt
from edge_targets.package import public_key
from edge_targets.runtime.errors import EdgeError
from edge_targets.transport import get_json, post_json
from tests.edge_targets.conftest import Build
from tests.edge_targets.tiny import KEY, answers, wait_until

Start = Callable[..., subprocess.Popen[str]]

# Notes each start in a file, and tells its keeper what it is given as words.
PROGRAM = """
import os, pathlib, signal, socket, sys, time
log = pathlib.Path(sys.argv[1])
with log.open("a") as file:
    file.write(f"{os.getpid()}\\n")
starts = len(log.read_text().split())
link = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
tell = lambda text: link.sendto(text.encode(), os.environ["NOTIFY_SOCKET"])
exec(sys.argv[2])
"""


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts keepers; whatever still runs in the end is ended."""
    begun: list[subprocess.Popen[str]] = []

    def run(*words: str | Path, **options: Any) -> subprocess.Popen[str]:
        command = [sys.executable, "-P", "-m", "edge_targets.agent.keeper", "--backoff-s", "0.05"]
        begun.append(
            subprocess.Popen(
                [*command, *map(str, words)],
                env={**child_environment(), **options},
                stderr=subprocess.PIPE,
                text=True,
            )
        )
        return begun[-1]

    yield run
    for one in begun:
        one.kill()
        one.communicate()


def program(log: Path, code: str) -> list[str]:
    return ["--", sys.executable, "-S", "-c", PROGRAM, str(log), code]


def starts(log: Path) -> list[int]:
    return [int(line) for line in log.read_text().split()] if log.exists() else []


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except OSError:
        return False


def test_a_program_that_fails_is_started_again_until_it_ends_well(
    start: Start, tmp_path: Path
) -> None:
    log = tmp_path / "log"

    keeper = start(*program(log, "sys.exit(0 if starts == 3 else 1)"))

    assert keeper.wait(60) == 0
    assert len(starts(log)) == 3
    assert keeper.stderr
    told = keeper.stderr.read()
    assert "again in 0.1 s" in told  # the second wait is twice as long as the first
    assert told.count("it ended with 1") == 2


def test_a_program_that_dies_of_a_signal_is_started_again(start: Start, tmp_path: Path) -> None:
    log = tmp_path / "log"

    keeper = start(*program(log, "starts == 2 or os.kill(os.getpid(), signal.SIGSEGV)"))

    assert keeper.wait(60) == 0
    assert len(starts(log)) == 2


def test_a_program_that_is_not_heard_of_in_time_is_ended_and_started_again(
    start: Start, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    code = "tell('READY=1'); starts == 2 or time.sleep(600)"

    keeper = start("--watchdog-s", "1", *program(log, code))

    assert keeper.wait(60) == 0
    assert len(starts(log)) == 2
    assert keeper.stderr
    assert "not heard of in time" in keeper.stderr.read()


def test_a_program_that_is_heard_of_may_run_on(start: Start, tmp_path: Path) -> None:
    log = tmp_path / "log"
    code = "[(tell('WATCHDOG=1'), time.sleep(0.1)) for _ in range(40)]"

    keeper = start("--watchdog-s", "3", *program(log, code))

    assert keeper.wait(60) == 0
    assert len(starts(log)) == 1


def test_signals_are_passed_on_and_end_the_keeper_with_its_program(
    start: Start, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    handler, handles = "signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))", tmp_path / "handles"
    code = f"{handler}; pathlib.Path({str(handles)!r}).touch(); time.sleep(600)"
    keeper = start(*program(log, code))
    wait_until(handles.exists)

    keeper.terminate()

    assert keeper.wait(60) == 7
    assert len(starts(log)) == 1


def test_there_is_never_a_second_keeper(start: Start, tmp_path: Path) -> None:
    log, pid_file = tmp_path / "log", tmp_path / "keeper.pid"
    first = start("--pid-file", pid_file, *program(log, "time.sleep(600)"))
    wait_until(lambda: bool(starts(log)))

    second = start("--pid-file", pid_file, *program(log, "time.sleep(600)"))

    assert second.wait(60) == 1
    assert second.stderr
    assert "Does another keeper run?" in second.stderr.read()
    assert len(starts(log)) == 1
    assert pid_file.read_text() == f"{first.pid}\n"


def test_a_keeper_that_is_killed_takes_its_program_along_and_another_may_begin(
    start: Start, tmp_path: Path
) -> None:
    log, pid_file = tmp_path / "log", tmp_path / "keeper.pid"
    keeper = start("--pid-file", pid_file, *program(log, "time.sleep(600)"))
    wait_until(lambda: bool(starts(log)))

    keeper.kill()

    wait_until(lambda: not is_alive(starts(log)[0]))
    start("--pid-file", pid_file, *program(log, "time.sleep(600)"))
    wait_until(lambda: len(starts(log)) == 2)


def test_an_agent_that_hangs_is_bitten_and_comes_back_with_its_model(
    start: Start, build: Build, tmp_path: Path
) -> None:
    home = Home(tmp_path / "device")
    home.root.mkdir()
    TrustedKeys(keys=(public_key(KEY),)).save(home.root)
    agent = Agent(home)
    agent.updater.attempt = attempt
    agent.install(build("1"))
    agent.close()
    words = ["--", sys.executable, "-P", "-m", "edge_targets.agent", "--root", home.root]
    keeper = start("--watchdog-s", "4", *words)
    wait_until(lambda: bool(answering(home)))
    first = home.running()
    assert first

    os.kill(first.pid, signal.SIGSTOP)

    wait_until(lambda: not is_alive(first.pid))
    wait_until(lambda: bool(answering(home)))
    second = home.running()
    assert second
    assert second.pid != first.pid
    assert answers(second.url)
    post_json(f"{second.url}/v1/stop")
    assert keeper.wait(60) == 0


def answering(home: Home) -> Any:
    running = home.running()
    try:
        return running and running.url and get_json(f"{running.url}/v1/status")
    except EdgeError:  # it may just be starting, or ending
        return None


# ---- what the agent says


@pytest.fixture
def heard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as link:
        link.bind(str(tmp_path / "notify"))
        link.settimeout(20)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield link


def test_whoever_listens_is_told(heard: socket.socket) -> None:
    assert notify(READY, "STATUS=listening")

    assert heard.recv(100) == b"READY=1\nSTATUS=listening"


def test_a_socket_without_a_file_is_told_too(monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"sanderling-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as link:
        link.bind(f"\0{name}")
        monkeypatch.setenv("NOTIFY_SOCKET", f"@{name}")

        assert notify(READY)

        assert link.recv(100) == b"READY=1"


def test_nobody_listening_is_no_fault(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    assert not notify(READY)
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "nobody"))
    assert not notify(READY)


@pytest.mark.parametrize(
    ("usec", "pid", "seconds"),
    [
        (None, None, 0.0),
        ("30000000", None, 30.0),
        pytest.param("30000000", str(os.getpid()), 30.0, id="this process"),
        ("30000000", "1", 0.0),
        ("often", None, 0.0),
    ],
)
def test_how_often_we_must_be_heard_of(
    monkeypatch: pytest.MonkeyPatch, usec: str | None, pid: str | None, seconds: float
) -> None:
    for name, value in (("WATCHDOG_USEC", usec), ("WATCHDOG_PID", pid)):
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)

    assert watchdog_s() == seconds


def test_only_a_check_that_succeeds_says_that_we_are_alive(heard: socket.socket) -> None:
    results = iter([True, False, "fails", True])
    checked: list[float] = []

    def check(limit_s: float) -> bool:
        result = next(results, None)
        if result is None:
            pulse.ended.set()
            return False
        checked.append(limit_s)
        if result == "fails":
            raise OSError("as a check may")
        return bool(result)

    pulse = Pulse(check, 0.04)
    pulse.start()
    pulse.join(20)

    heard.settimeout(0.2)
    assert [heard.recv(100), heard.recv(100)] == [ALIVE.encode()] * 2
    with pytest.raises(TimeoutError):
        heard.recv(100)
    assert checked == [0.02] * 4


@pytest.fixture
def serving(build: Build, tmp_path: Path) -> Iterator[SimpleNamespace]:
    home = Home(tmp_path / "device")
    home.root.mkdir()
    TrustedKeys(keys=(public_key(KEY),)).save(home.root)
    Settings(window_s=3600).save(home.root)
    agent = Agent(home)
    agent.updater.attempt = attempt
    server = Server(agent, Listening())
    server.start()
    yield SimpleNamespace(agent=agent, server=server, check=SelfCheck(agent, server))
    server.close()
    agent.close()


def test_an_agent_that_answers_is_alive_with_and_without_models(
    serving: SimpleNamespace, build: Build
) -> None:
    assert serving.check(20)

    serving.agent.install(build("1"))
    serving.agent.install(build("7", name="other"))

    assert serving.check(20)
    assert serving.agent.samples == 0  # a self-check is no part of the world


def test_a_model_that_hangs_is_not_alive(serving: SimpleNamespace, build: Build) -> None:
    serving.agent.install(build("1"))

    with serving.agent.served.find("tiny").predictor.lock:  # as when the engine never returns
        assert not serving.check(0.3)

    assert serving.check(20)


def test_a_server_that_hangs_is_not_alive(serving: SimpleNamespace) -> None:
    done = threading.Event()

    def hang() -> None:
        time.sleep(0.6)
        done.set()

    serving.server.post(hang)

    assert not serving.check(0.2)

    assert done.wait(20)
    assert serving.check(20)
