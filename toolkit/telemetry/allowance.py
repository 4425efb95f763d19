"""How much the pages of one token may bring: a bucket that fills by itself."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

BURST = 4 << 20  # bytes at once: some 2,000 records of a dozen features
REFILL = 64 << 10  # bytes a second: of 1,800 visitors, each with a record a minute
REQUEST = 1 << 10  # bytes that a request counts for besides its message


@dataclass
class _Bucket:
    left: float
    at: float  # seconds, of the clock


class Allowance:
    """One bucket a name. A collector has one `Allowance`, and its threads share it."""

    def __init__(
        self,
        burst: int = BURST,
        refill: int = REFILL,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.burst = burst
        self.refill = refill
        self.clock = clock
        self._buckets: dict[str, _Bucket] = {}
        self._lock = threading.Lock()

    def take(self, name: str, size: int) -> float:
        """Take a message of `size` bytes out; else the seconds until there is room for it."""
        cost = min(size + REQUEST, self.burst)
        with self._lock:
            now = self.clock()
            bucket = self._buckets.setdefault(name, _Bucket(self.burst, now))
            bucket.left = min(self.burst, bucket.left + (now - bucket.at) * self.refill)
            bucket.at = now
            if bucket.left < cost:
                return (cost - bucket.left) / self.refill
            bucket.left -= cost
            return 0.0
