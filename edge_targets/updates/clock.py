"""What time it is on a device whose clock may have begun in 1970.

A signed timestamp says when it was signed, so it cannot be earlier than that: such a time is kept
as a floor, and what the device has been up since is added to it. An attacker who holds an old but
once valid repository before such a device gains no more than until that has been up for as long
as the timestamp holds. The floor falls with the key that vouched for it: whoever stole it could
have signed a time far ahead.
"""

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import ClassVar

from edge_targets.runtime.contract import Wire, texts
from edge_targets.runtime.durable import replace_file
from edge_targets.runtime.errors import EdgeError

BOOT = Path("/proc/sys/kernel/random/boot_id")
SEEN = "seen.json"


@dataclass(frozen=True)
class Clock:
    """A moment as the device sees it: the calendar, and the time since it was switched on."""

    now: datetime
    uptime_s: float = 0.0
    boot: str = ""

    @classmethod
    def system(cls) -> "Clock":
        try:
            boot = BOOT.read_text("ascii").strip()
        except OSError:
            boot = ""
        return cls(datetime.now(UTC), time.clock_gettime(time.CLOCK_BOOTTIME), boot)


@dataclass(frozen=True)
class Seen(Wire):
    """The latest moment that is known to have passed.

    Attributes:
        time: ISO 8601, UTC; empty for none.
        uptime_s: of the device then.
        boot: which start of the device that was.
        keys: ids of the timestamp's keys that vouched for it.
    """

    versioned: ClassVar = True
    nested: ClassVar = {"keys": texts, "uptime_s": float}

    time: str = ""
    uptime_s: float = 0.0
    boot: str = ""
    keys: tuple[str, ...] = ()

    @classmethod
    def load(cls, folder: Path) -> "Seen":
        try:
            return cls.parse((folder / SEEN).read_bytes())
        except (OSError, EdgeError):
            return cls()

    def save(self, folder: Path) -> None:
        replace_file(folder / SEEN, self.dump().encode())

    def floor(self, clock: Clock) -> datetime | None:
        """No later than now, whatever the calendar says."""
        when = moment(self.time)
        if when is None:
            return None
        same = self.boot and self.boot == clock.boot
        passed = clock.uptime_s - (self.uptime_s if same else 0.0)
        return when + timedelta(seconds=max(0.0, passed))


def moment(text: object) -> datetime | None:
    """A time as ISO 8601 has it, or None."""
    try:
        when = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return when if when.tzinfo else None
