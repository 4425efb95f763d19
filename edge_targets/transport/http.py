"""Packages on their way to an agent, in pieces that survive a lost connection."""

import hashlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from edge_targets.runtime.errors import DeviceError, IntegrityError
from edge_targets.runtime.events import QUIET, Job
from edge_targets.runtime.exchange import RefusedError, exchange, get_json, post_json

CHUNK = 256 << 10  # bytes sent between two reports
INSTALL_S = 300.0  # a slow device unpacks, tries the model in a child, and syncs its card
PIECE = 2 << 20  # bytes of a resumable upload: what a lost connection costs at most
TRIES = 4  # for one piece; the pauses before them grow
PAUSE_S = 0.5
BYTES = "application/octet-stream"
NO_ROUTE = (404, 405)  # an agent of an older version
CONFLICT = 409  # the device has another number of bytes than we thought


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
        return exchange("POST", url, _pieces(handle, size, job), size, BYTES, INSTALL_S)


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
            exchange("POST", f"{incoming}/{at}", [piece], len(piece), BYTES, INSTALL_S)
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
