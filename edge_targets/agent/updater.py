"""Take a package: verify, unpack, try, and only then flip to it."""

import json
import logging
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_targets.agent.home import Home, Settings, TrustedKeys, child_environment
from edge_targets.agent.protocol import DATATYPES
from edge_targets.agent.slots import Slots
from edge_targets.package import unpack, verify_folder
from edge_targets.runtime.contract import Manifest
from edge_targets.runtime.engines import engines
from edge_targets.runtime.errors import IntegrityError, UnsupportedError
from edge_targets.runtime.predictor import Predictor

log = logging.getLogger(__name__)

TRIAL_S = 120.0  # loading and a handful of predictions take seconds on the slowest board
RUNS = 200  # timed predictions: the median of fewer wavers
FIGURES = ("golden_difference", "p50_ms", "p90_ms", "runs")


@dataclass(frozen=True)
class Installed:
    """A package that is active now, and how far its golden outputs were off."""

    predictor: Predictor
    golden_difference: float


class Updater:
    """Installs packages into the slots of one home. One call at a time."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.slots = Slots(home.slots)
        self.slots.clean()

    def install(self, file: Path) -> Installed:
        """Make `file` the active package; when anything fails, the one before stays.

        Raises:
            IntegrityError: unknown key, damaged, does not run, or answers differently here.
            StorageError: no room.
        """
        settings = Settings.load(self.home.root)
        staged = self.slots.staging()
        try:
            manifest = unpack(file, staged, TrustedKeys.load(self.home.root).keys)
            check_runs(manifest)
            difference = trial(staged, settings.threads)["golden_difference"]
            # loaded before the flip: what is active has been loaded at least once
            predictor = self.load(staged, settings)
            slot = self.slots.commit(staged)
        finally:
            shutil.rmtree(staged, ignore_errors=True)
        log.info("slot %s: %s %s is active", slot.name, manifest.name, manifest.version)
        return Installed(predictor, difference)

    def bench(self, file: Path, threads: int) -> dict[str, float]:
        """Time `file` in a process of its own; what is served, and both slots, stay.

        Raises:
            IntegrityError, StorageError: as for an installation.
        """
        staged = self.slots.staging()
        try:
            check_runs(unpack(file, staged, TrustedKeys.load(self.home.root).keys))
            return trial(staged, threads, RUNS)
        finally:
            shutil.rmtree(staged, ignore_errors=True)

    def load(self, folder: Path, settings: Settings) -> Predictor:
        return Predictor(folder, settings.device, settings.threads)

    def start(self) -> Predictor | None:
        """The active package, or the one before it when the active one is damaged."""
        settings, trusted = Settings.load(self.home.root), TrustedKeys.load(self.home.root).keys
        active = self.slots.active
        if active is None:
            return None
        for slot in (active, self.slots.free):
            try:
                manifest: Manifest = verify_folder(slot, trusted)
                predictor = self.load(slot, settings)
            except Exception:  # whatever it is, the other slot may still work
                log.exception("slot %s cannot be served", slot.name)
                continue
            if slot != active:
                log.warning("slot %s: back to %s", slot.name, manifest.version)
                self.slots.activate(slot)
            return predictor
        return None


def check_runs(manifest: Manifest) -> None:
    """Refuse a format without an engine here, and types the protocol does not know."""
    if manifest.format not in engines.names():
        raise UnsupportedError(
            f"This device runs no {manifest.format!r}.",
            f"Build one of: {', '.join(engines.names())}.",
        )
    for spec in (*manifest.signature.inputs, *manifest.signature.outputs):
        if spec.dtype not in DATATYPES:
            raise UnsupportedError(
                f"{spec.name} has type {spec.dtype}, which cannot be sent.",
                f"Use one of: {', '.join(DATATYPES)}.",
            )


def trial(folder: Path, threads: int, runs: int = 0) -> dict[str, float]:
    """Replay the golden inputs in a child process, and time `runs` predictions there.

    The largest difference is in `golden_difference`; the times are in milliseconds.
    """
    words = [sys.executable, "-P", "-m", "edge_targets.agent.trial", str(folder)]
    words += ["--threads", str(threads), "--runs", str(runs)]
    hint = "Compare runtime versions with `sanderling doctor`, or build another format."
    try:
        done = subprocess.run(
            words,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=TRIAL_S,
            env=child_environment(),
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise IntegrityError(f"The package did not answer in {TRIAL_S:.0f} s.", hint) from error
    if done.returncode < 0:
        name = signal.Signals(-done.returncode).name
        raise IntegrityError(f"The package's runtime died of {name} on this device.", hint)
    answer = _answer(done.stdout)
    if "error" in answer:
        raise IntegrityError(str(answer["error"]), str(answer.get("hint", hint)))
    if "golden_difference" not in answer:
        log.error("trial: %s", done.stderr[-2000:].decode(errors="replace"))
        raise IntegrityError("The package could not be tried on this device.", hint)
    return {name: float(answer[name]) for name in FIGURES if name in answer}


def _answer(output: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(output)
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}
