"""Where things lie in an update repository, and what is said of each.

A path is made of plain words only, so that it can neither leave a folder nor mean another URL;
whatever a repository says is checked against its own path before it is used.
"""

import re
from dataclasses import dataclass
from typing import ClassVar, Self

from edge_targets.runtime.contract import Wire
from edge_targets.runtime.errors import IntegrityError, RecipeError

WORD = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")  # as a package's name and version
CHANNEL = re.compile(r"[a-z][a-z0-9_-]{0,39}")
ROLES = ("root", "targets", "snapshot", "timestamp")  # of every repository; no channel's names
PACKAGE, DELTA = ".sndl", ".sndd"
MAX_NOTES = 2000  # characters


def check_channel(channel: str) -> str:
    if not CHANNEL.fullmatch(channel) or channel in ROLES:
        raise RecipeError(
            f"{channel!r} is not the name of a channel.",
            "Use small letters, digits, '_' and '-', beginning with a letter, such as 'stable'.",
        )
    return channel


@dataclass(frozen=True)
class Release(Wire):
    """What is said of one file of a channel; it travels signed, as the file's custom facts.

    Attributes:
        model: the name it is served by.
        version: of the package, or the one that a delta leads to.
        target: the catalog name it is for.
        format: of the model.
        sequence: grows with every release of a channel; the largest is the newest.
        notes: what a person should know.
        base: the version that a delta starts from; empty for a whole package.
    """

    nested: ClassVar = {"sequence": int}
    versioned: ClassVar = True

    model: str
    version: str
    target: str
    format: str = ""
    sequence: int = 0
    notes: str = ""
    base: str = ""

    def path(self, channel: str) -> str:
        name = f"{self.base}-{self.version}{DELTA}" if self.base else f"{self.version}{PACKAGE}"
        return f"{channel}/{self.target}/{self.model}/{name}"

    def checked(self) -> Self:
        """The same.

        Raises:
            IntegrityError: a word of it could not be part of a path, or a fact is none.
        """
        words = (self.model, self.version, self.target, *([self.base] if self.base else []))
        good = all(isinstance(word, str) and WORD.fullmatch(word) for word in words)
        texts = all(isinstance(text, str) for text in (self.format, self.notes, self.base))
        if not good or not texts or len(self.notes) > MAX_NOTES or self.sequence < 0:
            raise IntegrityError(
                f"{self.model!r} {self.version!r} for {self.target!r} cannot be published.",
                "Names and versions are small letters, digits, '.', '_' and '-'; "
                f"notes have at most {MAX_NOTES} characters.",
            )
        return self


def release_of(path: str, custom: object, channel: str) -> Release | None:
    """What a signed entry says, or None where it is not what its path claims."""
    try:
        release = Release.from_json(custom).checked()
    except IntegrityError:
        return None
    return release if release.path(channel) == path else None
