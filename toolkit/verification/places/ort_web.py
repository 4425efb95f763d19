"""ONNX Runtime Web, which is WebAssembly, in headless Chromium."""

from contextlib import AbstractContextManager

from edge_targets.runtime.events import Job
from toolkit.verification.places.base import Place, Session
from toolkit.verification.proving import missing, proving
from toolkit.verification.subject import Subject


class OrtWeb(Place):
    """Runs our .onnx files as a page does."""

    title = "ONNX Runtime Web"
    engine = "onnx"

    def available(self, subject: Subject) -> str:
        if not self.files(subject):
            return subject.refused.get(self.engine, "No such file.")
        return missing()

    def opened(self, subject: Subject, job: Job) -> AbstractContextManager[Session]:
        return proving(self.engine)
