"""The door for telemetry: what a record from outside must look like before it is kept."""

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import pairwise
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from edge_targets.runtime.contract import SCHEMA, Record
from edge_targets.runtime.errors import IntegrityError

MAX_FEATURES = 10_000
MAX_EDGES = 1024  # several times the finest profile in use (128 bins)
MAX_COUNT = 2**53  # the largest integer that a browser's numbers keep exact

# letters, digits and a few marks, so that a name is safe in a path, a table and a log line
SAFE = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
Name = Annotated[str, Field(max_length=100, pattern=SAFE)]
Feature = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]
Count = Annotated[int, Field(ge=0, le=MAX_COUNT)]


class _Checked(BaseModel):
    # strict: "3" is no number here and 2.7 no count; unknown fields belong to newer devices
    model_config = ConfigDict(frozen=True, strict=True, extra="allow", allow_inf_nan=False)


class _Sketch(_Checked):
    edges: Annotated[list[float], Field(max_length=MAX_EDGES)]
    counts: list[Count]
    nulls: Count
    minimum: float | None
    maximum: float | None
    total: float
    squares: Annotated[float, Field(ge=0)]

    @model_validator(mode="after")
    def _agree(self) -> "_Sketch":
        if len(self.counts) != len(self.edges) + 1:
            raise _wrong(f"{len(self.edges)} edges need {len(self.edges) + 1} counts")
        if any(low >= high for low, high in pairwise(self.edges)):
            raise _wrong("edges must ascend")
        if any(self.counts):
            low, high = self.minimum, self.maximum
            if low is None or high is None or low > high:
                raise _wrong("counted values need a minimum and a maximum in order")
        return self


class _Record(_Checked):
    id: Name
    device: Name
    model: Name
    version: Name
    started: str
    ended: str
    samples: Count
    sketches: Annotated[dict[Feature, _Sketch], Field(max_length=MAX_FEATURES)]
    latency_ms: _Sketch
    confusions: Annotated[
        dict[Feature, dict[Feature, Count]], Field(default_factory=dict, max_length=MAX_FEATURES)
    ]

    @model_validator(mode="after")
    def _times(self) -> "_Record":
        # started may lie after ended: a device's clock is set while it works
        for text in (self.started, self.ended):
            try:
                moment(text)
            except ValueError as error:
                raise _wrong(f"{text[:40]!r} is not an ISO 8601 time with an offset") from error
        return self


def _wrong(text: str) -> PydanticCustomError:
    # a template in braces would be filled in by pydantic: hand the text over as a value
    return PydanticCustomError("record", "{text}", {"text": text})


def moment(text: str) -> datetime:
    """An ISO 8601 time in UTC; a `ValueError` when it has no offset or is no time."""
    when = datetime.fromisoformat(text)
    if when.tzinfo is None:
        raise ValueError(f"{text!r} has no offset from UTC")
    try:
        return when.astimezone(UTC)
    except OverflowError as error:  # the first or the last hours of the calendar
        raise ValueError(f"{text!r} is out of range") from error


def check(raw: Any, which: str) -> None:
    """Raise an `IntegrityError` that says which record is wrong, where and how.

    Args:
        raw: a record as JSON knows it.
        which: names the record for the error, such as "record 3".
    """
    if not isinstance(raw, Mapping) or raw.get("schema", SCHEMA) != SCHEMA:
        raise IntegrityError(
            f"{which}: not a record of schema {SCHEMA}.", "Update Sanderling on the sender."
        )
    try:
        _Record.model_validate(raw)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part)[:200] for part in first["loc"])
        raise IntegrityError(
            f"{which}{f', {where}' if where else ''}: {first['msg']}.",
            "Correct the sender; nothing of this message was kept.",
        ) from error
    except OverflowError as error:  # an integer too large for any float
        raise IntegrityError(f"{which}: {error}.", "Correct the sender.") from error


def read_sent(body: Mapping[str, Any]) -> datetime | None:
    """When a posted message was sent, by the sender's clock; None when it does not say."""
    text = body.get("sent")
    if text is None:
        return None
    try:
        return moment(text)
    except (TypeError, ValueError) as error:
        raise IntegrityError(
            f"sent: {str(text)[:40]!r} is not an ISO 8601 time with an offset.",
            "Correct the sender, or let it leave `sent` out.",
        ) from error


def read_records(body: Any) -> list[Record]:
    """The records of a posted message, `{"schema": 1, "records": [...]}`, already decoded."""
    if not isinstance(body, dict) or body.get("schema", SCHEMA) != SCHEMA:
        raise IntegrityError(
            f"The message is not an object of schema {SCHEMA}.",
            'Send {"schema": 1, "records": [...]}.',
        )
    items = body.get("records")
    if not isinstance(items, list):
        raise IntegrityError("The message has no list of records.", "Send them as `records`.")
    for index, raw in enumerate(items):
        check(raw, f"record {index}")
    return [Record.from_json(raw) for raw in items]


def finite(value: float) -> float | None:
    """None for the infinities of a sketch that saw nothing."""
    return value if math.isfinite(value) else None
