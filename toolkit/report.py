"""What the verbs give back: plain frozen facts, printed as tables and written as JSON.

The field names are the keys of `--json`, which other programs rely on.
"""

import dataclasses
import enum
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Result:
    """Base of what a verb gives back. `next` holds commands a user may want now."""

    next: tuple[str, ...] = dataclasses.field(default=(), kw_only=True)

    @property
    def ok(self) -> bool:
        """False when a check or a gate did not hold; the command line then exits with 3."""
        return True


@dataclass(frozen=True)
class Interval:
    """A share with its 95 % confidence interval; all three from 0 to 1."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Latency:
    """Milliseconds of one prediction (batch 1) after warm-up."""

    p50_ms: float
    p90_ms: float
    p99_ms: float
    threads: int
    runs: int


@dataclass(frozen=True)
class Check:
    """One line of a report: what was measured, its bound in words, and whether it held."""

    name: str
    value: float | int | str | None
    unit: str = ""
    bound: str = ""
    passed: bool | None = None


@dataclass(frozen=True)
class Comparison:
    """The old and the new model on the same held-out items of one dataset.

    Attributes:
        difference: new minus old accuracy; `low` and `high` are its 95 % interval.
        bound: what was asked of it, in words.
    """

    data: str
    old: Interval
    new: Interval
    difference: float
    low: float
    high: float
    bound: str
    passed: bool


@dataclass(frozen=True)
class Report(Result):
    """Measured facts with their bounds."""

    title: str
    rows: tuple[Check, ...]

    @property
    def ok(self) -> bool:
        return all(row.passed is not False for row in self.rows)


def plain(value: Any) -> Any:
    """`value` as JSON knows it; a `Result` also says `ok`. Not-a-number becomes null."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
        return {"ok": value.ok, **fields} if isinstance(value, Result) else fields
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, tuple | list):
        return [plain(inner) for inner in value]
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
