"""The agent without its network: answers, installs, keeps watch, reports."""

import logging
import threading
import time
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_targets.agent.health import health
from edge_targets.agent.home import Home
from edge_targets.agent.journal import tail
from edge_targets.agent.puller import Puller
from edge_targets.agent.served import EmptyError, Served
from edge_targets.agent.slots import Slots
from edge_targets.agent.updater import Fallen, Updater
from edge_targets.agent.warden import LastUpdate, Warden
from edge_targets.runtime.contract import Manifest, Tensor
from edge_targets.runtime.errors import DeviceError, EdgeError, StorageError
from edge_targets.runtime.reporting import Reporter
from edge_targets.runtime.spool import Spool

__all__ = ["Agent", "BusyError", "EmptyError", "Installed", "Prediction", "RolledBack"]

log = logging.getLogger(__name__)

LONGEST_PAUSE_S = 1.0  # after a prediction, while the device is too hot


class BusyError(DeviceError):
    """What was asked for is being done for somebody else."""


@dataclass(frozen=True)
class Prediction:
    """What a version of a model answered."""

    manifest: Manifest
    outputs: Mapping[str, Tensor]


@dataclass(frozen=True)
class Installed:
    """What POST /v1/package answers."""

    name: str
    version: str
    golden_difference: float


@dataclass(frozen=True)
class RolledBack:
    """What POST /v1/rollback answers: the version that is served again, and the one that is not."""

    name: str
    version: str
    refused: str


