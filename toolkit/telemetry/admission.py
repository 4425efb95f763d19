"""Who may bring telemetry: devices, pages of the collector's own address, bearers of a token."""

import logging
from collections.abc import Sequence
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from edge_targets.runtime.contract import Record
from edge_targets.runtime.errors import IntegrityError
from toolkit.telemetry.bodies import RefusedError
from toolkit.telemetry.tokens import Token, valid

if TYPE_CHECKING:
    from starlette.requests import Request

log = logging.getLogger(__name__)

VISITOR = "browser-"  # how the names of visitors begin


def token_in(request: "Request") -> str | None:
    scheme, _, word = request.headers.get("authorization", "").partition(" ")
    return word.strip() if scheme.lower() == "bearer" else None


def admitted(tokens: Path | None, word: str) -> Token:
    try:
        token = valid(tokens, word) if tokens else None
    except (OSError, IntegrityError) as error:
        log.error("%s cannot be read: %s", tokens, error)
        raise RefusedError(
            HTTPStatus.SERVICE_UNAVAILABLE, "The collector cannot read its tokens.", "See its log."
        ) from error
    if token is None:
        raise RefusedError(
            HTTPStatus.UNAUTHORIZED,
            "This token is not good here.",
            "It was taken back, or is of another collector: make the bundle again.",
            {"www-authenticate": "Bearer"},
        )
    return token


def check_own(records: Sequence[Record], token: Token) -> None:
    """A token is public: with it nobody may write as a device, or of another model."""
    for index, record in enumerate(records):
        if record.model != token.model or not record.device.startswith(VISITOR):
            raise RefusedError(
                HTTPStatus.UNPROCESSABLE_ENTITY,
                f"record {index}: this token is not for {record.device} with {record.model}.",
                f"It is for visitors ({VISITOR}…) with {token.model}.",
            )


def check_origin(request: "Request") -> None:
    """A page of another site may not write here through its visitor's browser.

    Browsers name the page's origin in every post; devices send none.
    """
    origin = request.headers.get("origin")
    if origin is None:
        return
    asked = request.headers.get("host", "")
    if urlsplit(origin).netloc.lower() != asked.lower():
        raise RefusedError(
            HTTPStatus.FORBIDDEN,
            f"Posts from pages of {origin[:200]!r} are not accepted here.",
            "Serve the page and the collector from one address.",
        )
