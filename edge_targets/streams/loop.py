"""Source, model, sinks: one sample after another, for weeks."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from edge_targets.runtime.errors import DataError, DeviceError, EdgeError, IntegrityError
from edge_targets.runtime.predictor import Predictor
from edge_targets.streams.members import Member, described
from edge_targets.streams.outlet import Outlet
from edge_targets.streams.queues import Bounded
from edge_targets.streams.samples import Finding, Sample, fitted
from edge_targets.streams.sinks import Sink
from edge_targets.streams.sources import Source
from edge_targets.streams.sources.base import World

log = logging.getLogger(__name__)

FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 60.0  # before a source is opened again; doubled each time
LOOK_S = 0.25
COOL_C = 5.0  # below the limit, before it goes on: no flutter


@dataclass(frozen=True)
class Pace(Member):
    """How fast the loop may go; the table `[loop]`."""

    most_per_s: float = described("Answers a second at most; 0 is no limit.", 0.0, 0)
    waiting: int = described("Samples that wait for the model; the oldest give way.", 4, 1, 10_000)
    too_hot_c: float = described("Rests while the processor is hotter; 0 never rests.", 0.0, 0, 150)
    patience_s: float = described("Seconds that sinks get at the end.", 5.0, 0, 3600)


@dataclass
class Counts:
    """What a loop has done."""

    answered: int = 0
    abstained: int = 0
    unfit: int = 0  # samples that the model does not take
    reopened: int = 0  # times that the source had to be opened again
    dropped: int = 0  # samples that gave way to newer ones
    rested_s: float = 0.0


class Loop:
    """Runs until its source ends, or `stop`.

    Args:
        source: of samples; it is read in a thread of its own.
        predictor: is the caller's, who closes it.
        sinks: each in a thread of its own.
        pace: how fast.
        is_hot: whether to rest now; looked at before every answer.
        first_wait_s: before a source or sink that failed is opened again.
    """

    def __init__(
        self,
        source: Source,
        predictor: Predictor,
        sinks: Sequence[Sink],
        pace: Pace | None = None,
        is_hot: Callable[[], bool] = lambda: False,
        first_wait_s: float = FIRST_WAIT_S,
    ) -> None:
        if len(predictor.signature.inputs) != 1:
            raise DataError(
                "A stream feeds one input; this model takes several.",
                "Call the Predictor from a loop of your own.",
            )
        self.source = source
        self.predictor = predictor
        self.pace = pace or Pace()
        self.is_hot = is_hot
        self.first_wait_s = first_wait_s
        self.world = World(predictor.signature, predictor.profiler.reference)
        self.counts = Counts()
        self.outlets = [Outlet(sink, first_wait_s=first_wait_s) for sink in sinks]
        self.queue: Bounded[Sample] = Bounded(self.pace.waiting)
        self.error: EdgeError | None = None

    def stop(self) -> None:
        """Ask it to end; `run` returns soon."""
        self.world.stopping.set()
        self.queue.close()

    def run(self) -> Counts:
        """Work until the end.

        Raises:
            EdgeError: a source or a sink cannot be used at all: a library is missing, a setting
                is wrong.
        """
        reader = threading.Thread(target=self._read, name="source", daemon=True)
        for thread in (*self.outlets, reader):
            thread.start()
        try:
            due = time.monotonic()
            while not self.world.stopping.is_set() and not self.queue.finished:
                due = self._rest(due)
                sample = self.queue.get(LOOK_S)
                if sample is not None:
                    self._answer(sample)
                if any(outlet.error for outlet in self.outlets):
                    break
        finally:
            self.stop()
            reader.join(15)
            for outlet in self.outlets:
                outlet.stop(self.pace.patience_s)
            self.counts.dropped = self.queue.dropped
        for error in (self.error, *(outlet.error for outlet in self.outlets)):
            if error:
                raise error
        return self.counts

    def _read(self) -> None:
        failures = 0
        try:
            while not self.world.stopping.is_set():
                try:
                    with closing(self.source.samples(self.world)) as samples:
                        for sample in samples:
                            failures = 0
                            self.queue.put(sample, wait=not self.source.live)
                            if self.world.stopping.is_set():
                                break
                    return
                except DeviceError as error:
                    failures += 1
                    self.counts.reopened += 1
                    log.warning("source waits: %s %s", error, error.hint)
                wait = min(LONGEST_WAIT_S, self.first_wait_s * 2.0 ** min(failures - 1, 20))
                self.world.stopping.wait(wait)
        except EdgeError as error:
            self.error = error
        except Exception as error:  # a driver's own: the loop ends, and says which
            log.exception("source")
            self.error = DeviceError(
                f"The source failed: {type(error).__name__}: {error}.", "See the log."
            )
        finally:
            self.queue.close()

    def _rest(self, due: float) -> float:
        """Wait for the next turn; while it is too hot, for that to pass."""
        began = time.monotonic()
        while self.is_hot() and not self.world.stopping.wait(LOOK_S):
            pass
        now = time.monotonic()
        self.counts.rested_s += now - began if now - began >= LOOK_S else 0.0
        if not self.pace.most_per_s:
            return now
        if due > now:
            self.world.stopping.wait(due - now)
        return max(due, now) + 1 / self.pace.most_per_s

    def _answer(self, sample: Sample) -> None:
        try:
            answer = self.predictor(fitted(self.predictor.signature, sample))
        except (DataError, IntegrityError) as error:
            self.counts.unfit += 1
            log.warning("%s %s", error, error.hint)
            return
        self.counts.answered += 1
        if self.predictor.manifest.abstention:
            self.counts.abstained += answer.abstained
        for outlet in self.outlets:
            outlet.queue.put(Finding(sample, answer, self.predictor.manifest))


class Thermometer:
    """Whether the processor is too hot; once it was, until it has cooled down well."""

    def __init__(
        self, limit_c: float, path: Path = Path("/sys/class/thermal/thermal_zone0/temp")
    ) -> None:
        self.limit_c = limit_c
        self.path = path
        self.resting = False

    def __call__(self) -> bool:
        if not self.limit_c:
            return False
        try:
            found_c = int(self.path.read_text()) / 1000
        except (OSError, ValueError):
            return False  # a board that does not tell
        self.resting = found_c > (self.limit_c - COOL_C if self.resting else self.limit_c)
        return self.resting
