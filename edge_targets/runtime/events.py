"""How a long job tells its caller where it is, and learns that it should stop.

One `Job` is handed down through every long function. `job.step` reports and is the point
where a cancelled job stops, so a function that reports can be cancelled.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from edge_targets.runtime.errors import Cancelled

T = TypeVar("T")


@dataclass(frozen=True)
class Event:
    """One line of progress.

    Attributes:
        message: what is being done, for a person.
        done: units finished.
        total: units in all; 0 when unknown.
        facts: what was found so far, as JSON knows it, for a program that draws it.
    """

    message: str
    done: int = 0
    total: int = 0
    facts: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, line: str) -> "Event":
        return cls(**json.loads(line))


class Job:
    """A running job: says where it is to `listen`, stops at the next step once cancelled.

    Args:
        listen: gets every event.
        scratch: a folder for what is half done, so that a job that was stopped can go on; None
            where nothing is kept.
    """

    def __init__(
        self,
        listen: Callable[[Event], object] = lambda event: None,
        scratch: Path | None = None,
    ) -> None:
        self.listen = listen
        self.scratch = scratch
        self._stopped: list[bool] = []  # shared with the jobs made from this one

    @property
    def cancelled(self) -> bool:
        return bool(self._stopped)

    def cancel(self) -> None:
        self._stopped.append(True)

    def keeping(self, scratch: Path) -> "Job":
        """The same job, keeping what is half done in `scratch`."""
        made = Job(self.listen, scratch)
        made._stopped = self._stopped
        return made

    def checkpoint(self, *identity: bytes | str) -> Path | None:
        """Where work of this identity keeps its middle; the same work finds its own file again."""
        if self.scratch is None:
            return None
        parts = (part.encode() if isinstance(part, str) else part for part in identity)
        digests = [hashlib.sha256(part).digest() for part in parts]
        return self.scratch / f"{hashlib.sha256(b''.join(digests)).hexdigest()[:32]}.pt"

    def step(
        self, message: str, done: int = 0, total: int = 0, facts: Mapping[str, Any] | None = None
    ) -> None:
        if self.cancelled:
            raise Cancelled(f"Stopped at {message!r}.")
        self.listen(Event(message, done, total, facts or {}))

    def track(self, items: Sequence[T], message: str) -> Iterator[T]:
        """Yield each item, reporting before each one and once at the end."""
        for done, item in enumerate(items):
            self.step(message, done, len(items))
            yield item
        self.step(message, len(items), len(items))

    def obey(self, commands: Iterable[str]) -> None:
        """Cancel when told to, and when whoever drives us is gone (the input ends)."""
        for text in commands:
            if text.strip() == "cancel":
                break
        self.cancel()


QUIET = Job()
"""The job of a caller who does not ask: says nothing, never stops."""
