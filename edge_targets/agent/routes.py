"""Which address means what."""

import tempfile
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, Protocol
from urllib.parse import unquote, urlsplit

from edge_targets.agent.agent import Agent, BusyError, EmptyError
from edge_targets.package import MAX_FILE
from edge_targets.runtime.durable import storing
from edge_targets.runtime.errors import EdgeError, StorageError, UnknownNameError

MAX_INFER = 16 << 20  # bytes: 100 photographs of 224 x 224 as JSON
MAX_COMMAND = 4 << 10  # bytes
MOST_THREADS = 64  # more cores than a device has
VERSION = "0.3.0"


class Problem(Exception):  # noqa: N818 - becomes an answer
    """A request that is not answered as asked; `status` is the HTTP status."""

    def __init__(self, status: int, message: str, hint: str = "", kind: str = "request") -> None:
        super().__init__(message)
        self.status = status
        self.hint = hint
        self.kind = kind

    def to_json(self) -> dict[str, Any]:
        return {"error": str(self), "hint": self.hint, "kind": self.kind}


STATUSES: tuple[tuple[type[EdgeError], int], ...] = (
    (EmptyError, 503),
    (BusyError, 503),
    (UnknownNameError, 404),
    (StorageError, 507),
    (EdgeError, 400),
)


def problem_of(error: Exception) -> Problem:
    """How an error is answered; one that is no `EdgeError` is our bug."""
    if isinstance(error, Problem):
        return error
    for family, status in STATUSES:
        if isinstance(error, family):
            return Problem(status, str(error), error.hint, error.kind)
    return Problem(500, "The agent failed at this request.", "See agent.log on the device.", "bug")


class Body(Protocol):
    """How a route reads what was sent."""

    def json_body(self, limit: int) -> AbstractContextManager[bytes]: ...

    def copy_body(self, limit: int, path: Path, out: IO[bytes]) -> None: ...


@dataclass(frozen=True)
class Call:
    """One request on its way to an answer."""

    method: str
    path: str
    body: Body
    agent: Agent
    stopped: threading.Event

    def need(self, method: str) -> None:
        if self.method != method:
            raise Problem(405, f"{self.path[:80]} takes {method} only.")


def answer_to(call: Call) -> dict[str, Any]:
    """The answer's JSON."""
    words = [unquote(word) for word in urlsplit(call.path).path.strip("/").split("/")]
    match words:
        case ["v2"]:
            call.need("GET")
            return {"name": "sanderling", "version": VERSION, "extensions": []}
        case ["v2", "health", "live"]:
            call.need("GET")
            return {"live": True}
        case ["v2", "health", "ready"]:
            call.need("GET")
            return {"ready": call.agent.manifest is not None}
        case ["v2", "models", name, "versions", version, *rest]:
            return model(call, name, version, rest)
        case ["v2", "models", name, *rest]:
            return model(call, name, None, rest)
        case ["v1", "status"]:
            call.need("GET")
            return call.agent.status()
        case ["v1", "package"]:
            call.need("POST")
            with uploaded(call) as path:
                return asdict(call.agent.install(path))
        case ["v1", "bench", threads]:
            call.need("POST")
            with uploaded(call) as path:
                return call.agent.bench(path, thread_count(threads))
        case ["v1", "flush"]:
            call.need("POST")
            with call.body.json_body(MAX_COMMAND):
                return {"pending": call.agent.uplink.flush()}
        case ["v1", "stop"]:
            call.need("POST")
            with call.body.json_body(MAX_COMMAND):
                call.stopped.set()
            return {"stopping": True}
    raise Problem(404, f"There is nothing at {call.path[:80]}.", "See GET /v2.")


def model(call: Call, name: str, version: str | None, rest: list[str]) -> dict[str, Any]:
    match rest:
        case []:
            call.need("GET")
            return call.agent.metadata(name, version)
        case ["ready"]:
            call.need("GET")
            call.agent.metadata(name, version)
            return {"name": name, "ready": True}
        case ["infer"]:
            call.need("POST")
            with call.body.json_body(MAX_INFER) as body:
                return call.agent.infer(name, version, body)
    raise Problem(404, f"There is nothing at {call.path[:80]}.", "See GET /v2.")


@contextmanager
def uploaded(call: Call) -> Iterator[Path]:
    """The body as a package file, gone after the block; one upload at a time."""
    agent = call.agent
    if not agent.installing.acquire(blocking=False):
        raise BusyError("Another package is being installed.", "Try again when it is done.")
    try:
        folder = agent.home.incoming
        with storing(folder):
            folder.mkdir(exist_ok=True)
            # without a buffer: one that could not be written would fail once more at the close
            file = tempfile.NamedTemporaryFile(dir=folder, suffix=".sndl", buffering=0)  # noqa: SIM115
        with file:
            path = Path(file.name)
            call.body.copy_body(MAX_FILE, path, file)
            yield path
    finally:
        agent.installing.release()


def thread_count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= MOST_THREADS):
        raise Problem(400, f"{text[:20]!r} is no number of threads.", f"Use 1 to {MOST_THREADS}.")
    return int(text)
