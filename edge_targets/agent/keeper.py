"""Keeps a program running where there is no systemd: `python -m edge_targets.agent.keeper -- CMD…`.

It starts the program again when it fails, later each time; it ends the program when its watchdog
(sd_notify(3)) is late; it passes signals on. The program ends with the keeper, however that ends,
and only one keeper holds a pid file.
"""

import argparse
import ctypes
import fcntl
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

log = logging.getLogger("edge_targets.agent.keeper")

FIRST_S, LONGEST_S = 0.5, 30.0  # before the program is started again: doubled each time
STEADY_S = 60.0  # a program that ran so long begins with the shortest wait again
START_S = 120.0  # until READY=1: a cold start loads a runtime from a slow card
STOP_S = 40.0  # for a program that was asked to end: running requests, the last window
TICK_S = 0.2  # between two looks at the program
PASSED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
PR_SET_PDEATHSIG = 1  # prctl(2)


class Keeper:
    """Runs one program; `watchdog_s` is how often it must say WATCHDOG=1, 0 for never."""

    def __init__(self, words: list[str], watchdog_s: float, first_s: float = FIRST_S) -> None:
        self.words = words
        self.watchdog_s = watchdog_s
        self.first_s = first_s
        self.ending = 0.0  # when we were asked to end
        self.child: subprocess.Popen[bytes] | None = None
        self.folder = tempfile.mkdtemp(prefix="keeper-")
        self.link = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self.link.bind(f"{self.folder}/notify")
        self.link.settimeout(TICK_S)

    def run(self) -> int:
        """Until the program ends well, or we are asked to end; its exit status."""
        wait_s = self.first_s
        for number in PASSED_ON:
            signal.signal(number, self.pass_on)
        try:
            while True:
                began = time.monotonic()
                status = self.once()
                if not status or self.ending:
                    return status
                wait_s = self.first_s if time.monotonic() - began > STEADY_S else wait_s
                log.warning("it ended with %s; again in %.1f s", status, wait_s)
                self.rest(wait_s)
                if self.ending:
                    return 0
                wait_s = min(LONGEST_S, 2 * wait_s)
        finally:
            self.link.close()
            shutil.rmtree(self.folder, ignore_errors=True)

    def once(self) -> int:
        """Run the program to its end; how it ended, as a shell tells it."""
        environment = {**os.environ, "NOTIFY_SOCKET": f"{self.folder}/notify"}
        environment.pop("WATCHDOG_PID", None)
        if self.watchdog_s:
            environment["WATCHDOG_USEC"] = str(round(self.watchdog_s * 1e6))
        # one thread only: it is safe to act between fork and exec
        child = self.child = subprocess.Popen(
            self.words, env=environment, preexec_fn=end_with_parent
        )
        if self.ending:  # the signal came while there was no program
            child.terminate()
        never = float("inf")
        due = time.monotonic() + START_S if self.watchdog_s else never
        while child.poll() is None:
            said, now = self.hear(), time.monotonic()
            if self.watchdog_s and {"READY=1", "WATCHDOG=1"} & said:
                due = now + self.watchdog_s
            if "STOPPING=1" in said:
                due = now + STOP_S
            if now > min(due, self.ending + STOP_S if self.ending else never):
                log.error("it was not heard of in time")
                child.kill()
        self.child = None
        return child.returncode if child.returncode >= 0 else 128 - child.returncode

    def hear(self) -> set[str]:
        """The lines of one message; none when none comes soon."""
        try:
            return set(self.link.recv(4096).decode(errors="replace").splitlines())
        except TimeoutError:
            return set()

    def rest(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while not self.ending and time.monotonic() < until:
            time.sleep(min(TICK_S, seconds))

    def pass_on(self, number: int, frame: object) -> None:
        if number != signal.SIGHUP:
            self.ending = time.monotonic()
        if self.child:
            self.child.send_signal(number)


def end_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def hold(path: Path) -> int:
    """The pid file, ours until we end; an OSError when another keeper holds it."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.ftruncate(handle, 0)
    os.write(handle, f"{os.getpid()}\n".encode())
    return handle


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m edge_targets.agent.keeper", description=__doc__
    )
    parser.add_argument("--pid-file", type=Path, help="never two keepers with one of these")
    parser.add_argument("--watchdog-s", type=float, default=0.0, help="0: without a watchdog")
    parser.add_argument("--backoff-s", type=float, default=FIRST_S, help="before the second start")
    parser.add_argument("command", nargs="+", help="after --")
    options = parser.parse_args(words)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s keeper: %(message)s")
    if options.pid_file:
        try:
            hold(options.pid_file)
        except OSError as error:
            log.error("%s: %s. Does another keeper run?", options.pid_file, error.strerror)
            return 1
    return Keeper(options.command, options.watchdog_s, options.backoff_s).run()


if __name__ == "__main__":
    sys.exit(main())
