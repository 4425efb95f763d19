"""What lies in a payload, and what it makes of a board: `plan.json`."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from edge_targets.runtime.contract import FileFact, Wire, facts, texts
from edge_targets.runtime.errors import DataError, IntegrityError

PLAN, PACKAGE, ROOT = "plan.json", "package.sndl", "root.json"  # of a payload
START = "start.json"  # on a board: how its agent is started
AGENT_WHEEL = "wheels/sanderling_agent-"
PORT = 7734  # of the agent, on the board's loopback
AGAIN = "Make the payload again, or copy it again."


@dataclass(frozen=True)
class Plan(Wire):
    """What lies in a payload.

    Attributes:
        environment: names the environment that the wheels make: the same wheels, the same name.
        python: of the board, such as 3.11.
        machine: as `uname -m` says there.
        version: of Sanderling.
        imports: modules that must be importable there.
        files: of the payload, but this plan.
        unpacked_bytes: that the environment takes.
        port: that the agent listens at, on the board's loopback.
    """

    versioned: ClassVar = True
    nested: ClassVar = {"files": facts, "imports": texts}

    device: str
    target: str
    environment: str
    python: str
    machine: str
    version: str
    imports: tuple[str, ...] = ()
    files: Mapping[str, FileFact] = field(default_factory=dict)
    unpacked_bytes: int = 0
    port: int = PORT

    @property
    def wheels(self) -> tuple[str, ...]:
        return tuple(sorted(name for name in self.files if name.endswith(".whl")))


def read_plan(folder: Path) -> Plan:
    """The plan of a payload.

    Raises:
        DataError: there is none, or it is damaged.
    """
    try:
        return Plan.parse((folder / PLAN).read_bytes())
    except OSError as error:
        raise DataError(f"{folder / PLAN}: {error.strerror or error}.", AGAIN) from error
    except IntegrityError as error:
        raise DataError(f"{folder / PLAN}: {error}", error.hint or AGAIN) from error


def check_file(folder: Path, name: str, fact: FileFact) -> Path:
    """A file of the payload, as it was packed.

    Raises:
        IntegrityError: it is missing, or has other bytes.
    """
    parts = Path(name).parts
    if Path(name).is_absolute() or ".." in parts or len(parts) > 2:
        raise IntegrityError(f"{name!r} cannot be a file of a payload.", AGAIN)
    path = folder / name
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise IntegrityError(f"{name} of the payload: {error.strerror or error}.", AGAIN) from error
    if digest != fact.sha256:
        raise IntegrityError(f"{name} of the payload is not as it was packed.", AGAIN)
    return path
