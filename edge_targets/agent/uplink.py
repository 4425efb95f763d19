"""Closes windows into the spool, and brings what is spooled to the collector."""

import logging
import random
import threading
import time
from dataclasses import replace

from edge_targets.agent.home import Home
from edge_targets.agent.served import Served
from edge_targets.runtime.contract import Record
from edge_targets.runtime.errors import DataError, DeviceError, EdgeError, StorageError
from edge_targets.runtime.spool import Spool, Waiting
from edge_targets.transport import RefusedError, post_json

log = logging.getLogger(__name__)

BATCH = 100  # records in one message
MAX_BODY = 1_000_000  # bytes, envelope included: the collector takes 1 MiB
MAX_UNSAVED = 64  # closed windows kept in memory while the disk is full
FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 300.0  # between attempts: doubled after each failure
UNREADABLE = {400, 413, 415, 422}  # the collector will say the same to the same message again


class Uplink(threading.Thread):
    """Runs until `stop`; a record is forgotten when the collector has acknowledged its id."""

    def __init__(self, home: Home, served: Served, spool: Spool) -> None:
        super().__init__(name="uplink", daemon=True)
        self.home = home
        self.served = served
        self.spool = spool
        self.settings = home.settings()
        self.unsaved: list[Record] = []
        self.lost = 0
        self.limit = BATCH
        self.failures = 0
        self.keeping = threading.RLock()  # short: a swap waits for it
        self.sending = threading.Lock()  # as long as the collector takes
        self.ended = threading.Event()

    def run(self) -> None:
        window_at = time.monotonic() + self.settings.window_s
        send_at = time.monotonic()  # what an earlier run left waits already
        while not self.ended.wait(max(0.05, min(window_at, send_at) - time.monotonic())):
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
                log.exception("uplink")
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
            self.settings = self.home.settings()
        except (EdgeError, OSError) as error:
            log.warning("settings: %s", error)

    def close_window(self) -> None:
        with self.keeping:
            self.keep(*self.served.close_windows())

    def keep(self, *records: Record | None) -> None:
        """Spool closed windows; while the disk is full, memory holds the latest."""
        with self.keeping:
            device = self.settings.device
            self.unsaved += [replace(record, device=device) for record in records if record]
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
                    left -= self.send_batch()
                self.failures = 0
            except (DeviceError, StorageError) as error:
                self.failures += 1
                log.warning("telemetry waits: %s %s", error, error.hint)

    def send_batch(self) -> int:
        """How many records are settled for this round: acknowledged, or put back."""
        batch = self.spool.batch(self.limit, MAX_BODY)
        if not batch:  # what waited gave way to newer records
            return BATCH
        try:
            accepted = self.post(batch)
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

    def post(self, batch: list[Waiting]) -> set[str]:
        """The ids among `batch` that the collector has on its disk."""
        body = f'{{"schema":1,"records":[{",".join(one.body for one in batch)}]}}'
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
            self.join(timeout=15)  # one message in flight, at its timeout
        self.close_window()
