"""Which address means what, and what body it takes.

A route is *quick* (answered on the server's thread), an *infer* (through the batcher), *slow* (on
a thread of its own) or an *upload* (slow, and reads its body itself).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal
from urllib.parse import unquote

from edge_targets.agent import handlers
from edge_targets.agent.http1 import BINARY, JSON, Head, Problem
from edge_targets.agent.protocol import HEADER
from edge_targets.agent.service import Service
from edge_targets.package import MAX_FILE

MAX_BINARY = 16 << 20  # bytes: 27 photographs of 224 x 224 as float32
MAX_JSON = 8 << 20  # bytes: JSON takes up to ten times its size in memory
MAX_COMMAND = 4 << 10  # bytes


@dataclass(frozen=True, slots=True)
class Action:
    """What a request asks for.

    Attributes:
        words: of its address, for `handle`.
        takes: the type of its body; empty for none.
        limit: bytes of its body.
        may_lack: whether the body, or its type, may be missing.
    """

    kind: Literal["quick", "slow", "upload", "infer"]
    handle: Callable[..., Any]
    words: tuple[str, ...] = ()
    takes: str = ""
    limit: int = 0
    may_lack: bool = False

    def length(self, head: Head) -> int:
        """Bytes of the body that belongs to this, its type checked."""
        if not self.takes:
            return 0
        limit, takes = self.limit, self.takes
        if self.kind == "infer" and HEADER.lower() in head.headers:
            limit, takes = MAX_BINARY, BINARY
        given = head.first("content-type").partition(";")[0].strip().lower()
        # no page of another site sends one of these types, or our header, unless we allow it to;
        # where the type may lack, its Origin gives it away
        if given != takes and not (given == "" and self.may_lack):
            raise Problem(415, f"The body must be {takes}.")
        if head.first("content-encoding").lower() not in ("", "identity"):
            raise Problem(415, "Compressed bodies are not taken.", "Send it as it is.")
        if head.length is None:
            if self.may_lack and self.kind != "infer":
                return 0
            raise Problem(411, "Content-Length is missing.", "Send the body in one piece.")
        if head.length > limit:
            raise Problem(413, f"The body has {head.length} bytes; {limit} are taken.")
        return head.length


@lru_cache(maxsize=64)  # a client repeats its headers with every request
def route(head: Head) -> tuple[Action, int]:
    """What a request asks for, and the bytes of its body.

    Raises:
        Problem: there is nothing there, or the body cannot be taken.
    """
    action = find(head.method, head.target)
    return action, action.length(head)


def find(method: str, target: str) -> Action:
    """The route of an address.

    Raises:
        Problem: 404, 405 or 501.
    """
    if method not in ("GET", "POST"):
        raise Problem(501, f"{method} is not done here.")
    path, _, query = target.partition("?")
    words = tuple(unquote(word) for word in path.strip("/").split("/"))
    wanted, action = match(words, query, path)
    if method != wanted:
        raise Problem(405, f"{path[:80]} takes {wanted} only.")
    return action


def match(words: tuple[str, ...], query: str, path: str) -> tuple[str, Action]:
    """The method and the route of an address."""
    match words:
        case ("",):
            return "GET", Action("slow", handlers.page)
        case ("v2",):
            return "GET", Action("quick", handlers.server)
        case ("v2", "health", "live"):
            return "GET", Action("quick", handlers.live)
        case ("v2", "health", "ready"):
            return "GET", Action("quick", handlers.ready)
        case ("v2", "repository", "index"):
            return "POST", Action(
                "quick", handlers.repository, (), JSON, MAX_COMMAND, may_lack=True
            )
        case ("v2", "models", name, "versions", version, *rest) if version:
            return model((name, version), rest, path)
        case ("v2", "models", name, *rest):
            return model((name, ""), rest, path)
        case ("v1", "status"):
            return "GET", Action("slow", handlers.status)
        case ("v1", "logs"):
            return "GET", Action("slow", handlers.logs, (query,))
        case ("v1", "package"):
            return "POST", Action("upload", handlers.package, (), BINARY, MAX_FILE)
        case ("v1", "package", digest):
            return "POST", Action("slow", handlers.uploaded_package, (digest,), JSON, MAX_COMMAND)
        case ("v1", "incoming", digest):
            return "GET", Action("slow", handlers.incoming_size, (digest,))
        case ("v1", "incoming", digest, offset):
            return "POST", Action(
                "upload", handlers.incoming_piece, (digest, offset), BINARY, MAX_FILE
            )
        case ("v1", "bench", threads):
            return "POST", Action("upload", handlers.bench, (threads,), BINARY, MAX_FILE)
        case ("v1", ("flush" | "stop" | "pull" | "rollback" | "remove") as verb):
            kind: Literal["quick", "slow"] = "quick" if verb == "stop" else "slow"
            return "POST", Action(kind, handlers.COMMANDS[verb], (), JSON, MAX_COMMAND)
    raise Problem(404, f"There is nothing at {path[:80]}.", "See GET /v2.")


def model(words: tuple[str, str], rest: list[str], path: str) -> tuple[str, Action]:
    match rest:
        case []:
            return "GET", Action("quick", handlers.model_metadata, words)
        case ["ready"]:
            return "GET", Action("quick", handlers.model_ready, words)
        case ["infer"]:
            return "POST", Action("infer", Service.infer, words, JSON, MAX_JSON, may_lack=True)
    raise Problem(404, f"There is nothing at {path[:80]}.", "See GET /v2.")
