"""What a source is: it opens what it reads from, and gives samples until it is stopped."""

import threading
from abc import ABC, abstractmethod
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import ClassVar

from edge_targets.runtime.contract import Profile, Signature
from edge_targets.streams.members import Member
from edge_targets.streams.samples import Sample

Samples = Generator[Sample, None, None]  # closed by whoever has had enough


@dataclass(frozen=True)
class World:
    """What a source may know of the loop it is in."""

    signature: Signature
    profile: Profile
    stopping: threading.Event = field(default_factory=threading.Event)


@dataclass(frozen=True)
class Source(Member, ABC):
    """Reads one thing; its fields are its parameters.

    `samples` ends when all is read. It raises a `DeviceError` when the thing does not answer or
    is gone, and is then called again after a while; anything else ends the loop. It looks at
    `world.stopping` at least every half second, and leaves nothing open.
    """

    live: ClassVar[bool] = True  # what is not taken in time is worth nothing; else it is waited for

    @abstractmethod
    def samples(self, world: World) -> Samples: ...
