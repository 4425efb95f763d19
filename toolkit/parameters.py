"""Turn what a user typed or wrote into a member's parameters, with errors that name the field."""

import difflib
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from edge_targets.runtime.errors import RecipeError

M = TypeVar("M", bound=BaseModel)


def from_words(cls: type[M], words: Iterable[str], where: str = "--set") -> M:
    """`cls` from `key=value` words; a tuple's values stand between commas."""
    values: dict[str, Any] = {}
    for word in words:
        key, equals, text = word.partition("=")
        if not equals:
            raise RecipeError(f"{where} {word}: expected key=value.", fields_hint(cls))
        field = cls.model_fields.get(key)
        many = field is not None and get_origin(field.annotation) is tuple
        values[key] = tuple(text.split(",")) if many and text else () if many else text
    return checked(cls, values, where)


def split_words(words: Iterable[str], *classes: type[BaseModel]) -> list[list[str]]:
    """The words for each class, by the first class that has the field; the rest to the last."""
    found: list[list[str]] = [[] for _ in classes]
    for word in words:
        key = word.partition("=")[0]
        owner = next((i for i, cls in enumerate(classes) if key in cls.model_fields), None)
        if owner is None:
            known = sorted({name for cls in classes for name in cls.model_fields})
            raise unknown_field(f"--set {word}", key, known)
        found[owner].append(word)
    return found


def checked(cls: type[M], values: Mapping[str, Any], where: str) -> M:
    """`cls(**values)`; a `RecipeError` names the place and the field that does not fit."""
    known = fields_of(cls)
    unknown = set(values) - set(known)
    if unknown:
        raise unknown_field(where, min(unknown), sorted(known))
    try:
        return cls(**values)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        if first["type"] == "missing":
            raise RecipeError(f"{where}: {field} is missing.", fields_hint(cls, field)) from error
        # the word of a recipe, not of Python
        expected = first["msg"].replace("valid tuple", 'list, such as ["first", "second"]')
        raise RecipeError(
            f"{where}, {field}: {expected} (given: {first['input']!r}).",
            fields_hint(cls, field),
        ) from error


def unknown_field(where: str, key: str, known: list[str]) -> RecipeError:
    close = difflib.get_close_matches(key, known, n=1)
    hint = f"Did you mean {close[0]!r}?" if close else f"Known: {', '.join(known) or 'none'}."
    return RecipeError(f"{where}: there is no field {key!r}.", hint)


def fields_of(cls: type[BaseModel]) -> dict[str, FieldInfo]:
    """The fields by the names that users write."""
    return {field.alias or name: field for name, field in cls.model_fields.items()}


def fields_hint(cls: type[BaseModel], name: str = "") -> str:
    known = fields_of(cls)
    field = known.get(name.partition(".")[0])
    if field is not None:
        usual = "It must be given." if field.is_required() else f"Default: {field.default!r}."
        return f"{name}: {field.description} {usual}"
    return f"Fields: {', '.join(known) or 'none'}."