class Agent:
    """One root folder at work; calls may come from several threads."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.began = time.monotonic()
        self.samples = 0
        self.counting = threading.Lock()
        self.cooling = threading.Lock()
        self.installing = threading.Lock()
        self.updater = Updater(home)
        self.spool = open_spool(home.spool)
        self.served = Served(self.updater.start())
        self.uplink = Reporter(home.settings, self.served.close_windows, self.spool)
        self.warden = Warden(self.updater, self.served, self.uplink)
        self.puller = Puller(home, self._install_pulled)

    def start(self) -> None:
        self.uplink.start()
        self.warden.start()
        self.puller.start()

    def close(self) -> None:
        """Leave the last windows in the spool; running requests finish first."""
        self.puller.stop()
        self.warden.stop()
        self.uplink.stop()
        for manifest in self.models():
            self.uplink.keep(self.served.drop(manifest.name))
        self.spool.close()

    def models(self) -> tuple[Manifest, ...]:
        """What is served, by name."""
        return self.served.manifests()

    def manifest(self, name: str, version: str | None = None) -> Manifest:
        """Of a served model.

        Raises:
            EmptyError: none is served.
            UnknownNameError: another one is, or another version.
        """
        return self.served.find(name, version).manifest

    def predict(
        self,
        name: str,
        version: str | None,
        inputs: Mapping[str, Tensor],
        counted: bool = True,
    ) -> Prediction:
        """Outputs for a whole batch, from one version, however often it is swapped meanwhile.

        A device that is too hot takes one request at a time, and rests after each as long as it
        took: that halves the load at least.

        Raises:
            EmptyError, UnknownNameError: as for `manifest`.
            IntegrityError: the inputs do not fit the model.
        """
        hot = self.warden.hot
        with self.cooling if hot else nullcontext(), self.served.use(name, version) as live:
            began = time.monotonic()
            outputs = live.predict(inputs, counted)
            manifest = live.manifest
            if hot:
                time.sleep(min(LONGEST_PAUSE_S, time.monotonic() - began))
        if counted:
            items = next(iter(outputs.values())).shape[0]
            with self.counting:
                self.samples += items
        return Prediction(manifest, outputs)

    def install(self, file: Path) -> Installed:
        """Install a package and serve it, on probation; the caller holds `installing`.

        Raises:
            IntegrityError, UnsupportedError, StorageError, DeviceError: the one before stays.
        """
        return self._install(file, asked=True)

    def _install(self, file: Path, asked: bool) -> Installed:
        """Only what somebody asked for may be a version that was rolled back before.

        What is served already is left as it is: a second flip would cost the way back.
        """
        try:
            manifest = self.updater.verified(file)
            name, version = manifest.name, manifest.version
            if manifest in self.models() and self.updater.is_active(manifest):
                same = self.served.find(name, version).predictor
                return Installed(name, version, same.replay())
            with self.updater.prepared(file, manifest, asked) as fresh, self.warden.changing:
                self.updater.commit(fresh)
                self.warden.begin(fresh.predictor)
        except EdgeError as error:
            self.warden.told(LastUpdate.now("failed", why=f"{error} {error.hint}".strip()))
            raise
        self.warden.told(LastUpdate.now("installed", name, version))
        return Installed(name, version, fresh.golden_difference)

    def rollback(self, name: str = "") -> RolledBack:
        """Serve the version before; without a name that of the only model.

        Raises:
            EmptyError, UnknownNameError: no such model, or a name is needed.
            DeviceError, StorageError: there is none, or it cannot be made lasting: all stays.
        """
        name = self._only(name)
        with self.warden.changing:
            fallen: Fallen = self.updater.roll_back(name, "by hand")
            self.warden.fall_back(fallen)
        assert fallen.predictor is not None
        return RolledBack(name, fallen.predictor.manifest.version, fallen.manifest.version)

    def _only(self, name: str) -> str:
        names = [manifest.name for manifest in self.models()]
        if not name and len(names) > 1:
            raise DeviceError(
                f"This device serves {len(names)} models.", f"Say which: {', '.join(names)}."
            )
        return name or self.served.find(*names[:1] or [""]).manifest.name

    def remove(self, name: str) -> None:
        """Serve that model no more, and free its room.

        Raises:
            UnknownNameError: there is none of that name.
            StorageError: the disk does not take it; it is served as before.
        """
        with self.warden.changing:
            self.updater.remove(name)
            self.warden.forget(name)
        self.warden.told(LastUpdate.now("removed", name))

    def bench(self, file: Path, threads: int) -> dict[str, Any]:
        """Time a package without serving it; the caller holds `installing`."""
        return {**self.updater.bench(file, threads), "threads": threads}

    def pull(self) -> None:
        """Look for an update now."""
        self.puller.wake()

    def _install_pulled(self, file: Path) -> None:
        with self.installing:
            self._install(file, asked=False)

    def logs(self, lines: int) -> list[str]:
        """The last lines of the log, the latest last."""
        return tail(self.home.log, lines)

    def status(self) -> dict[str, Any]:
        manifests = self.models()
        first = manifests[0] if manifests else None
        last = self.warden.last_update
        return {
            "device": self.uplink.settings.device,
            "state": "ready" if first else "empty",
            "model": first.name if first else "",
            "version": first.version if first else "",
            "models": [self._model(manifest) for manifest in manifests],
            "samples": self.samples,
            "pending": self._count("pending"),
            "dropped": self._count("dropped"),
            "uptime_s": round(time.monotonic() - self.began, 3),
            "health": health(self.home.root),
            "hot": self.warden.hot,
            "throttled": self.warden.throttled,
            "last_update": last.to_json() if last else None,
            "last_look": self._last_look(),
            "faults": self.home.faults(),
        }

    def _last_look(self) -> dict[str, str] | None:
        """What the latest look for an update gave; null before the first."""
        found = self.puller.last
        return {"state": found.state, "error": found.error, "hint": found.hint} if found else None

    def _model(self, manifest: Manifest) -> dict[str, Any]:
        slots = Slots(self.home.models / manifest.name)
        pointer, before = slots.pointer, slots.manifest(slots.fallback)
        left_s = self.warden.left_s(manifest.name) if pointer.probation else None
        return {
            "name": manifest.name,
            "version": manifest.version,
            "format": manifest.format,
            "probation": None if left_s is None else {"left_s": round(left_s, 1)},
            "previous": before.version if before else "",
            "refused": list(pointer.refused),
        }

    def _count(self, what: str) -> int | None:
        """A figure of the uplink; null when the spool cannot be read now."""
        try:
            return int(getattr(self.uplink, what))
        except EdgeError as error:
            log.warning("%s: %s", what, error)
            return None


def open_spool(path: Path) -> Spool:
    """The spool; one in memory where the disk takes nothing: what is seen is sent all the same."""
    try:
        spool = Spool(path)
    except StorageError as error:
        log.error("%s Telemetry is kept in memory. %s", error, error.hint)
        return Spool(Path(":memory:"))
    if spool.set_aside:
        log.error("the spool was damaged; it lies in %s", spool.set_aside)
    return spool
