"""Telemetry of a user's own loop: windows go to a spool on disk, and from there to the collector.

A folder holds what the agent's root folder holds: `settings.json` (the device's name, the
collector's address, seconds a window) and `spool.db`. What the collector has acknowledged is
forgotten; what it has not waits, also over restarts.
"""

import http.client
import json
import logging
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar
from urllib.parse import urlsplit

from edge_targets.runtime.contract import Record, Wire
from edge_targets.runtime.durable import storing
from edge_targets.runtime.errors import DataError, DeviceError, EdgeError, StorageError
from edge_targets.runtime.spool import Spool, Waiting

log = logging.getLogger(__name__)

BATCH = 100  # records in one message
MAX_BODY = 1_000_000  # bytes: with the envelope the collector's limit of 1 MiB
MAX_ANSWER = 1 << 20  # bytes
MAX_UNSAVED = 64  # closed windows kept in memory while the disk is full
TIMEOUT_S = 10.0
FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 300.0  # between attempts: doubled after each failure
UNREADABLE = {400, 413, 415, 422}  # the collector will say the same to the same message again


@dataclass(frozen=True)
class Reporting(Wire):
    """Who reports, where to and how often: those of the agent's settings that matter here."""

    versioned: ClassVar = True

    device: str = "device"
    collector: str = ""
    window_s: float = 10.0

    @classmethod
    def load(cls, folder: Path) -> "Reporting":
        try:
            found = cls.parse((folder / "settings.json").read_bytes())
        except FileNotFoundError:
            return cls()
        good = isinstance(found.device, str) and isinstance(found.collector, str)
        if not good or not isinstance(found.window_s, int | float) or not found.window_s >= 0.1:
            raise DataError(
                f"{folder / 'settings.json'} cannot be used.",
                "`device` and `collector` are texts, `window_s` is at least 0.1.",
            )
        return found


class Reporter(threading.Thread):
    """Closes a window every so often and sends what waits, until `stop`."""

    def __init__(self, folder: Path, close_window: Callable[[], Record | None]) -> None:
        super().__init__(name="telemetry", daemon=True)
        with storing(folder):
            folder.mkdir(parents=True, exist_ok=True)
        self.settings = Reporting.load(folder)
        self.spool = Spool(folder / "spool.db")
        self.close_window = close_window
        self.unsaved: list[Record] = []
        self.failures = 0
        self.limit = BATCH
        self.ended = threading.Event()
        self.working = threading.Lock()

    def run(self) -> None:
        window_at = time.monotonic() + self.settings.window_s
        send_at = time.monotonic()  # what an earlier run left waits already
        while not self.ended.wait(max(0.0, min(window_at, send_at) - time.monotonic())):
            try:
                now = time.monotonic()
                if now >= window_at:
                    self.keep()
                    window_at = now + self.settings.window_s
                if now >= send_at:
                    self.send()
                    send_at = time.monotonic() + self.pause_s()
            except Exception:  # a fault in one round must not end telemetry for good
                log.exception("telemetry")
                send_at = time.monotonic() + LONGEST_WAIT_S

    def pause_s(self) -> float:
        """Until the next attempt. Jitter keeps a fleet from returning all at once."""
        if not self.failures:
            return self.settings.window_s
        wait = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** min(self.failures - 1, 20))
        return wait * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, hides nothing

    def keep(self) -> None:
        """Close the window into the spool; while the disk is full, memory holds the latest."""
        with self.working:
            record = self.close_window()
            if record is not None:
                self.unsaved.append(replace(record, device=record.device or self.settings.device))
            while self.unsaved:
                try:
                    self.spool.add(self.unsaved[0])
                except StorageError as error:
                    log.warning("%s %s", error, error.hint)
                    break
                except DataError as error:
                    log.warning("dropped: %s %s", error, error.hint)
                del self.unsaved[0]
            del self.unsaved[:-MAX_UNSAVED]

    def send(self) -> None:
        """Offer each waiting record once; those the collector refuses wait for the next round."""
        if not self.settings.collector:
            return
        with self.working:
            try:
                left = self.spool.count
                while left > 0:
                    left -= self._send_batch()
                self.failures = 0
            except EdgeError as error:
                self.failures += 1
                log.warning("telemetry waits: %s %s", error, error.hint)

    def _send_batch(self) -> int:
        """How many records are settled for this round: acknowledged, or put back."""
        batch = self.spool.batch(self.limit, MAX_BODY)
        if not batch:  # what waited gave way to newer records
            return BATCH
        status, accepted = self._post(batch)
        if status in UNREADABLE:
            if self.limit > 1:  # find the record it cannot read
                self.limit = max(1, len(batch) // 2)
                return 0
            log.warning("record %s is refused with status %s", batch[0].id, status)
            accepted = set()
        self.limit = min(BATCH, self.limit * 2)
        self.spool.forget(accepted)
        self.spool.defer([one.id for one in batch if one.id not in accepted])
        return len(batch)

    def _post(self, batch: list[Waiting]) -> tuple[int, set[str]]:
        """The status, and the ids among `batch` that the collector has on its disk."""
        body = f'{{"schema":1,"records":[{",".join(one.body for one in batch)}]}}'
        parts = urlsplit(self.settings.collector)
        kind = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}
        if parts.scheme not in kind or not parts.hostname:
            raise DeviceError(
                f"{self.settings.collector!r} is no address.", "Give one such as http://HOST:8123."
            )
        connection = kind[parts.scheme](parts.hostname, parts.port, timeout=TIMEOUT_S)
        try:
            path = f"{parts.path.rstrip('/')}/v1/records"
            headers = {"Content-Type": "application/json", "Connection": "close"}
            connection.request("POST", path, body.encode(), headers)
            answer = connection.getresponse()
            found = json.loads(answer.read(MAX_ANSWER))
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise DeviceError(
                f"{self.settings.collector} does not answer: {error or type(error).__name__}.",
                "Is the collector on, and is the address right?",
            ) from error
        finally:
            connection.close()
        if answer.status in UNREADABLE:
            return answer.status, set()
        taken = found.get("accepted") if isinstance(found, dict) else None
        if not 200 <= answer.status < 300 or not isinstance(taken, list):
            raise DeviceError(
                f"{self.settings.collector} acknowledged nothing (status {answer.status}).",
                "Is it a collector?",
            )
        return answer.status, {one.id for one in batch} & {str(one) for one in taken}

    def stop(self) -> None:
        """End the thread; the last window is in the spool, and is sent if that works at once."""
        self.ended.set()
        if self.is_alive():
            self.join(timeout=TIMEOUT_S + 5)  # one message in flight, at its timeout
        self.keep()
        self.send()
        self.spool.close()
