"""Numbers as sensors send them: JSON, or separated by commas and blanks."""

import json
import math
from typing import Any

from edge_targets.runtime.errors import DataError

MAX_NUMBERS = 1_000_000


def numbers_in(payload: bytes) -> Any:
    """A list of numbers, or numbers by name.

    Raises:
        DataError: there are none.
    """
    text = payload.decode("utf-8", "replace").strip()
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = text.replace(",", " ").replace(";", " ").split()
    if isinstance(found, dict):
        return {str(name): value for name, value in found.items()}
    values = found if isinstance(found, list) else [found]
    if not values or len(values) > MAX_NUMBERS:
        raise DataError("There are no numbers, or too many.", "Send `1.5, 2, 3`, or JSON.")
    try:
        return [math.nan if value is None else _number(value) for value in values]
    except (TypeError, ValueError) as error:
        raise DataError(f"{text[:80]!r} are no numbers.", "Send `1.5, 2, 3`, or JSON.") from error


def _number(value: Any) -> Any:
    if isinstance(value, list):
        return [_number(one) for one in value]
    return float(value)
