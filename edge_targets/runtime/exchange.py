"""HTTP to an agent or a collector: every foreign error becomes one of ours here, once.

`http.client` and not `urllib.request`: it knows no files, follows no redirects and asks no
proxy, and devices and collectors are neighbours.
"""

import errno
import http.client
import json
import os
import socket
import time
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import SplitResult, urlencode, urlsplit

from edge_targets.runtime.errors import (
    DeviceError,
    EdgeError,
    IntegrityError,
    StorageError,
    first_line,
)

MAX_ANSWER = 4 << 20  # bytes; our own answers have a few kilobytes
CHUNK = 256 << 10  # bytes of an answer read at once
TIMEOUT_S = 10.0


class RefusedError(DeviceError):
    """The other side answered, and said no. `status` is the HTTP status."""

    def __init__(self, message: str, hint: str, status: int) -> None:
        super().__init__(message, hint)
        self.status = status


KINDS: Mapping[str, type[EdgeError]] = {"integrity": IntegrityError, "storage": StorageError}


def check_address(url: str) -> SplitResult:
    """The parts of an address of ours.

    Raises:
        DeviceError: no `http` or `https`, no host, or something after it that cannot be.
    """
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        good = None
    if not good or "@" in parts.netloc or parts.query or parts.fragment or not url.isascii():
        raise DeviceError(
            f"{url!r} is not an address.", "Give one such as http://192.168.1.20:7734."
        )
    if any(character <= " " or character == "\x7f" for character in url):
        raise DeviceError(f"{url!r} holds a blank.", "Give one such as http://192.168.1.20:7734.")
    return parts


def get_json(
    url: str, timeout_s: float = TIMEOUT_S, query: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """What `url` answers; a `DeviceError` when it does not answer, or answers no JSON object."""
    return exchange("GET", url, timeout_s=timeout_s, query=urlencode(query or {}))


def post_json(url: str, body: Any = None, timeout_s: float = TIMEOUT_S) -> dict[str, Any]:
    """Send JSON (text that is JSON already goes as it is); the answer, as `get_json`."""
    text = body if isinstance(body, str) else json.dumps(body if body is not None else {})
    data = text.encode()
    return exchange("POST", url, [data], len(data), "application/json", timeout_s)


def exchange(
    method: str,
    url: str,
    body: Iterable[bytes] = (),
    length: int = 0,
    content_type: str = "",
    timeout_s: float = TIMEOUT_S,
    query: str = "",
) -> dict[str, Any]:
    """What the other side answers to one request; a `DeviceError` when it does not."""
    parts = check_address(url)
    where = f"{parts.scheme}://{parts.netloc}"
    secure = parts.scheme == "https"
    kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=min(timeout_s, TIMEOUT_S))
    try:
        connection.connect()
        connection.putrequest(method, (parts.path or "/") + (f"?{query}" if query else ""))
        connection.putheader("Connection", "close")
        if method == "POST":
            connection.putheader("Content-Type", content_type)
            connection.putheader("Content-Length", str(length))
        connection.endheaders()
        _send(connection, body)
        if connection.sock:
            connection.sock.settimeout(timeout_s)
        with connection.getresponse() as answer:
            status, data = answer.status, _read(answer, timeout_s)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise DeviceError(
            f"{where} does not answer: {what_failed(error)}.",
            "Is it on, on this network, and is the address right?",
        ) from error
    finally:
        connection.close()
    return _read_answer(where, status, data)


def _send(connection: http.client.HTTPConnection, body: Iterable[bytes]) -> None:
    try:
        for chunk in body:
            connection.send(chunk)
    except (BrokenPipeError, ConnectionResetError):
        return  # refused before the end: the answer says why


def _read(answer: http.client.HTTPResponse, timeout_s: float) -> bytes:
    """The body; a sender that dribbles cannot hold us longer than the timeout."""
    until, parts, size = time.monotonic() + timeout_s, [], 0
    while chunk := answer.read1(CHUNK):
        parts.append(chunk)
        size += len(chunk)
        if size > MAX_ANSWER or time.monotonic() > until:
            raise ValueError("the answer is too long")
    return b"".join(parts)


def _read_answer(where: str, status: int, data: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(data)
    except (ValueError, RecursionError):
        answer = None
    if not isinstance(answer, dict):
        raise RefusedError(
            f"{where} answered {status}, and nothing that Sanderling understands.",
            "Is another program listening at this address?",
            status,
        )
    if 200 <= status < 300:
        return answer
    message = str(answer.get("error", f"status {status}"))
    hint = str(answer.get("hint", ""))
    if family := KINDS.get(str(answer.get("kind"))):
        raise family(message, hint)
    raise RefusedError(f"{where}: {message}", hint or "See the log of the device.", status)


def what_failed(error: Exception) -> str:
    """Why a connection failed, in the system's words, without its numbers and tuples."""
    if isinstance(error, TimeoutError) or not str(error):
        return "it took too long"
    if isinstance(error, socket.gaierror):
        return "no host of that name is known"
    if reason := getattr(error, "verify_message", "") or getattr(error, "reason", ""):
        return str(reason).replace("_", " ").lower()  # of TLS
    if isinstance(error, OSError) and error.errno and error.errno in errno.errorcode:
        return os.strerror(error.errno).lower()
    return first_line(error)
