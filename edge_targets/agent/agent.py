"""The agent without its network: answers, installs, reports."""

import logging
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_targets.agent.current import Current
from edge_targets.agent.health import health
from edge_targets.agent.home import Home
from edge_targets.agent.protocol import answer, metadata, read_request
from edge_targets.agent.updater import Updater
from edge_targets.agent.uplink import Uplink
from edge_targets.runtime.contract import Manifest
from edge_targets.runtime.errors import DeviceError, EdgeError, UnknownNameError
from edge_targets.runtime.predictor import Predictor
from edge_targets.runtime.spool import Spool

log = logging.getLogger(__name__)


class EmptyError(DeviceError):
    """No model is served yet."""


class BusyError(DeviceError):
    """What was asked for is being done for somebody else."""


@dataclass(frozen=True)
class Installed:
    """What POST /v1/package answers."""

    name: str
    version: str
    golden_difference: float


class Agent:
    """One root folder at work; calls may come from several threads."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.began = time.monotonic()
        self.samples = 0
        self.counting = threading.Lock()
        self.installing = threading.Lock()
        self.updater = Updater(home)
        self.spool = Spool(home.spool)
        if self.spool.set_aside:
            log.error("the spool was damaged; it lies in %s", self.spool.set_aside)
        self.current = Current(self.updater.start())
        self.uplink = Uplink(home, self.current, self.spool)

    def start(self) -> None:
        self.uplink.start()

    def close(self) -> None:
        """Leave the last window in the spool; running requests finish first."""
        self.uplink.stop()
        self.uplink.keep(self.current.swap(None))
        self.spool.close()

    @property
    def manifest(self) -> Manifest | None:
        predictor = self.current.predictor
        return predictor.manifest if predictor else None

    def infer(self, name: str, version: str | None, body: bytes) -> dict[str, Any]:
        """Answer a request of the Open Inference Protocol."""
        with self.current.use() as predictor:
            manifest = _served(predictor, name, version).manifest
            request = read_request(body, manifest)
            assert predictor is not None
            outputs = predictor.predict(request.inputs, request.counted)
            items = next(iter(outputs.values())).shape[0]
        with self.counting:
            self.samples += items * request.counted
        return answer(manifest, request, outputs)

    def metadata(self, name: str, version: str | None) -> dict[str, Any]:
        return metadata(_served(self.current.predictor, name, version).manifest)

    def install(self, file: Path) -> Installed:
        """Install a package and serve it; the caller holds `installing`."""
        installed = self.updater.install(file)
        self.uplink.keep(self.current.swap(installed.predictor))
        manifest = installed.predictor.manifest
        return Installed(manifest.name, manifest.version, installed.golden_difference)

    def bench(self, file: Path, threads: int) -> dict[str, Any]:
        """Time a package without serving it; the caller holds `installing`."""
        return {**self.updater.bench(file, threads), "threads": threads}

    def status(self) -> dict[str, Any]:
        manifest = self.manifest
        return {
            "device": self.uplink.settings.device,
            "state": "ready" if manifest else "empty",
            "model": manifest.name if manifest else "",
            "version": manifest.version if manifest else "",
            "samples": self.samples,
            "pending": self._count("pending"),
            "dropped": self._count("dropped"),
            "uptime_s": round(time.monotonic() - self.began, 3),
            "health": health(self.home.root),
        }

    def _count(self, what: str) -> int | None:
        """A figure of the uplink; null when the spool cannot be read now."""
        try:
            return int(getattr(self.uplink, what))
        except EdgeError as error:
            log.warning("%s: %s", what, error)
            return None


def _served(predictor: Predictor | None, name: str, version: str | None) -> Predictor:
    if predictor is None:
        raise EmptyError("This device serves no model yet.", "Deploy a package to it.")
    manifest = predictor.manifest
    if name != manifest.name:
        raise UnknownNameError("model", name, [manifest.name])
    if version not in (None, manifest.version):
        raise UnknownNameError("version", str(version), [manifest.version])
    return predictor
