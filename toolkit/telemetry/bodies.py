"""The body of a request: read while it is not too large, and unpacked no further than that."""

import asyncio
import zlib
from collections.abc import Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING

from edge_targets.runtime.errors import EdgeError, IntegrityError

if TYPE_CHECKING:
    from starlette.requests import Request

DRAIN_LIMIT = 16 << 20  # bytes read and dropped, so that an honest sender hears why
READ_TIMEOUT_S = 30  # for a whole body: at 35 kB/s the largest one arrives in time


class RefusedError(EdgeError):
    """A request that is answered with `status`."""

    def __init__(
        self,
        status: HTTPStatus,
        message: str,
        hint: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message, hint)
        self.status = status
        self.headers = headers or {}


async def read_body(request: "Request", limit: int) -> bytes:
    """The body, refused while it is read once it is too large."""
    body = bytearray()
    seen = 0
    try:
        async with asyncio.timeout(READ_TIMEOUT_S):
            async for chunk in request.stream():
                seen += len(chunk)
                if seen > DRAIN_LIMIT:
                    break
                if seen <= limit:
                    body += chunk
    except TimeoutError as error:
        raise RefusedError(
            HTTPStatus.REQUEST_TIMEOUT,
            f"The message did not arrive within {READ_TIMEOUT_S} s.",
            "Send fewer records at a time.",
        ) from error
    if seen > limit:
        raise _too_large(limit)
    return bytes(body)


def decompressed(body: bytes, encoding: str, limit: int) -> bytes:
    if encoding in ("", "identity"):
        return body
    if encoding != "gzip":
        raise RefusedError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            f"Content encoding {encoding[:40]!r} is not known here.",
            "Send the message as it is, or with gzip.",
        )
    inflater = zlib.decompressobj(wbits=31)  # 31: a gzip header and trailer, the largest window
    try:
        plain = inflater.decompress(body, limit + 1)
    except zlib.error as error:
        raise IntegrityError(f"The message is not gzip: {error}.", "Correct the sender.") from error
    if len(plain) > limit:
        raise _too_large(limit)
    if not inflater.eof:
        raise IntegrityError("The gzip message ends too early.", "Send it again.")
    return plain


def _too_large(limit: int) -> RefusedError:
    return RefusedError(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        f"The message has more than {limit:,} bytes.",
        "Send fewer records at a time.",
    )
