"""What a sink is: it opens what it writes to, and takes findings."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from edge_targets.streams.members import Member
from edge_targets.streams.samples import Finding

Send = Callable[[Finding], None]


@dataclass(frozen=True)
class Sink(Member, ABC):
    """Brings findings to one place; its fields are its parameters.

    Both `open` and what it gives raise a `DeviceError` when that place does not answer: it is
    opened anew after a while, and the same finding is sent again. A `DataError` says that this
    finding is not taken, however often it is sent.
    """

    @abstractmethod
    def open(self) -> AbstractContextManager[Send]: ...
