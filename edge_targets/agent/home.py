"""The agent's root folder: what lies where, who may change it, and whether an agent runs there.

```
settings.json        who the device is, where telemetry goes and updates come from
trusted_keys.json    whose packages it takes
good/                both as they last could be read
models/NAME/a, b     two unpacked packages of a model; `active` names the one that is served
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
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Self, TypeVar
from urllib.parse import urlsplit

import edge_targets
from edge_targets.runtime.contract import Wire, texts
from edge_targets.runtime.durable import replace_file, storing
from edge_targets.runtime.errors import DataError, DeviceError, EdgeError

log = logging.getLogger(__name__)

ATTEMPTS = 20  # a second in all
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,79}")


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


S = TypeVar("S", bound=Stored)


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
        soft_c: degrees of the chip above which the agent lowers its load; 0 is no limit.
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
    soft_c: float = 80.0  # where a Raspberry Pi begins to slow down by itself

    def __post_init__(self) -> None:
        for name, (good, wanted) in self._wanted().items():
            if not good:
                raise DataError(f"{name} cannot be {getattr(self, name)!r}.", f"It is {wanted}.")

    def _wanted(self) -> dict[str, tuple[bool, str]]:
        """Of each field whether it is good, and what would be."""
        names = "1 to 80 small letters, digits, '.', '_' and '-', beginning with one of the first"
        address = "empty, or an address that begins with http:// or https://"
        return {
            "device": (_name(self.device), names),
            "target": (isinstance(self.target, str), "the name of a target"),
            "collector": (_address(self.collector, "http", "https"), address),
            "window_s": (_within(self.window_s, 0.1, 86_400), "0.1 to 86400 seconds"),
            "threads": (type(self.threads) is int and 1 <= self.threads <= 64, "1 to 64"),
            "probation_s": (_within(self.probation_s, 0, 86_400), "0 to 86400 seconds"),
            "repository": (_address(self.repository, "http", "https"), address),
            "channel": (_name(self.channel), names),
            "pull_s": (_within(self.pull_s, 1, 30 * 86_400), "1 second to 30 days, in seconds"),
            "bytes_per_s": (
                type(self.bytes_per_s) is int and self.bytes_per_s >= 0,
                "a whole number of bytes, or 0 for no limit",
            ),
            "broker": (
                _address(self.broker, "mqtt", "mqtts"),
                "empty, or an address such as mqtt://broker.example:1883",
            ),
            "soft_c": (_within(self.soft_c, 0, 150), "degrees Celsius, or 0 for no limit"),
        }


def _name(value: object) -> bool:
    return isinstance(value, str) and bool(NAME.fullmatch(value))


def _within(value: object, low: float, high: float) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and low <= value <= high  # type: ignore[operator]


def _address(value: object, *schemes: str) -> bool:
    if value == "":
        return True
    if not isinstance(value, str) or not value.isprintable() or " " in value:
        return False
    try:
        parts = urlsplit(value)
        return parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is none
        return False


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
