"""HTTP to an agent or a collector: every foreign error becomes one of ours here, once.

`http.client` and not `urllib.request`: it knows no files, follows no redirects and asks no
proxy, and devices and collectors are neighbours.
"""

import hashlib
import http.client
import json
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import SplitResult, urlencode, urlsplit

from edge_targets.runtime.errors import DeviceError, EdgeError, IntegrityError, StorageError
from edge_targets.runtime.events import QUIET, Job

CHUNK = 256 << 10  # bytes sent between two reports
MAX_ANSWER = 4 << 20  # bytes; our own answers have a few kilobytes
TIMEOUT_S = 10.0
INSTALL_S = 300.0  # a slow device unpacks, tries the model in a child, and syncs its card
PIECE = 2 << 20  # bytes of a resumable upload: what a lost connection costs at most
TRIES = 4  # for one piece; the pauses before them grow
PAUSE_S = 0.5
BYTES = "application/octet-stream"
NO_ROUTE = (404, 405)  # an agent of an older version
CONFLICT = 409  # the device has another number of bytes than we thought


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
    return _exchange("GET", url, timeout_s=timeout_s, query=urlencode(query or {}))


def post_json(url: str, body: Any = None, timeout_s: float = TIMEOUT_S) -> dict[str, Any]:
    """Send JSON (text that is JSON already goes as it is); the answer, as `get_json`."""
    text = body if isinstance(body, str) else json.dumps(body if body is not None else {})
    data = text.encode()
    return _exchange("POST", url, [data], len(data), "application/json", timeout_s)


def put_package(url: str, file: Path, job: Job = QUIET) -> dict[str, Any]:
    """Upload a file to `…/v1/package` or `…/v1/bench/N`; the device's answer.

    A package goes in pieces, and what a lost connection left on the device is not sent again.

    Raises:
        DeviceError: nobody answers, or the device says no.
        IntegrityError, StorageError: the device says so of the package, or of its disk.
    """
    try:
        size = file.stat().st_size
        handle = file.open("rb")
    except OSError as error:
        raise IntegrityError(
            f"{file} cannot be read: {error.strerror}.", "Give the path of a .sndl file."
        ) from error
    with handle:
        base, resumable, _ = url.partition("/v1/package")
        if resumable:
            digest = hashlib.file_digest(handle, "sha256").hexdigest()
            incoming = f"{base}/v1/incoming/{digest}"
            if (kept := _kept(incoming)) is not None:
                _send_pieces(incoming, handle, size, kept, job)
                return post_json(f"{base}/v1/package/{digest}", timeout_s=INSTALL_S)
            handle.seek(0)
        return _exchange("POST", url, _pieces(handle, size, job), size, BYTES, INSTALL_S)


def _kept(incoming: str) -> int | None:
    """Bytes of a file that the device has already; None when it takes no pieces."""
    try:
        size = get_json(incoming).get("size")
    except RefusedError as error:
        if error.status in NO_ROUTE:
            return None
        raise
    return size if isinstance(size, int) and size >= 0 else 0


def _send_pieces(incoming: str, handle: BinaryIO, size: int, kept: int, job: Job) -> None:
    failures = 0
    at = kept if kept <= size else 0  # more than there is: of something else
    while at < size:
        job.step("send package", at, size)
        handle.seek(at)
        piece = handle.read(PIECE)
        try:
            _exchange("POST", f"{incoming}/{at}", [piece], len(piece), BYTES, INSTALL_S)
            at, failures = at + len(piece), 0
        except DeviceError as error:
            lost = not isinstance(error, RefusedError) or error.status == CONFLICT
            failures += 1
            if not lost or failures > TRIES:
                raise
            time.sleep(PAUSE_S * failures)
            now = min(_kept(incoming) or 0, size)
            failures = 0 if now > at else failures  # a bad line is not a dead one
            at = now
    job.step("send package", size, size)


def _pieces(handle: BinaryIO, size: int, job: Job) -> Iterator[bytes]:
    sent = 0
    while chunk := handle.read(CHUNK):
        job.step("send package", sent, size)
        yield chunk
        sent += len(chunk)
    job.step("send package", size, size)


def _exchange(
    method: str,
    url: str,
    body: Iterable[bytes] = (),
    length: int = 0,
    content_type: str = "",
    timeout_s: float = TIMEOUT_S,
    query: str = "",
) -> dict[str, Any]:
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
            f"{where} does not answer: {error or type(error).__name__}.",
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
