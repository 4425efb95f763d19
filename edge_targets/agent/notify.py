"""Tells who supervises us how we are: systemd, or `keeper`; see sd_notify(3).

A datagram of lines such as `READY=1` goes to the Unix socket that NOTIFY_SOCKET names. Where
WATCHDOG_USEC is set we are ended unless `WATCHDOG=1` comes at least that often.
"""

import logging
import os
import socket
import threading
from collections.abc import Callable

log = logging.getLogger(__name__)

READY, STOPPING, ALIVE = "READY=1", "STOPPING=1", "WATCHDOG=1"


def notify(*lines: str) -> bool:
    """Whether somebody was told; nobody listening is no fault."""
    path = os.environ.get("NOTIFY_SOCKET", "")
    if not path:
        return False
    address = "\0" + path[1:] if path.startswith("@") else path
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as link:
            link.sendto("\n".join(lines).encode(), address)
    except OSError as error:
        log.warning("%s does not listen: %s", path, error)
        return False
    return True


def watchdog_s() -> float:
    """How often we must be heard of; 0 when nobody waits."""
    ours = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    text = os.environ.get("WATCHDOG_USEC", "")
    return int(text) / 1e6 if ours and text.isdecimal() else 0.0


class Pulse(threading.Thread):
    """Says that we are alive as often as needed, each time after `check` came back true.

    A check that hangs, or fails, says nothing: then we are ended, and started again.
    """

    def __init__(self, check: Callable[[float], bool], period_s: float) -> None:
        super().__init__(name="pulse", daemon=True)
        self.check = check
        self.period_s = period_s
        self.ended = threading.Event()

    def run(self) -> None:
        while True:
            try:
                if self.check(self.period_s / 2):
                    notify(ALIVE)
                else:
                    log.error("the self-check had no answer in %.1f s", self.period_s / 2)
            except Exception:  # as good as no answer
                log.exception("the self-check failed")
            if self.ended.wait(self.period_s / 4):
                return
