"""Errors a user can act on: what failed, then what to do next."""

import difflib
import re
from collections.abc import Sequence


class EdgeError(Exception):
    """Base of every error we raise on purpose; `str(error)` says what failed and where."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint

    @property
    def kind(self) -> str:
        """The class as a word programs can compare: `UnknownNameError` is `unknown_name`."""
        words = re.findall("[A-Z][a-z]*", type(self).__name__.removesuffix("Error"))
        return "_".join(words).lower()


class UnknownNameError(EdgeError):
    """A name that nothing known carries."""

    def __init__(self, kind: str, name: str, known: Sequence[str]) -> None:
        close = difflib.get_close_matches(name, known, n=1)
        if close:
            hint = f"Did you mean {close[0]!r}?"
        elif known:
            hint = f"Known: {', '.join(known)}."
        else:
            hint = f"There is no {kind} yet."
        super().__init__(f"There is no {kind} named {name!r}.", hint)


class UsageError(EdgeError):
    """Words that make no command."""


class DataError(EdgeError):
    """Data that cannot be used as it is: names the file, the row and the column."""


class RecipeError(EdgeError):
    """A parameter or recipe that is not valid: names the file, the pass and the field."""


class UnsupportedError(EdgeError):
    """Something we cannot do: names the operator, node or format, and what to do instead."""


class DeviceError(EdgeError):
    """A device, or the way to it, did not do what was asked."""


class IntegrityError(EdgeError):
    """Bytes that are not what they claim to be."""


class StorageError(EdgeError):
    """The disk did not take what was written; what was there before is unharmed."""


class Cancelled(BaseException):
    """The user asked the job to stop; no `except Exception` can swallow it."""


def first_line(error: BaseException) -> str:
    """What a foreign error says, without its full stop; its name where it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
