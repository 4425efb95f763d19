"""One sink at work: in a thread of its own, so that a slow or broken one holds nobody up."""

import logging
import threading
import time

from edge_targets.runtime.errors import DataError, DeviceError, EdgeError
from edge_targets.streams.queues import Bounded
from edge_targets.streams.samples import Finding
from edge_targets.streams.sinks import Sink

log = logging.getLogger(__name__)

WAITING = 256  # findings for a sink that does not answer; the oldest give way
FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 60.0  # before it is opened again; doubled each time
LOOK_S = 0.25


class Outlet(threading.Thread):
    """Takes findings at once, and sends them when the sink can."""

    def __init__(self, sink: Sink, size: int = WAITING, first_wait_s: float = FIRST_WAIT_S) -> None:
        super().__init__(name=f"sink {type(sink).__name__}", daemon=True)
        self.sink = sink
        self.queue: Bounded[Finding] = Bounded(size)
        self.first_wait_s = first_wait_s
        self.giving_up = threading.Event()
        self.sent = 0
        self.refused = 0
        self.error: EdgeError | None = None  # that ended it for good
        self.pending: Finding | None = None

    def run(self) -> None:
        failures = 0
        while not self.queue.finished or self.pending:
            before = self.sent
            try:
                self._work()
                return
            except DeviceError as error:
                failures = failures + 1 if self.sent == before else 1
                log.warning("%s waits: %s %s", self.name, error, error.hint)
            except EdgeError as error:  # a mistake in the settings: it would be made again
                self.error = error
                log.error("%s ends: %s %s", self.name, error, error.hint)
                self.queue.close()
                return
            wait = min(LONGEST_WAIT_S, self.first_wait_s * 2.0 ** min(failures - 1, 20))
            if self.giving_up.wait(wait):
                return

    def _work(self) -> None:
        with self.sink.open() as send:
            while not self.giving_up.is_set():
                self.pending = self.pending or self.queue.get(LOOK_S)
                if self.pending is None:
                    if self.queue.finished:
                        return
                    continue
                try:
                    send(self.pending)
                    self.sent += 1
                except DataError as error:
                    self.refused += 1
                    log.warning("%s does not take it: %s", self.name, error)
                self.pending = None

    @property
    def lost(self) -> int:
        """Findings that gave way to newer ones, were refused, or were left at the end."""
        left = len(self.queue.items) + (self.pending is not None)
        return self.queue.dropped + self.refused + (0 if self.is_alive() else left)

    def stop(self, patience_s: float) -> None:
        """Send what waits, if that works so soon."""
        self.queue.close()
        until = time.monotonic() + patience_s
        self.join(max(0.0, until - time.monotonic()))
        self.giving_up.set()
        self.join(15)  # one send in flight, at its timeout
