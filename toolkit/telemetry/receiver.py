"""The collector over HTTP: what it answers to is durable."""

import asyncio
import json
import zlib
from http import HTTPStatus
from typing import TYPE_CHECKING, NoReturn
from urllib.parse import urlsplit

from edge_targets.runtime.errors import EdgeError, IntegrityError, StorageError
from edge_targets.runtime.events import QUIET, Job
from toolkit.serving import LOOPBACK, run_app
from toolkit.telemetry.checks import read_records
from toolkit.telemetry.store import Store

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

PORT = 7733
BODY_LIMIT = 1 << 20  # bytes on the wire: some 500 records of a dozen features
PLAIN_LIMIT = 8 << 20  # bytes after decompression: JSON of histograms shrinks to a fifth or so
DRAIN_LIMIT = 16 << 20  # bytes read and dropped, so that an honest sender hears why
READ_TIMEOUT_S = 30  # for a whole body: at 35 kB/s the largest one arrives in time


class _RefusedError(EdgeError):
    """A request that is answered with `status`."""

    def __init__(self, status: HTTPStatus, message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.status = status


def routes(store: Store) -> list["Route"]:
    """`POST /v1/records` and `GET /v1/health`, for any Starlette application.

    Raises:
        StorageError: the store could keep nothing.
    """
    from starlette.concurrency import run_in_threadpool
    from starlette.requests import ClientDisconnect
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    store.check_writable()

    def answer(status: HTTPStatus, error: EdgeError) -> "Response":
        found = {"kind": error.kind, "message": str(error), "hint": error.hint}
        return JSONResponse({"error": found}, status)

    async def records(request: "Request") -> "Response":
        try:
            _check_origin(request)
            body = await _read(request)
            encoding = request.headers.get("content-encoding", "identity")
            # parsing, checking and syncing take milliseconds in which others want answers
            accepted = await run_in_threadpool(_keep, store, body, encoding)
        except _RefusedError as error:
            return answer(error.status, error)
        except IntegrityError as error:
            return answer(HTTPStatus.BAD_REQUEST, error)
        except StorageError as error:
            return answer(HTTPStatus.INSUFFICIENT_STORAGE, error)
        except ClientDisconnect:  # nobody is left to read an answer
            return JSONResponse({}, HTTPStatus.BAD_REQUEST)
        return JSONResponse({"accepted": accepted})

    async def health(request: "Request") -> "Response":
        return JSONResponse({"ready": True})

    return [
        Route("/v1/records", records, methods=["POST"]),
        Route("/v1/health", health, methods=["GET"]),
    ]


def app(store: Store) -> "Starlette":
    """The collector as an application of its own."""
    from starlette.applications import Starlette

    return Starlette(routes=routes(store))


def collect(store: Store, host: str = LOOPBACK, port: int = PORT, job: Job = QUIET) -> None:
    """Receive telemetry until the job is cancelled; the address is reported through the job.

    Raises:
        Cancelled: always, in the end.
        DeviceError: the address cannot be listened on.
        StorageError: the store could keep nothing.
    """
    collector = app(store)
    store.tidy()  # what an earlier collector left when it was killed
    try:
        run_app(collector, host, port, job, lambda url: job.step(f"collecting at {url}"))
    finally:
        store.tidy()


def _keep(store: Store, body: bytes, encoding: str) -> list[str]:
    text = _decompressed(body, encoding.strip().lower())
    try:
        message = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise IntegrityError(f"The message is not JSON: {error}.", "Correct the sender.") from error
    return store.append(read_records(message))


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number in JSON")


def _decompressed(body: bytes, encoding: str) -> bytes:
    if encoding in ("", "identity"):
        return body
    if encoding != "gzip":
        raise _RefusedError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            f"Content encoding {encoding[:40]!r} is not known here.",
            "Send the message as it is, or with gzip.",
        )
    inflater = zlib.decompressobj(wbits=31)  # 31: a gzip header and trailer, the largest window
    try:
        plain = inflater.decompress(body, PLAIN_LIMIT + 1)
    except zlib.error as error:
        raise IntegrityError(f"The message is not gzip: {error}.", "Correct the sender.") from error
    if len(plain) > PLAIN_LIMIT:
        raise _too_large(PLAIN_LIMIT)
    if not inflater.eof:
        raise IntegrityError("The gzip message ends too early.", "Send it again.")
    return plain


async def _read(request: "Request") -> bytes:
    """The body, refused while it is read once it is too large."""
    body = bytearray()
    seen = 0
    try:
        async with asyncio.timeout(READ_TIMEOUT_S):
            async for chunk in request.stream():
                seen += len(chunk)
                if seen > DRAIN_LIMIT:
                    break
                if seen <= BODY_LIMIT:
                    body += chunk
    except TimeoutError as error:
        raise _RefusedError(
            HTTPStatus.REQUEST_TIMEOUT,
            f"The message did not arrive within {READ_TIMEOUT_S} s.",
            "Send fewer records at a time.",
        ) from error
    if seen > BODY_LIMIT:
        raise _too_large(BODY_LIMIT)
    return bytes(body)


def _too_large(limit: int) -> _RefusedError:
    return _RefusedError(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        f"The message has more than {limit:,} bytes.",
        "Send fewer records at a time.",
    )


def _check_origin(request: "Request") -> None:
    """A page of another site may not write here through its visitor's browser.

    Browsers name the page's origin in every post; devices send none.
    """
    origin = request.headers.get("origin")
    if origin is None:
        return
    asked = request.headers.get("host", "")
    if urlsplit(origin).netloc.lower() != asked.lower():
        raise _RefusedError(
            HTTPStatus.FORBIDDEN,
            f"Posts from pages of {origin[:200]!r} are not accepted here.",
            "Serve the page and the collector from one address.",
        )
