"""The agent's root folder: what lies where, who may change it, and whether an agent runs there.

```
settings.json        who the device is and where telemetry goes
trusted_keys.json    whose packages it takes
slots/a  slots/b     two unpacked packages; `active` names the one that is served
spool.db             telemetry that waits
agent.json           process id and address of the running agent
agent.log            what happened
```
"""

import fcntl
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Self

import edge_targets
from edge_targets.runtime.contract import Wire, texts
from edge_targets.runtime.durable import replace_file, storing
from edge_targets.runtime.errors import DataError, DeviceError, EdgeError

ATTEMPTS = 20  # a second in all
DEVICE = re.compile(r"[a-z0-9][a-z0-9._-]{0,79}")


@dataclass(frozen=True)
class Stored(Wire):
    """A JSON file of the root folder."""

    versioned: ClassVar = True
    file: ClassVar[str]

    @classmethod
    def load(cls, root: Path) -> Self:
        """What is stored; the defaults when nothing is.

        Raises:
            DataError: the file cannot be read, or says what cannot be.
        """
        path = root / cls.file
        try:
            return cls.parse(path.read_bytes())
        except FileNotFoundError:
            return cls()
        except OSError as error:
            raise DataError(
                f"{path} cannot be read: {error.strerror or error}.", "Check who may read it."
            ) from error
        except EdgeError as error:
            hint = error.hint if isinstance(error, DataError) else ""
            raise DataError(
                f"{path} cannot be used: {error}", hint or "Correct it, or delete it."
            ) from error

    def save(self, root: Path) -> None:
        replace_file(root / self.file, self.dump().encode())


@dataclass(frozen=True)
class Settings(Stored):
    """Who the device is.

    Attributes:
        device: its name in every record.
        target: its catalog name.
        collector: base address that records are sent to; empty keeps them here.
        window_s: seconds that one record covers.
        threads: that one prediction may use.
        probation_s: seconds that a new version must stay healthy before it is kept.
        repository: base address of the repository that updates are pulled from; empty pulls none.
        channel: of that repository.
        pull_s: seconds between two looks at the repository, before jitter.
        bytes_per_s: that a download may take; 0 is no limit.
        broker: mqtt://HOST:PORT (or mqtts://) that nudges come from; empty listens to none.
    """

    file: ClassVar = "settings.json"

    device: str = "device"
    target: str = "simulator"
    collector: str = ""
    window_s: float = 10.0
    threads: int = 1
    probation_s: float = 60.0
    repository: str = ""
    channel: str = "stable"
    pull_s: float = 3600.0
    bytes_per_s: int = 0
    broker: str = ""

    def __post_init__(self) -> None:
        web = ("", "http://", "https://")
        good = {
            "device": isinstance(self.device, str) and DEVICE.fullmatch(self.device),
            "target": isinstance(self.target, str),
            "collector": isinstance(self.collector, str)
            and (not self.collector or self.collector.startswith(web[1:])),
            "window_s": _number(self.window_s) and 0.1 <= self.window_s <= 86_400,
            "threads": _number(self.threads) and self.threads in range(1, 65),
        }
        for name, fine in good.items():
            if not fine:
                raise DataError(
                    f"{name} cannot be {getattr(self, name)!r}.",
                    "Names are small letters and digits; addresses begin with http:// or https://; "
                    "windows last 0.1 to 86400 s; threads are 1 to 64.",
                )


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


@dataclass(frozen=True)
class TrustedKeys(Stored):
    """Public keys, in base64, whose packages this device takes."""

    nested: ClassVar = {"keys": texts}
    file: ClassVar = "trusted_keys.json"

    keys: tuple[str, ...] = ()


@dataclass(frozen=True)
class Running(Stored):
    """Where the running agent listens."""

    file: ClassVar = "agent.json"

    pid: int = 0
    url: str = ""


@dataclass(frozen=True)
class Home:
    """A root folder by its path."""

    root: Path
    lock_name: str = field(default="agent.lock", init=False)

    @property
    def slots(self) -> Path:
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

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the root folder; the system lets go of it when this process ends, however it ends.

        Raises:
            DeviceError: another agent holds it.
        """
        with storing(self.root):
            handle = os.open(self.root / self.lock_name, os.O_RDWR | os.O_CREAT, 0o644)
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
            return Running.load(self.root)
        finally:
            os.close(handle)
        return None


def child_environment() -> dict[str, str]:
    """For a child Python that must find this very code, whatever folder it starts in."""
    return {**os.environ, "PYTHONPATH": str(Path(edge_targets.__path__[0]).parent)}
