"""How a long job tells its caller where it is, and learns that it should stop.

One `Job` is handed down through every long function. `job.step` reports and is the point
where a cancelled job stops, so a function that reports can be cancelled.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TypeVar

from edge_targets.runtime.errors import Cancelled

T = TypeVar("T")


@dataclass(frozen=True)
class Event:
    """One line of progress.

    Attributes:
        message: what is being done, for a person.
        done: units finished.
        total: units in all; 0 when unknown.
    """

    message: str
    done: int = 0
    total: int = 0

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, line: str) -> "Event":
        return cls(**json.loads(line))


class Job:
    """A running job: says where it is to `listen`, stops at the next step once cancelled."""

    def __init__(self, listen: Callable[[Event], object] = lambda event: None) -> None:
        self.listen = listen
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True

    def step(self, message: str, done: int = 0, total: int = 0) -> None:
        if self.cancelled:
            raise Cancelled(f"Stopped at {message!r}.")
        self.listen(Event(message, done, total))

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
