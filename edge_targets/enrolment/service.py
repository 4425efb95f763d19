"""Who keeps the agent running on a board: systemd, or our own keeper where there is none.

Both start `start.py`, which runs the agent from the environment that `current` leads to.
"""

import fcntl
import os
import pwd
import shlex
import shutil
import signal
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from edge_targets.enrolment.environment import bare_environment
from edge_targets.enrolment.unit import ACCOUNT, SERVICE, WATCHDOG_S
from edge_targets.runtime.durable import replace_file, storing
from edge_targets.runtime.errors import DeviceError

COMMAND_S = 240.0  # systemctl waits until the agent is ready, which takes a slow board a minute
STOP_S = 60.0
LOOK_S = 0.1
MARK = "# Sanderling's agent; the next line starts it"


@dataclass(frozen=True)
class Layout:
    """Where things lie on a board; `root` is / there, and any folder in a test."""

    root: Path

    @property
    def software(self) -> Path:
        return self.root / "opt/sanderling"

    @property
    def home(self) -> Path:
        return self.root / "var/lib/sanderling"

    @property
    def run(self) -> Path:
        return self.root / "run/sanderling"

    @property
    def unit(self) -> Path:
        return self.root / "etc/systemd/system" / SERVICE

    @property
    def is_system(self) -> bool:
        return self.root == Path("/")


class Service(ABC):
    """Starts the agent, now and at every start of the board."""

    name: str

    def __init__(self, layout: Layout, account: str) -> None:
        self.layout = layout
        self.account = account  # empty for our own

    @abstractmethod
    def install(self, payload: Path) -> None:
        """Have it known to the system; starts nothing."""

    @abstractmethod
    def restart(self) -> None:
        """End the agent when it runs, and start it."""

    @abstractmethod
    def stop(self) -> None:
        """End the agent; it is started again with the board."""

    @abstractmethod
    def remove(self) -> None:
        """Have it forgotten; it has been stopped."""


class Systemd(Service):
    """A unit of systemd."""

    name = "systemd"

    def install(self, payload: Path) -> None:
        with storing(self.layout.unit):
            replace_file(self.layout.unit, (payload / SERVICE).read_bytes())
        systemctl("daemon-reload")
        systemctl("enable", SERVICE)

    def restart(self) -> None:
        systemctl("restart", "--no-block", SERVICE)

    def stop(self) -> None:
        systemctl("stop", SERVICE)

    def remove(self) -> None:
        with suppress(DeviceError):
            systemctl("disable", SERVICE)
        self.layout.unit.unlink(missing_ok=True)
        systemctl("daemon-reload")


def systemctl(*words: str) -> None:
    try:
        done = subprocess.run(
            ["systemctl", *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=COMMAND_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DeviceError(f"systemctl {words[0]}: {error}.", "Is systemd running?") from error
    if done.returncode:
        raise DeviceError(
            f"systemctl {words[0]}: {done.stderr.strip()[-300:]}",
            f"See journalctl -u {SERVICE} on the board.",
        )


class Keeper(Service):
    """`edge_targets.agent.keeper`, started from /etc/rc.local."""

    name = "keeper"

    @property
    def pid_file(self) -> Path:
        return self.layout.run / "keeper.pid"

    @property
    def script(self) -> Path:
        return self.layout.software / "start"

    @property
    def boot(self) -> Path:
        return self.layout.root / "etc/rc.local"

    def install(self, payload: Path) -> None:
        folder, run = self.layout.software, self.layout.run
        keeper = [sys.executable, "-s", "-P", "-m", "edge_targets.agent.keeper"]
        keeper += ["--pid-file", str(self.pid_file), "--watchdog-s", str(WATCHDOG_S), "--"]
        # the log is opened by the agent's own user: the folder is that user's
        log = f'exec "$@" >>{shlex.quote(str(self.layout.home / "keeper.log"))} 2>&1'
        words = ["sh", "-c", log, "sh", *keeper, sys.executable, "-I", str(folder / "start.py")]
        if self.account:
            words = ["setpriv", f"--reuid={ACCOUNT}", f"--regid={ACCOUNT}", "--init-groups", *words]
        owner = f"chown {ACCOUNT}:{ACCOUNT} {shlex.quote(str(run))}" if self.account else ":"
        text = f"""\
#!/bin/sh
# Starts Sanderling's agent, and again whenever it ends; made by its installer.
umask 022  # whoever is in the agent's group must come through to its socket
mkdir -p {shlex.quote(str(run))}
{owner}
export PYTHONPATH={shlex.quote(str(folder / "current/site"))} PYTHONDONTWRITEBYTECODE=1
exec {shlex.join(words)}
"""
        replace_file(self.script, text.encode(), 0o755)
        with storing(self.boot):
            self.boot.parent.mkdir(parents=True, exist_ok=True)
            lines = self.boot.read_text().splitlines() if self.boot.exists() else ["#!/bin/sh"]
            if MARK not in lines:
                # before an `exit 0`, with which such files end
                at = len(lines) - (lines[-1].strip() == "exit 0")
                lines[at:at] = [MARK, f"{shlex.quote(str(self.script))} &"]
                replace_file(self.boot, ("\n".join(lines) + "\n").encode(), 0o755)

    def restart(self) -> None:
        self.stop()
        subprocess.Popen(
            [str(self.script)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            env=bare_environment(),
            cwd="/",
        )

    def stop(self) -> None:
        until = time.monotonic() + STOP_S
        while pid := self.running():
            with suppress(ProcessLookupError):
                # asked first; the agent ends with its keeper, however that ends
                late = time.monotonic() > until
                os.kill(pid, signal.SIGKILL if late else signal.SIGTERM)
            if time.monotonic() > until + STOP_S:
                raise DeviceError(f"The keeper {pid} does not end.", "Restart the board.")
            for _ in range(50):
                if not self.running():
                    break
                time.sleep(LOOK_S)

    def running(self) -> int:
        """The keeper's process id; 0 when none runs: a file that a killed one left fools nobody."""
        try:
            handle = os.open(self.pid_file, os.O_RDWR)
        except OSError:
            return 0
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            text = os.read(handle, 20).strip()
            pid = int(text) if text.isdigit() else 0
            return pid if pid > 1 and self.owns(pid) else 0
        finally:
            os.close(handle)
        return 0

    def owns(self, pid: int) -> bool:
        """Whether a process is the agent's user's: nobody else's is ended, whatever a file says."""
        user = pwd.getpwnam(self.account).pw_uid if self.account else os.geteuid()
        with suppress(OSError):
            return os.stat(f"/proc/{pid}").st_uid == user  # noqa: PTH116
        return False

    def remove(self) -> None:
        if self.boot.exists():
            lines = self.boot.read_text().splitlines()
            if MARK in lines:
                at = lines.index(MARK)
                del lines[at : at + 2]
                replace_file(self.boot, ("\n".join(lines) + "\n").encode(), 0o755)
        shutil.rmtree(self.layout.run, ignore_errors=True)


SERVICES: dict[str, type[Service]] = {one.name: one for one in (Systemd, Keeper)}


def best_service() -> str:
    """Systemd where it runs; it says so itself (sd_booted(3))."""
    return "systemd" if Path("/run/systemd/system").is_dir() else "keeper"
