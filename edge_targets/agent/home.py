"""The agent's root folder: what lies where, who may change it, and whether an agent runs there.

```
settings.json        who the device is, where telemetry goes and updates come from
trusted_keys.json    whose packages it takes
good/                both as they last could be read
models/NAME/a, b, c  at most two unpacked packages of a model; `active` names the one that is served
incoming/            packages on their way
spool.db             telemetry that waits
last_update.json     what became of the latest installation
agent.json           process id and address of the running agent
agent.log            what happened
```
"""

import errno
import fcntl
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, TypeVar

import edge_targets
from edge_targets.agent.settings import Settings, Stored, TrustedKeys
from edge_targets.runtime.durable import storing
from edge_targets.runtime.errors import DataError, DeviceError, EdgeError

__all__ = ["Home", "Running", "Settings", "Stored", "TrustedKeys", "child_environment"]

log = logging.getLogger(__name__)

ATTEMPTS = 20  # a second in all


S = TypeVar("S", bound=Stored)


@dataclass(frozen=True)
class Running(Stored):
    """Where the running agent listens."""

    file: ClassVar = "agent.json"

    pid: int = 0
    url: str = ""

    @property
    def is_alive(self) -> bool:
        try:
            os.kill(self.pid, 0)
        except PermissionError:  # somebody else's
            return True
        except OSError:
            return False
        return self.pid > 0


@dataclass(frozen=True)
class Home:
    """A root folder by its path."""

    root: Path
    lock_name: str = field(default="agent.lock", init=False)
    told: list[str] = field(default_factory=list, init=False, compare=False)  # faults, logged once

    @property
    def models(self) -> Path:
        return self.root / "models"

    @property
    def old_slots(self) -> Path:
        """Where versions before 0.4 had the slots of their one model."""
        return self.root / "slots"

    @property
    def incoming(self) -> Path:
        return self.root / "incoming"

    @property
    def spool(self) -> Path:
        return self.root / "spool.db"

    @property
    def log(self) -> Path:
        return self.root / "agent.log"

    def settings(self) -> Settings:
        """Those in force: the file's, or the last good ones; the fault is in the log."""
        return self._in_force(Settings)

    def trusted(self) -> tuple[str, ...]:
        """The public keys in force; a damaged file does not turn every package into a stranger."""
        return self._in_force(TrustedKeys).keys

    def faults(self) -> list[str]:
        """What is wrong with the files in the root folder; each with what to do."""
        found = []
        for kind in (Settings, TrustedKeys):
            try:
                kind.load(self.root)
            except DataError as error:
                found.append(f"{error} The last good ones are in force. {error.hint}")
        return found

    def _in_force(self, kind: type[S]) -> S:
        good = self.root / "good"
        try:
            value = kind.load(self.root)
        except DataError as error:
            if not (good / kind.file).exists():
                raise
            if str(error) not in self.told:
                self.told.append(str(error))
                log.error("%s The last good ones are in force. %s", error, error.hint)
            return kind.load(good)
        try:
            if not (good / kind.file).exists() or kind.load(good) != value:
                with storing(good):
                    good.mkdir(exist_ok=True)
                value.save(good)
        except EdgeError as error:  # a full or read-only disk: there is a copy less
            log.warning("%s %s", error, error.hint)
        return value

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the root folder; the system lets go of it when this process ends, however it ends.

        Raises:
            DeviceError: another agent holds it.
        """
        with storing(self.root):
            handle = self._lock()
        try:
            # somebody who only looks (`running`) holds it for a moment too
            for attempt in range(ATTEMPTS):
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except OSError as error:
                    if attempt == ATTEMPTS - 1:
                        raise DeviceError(
                            f"Another agent runs in {self.root}.",
                            "Stop it first, or use another folder.",
                        ) from error
                    time.sleep(0.05)
            yield
        finally:
            os.close(handle)

    def _lock(self) -> int:
        path = self.root / self.lock_name
        try:
            return os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            if error.errno not in (errno.EROFS, errno.ENOSPC):
                raise
            # a disk that takes nothing any more must not keep the model away
            return os.open(path if path.exists() else self.root, os.O_RDONLY)

    def running(self) -> Running | None:
        """Where an agent listens, or None when none runs here; a stale file fools nobody.

        Raises:
            DeviceError: the folder cannot be looked into.
        """
        try:
            handle = os.open(self.root / self.lock_name, os.O_RDWR)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise DeviceError(
                f"{self.root} cannot be looked into: {error.strerror or error}.",
                "Check who may read and write there.",
            ) from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            found = Running.load(self.root)
            return found if found.is_alive else Running()  # it has not told where it listens yet
        finally:
            os.close(handle)
        return None


def child_environment() -> dict[str, str]:
    """For a child Python that must find this very code, whatever folder it starts in."""
    return {**os.environ, "PYTHONPATH": str(Path(edge_targets.__path__[0]).parent)}
