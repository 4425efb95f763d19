"""Telemetry: windows are closed into a spool on disk, and go from there to the collector.

The agent does so for all its models, and a `Predictor` for the loop it stands in. A folder holds
what the agent's root folder holds: `settings.json` (the device's name, the collector's address,
seconds a window) and `spool.db`. What the collector has acknowledged is forgotten; what it has
not waits, also over restarts.
"""

import logging
import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar, Generic, Protocol, TypeVar

from edge_targets.runtime.contract import Record, Wire
from edge_targets.runtime.durable import storing
from edge_targets.runtime.errors import DataError, DeviceError, EdgeError, StorageError
from edge_targets.runtime.exchange import RefusedError, post_json
from edge_targets.runtime.spool import Spool, Waiting

log = logging.getLogger(__name__)

BATCH = 100  # records in one message
MAX_BODY = 1_000_000  # bytes, envelope included: the collector takes 1 MiB
MAX_UNSAVED = 64  # closed windows kept in memory while the disk is full
LAST_MESSAGE_S = 15.0  # one in flight, at its timeout
FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 300.0  # between attempts: doubled after each failure
SHORTEST_PAUSE_S = 0.05
UNREADABLE = {400, 413, 415, 422}  # the collector will say the same to the same message again


class Wishes(Protocol):
    """Who reports, where to and how often."""

    @property
    def device(self) -> str: ...
    @property
    def collector(self) -> str: ...
    @property
    def window_s(self) -> float: ...


W = TypeVar("W", bound=Wishes)


@dataclass(frozen=True)
class Reporting(Wire):
    """Those of the agent's settings that matter to a loop of one's own."""

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


class Reporter(threading.Thread, Generic[W]):
    """Runs until `stop`; a record is forgotten when the collector has acknowledged its id.

    Args:
        read: the settings; asked again before each window.
        closed: closes the windows that are open, and gives what was seen in them.
        spool: where that waits.
    """

    def __init__(
        self,
        read: Callable[[], W],
        closed: Callable[[], Sequence[Record | None]],
        spool: Spool,
    ) -> None:
        super().__init__(name="telemetry", daemon=True)
        self.read = read
        self.closed = closed
        self.spool = spool
        self.settings = read()
        self.unsaved: list[Record] = []
        self.lost = 0
        self.limit = BATCH
        self.failures = 0
        self.keeping = threading.RLock()  # short: a swap of models waits for it
        self.sending = threading.Lock()  # as long as the collector takes
        self.ended = threading.Event()

    def run(self) -> None:
        window_at = time.monotonic() + self.settings.window_s
        send_at = time.monotonic()  # what an earlier run left waits already
        while not self.ended.wait(
            max(SHORTEST_PAUSE_S, min(window_at, send_at) - time.monotonic())
        ):
            try:
                now = time.monotonic()
                if now >= window_at:
                    self.refresh()
                    self.close_window()
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
        # 20 doublings are past the longest wait; more would overflow a float one day
        wait = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** min(self.failures - 1, 20))
        return wait * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, hides nothing

    def refresh(self) -> None:
        """Read the settings again; faulty ones leave those we have."""
        try:
            self.settings = self.read()
        except (EdgeError, OSError) as error:
            log.warning("settings: %s", error)

    def close_window(self) -> None:
        with self.keeping:
            self.keep(*self.closed())

    def keep(self, *records: Record | None) -> None:
        """Spool closed windows; while the disk is full, memory holds the latest."""
        with self.keeping:
            name = self.settings.device
            named = [replace(one, device=one.device or name) for one in records if one]
            self.unsaved += named
            while self.unsaved:
                try:
                    self.spool.add(self.unsaved[0])
                except StorageError as error:
                    log.warning("%s %s", error, error.hint)
                    break
                except DataError as error:
                    log.warning("dropped: %s %s", error, error.hint)
                    self.lost += 1
                del self.unsaved[0]
            surplus = len(self.unsaved) - MAX_UNSAVED
            if surplus > 0:
                del self.unsaved[:surplus]
                self.lost += surplus

    def flush(self) -> int:
        """Close the window and try to send all of it now; how many records still wait."""
        self.refresh()
        self.close_window()
        self.send()
        return self.pending

    @property
    def pending(self) -> int:
        return self.spool.count + len(self.unsaved)

    @property
    def dropped(self) -> int:
        return self.spool.dropped + self.lost

    def send(self) -> None:
        """Send until nothing waits, or the collector does not take it."""
        with self.sending:
            if not self.settings.collector:
                self.failures = 0
                return
            try:
                # each record is offered once: those it refuses wait for the next round
                left = self.spool.count
                while left > 0 and not self.ended.is_set():
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
        try:
            accepted = self._post(batch)
        except RefusedError as error:
            if error.status not in UNREADABLE:
                raise
            if self.limit > 1:  # find the record it cannot read
                self.limit = max(1, len(batch) // 2)
                return 0
            log.warning("record %s is refused: %s", batch[0].id, error)
            accepted = set()
        self.limit = min(BATCH, self.limit * 2)
        self.spool.forget(accepted)
        self.spool.defer([one.id for one in batch if one.id not in accepted])
        return len(batch)

    def _post(self, batch: list[Waiting]) -> set[str]:
        """The ids among `batch` that the collector has on its disk."""
        sent = datetime.now(UTC).isoformat()  # the collector sees by it whether our clock is wrong
        records = ",".join(one.body for one in batch)
        body = f'{{"schema":1,"sent":"{sent}","records":[{records}]}}'
        address = self.settings.collector.rstrip("/") + "/v1/records"
        found = post_json(address, body).get("accepted")
        if not isinstance(found, list):
            raise DeviceError(
                f"{self.settings.collector} acknowledged nothing.", "Is it a collector?"
            )
        return {one.id for one in batch} & {str(one) for one in found}

    def stop(self) -> None:
        """End the thread, and leave the last window in the spool."""
        self.ended.set()
        if self.is_alive():
            self.join(timeout=LAST_MESSAGE_S)
        self.close_window()


def reporter_in(folder: Path, close_window: Callable[[], Record | None]) -> Reporter[Reporting]:
    """Reports what a loop of one's own sees; its spool and its settings lie in the folder."""
    with storing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    Reporting.load(folder)  # what cannot be used is told before a spool is made
    return Reporter(
        lambda: Reporting.load(folder), lambda: [close_window()], Spool(folder / "spool.db")
    )
