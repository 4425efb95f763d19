"""A folder of this machine with a real agent on loopback: the same code that runs on a board."""

import os
import shutil
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any, ClassVar

from edge_targets.agent.home import Home, Settings, TrustedKeys, child_environment
from edge_targets.agent.journal import tail
from edge_targets.enrolment.plan import ROOT
from edge_targets.enrolment.upkeep import changed
from edge_targets.places.agents import AgentTarget
from edge_targets.places.facts import Facts
from edge_targets.places.folders import check_folder, folder_at
from edge_targets.places.target import Place
from edge_targets.runtime.durable import replace_file, storing
from edge_targets.runtime.errors import DeviceError, EdgeError
from edge_targets.runtime.events import Job
from edge_targets.transport import Local, get_json

START_S = 60.0  # a cold start loads a runtime from disk: seconds, more when the machine is busy
STOP_S = 60.0  # running requests end, the last window is kept
LOOK_S = 0.05
OWN = (
    "models", "slots", "incoming", "good", "updates", "spool.db*", "agent.*", "last_update.json",
    TrustedKeys.file, ROOT,
)  # in the folder of an agent, beside its settings  # fmt: skip
OUTPUT = "agent.out"  # what the process prints; empty unless it could not even start its log


class Simulator(AgentTarget):
    """Its address is a folder, made on first use, or http://… of an agent that runs."""

    title: ClassVar = "Simulator"
    formats: ClassVar = ("onnx", "tflite")
    facts: ClassVar = Facts(ram_bytes=1 << 30, flash_bytes=4 << 30, cores=1, cpu="this machine")

    def check_address(self, address: str) -> str:
        return super().check_address(address) if "://" in address else str(check_folder(address))

    def find(self, place: Place) -> str | None:
        if "://" in place.address:
            return super().find(place)
        running = home_of(place).running()
        return running.url or None if running else None

    def ready(self, place: Place, job: Job) -> str:
        if "://" in place.address:
            return super().ready(place, job)
        home = home_of(place)
        job.step("start device")
        prepare(home, place)
        if self.find(place):
            try:
                return super().ready(place, job)
            except DeviceError:  # it may just be ending
                wait_for_end(home)
        return start(home, job)

    def logs(self, place: Place, lines: int) -> tuple[str, ...]:
        if "://" in place.address or self.find(place):
            return super().logs(place, lines)
        return tuple(tail(home_of(place).log, lines))  # of an agent that does not run

    def configure(self, place: Place, changes: Mapping[str, Any], root: bytes, job: Job) -> None:
        if "://" in place.address:
            super().configure(place, changes, root, job)
            return
        home = home_of(place)
        Local(home.root).make()
        changed(Settings.load(home.root), changes).save(home.root)
        if root:
            replace_file(home.root / ROOT, root)
        if self.find(place):  # it reads them when it starts
            self.stop(place)
            self.ready(place, job)

    def withdraw(self, place: Place, job: Job) -> None:
        """Send what telemetry waits, end the agent, and take what is its own out of the folder."""
        if "://" in place.address:
            super().withdraw(place, job)
            return
        with suppress(EdgeError):
            self.flush(place)
        self.stop(place)
        empty(home_of(place))

    def stop(self, place: Place) -> None:
        if "://" in place.address:
            super().stop(place)
            return
        with suppress(DeviceError):  # it may be ending already; the lock tells
            super().stop(place)
        wait_for_end(home_of(place))


def home_of(place: Place) -> Home:
    return Home(folder_at(place.address))


def prepare(home: Home, place: Place) -> None:
    """Say in the folder who the device is and whom it trusts; other settings stay as they are."""
    Local(home.root).make()
    known = Settings.load(home.root)
    collector = place.collector or known.collector
    wanted = replace(known, device=place.name, target="simulator", collector=collector)
    if wanted != known or not (home.root / Settings.file).exists():
        wanted.save(home.root)
    keys = TrustedKeys.load(home.root)
    # who only changes settings names no keys: those that were trusted still are
    if place.trusted and set(keys.keys) != set(place.trusted):
        replace(keys, keys=place.trusted).save(home.root)


def empty(home: Home) -> None:
    """Delete what an agent writes; a folder that then holds nothing goes, too."""
    if not (home.root / Settings.file).is_file():
        return  # nobody's
    with storing(home.root):
        for name in OWN:
            for path in home.root.glob(name):
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                else:
                    path.unlink(missing_ok=True)
        (home.root / Settings.file).unlink()  # last: whatever interrupts us can be done again
    with suppress(OSError):
        home.root.rmdir()


def wait_for_end(home: Home) -> None:
    until = time.monotonic() + STOP_S
    while running := home.running():
        if time.monotonic() > until:
            raise DeviceError(
                f"The agent in {home.root} neither answers nor ends.",
                f"See {home.log}, then end its process: kill {running.pid}.",
            )
        time.sleep(LOOK_S)


def start(home: Home, job: Job) -> str:
    """Start the agent, detached; its address once it answers."""
    words = [sys.executable, "-P", "-m", "edge_targets.agent", "--root", str(home.root)]
    pid = Local(home.root).run(words, OUTPUT, child_environment())
    until = time.monotonic() + START_S
    while time.monotonic() < until:
        job.step("start device")
        running = home.running()
        if running and running.url:
            get_json(f"{running.url}/v2/health/live")
            return running.url
        if not alive(pid) and not home.running():
            break
        time.sleep(LOOK_S)
    said = Local(home.root).get(OUTPUT).decode(errors="replace").strip()
    raise DeviceError(
        f"The agent in {home.root} did not start: {said[-300:] or 'it said nothing'}",
        f"See {home.log}.",
    )


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True
