"""Files of the agent's root folder that people and other programs write: checked at the door."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self
from urllib.parse import urlsplit

from edge_targets.runtime.contract import Wire, texts
from edge_targets.runtime.durable import replace_file
from edge_targets.runtime.errors import DataError, EdgeError

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
