"""The TOML file of a stream.

```toml
model = "digits.sndl"        # or an unpacked package; beside the root folder's files

[loop]
most_per_s = 5
too_hot_c = 80

[source]
kind = "camera"
width = 640

[[sinks]]
kind = "mqtt"
broker = "mqtt://localhost"
topic = "kitchen/digits"
```
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from edge_targets.runtime.errors import EdgeError, RecipeError
from edge_targets.runtime.registry import Registry
from edge_targets.streams.loop import Pace
from edge_targets.streams.sinks import Sink, sinks
from edge_targets.streams.sources import Source, sources

MAX_BYTES = 1 << 20
M = TypeVar("M", Source, Sink)


@dataclass(frozen=True)
class Stream:
    """What one file says."""

    model: Path
    source: Source
    sinks: tuple[Sink, ...]
    pace: Pace


def read_stream(file: Path, root: Path) -> Stream:
    """Read a file; its model lies under `root`, unless its path is absolute.

    Raises:
        RecipeError: names the file, the part and the parameter that is not right.
    """
    try:
        with file.open("rb") as handle:
            text = handle.read(MAX_BYTES + 1)
        if len(text) > MAX_BYTES:
            raise RecipeError(f"{file} is too large.", "A stream is a few lines.")
        found = tomllib.loads(text.decode())
    except (OSError, ValueError) as error:
        raise RecipeError(f"{file} cannot be read: {error}.", "It is a TOML file.") from error
    unknown = sorted(set(found) - {"model", "source", "sinks", "loop"})
    if unknown:
        raise RecipeError(
            f"{file}: there is no part {unknown[0]!r}.", "Known: model, source, sinks, loop."
        )
    model = found.get("model")
    if not isinstance(model, str):
        raise RecipeError(f"{file}: `model` is missing.", 'Give model = "digits.sndl".')
    tables = found.get("sinks", [])
    if not isinstance(tables, list):
        raise RecipeError(f"{file}: `sinks` is no list.", "Write [[sinks]].")
    return Stream(
        root / model,
        _member(sources, found.get("source"), f"{file}, [source]"),
        tuple(_member(sinks, table, f"{file}, [[sinks]] {n}") for n, table in enumerate(tables, 1)),
        Pace.of(_table(found.get("loop", {}), f"{file}, [loop]"), f"{file}, [loop]"),
    )


def _table(table: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(table, dict):
        raise RecipeError(f"{where} is missing, or no table.", 'Give kind = "…" and parameters.')
    return table


def _member(members: Registry[M], table: Any, where: str) -> M:
    given = dict(_table(table, where))
    kind = str(given.pop("kind", ""))
    try:
        member = members[kind]
    except EdgeError as error:
        raise RecipeError(f"{where}: {error}", error.hint) from error
    return member.of(given, where)
