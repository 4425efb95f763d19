"""What a place is: a runtime that answers with a model, to be held against the others."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, ClassVar

from numpy.typing import NDArray

from edge_targets.runtime.contract import Signature
from edge_targets.runtime.events import Job
from toolkit.verification.subject import File, Subject

Values = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Session:
    """A runtime that is up.

    Attributes:
        version: of the runtime, in words.
        run: gives every output of a signature for all items.
    """

    version: str
    run: Callable[[File, Signature, Values, Job], Values]


class Place(ABC):
    """One runtime. It runs files of one engine, or what it has already (`engine` is empty)."""

    title: ClassVar[str]
    engine: ClassVar[str] = ""

    def files(self, subject: Subject) -> tuple[File, ...]:
        """What it runs of a model."""
        return tuple(file for file in subject.files if file.engine == self.engine)

    @abstractmethod
    def available(self, subject: Subject) -> str:
        """Why the place is left out; empty when it is not."""

    @abstractmethod
    def opened(self, subject: Subject, job: Job) -> AbstractContextManager[Session]:
        """The runtime, for as long as the block lasts.

        Raises:
            DeviceError: it does not answer.
            IntegrityError: it refuses a file.
        """
