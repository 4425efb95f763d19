"""LiteRT on this machine."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata

from edge_targets.runtime.events import Job
from toolkit.verification.native import run
from toolkit.verification.places.base import Place, Session
from toolkit.verification.subject import Subject


class LiteRT(Place):
    """Runs our .tflite files with the engine that devices use."""

    title = "LiteRT"
    engine = "tflite"

    def available(self, subject: Subject) -> str:
        return "" if self.files(subject) else subject.refused.get(self.engine, "No such file.")

    @contextmanager
    def opened(self, subject: Subject, job: Job) -> Iterator[Session]:
        yield Session(metadata.version("ai-edge-litert"), run)
