"""The board an installer runs on: is it the right one, who owns what, is the agent healthy."""

import grp
import json
import os
import platform
import pwd
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any

from edge_targets.agent.home import Home, Running
from edge_targets.enrolment import start
from edge_targets.enrolment.plan import Plan
from edge_targets.enrolment.service import Layout
from edge_targets.enrolment.unit import ACCOUNT, GROUPS
from edge_targets.runtime import durable
from edge_targets.runtime.errors import DeviceError, EdgeError, UnsupportedError
from edge_targets.transport import get_json

HEALTHY_S = 240.0  # a cold start on the slowest board, with models
LOOK_S = 0.5
YEAR_2025 = 1_735_689_600  # a clock before it was never set


def check_board(plan: Plan, say: Callable[..., object], now: float) -> None:
    """Refuse a board that the payload is not for; tell when its clock is wrong.

    Raises:
        UnsupportedError: another processor or Python.
    """
    machine, python = platform.machine(), f"{sys.version_info[0]}.{sys.version_info[1]}"
    if machine != plan.machine:
        raise UnsupportedError(
            f"This payload is for {plan.machine}; this board is {machine}.",
            "Make one for this board: enrol it again, with its own target.",
        )
    if sys.maxsize < 1 << 32 and plan.machine in ("aarch64", "x86_64"):
        raise UnsupportedError(
            f"The board's Python has 32 bits, the payload is for {plan.machine}.",
            "Install the 64-bit Raspberry Pi OS.",
        )
    if python != plan.python:
        raise UnsupportedError(
            f"This payload is for Python {plan.python}; this board has {python}.",
            "Make one for this board: enrol it again.",
        )
    if now < YEAR_2025:
        day = time.strftime("%Y-%m-%d", time.gmtime(now))
        say("clock", note=f"the board's clock says {day}: telemetry will, too, until it is set")


def alone(layout: Layout) -> AbstractContextManager[None]:
    """Hold the board: two installations at once end with one told so."""
    return durable.alone(
        layout.software / "install.lock",
        "Another installation runs on this board.",
        "Wait until it has ended (some minutes), then try again.",
    )


def make_account(layout: Layout) -> str:
    """The user that the agent runs as, made unless it is there; empty for our own in a test.

    Raises:
        DeviceError: we are not root, or the system refuses.
    """
    if not layout.is_system:
        return ""
    if os.geteuid():
        raise DeviceError("Only root can install the agent.", "Run it with sudo.")
    try:
        pwd.getpwnam(ACCOUNT)
    except KeyError:
        command("useradd", "--system", "--user-group", "--no-create-home", "--home-dir",
                str(layout.home), "--shell", "/usr/sbin/nologin", ACCOUNT)  # fmt: skip
    for name in GROUPS:
        with suppress(KeyError):
            if ACCOUNT not in grp.getgrnam(name).gr_mem:
                command("usermod", "--append", "--groups", name, ACCOUNT)
    return ACCOUNT


def command(*words: str) -> None:
    done = subprocess.run(
        words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise DeviceError(
            f"{words[0]}: {done.stderr.strip()[-300:] or done.returncode}", "Is the disk writable?"
        )


def own(path: Path, account: str) -> None:
    """Give a file to the agent's user; where that user put a link, the link."""
    if account:
        user = pwd.getpwnam(account)
        os.chown(path, user.pw_uid, user.pw_gid, follow_symlinks=False)


def healthy(layout: Layout, port: int, say: Callable[..., object]) -> dict[str, Any]:
    """The status of the agent once it answers at its port.

    Raises:
        DeviceError: it does not, within `HEALTHY_S`.
    """
    url, home = f"http://127.0.0.1:{port}", Home(layout.home)
    until, said = time.monotonic() + HEALTHY_S, ""
    while time.monotonic() < until and not given_up(layout):
        # whatever else may listen there: it is ours when it says so in its folder
        with suppress(EdgeError):
            running = home.running()
            if running and running.url.endswith(f":{port}"):
                try:
                    get_json(f"{url}/v2/health/live")
                    return get_json(f"{url}/v1/status")
                except EdgeError as error:
                    said = str(error)
        say("wait for the agent")
        time.sleep(LOOK_S)
    log = last_words(layout)
    raise DeviceError(
        f"The agent does not answer after the switch. {said or log}".strip(),
        "See its log on the board: journalctl -u sanderling, or agent.log in its folder.",
    )


def given_up(layout: Layout) -> bool:
    """Whether the environment was started as often as it may be, and is not healthy."""
    try:
        note = as_json(layout.home / start.NOTE)
    except (OSError, ValueError):
        return False
    starts = note.get("starts")
    return isinstance(starts, int) and starts > start.TRIES


def last_words(layout: Layout) -> str:
    for name in ("keeper.log", "agent.log"):
        with suppress(OSError):
            lines = (layout.home / name).read_text(errors="replace").strip().splitlines()
            if lines:
                return lines[-1][-300:]
    return ""


def forget_running(layout: Layout) -> None:
    """So that what an agent that was killed left is not taken for the new one's."""
    with suppress(OSError):
        (layout.home / Running.file).unlink()


def served(layout: Layout, port: int) -> dict[str, str]:
    """What is served now, version by name; empty when nobody answers."""
    with suppress(EdgeError, OSError):
        if Home(layout.home).running():
            return versions(get_json(f"http://127.0.0.1:{port}/v1/status"))
    return {}


def versions(status: dict[str, Any]) -> dict[str, str]:
    models = status.get("models")
    if isinstance(models, list):
        return {str(one["name"]): str(one["version"]) for one in models}
    return {status["model"]: status["version"]} if status.get("model") else {}


def as_json(path: Path) -> dict[str, Any]:
    found = json.loads(path.read_bytes())
    return found if isinstance(found, dict) else {}
