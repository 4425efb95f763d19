"""Dynamic batching: requests for one model that wait at the same time are answered at once.

By default nobody waits for company: what has arrived while the loop was elsewhere, or while the
model was at work, is merged (Crankshaw et al. 2017, "Clipper", with a delay of nothing). A quick
model runs on the server's own thread, where a hop to another would cost more than the answer; a
slow one runs on a thread of its own, so that everything else is answered meanwhile.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from edge_targets.runtime.contract import Manifest, Tensor

MOST_ROWS = 32  # of a merged batch: more gains little, and all wait for the last
QUICK_S = 2e-3  # a prediction that blocks everybody else for less is not worth a thread
CAUTION = 0.5  # of the newest measurement in the running mean

Done = Callable[[Any], None]  # takes (manifest, outputs), or the exception


class Outcome(NamedTuple):
    """What was predicted, and by which version."""

    manifest: Manifest
    outputs: Mapping[str, Tensor]


class Predicts(Protocol):
    """The part of an agent that is needed here."""

    def predict(
        self, name: str, version: str | None, inputs: Mapping[str, Tensor], counted: bool = True
    ) -> Any: ...


class Key(NamedTuple):
    """Requests with an equal key may share a batch."""

    name: str
    version: str | None
    counted: bool
    sizes: tuple[tuple[str, tuple[int, ...]], ...]  # of an item, for each input
    alone: int = 0  # an own number for what shares with nobody


class Waiting(NamedTuple):
    """A request, and who is told."""

    inputs: Mapping[str, Tensor]
    rows: int
    done: Done
    since: float


@dataclass(frozen=True)
class Batching:
    """How requests are merged.

    Attributes:
        most_rows: of a merged batch; 1 merges nothing.
        delay_s: that a request waits for company.
    """

    most_rows: int = MOST_ROWS
    delay_s: float = 0.0


class Batcher:
    """Collects requests and runs them; all its methods belong to the server's thread.

    `aside(work, then)` runs `work` on another thread and `then` on the server's afterwards; it
    says False when no thread is free.
    """

    def __init__(
        self,
        agent: Predicts,
        aside: Callable[[Callable[[], Any], Done], bool],
        batching: Batching = Batching(),
    ) -> None:
        self.agent = agent
        self.aside = aside
        self.batching = batching
        self.waiting: dict[Key, list[Waiting]] = {}
        self.busy: set[str] = set()  # names whose model runs on another thread
        self.row_s: dict[str, float] = {}  # seconds a row, by name
        self.number = 0

    def add(
        self,
        name: str,
        version: str | None,
        inputs: Mapping[str, Tensor],
        counted: bool,
        merges: bool,
        done: Done,
    ) -> None:
        """Queue one request; `done` is called with its outcome, by `flush` or later."""
        shapes = [(label, tensor.shape) for label, tensor in inputs.items()]
        rows = {shape[0] if shape else 0 for _, shape in shapes}
        count = max(rows, default=0)
        alone = 0
        # whoever asks for no items, or unequal ones, must hear so without harm to others
        if not merges or len(rows) != 1 or not 0 < count < self.batching.most_rows:
            self.number = alone = self.number + 1
        sizes = tuple(sorted((label, shape[1:]) for label, shape in shapes))
        key = Key(name, version, counted, sizes, alone)
        self.waiting.setdefault(key, []).append(Waiting(inputs, count, done, time.monotonic()))

    def due_s(self) -> float | None:
        """Seconds until something should be run; None when nothing waits that could be."""
        ready = [key for key in self.waiting if key.name not in self.busy]
        if not ready:
            return None
        if not self.batching.delay_s:
            return 0.0
        first = min(self.waiting[key][0].since for key in ready)
        return max(0.0, first + self.batching.delay_s - time.monotonic())

    def flush(self) -> None:
        """Run what waits, except for models that are at work."""
        due = time.monotonic() - self.batching.delay_s
        for key in list(self.waiting):
            if key.name in self.busy:
                continue
            entries = self.waiting[key]
            full = sum(entry.rows for entry in entries) >= self.batching.most_rows
            if not full and not key.alone and entries[0].since > due:
                continue
            group, rest = self.share(entries)
            if rest:
                self.waiting[key] = rest
            else:
                del self.waiting[key]
            self.run(key, group)

    def share(self, entries: list[Waiting]) -> tuple[list[Waiting], list[Waiting]]:
        """As many of the first as fit into one batch, and the others."""
        rows = 0
        for count, entry in enumerate(entries):
            rows += entry.rows
            if count and rows > self.batching.most_rows:
                return entries[:count], entries[count:]
        return entries, []

    def run(self, key: Key, group: list[Waiting]) -> None:
        rows = sum(entry.rows for entry in group)
        # a model that is not known yet may be slow, and its first run often is
        if self.row_s.get(key.name, math.inf) * rows <= QUICK_S:
            self.deliver(key, group, self.predict(key, group))
            return
        self.busy.add(key.name)

        def then(results: Sequence[Any]) -> None:
            self.busy.discard(key.name)
            self.deliver(key, group, results)

        if not self.aside(lambda: self.predict(key, group), then):
            then(self.predict(key, group))

    def deliver(self, key: Key, group: list[Waiting], results: Sequence[Any]) -> None:
        *outcomes, took_s = results
        known, rows = self.row_s.get(key.name), max(1, sum(entry.rows for entry in group))
        fresh = took_s / rows
        self.row_s[key.name] = fresh if known is None else known + CAUTION * (fresh - known)
        for entry, outcome in zip(group, outcomes, strict=True):
            entry.done(outcome)

    def predict(self, key: Key, group: list[Waiting]) -> list[Any]:
        """An outcome or an exception for each of the group, then the seconds it took."""
        begin = time.perf_counter()
        if len(group) == 1:
            outcomes: list[Any] = [self.attempt(key, group[0].inputs)]
        else:
            outcome = self.attempt(key, merged([entry.inputs for entry in group]))
            if isinstance(outcome, Outcome):
                outcomes = split(outcome, [entry.rows for entry in group])
            else:  # what one of them did must not fail the others
                outcomes = [self.attempt(key, entry.inputs) for entry in group]
        return [*outcomes, time.perf_counter() - begin]

    def attempt(self, key: Key, inputs: Mapping[str, Tensor]) -> Outcome | Exception:
        try:
            found = self.agent.predict(key.name, key.version, inputs, key.counted)
        except Exception as error:  # noqa: BLE001 - engines share no base; who asked is told
            return error
        return Outcome(found.manifest, found.outputs)


def merged(requests: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """One batch of all: the bytes of each, one after another."""
    first = requests[0]
    joined: dict[str, Tensor] = {}
    for name, tensor in first.items():
        parts = [request[name] for request in requests]
        data = memoryview(b"".join(part.data for part in parts)).cast(tensor.data.format)
        joined[name] = Tensor((sum(part.shape[0] for part in parts), *tensor.shape[1:]), data)
    return joined


def split(outcome: Outcome, rows: Sequence[int]) -> list[Outcome | Exception]:
    """To each its own rows."""
    found: list[Outcome | Exception] = []
    begin = 0
    for count in rows:
        outputs = {}
        for name, tensor in outcome.outputs.items():
            size = math.prod(tensor.shape[1:])
            data = tensor.data[begin * size : (begin + count) * size]
            outputs[name] = Tensor((count, *tensor.shape[1:]), data)
        found.append(Outcome(outcome.manifest, outputs))
        begin += count
    return found
