"""What a repository tells of itself: its roles, and what its channels hold."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from edge_targets.runtime.errors import RecipeError
from edge_targets.updates.names import Release, release_of


@dataclass(frozen=True)
class RoleKeys:
    """How many keys a role has, and how many of them must sign."""

    keys: int = 1
    threshold: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.threshold <= self.keys <= 20:
            raise RecipeError(
                f"{self.threshold} of {self.keys} keys cannot sign.", "Take 1 of 1, or 2 of 3."
            )


@dataclass(frozen=True)
class Stored:
    """A file of a channel: what is said of it, and where it lies."""

    release: Release
    path: str
    size: int
    sha256: str
    file: Path


@dataclass(frozen=True)
class RoleState:
    """How a role stands; `here` are those of its keys whose private half can be used."""

    name: str
    version: int
    expires: datetime
    keys: int
    threshold: int
    here: int


def entries(targets: Mapping[str, Any], channel: str) -> dict[str, Release]:
    found = {path: release_of(path, entry.custom, channel) for path, entry in targets.items()}
    return {path: release for path, release in found.items() if release}
