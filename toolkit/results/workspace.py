"""What is in a workspace: datasets, lists, one thing with its lineage."""

from dataclasses import dataclass
from typing import Any

from toolkit.report import Result


@dataclass(frozen=True)
class Initialised(Result):
    """Where the workspace is."""

    workspace: str


@dataclass(frozen=True)
class InputInfo:
    """An input or output tensor; -1 in the shape is free."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    unit: str
    meaning: str


@dataclass(frozen=True)
class ColumnInfo:
    """`low` and `high` are the smallest and largest value; null for categories."""

    name: str
    type: str
    missing: int
    low: float | None
    high: float | None


@dataclass(frozen=True)
class DatasetInfo(Result):
    """What a dataset holds."""

    name: str
    source: str
    rows: int
    task: str
    inputs: tuple[InputInfo, ...]
    labels: tuple[str, ...]
    split: dict[str, int]
    columns: tuple[ColumnInfo, ...]


@dataclass(frozen=True)
class Item:
    """One line of a list."""

    kind: str
    name: str
    summary: str
    created: str
    digest: str


@dataclass(frozen=True)
class Listing(Result):
    """What there is."""

    items: tuple[Item, ...]


@dataclass(frozen=True)
class Made:
    """One step of a lineage; depth 0 is the thing itself."""

    depth: int
    kind: str
    name: str
    verb: str
    created: str
    digest: str


@dataclass(frozen=True)
class FieldInfo:
    """One parameter that can be set."""

    name: str
    type: str
    default: str
    meaning: str


@dataclass(frozen=True)
class Shown(Result):
    """One thing, and what it was made from."""

    kind: str
    name: str
    facts: dict[str, Any]
    lineage: tuple[Made, ...] = ()
    fields: tuple[FieldInfo, ...] = ()
