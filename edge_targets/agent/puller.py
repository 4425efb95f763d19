"""Has the repository looked at on a schedule and when nudged, and what is found installed."""

import logging
import random
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from edge_targets.agent.home import Home, Settings, child_environment
from edge_targets.agent.nudge import Nudges
from edge_targets.agent.pulling import Found
from edge_targets.package import MAX_FILE
from edge_targets.runtime.errors import EdgeError, IntegrityError

log = logging.getLogger(__name__)

FIRST_WAIT_S, LONGEST_WAIT_S = 30.0, 3600.0  # between failed looks: doubled after each
SPREAD = 0.1  # of the time between two looks, at random: a fleet must not come all at once
START_S = 60.0  # at most, after the agent's start
NUDGED_S = 10.0  # after a nudge
SLOWEST = 500  # bytes a second: a look that takes longer than this for the largest file hangs
MOST_SKIPPED = 50


class Puller(threading.Thread):
    """Looks on a schedule and when woken, and has what is found installed.

    Args:
        home: whose settings say where to look.
        install: takes a checked package; what it raises makes that version be skipped from now on.
        nudged_s: a look that was nudged begins within so much, as all devices hear it at once.
    """

    def __init__(
        self, home: Home, install: Callable[[Path], object], nudged_s: float = NUDGED_S
    ) -> None:
        super().__init__(name="puller", daemon=True)
        self.home = home
        self.install = install
        self.nudged_s = nudged_s
        self.failures = 0
        self.skipped: list[tuple[str, str]] = []
        self.last: Found | None = None
        self.woken = threading.Event()
        self.ended = threading.Event()
        self.child: subprocess.Popen[str] | None = None
        self.nudges = Nudges(self._nudged)

    def run(self) -> None:
        settings = self._settings()
        wait_s = random.uniform(0, min(START_S, settings.pull_s))  # noqa: S311 - spreads load
        while not self.ended.is_set():
            self.nudges.follow(settings.broker, settings.channel, settings.device)
            woken = self.woken.wait(wait_s)
            self.woken.clear()
            if self.ended.is_set():
                break
            settings = self._settings(settings)
            if settings.repository:
                try:
                    self.look()
                except Exception:  # a fault in one look must not end updates for good
                    log.exception("puller")
                    self.failures += 1
            elif woken:
                log.warning("asked to pull, but settings.json names no repository")
            wait_s = self.pause_s(settings.pull_s)
        self.nudges.close()

    def wake(self, spread_s: float = 0.0) -> None:
        """Look now, or within `spread_s`."""
        if not spread_s:
            self.woken.set()
            return
        timer = threading.Timer(random.uniform(0, spread_s), self.woken.set)  # noqa: S311
        timer.daemon = True
        timer.start()

    def _nudged(self) -> None:
        self.wake(self.nudged_s)

    def stop(self) -> None:
        self.ended.set()
        self.woken.set()
        if child := self.child:
            child.terminate()
        if self.is_alive():
            self.join(timeout=10)

    def pause_s(self, pull_s: float) -> float:
        """Until the next look. Failures double it; jitter keeps a fleet apart."""
        if not self.failures:
            return pull_s * random.uniform(1 - SPREAD, 1 + SPREAD)  # noqa: S311 - spreads load
        longest = max(FIRST_WAIT_S, min(LONGEST_WAIT_S, pull_s))
        wait = min(longest, FIRST_WAIT_S * 2.0 ** min(self.failures - 1, 20))
        return wait * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load

    def look(self, stick: Path | None = None) -> Found:
        """Look, and install, until nothing newer is found; what the last look gave."""
        tried: set[tuple[str, str]] = set()
        while True:
            found = self._child(stick)
            if self.ended.is_set():  # the child was ended with us
                return found
            self.last = found
            self.failures = self.failures + 1 if found.state == "failed" else 0
            release = (found.model, found.version)
            if found.state != "found" or release in tried:
                if found.error:
                    log.warning("no update: %s %s", found.error, found.hint)
                return found
            tried.add(release)
            file = Path(found.file)
            how = f"by a delta from {found.base}" if found.base else "whole"
            log.info("%s %s: %d bytes, %s", found.model, found.version, found.fetched_bytes, how)
            try:
                self.install(file)
            except EdgeError as error:
                log.warning("%s %s: %s %s", found.model, found.version, error, error.hint)
                self.skipped = [*self.skipped, release][-MOST_SKIPPED:]
            finally:
                file.unlink(missing_ok=True)

    def _settings(self, before: Settings | None = None) -> Settings:
        """As they are now; faulty ones leave those we have."""
        try:
            return Settings.load(self.home.root)
        except EdgeError as error:
            log.warning("settings: %s", error)
            return before or Settings()

    def _child(self, stick: Path | None) -> Found:
        words = [sys.executable, "-P", "-m", "edge_targets.agent.pulling"]
        words += ["--root", str(self.home.root)]
        words += ["--from", str(stick)] if stick else []
        for model, version in self.skipped:
            words += ["--skip", f"{model}={version}"]
        rate = self._settings().bytes_per_s or SLOWEST
        limit_s = 600 + MAX_FILE / min(SLOWEST, rate)
        self.child = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=child_environment(),
        )
        try:
            output, _ = self.child.communicate(timeout=limit_s)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.communicate()
            return Found("failed", error=f"A look took longer than {limit_s:.0f} s.")
        finally:
            self.child = None
        try:
            return Found.parse(output)
        except IntegrityError:
            return Found("failed", error="The look for updates died.", hint="Is memory short?")
