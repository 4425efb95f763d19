"""LiteRT.js, which is WebAssembly, in headless Chromium."""

from contextlib import AbstractContextManager

from edge_targets.runtime.events import Job
from toolkit.verification.places.base import Place, Session
from toolkit.verification.proving import missing, proving
from toolkit.verification.subject import Subject


class LiteRTJs(Place):
    """Runs our .tflite files as a page does."""

    title = "LiteRT.js"
    engine = "tflite"

    def available(self, subject: Subject) -> str:
        if not self.files(subject):
            return subject.refused.get(self.engine, "No such file.")
        return missing()

    def opened(self, subject: Subject, job: Job) -> AbstractContextManager[Session]:
        return proving(self.engine)
