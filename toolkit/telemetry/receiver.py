"""The collector over HTTP: what it answers to is durable.

Devices, and pages of its own address, may send what they have seen. A page of another site brings
its bundle's token, which lets in the records of one model, from browsers, and so many at a time.
"""

import json
import math
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from edge_targets.runtime.errors import EdgeError, IntegrityError, StorageError
from edge_targets.runtime.events import QUIET, Job
from toolkit.serving import LOOPBACK, run_app
from toolkit.telemetry.admission import admitted, check_origin, check_own, token_in
from toolkit.telemetry.allowance import Allowance
from toolkit.telemetry.bodies import RefusedError, decompressed, read_body
from toolkit.telemetry.checks import read_records, read_sent
from toolkit.telemetry.clocks import on_our_clock
from toolkit.telemetry.store import Store
from toolkit.telemetry.tokens import Token

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

PORT = 7733
BODY_LIMIT = 1 << 20  # bytes on the wire: some 500 records of a dozen features
PLAIN_LIMIT = 8 << 20  # bytes after decompression: JSON of histograms shrinks to a fifth or so
# with a token; our pages send up to 60 kB, but for very wide tables
PAGE_BODY_LIMIT, PAGE_PLAIN_LIMIT = 256 << 10, 2 << 20

PREFLIGHT = {
    "access-control-allow-origin": "*",
    "access-control-allow-methods": "POST",
    "access-control-allow-headers": "authorization, content-encoding, content-type",
    "access-control-max-age": "86400",  # seconds
}
CROSSING = {"access-control-allow-origin": "*", "access-control-expose-headers": "retry-after"}
"""On answers to a page of another site that brings a token; the token, not the site, counts."""


def routes(store: Store, tokens: Path | None = None) -> list["Route"]:
    """`POST /v1/records` and `GET /v1/health`, for any Starlette application.

    Args:
        store: where records go.
        tokens: the file of those that pages of other sites may bring; without it, none is good.

    Raises:
        StorageError: the store could keep nothing.
    """
    from starlette.concurrency import run_in_threadpool
    from starlette.requests import ClientDisconnect
    from starlette.responses import JSONResponse, Response
    from starlette.routing import Route

    store.check_writable()
    allowance = Allowance()

    def answer(status: HTTPStatus, error: EdgeError, headers: Mapping[str, str]) -> "Response":
        found = {"kind": error.kind, "message": str(error), "hint": error.hint}
        return JSONResponse({"error": found}, status, headers)

    async def records(request: "Request") -> "Response":
        word = token_in(request)
        headers = CROSSING if word is not None else {}
        try:
            token = None
            if word is None:
                check_origin(request)
            else:
                token = await run_in_threadpool(admitted, tokens, word)
            body = await read_body(request, PAGE_BODY_LIMIT if token else BODY_LIMIT)
            encoding = request.headers.get("content-encoding", "identity")
            # parsing, checking and syncing take milliseconds in which others want answers
            accepted = await run_in_threadpool(_keep, store, body, encoding, token, allowance)
        except RefusedError as error:
            return answer(error.status, error, {**headers, **error.headers})
        except IntegrityError as error:
            return answer(HTTPStatus.BAD_REQUEST, error, headers)
        except StorageError as error:
            return answer(HTTPStatus.INSUFFICIENT_STORAGE, error, headers)
        except ClientDisconnect:  # nobody is left to read an answer
            return JSONResponse({}, HTTPStatus.BAD_REQUEST)
        return JSONResponse({"accepted": accepted}, headers=headers)

    async def preflight(request: "Request") -> "Response":
        return Response(status_code=HTTPStatus.NO_CONTENT, headers=PREFLIGHT)

    async def health(request: "Request") -> "Response":
        return JSONResponse({"ready": True})

    return [
        Route("/v1/records", records, methods=["POST"]),
        *([Route("/v1/records", preflight, methods=["OPTIONS"])] if tokens else []),
        Route("/v1/health", health, methods=["GET"]),
    ]


def app(store: Store, tokens: Path | None = None) -> "Starlette":
    """The collector as an application of its own; arguments as for `routes`."""
    from starlette.applications import Starlette

    return Starlette(routes=routes(store, tokens))


def collect(
    store: Store,
    host: str = LOOPBACK,
    port: int = PORT,
    job: Job = QUIET,
    tokens: Path | None = None,
) -> None:
    """Receive telemetry until the job is cancelled; the address is reported through the job.

    Raises:
        Cancelled: always, in the end.
        DeviceError: the address cannot be listened on.
        StorageError: the store could keep nothing.
    """
    collector = app(store, tokens)
    store.tidy()  # what an earlier collector left when it was killed
    try:
        run_app(collector, host, port, job, lambda url: job.step(f"collecting at {url}"))
    finally:
        store.tidy()


def _keep(
    store: Store, body: bytes, encoding: str, token: Token | None, allowance: Allowance
) -> list[str]:
    limit = PAGE_PLAIN_LIMIT if token else PLAIN_LIMIT
    text = decompressed(body, encoding.strip().lower(), limit)
    if token and (wait_s := allowance.take(token.word, len(text))):
        raise RefusedError(
            HTTPStatus.TOO_MANY_REQUESTS,
            f"The pages of {token.package} send too much.",
            "Wait as long as `Retry-After` says.",
            {"retry-after": str(math.ceil(wait_s))},
        )
    try:
        message = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise IntegrityError(f"The message is not JSON: {error}.", "Correct the sender.") from error
    records = read_records(message)
    if token:
        check_own(records, token)
    return store.append(on_our_clock(records, read_sent(message)))


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number in JSON")
