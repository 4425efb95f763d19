"""ONNX Runtime on this machine."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata

from edge_targets.runtime.events import Job
from toolkit.verification.native import run
from toolkit.verification.places.base import Place, Session
from toolkit.verification.subject import Subject


class OnnxRuntime(Place):
    """Runs our .onnx files with the engine that devices use."""

    title = "ONNX Runtime"
    engine = "onnx"

    def available(self, subject: Subject) -> str:
        return "" if self.files(subject) else subject.refused.get(self.engine, "No such file.")

    @contextmanager
    def opened(self, subject: Subject, job: Job) -> Iterator[Session]:
        yield Session(metadata.version("onnxruntime"), run)
