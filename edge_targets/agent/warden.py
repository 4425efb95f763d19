"""Keeps watch over what is served: a version that stays healthy is kept, one that fails goes."""

import logging
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar, Self

from edge_targets.agent.health import health, throttled
from edge_targets.agent.home import Settings, Stored
from edge_targets.agent.probation import Probation
from edge_targets.agent.served import Served
from edge_targets.agent.updater import Fallen, Updater
from edge_targets.runtime.errors import DataError, DeviceError, EdgeError, StorageError
from edge_targets.runtime.predictor import Predictor
from edge_targets.runtime.reporting import Reporter

log = logging.getLogger(__name__)

LOOK_S = 1.0  # between two looks at what is served
SHORTEST_LOOK_S = 0.05
FIRMWARE_S = 30.0  # between two questions to the board's firmware: each may start a program
COOLER_C = 3.0  # below the limit: without a gap the load would flicker


@dataclass(frozen=True)
class LastUpdate(Stored):
    """What became of the latest installation.

    Attributes:
        at: ISO 8601, UTC, by the device's own clock.
        result: `installed`, `confirmed`, `rolled_back`, `unhealthy`, `failed` or `removed`.
        why: what went wrong; empty when nothing did.
    """

    file: ClassVar = "last_update.json"

    at: str = ""
    result: str = ""
    model: str = ""
    version: str = ""
    why: str = ""

    @classmethod
    def now(cls, result: str, model: str = "", version: str = "", why: str = "") -> Self:
        return cls(datetime.now(UTC).isoformat(timespec="seconds"), result, model, version, why)


class Warden(threading.Thread):
    """Runs until `stop`. Whoever changes what is served holds `changing`."""

    def __init__(self, updater: Updater, served: Served, uplink: Reporter[Settings]) -> None:
        super().__init__(name="warden", daemon=True)
        self.updater = updater
        self.served = served
        self.uplink = uplink
        self.root = updater.home.root
        self.changing = threading.RLock()
        self.ended = threading.Event()
        self.hot = False
        self.throttled: dict[str, Any] = {}
        self.asked_firmware = float("-inf")
        self.watched: dict[str, Probation] = {}
        self.last_update = self._stored()
        for fallen in updater.fallen:
            self._tell_fallen(fallen)
        for manifest in served.manifests():
            pointer = updater.slots(manifest.name).pointer
            if pointer.probation or pointer.starts:
                self._watch(manifest.name, trying=pointer.probation)

    def _stored(self) -> LastUpdate | None:
        try:
            found = LastUpdate.load(self.root)
        except DataError as error:
            log.warning("%s", error)
            return None
        return found if found.at else None

    def _watch(self, name: str, trying: bool, **before: Any) -> None:
        seconds = self.uplink.settings.probation_s
        live = self.served.find(name)
        self.watched[name] = Probation(live, seconds, trying=trying, **before)

    def left_s(self, name: str) -> float | None:
        """Until the version on probation is confirmed; None when none is."""
        found = self.watched.get(name)
        return found.left_s if found and found.trying else None

    def begin(self, predictor: Predictor) -> None:
        """Serve another version that was just committed; the caller holds `changing`."""
        name = predictor.manifest.name
        old = self.served.models.get(name)
        before = {"old_share": old.failure_share if old else 0.0, "before": health(self.root)}
        self.uplink.keep(self.served.swap(predictor))
        trying = self.updater.slots(name).pointer.probation  # not one that was proven before
        self._watch(name, trying, **before)

    def fall_back(self, fallen: Fallen) -> None:
        """Serve what a version gave way to; the caller holds `changing`."""
        assert fallen.predictor is not None
        self.watched.pop(fallen.manifest.name, None)
        self.uplink.keep(self.served.swap(fallen.predictor))
        self._tell_fallen(fallen)

    def forget(self, name: str) -> None:
        """Serve a model no more; the caller holds `changing`."""
        self.watched.pop(name, None)
        self.uplink.keep(self.served.drop(name))

    def _tell_fallen(self, fallen: Fallen) -> None:
        one = fallen.manifest
        self.told(LastUpdate.now("rolled_back", one.name, one.version, fallen.why))

    def told(self, update: LastUpdate) -> None:
        """Remember what became of an installation, for whoever asks."""
        self.last_update = update
        try:
            update.save(self.root)
        except StorageError as error:
            log.warning("%s %s", error, error.hint)

    def run(self) -> None:
        while not self.ended.wait(self.pause_s()):
            try:
                self.look()
            except Exception:  # a fault in one round must not end the watch for good
                log.exception("warden")

    def pause_s(self) -> float:
        left = [one.left_s for one in self.watched.values()]
        return max(SHORTEST_LOOK_S, min([LOOK_S, *left]))

    def stop(self) -> None:
        self.ended.set()
        if self.is_alive():
            self.join(timeout=15)

    def look(self) -> None:
        """One round: the device's heat, then each version that has to prove itself."""
        found = health(self.root)
        limit = self.uplink.settings.soft_c
        self._feel(found.get("temperature_c"), limit)
        for name, probation in list(self.watched.items()):
            fault = probation.fault(found, limit)
            if self.watched.get(name) is not probation:  # replaced while its inputs were answered
                continue
            if fault:
                self._fail(name, probation, fault)
            elif not probation.left_s:
                self._confirm(name, probation)

    def _feel(self, heat: float | None, limit: float) -> None:
        if heat is not None and limit:
            hot = heat > (limit - COOLER_C if self.hot else limit)
            if hot != self.hot:
                log.warning("%.0f °C: the load is %s", heat, "lowered" if hot else "as usual again")
            self.hot = hot
        if time.monotonic() - self.asked_firmware >= FIRMWARE_S:
            self.asked_firmware = time.monotonic()
            self.throttled = throttled()

    def _confirm(self, name: str, probation: Probation) -> None:
        with self.changing:
            if self.watched.get(name) is not probation:
                return
            try:
                self.updater.slots(name).confirm()
            except StorageError as error:  # in the next round, or in the next run
                log.warning("%s %s", error, error.hint)
                probation.began = time.monotonic()
                return
            del self.watched[name]
        if probation.trying:
            version = probation.live.manifest.version
            log.info("%s: %s has proved itself", name, version)
            self.told(LastUpdate.now("confirmed", name, version))

    def _fail(self, name: str, probation: Probation, fault: str) -> None:
        with self.changing:
            if self.watched.pop(name, None) is not probation or not probation.trying:
                return
            version = probation.live.manifest.version
            log.error("%s: %s is not healthy: %s", name, version, fault)
            try:
                self.fall_back(self.updater.roll_back(name, fault, lasting=False))
            except DeviceError as error:
                log.error("%s: %s stays: %s", name, version, error)
                self.told(LastUpdate.now("unhealthy", name, version, f"{fault}; {error}"))
            except EdgeError as error:
                log.error("%s: %s stays: %s", name, version, error)
