"""HTTP/1.1 as the agent speaks it: strict, bounded, without a network (RFC 9110, RFC 9112).

What two readers could understand in two ways is refused, never guessed: that is how requests
are smuggled past a proxy. A body has a Content-Length, once, in digits; chunks are not taken.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus
from typing import Any

from edge_targets.runtime.errors import EdgeError

MAX_LINE = 4 << 10  # bytes of a request line; our longest address has 200
MAX_HEAD = 16 << 10  # bytes of line and headers; browsers send 1 to 2 KiB
MAX_HEADERS = 64
END = b"\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
JSON, BINARY, HTML = "application/json", "application/octet-stream", "text/html; charset=utf-8"
REASONS = {status.value: status.phrase for status in HTTPStatus}
LINE = re.compile(rb"([A-Z]{1,16}) ([!-~]+) HTTP/(\d)\.(\d)")
NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
FORBIDDEN = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
DIGITS = re.compile(r"[0-9]{1,15}")


class Problem(Exception):  # noqa: N818 - becomes an answer
    """A request that is not answered as asked; `status` is the HTTP status."""

    def __init__(self, status: int, message: str, hint: str = "", kind: str = "request") -> None:
        super().__init__(message)
        self.status = status
        self.hint = hint
        self.kind = kind

    def to_json(self) -> dict[str, Any]:
        return {"error": str(self), "hint": self.hint, "kind": self.kind}


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """A request line and its headers; names are in small letters.

    The same bytes give the very same head, so that what follows from it is kept for its identity.

    Attributes:
        length: of the body, in bytes; None when none was announced.
        keeps: whether the connection stays open for another request.
        waits: whether the sender wants to hear `100 Continue` before it sends the body.
    """

    method: str
    target: str
    headers: Mapping[str, tuple[str, ...]]
    length: int | None
    keeps: bool
    waits: bool

    def first(self, name: str) -> str:
        return self.headers.get(name, ("",))[0]

    def __repr__(self) -> str:
        return f"Head({self.method} {self.target[:80]})"  # headers may hold a secret


def overlong(data: bytes) -> None:
    """Refuse the beginning of a head that can no longer become a good one."""
    if len(data) > MAX_LINE and b"\r\n" not in data[: MAX_LINE + 2]:
        raise Problem(414, f"The request line has more than {MAX_LINE} bytes.")
    if len(data) > MAX_HEAD:
        raise Problem(431, f"The headers have more than {MAX_HEAD} bytes.")


@lru_cache(maxsize=64)  # a client repeats its headers with every request
def parse_head(data: bytes) -> Head:
    """Read a head, without the empty line at its end.

    Raises:
        Problem: it breaks a rule; nothing after it can be trusted to be a request.
    """
    line, *fields = data.split(b"\r\n")
    if len(line) > MAX_LINE:
        raise Problem(414, f"The request line has more than {MAX_LINE} bytes.")
    found = LINE.fullmatch(line)
    if found is None:
        raise Problem(400, "The request line cannot be read.")
    method, target, major, minor = (part.decode() for part in found.groups())
    if major != "1":
        raise Problem(505, "That version of the protocol is not spoken.", "Use 1.1.")
    if not target.startswith("/"):
        raise Problem(400, "The address does not begin with a slash.")
    headers = read_fields(fields)
    if "transfer-encoding" in headers:
        raise Problem(411, "Content-Length is missing.", "Send the body in one piece.")
    connection = ",".join(headers.get("connection", ())).lower()
    options = {option.strip() for option in connection.split(",")}
    return Head(
        method,
        target,
        headers,
        length=read_length(headers.get("content-length", ())),
        keeps=minor != "0" and "close" not in options,
        waits=minor != "0" and headers.get("expect", ("",))[0].lower() == "100-continue",
    )


def read_fields(fields: Sequence[bytes]) -> dict[str, tuple[str, ...]]:
    if len(fields) > MAX_HEADERS:
        raise Problem(431, f"There are more than {MAX_HEADERS} headers.")
    headers: dict[str, tuple[str, ...]] = {}
    for field in fields:
        name, colon, value = field.decode("latin-1").partition(":")
        # also refuses a line that begins with a space and continues the one before
        if not colon or not NAME.fullmatch(name) or FORBIDDEN.search(value):
            raise Problem(400, "A header cannot be read.")
        name = name.lower()
        headers[name] = (*headers.get(name, ()), value.strip(" \t"))
    return headers


def read_length(values: Sequence[str]) -> int | None:
    if not values:
        return None
    if len(values) > 1 or not DIGITS.fullmatch(values[0]):
        raise Problem(400, "Content-Length is not a number.")
    return int(values[0])


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back: a status, and pieces of a body that are sent one after the other."""

    status: int
    pieces: tuple[Any, ...]  # of bytes
    media: str = JSON
    headers: str = ""  # whole lines

    def encode(self, closes: bool) -> bytes:
        size = sum(map(len, self.pieces))
        more = f"{self.headers}Connection: close\r\n" if closes else self.headers
        head = (
            f"HTTP/1.1 {self.status} {REASONS[self.status]}\r\n"
            f"Content-Type: {self.media}\r\nContent-Length: {size}\r\n"
            f"X-Content-Type-Options: nosniff\r\n{more}\r\n"
        )
        return b"".join((head.encode("latin-1"), *self.pieces))


ENCODER = json.JSONEncoder(separators=(",", ":"), allow_nan=False)  # `dumps` makes one each time


def to_json(content: Any) -> bytes:
    return ENCODER.encode(content).encode()


def json_answer(content: Any, status: int = 200, headers: str = "") -> Answer:
    return Answer(status, (to_json(content),), headers=headers)


def problem_answer(problem: Problem) -> Answer:
    more = "WWW-Authenticate: Bearer\r\n" if problem.status == 401 else ""
    return json_answer(problem.to_json(), problem.status, more)


def error_answer(error: EdgeError, status: int) -> Answer:
    return problem_answer(Problem(status, str(error), error.hint, error.kind))
