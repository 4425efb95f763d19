"""What sources and sinks have in common: parameters that are described, checked at the door.

There is no pydantic on a device: a member is a frozen dataclass whose fields carry their meaning.
"""

import difflib
import typing
from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Any, Self

from edge_targets.runtime.errors import RecipeError


def described(
    text: str,
    default: Any = MISSING,
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] = (),
) -> Any:
    """A parameter: what it means, its unit, and what it may be."""
    metadata = {"description": text, "low": low, "high": high, "choices": choices}
    if default is MISSING:
        return field(metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Member:
    """A source or a sink, as a table of a TOML file says it."""

    @classmethod
    def of(cls, table: Mapping[str, Any], where: str) -> Self:
        """Read the parameters.

        Raises:
            RecipeError: one is unknown, missing, of another kind or out of range; `where` says
                in which part of which file.
        """
        known = {one.name: one for one in fields(cls)}
        for name in table:
            if name not in known:
                close = difflib.get_close_matches(name, known, n=1)
                hint = f"Did you mean {close[0]!r}?" if close else f"Known: {', '.join(known)}."
                raise RecipeError(f"{where}: there is no parameter {name!r}.", hint)
        for name, one in known.items():
            if name not in table and one.default is MISSING:
                raise RecipeError(f"{where}: {name!r} is missing.", one.metadata["description"])
        kinds = typing.get_type_hints(cls)
        return cls(
            **{name: _checked(known[name], kinds[name], table[name], where) for name in table}
        )


def _checked(one: "Field[Any]", kind: Any, value: Any, where: str) -> Any:
    title, told = f"{where}: {one.name}", one.metadata
    if kind is float and type(value) is int:
        value = float(value)
    if type(value) is not kind:
        raise RecipeError(
            f"{title} is {value!r}, which is no {kind.__name__}.", told["description"]
        )
    low, high, choices = told["low"], told["high"], told["choices"]
    too_low = low is not None and not value >= low
    if too_low or (high is not None and not value <= high):
        ends = f"{'' if low is None else low} … {'' if high is None else high}".strip()
        raise RecipeError(f"{title} is {value!r}, which is not in {ends}.", told["description"])
    if choices and value not in choices:
        raise RecipeError(f"{title} is {value!r}.", f"Choose one of {', '.join(choices)}.")
    return value
