"""Run a toolkit verb in a child process, and tell Qt what it says.

A child and not a thread: a crash ends the job and not the window, cancel is certain, and the
window never imports what does the work.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import QObject, QProcess, QProcessEnvironment, QTimer, Signal

from edge_targets.runtime.events import Event

GRACE_MS = 5_000  # a cancelled job stops at its next step; no step should take longer
LINE_LIMIT = 64 << 20  # bytes: a longer line is not of our protocol, and must not fill memory
CANCELLED = 130


@dataclass(frozen=True)
class Outcome:
    """The last line of a verb: its result."""

    result: dict[str, Any]


@dataclass(frozen=True)
class Problem:
    """The last line of a verb that failed: what failed, and what to do."""

    message: str
    hint: str = ""


def read_line(line: bytes) -> Event | Outcome | Problem | None:
    """What one line of a driven verb says; None for anything that is not of the protocol."""
    try:
        data = json.loads(line)
    except ValueError:
        return None
    match data:
        case {"result": dict() as result}:
            return Outcome(result)
        case {"result": None}:  # a verb that only runs until it is stopped
            return Outcome({})
        case {"error": {"message": str(message), **rest}}:
            return Problem(message, str(rest.get("hint") or ""))
        case {"message": str(message), **rest}:
            done, total = rest.get("done", 0), rest.get("total", 0)
            facts = rest.get("facts", {})
            if isinstance(done, int) and isinstance(total, int) and isinstance(facts, dict):
                return Event(message, done, total, facts)
    return None


class Runner(QObject):
    """One verb at a time, through the command line a user would type.

    Signals:
        progressed: an `Event`.
        finished: the verb's result as plain data; its "ok" is false where a gate did not hold.
        failed: what failed, and what to do.
        cancelled: the job stopped because it was asked to.
        running_changed: whether a child runs.
    """

    progressed = Signal(Event)
    finished = Signal(object)
    failed = Signal(str, str)
    cancelled = Signal()
    running_changed = Signal(bool)

    def __init__(self, program: Sequence[str], parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.program = tuple(program)
        self._pending = b""
        self._last: Outcome | Problem | None = None
        self._cancelling = False
        self._process = QProcess(self)
        self._process.setProcessChannelMode(QProcess.ProcessChannelMode.ForwardedErrorChannel)
        self.lend({})
        self._process.readyReadStandardOutput.connect(self._read)
        self._process.finished.connect(self._end)
        self._process.errorOccurred.connect(self._not_started)
        self._grace = QTimer(self, singleShot=True)
        self._grace.timeout.connect(self._process.kill)

    @property
    def running(self) -> bool:
        return self._process.state() is not QProcess.ProcessState.NotRunning

    def start(self, arguments: Sequence[str]) -> None:
        if self.running:
            raise RuntimeError("This runner is busy.")
        self._pending, self._last, self._cancelling = b"", None, False
        first, *rest = [*self.program, *arguments]
        self._process.start(first, rest)
        self.running_changed.emit(self.running)

    def lend(self, variables: Mapping[str, str]) -> None:
        """What the children from now on have in their environment besides our own."""
        environment = QProcessEnvironment.systemEnvironment()
        for name, value in {"PYTHONUTF8": "1", **variables}.items():
            environment.insert(name, value)
        self._process.setProcessEnvironment(environment)

    def cancel(self) -> None:
        """Ask the child to stop; it is killed when it has not after `GRACE_MS`."""
        if self.running and not self._cancelling:
            self._cancelling = True
            self._process.write(b"cancel\n")
            self._process.closeWriteChannel()
            self._grace.start(GRACE_MS)

    def wait(self, limit_ms: int = GRACE_MS) -> None:
        """Block until the child is gone, by force after `limit_ms`: for a window that closes."""
        if self.running and not self._process.waitForFinished(limit_ms):
            self._process.kill()
            self._process.waitForFinished(limit_ms)

    def _read(self) -> None:
        *lines, self._pending = (
            self._pending + self._process.readAllStandardOutput().data()
        ).split(b"\n")
        if len(self._pending) > LINE_LIMIT:
            self._pending = b""
        for line in lines:
            self._take(line)

    def _take(self, line: bytes) -> None:
        said = read_line(line)
        if isinstance(said, Event):
            self.progressed.emit(said)
        elif said is not None:
            self._last = said

    def _end(self, code: int, status: QProcess.ExitStatus) -> None:
        self._grace.stop()
        self._read()
        self._take(self._pending)  # a last line without its line end
        self.running_changed.emit(False)
        normal = status is QProcess.ExitStatus.NormalExit
        if normal and isinstance(self._last, Outcome):
            self.finished.emit(self._last.result)
        elif self._cancelling or (normal and code == CANCELLED):
            self.cancelled.emit()
        elif isinstance(self._last, Problem):
            self.failed.emit(self._last.message, self._last.hint)
        else:
            how = f"with exit code {code}" if normal else "because it crashed or was killed"
            self.failed.emit(
                f"The job ended without a result, {how}.",
                "Copy its command and run it in a terminal to see why.",
            )

    def _not_started(self, error: QProcess.ProcessError) -> None:
        if error is QProcess.ProcessError.FailedToStart:
            self.running_changed.emit(False)
            self.failed.emit(f"{self.program[0]} could not be started.", "Is it installed?")


def stop_all(runners: Iterable[Runner]) -> None:
    """Cancel all children first, then wait for each: together they take one grace period."""
    running = [runner for runner in runners if runner.running]
    for runner in running:
        runner.blockSignals(True)
        runner.cancel()
    for runner in running:
        runner.wait()
