"""Whether a version that was just begun proves itself: after that it is kept, else it gives way."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from edge_targets.agent.health import KEPT_MEMORY
from edge_targets.agent.served import Live, in_time

ANSWER_S = 60.0  # in which the golden inputs are answered, on the slowest board under load
HOTTER_C = 5.0  # above the soft limit: the board then slows down whatever we do


@dataclass
class Probation:
    """One version since it began to be served.

    Attributes:
        seconds: that it must stay healthy.
        old_share: of requests that the version before failed at.
        before: the device's health before the flip; empty after a restart.
        trying: whether it may be rolled back; else only its starts are counted.
    """

    live: Live
    seconds: float
    old_share: float = 0.0
    before: Mapping[str, float] = field(default_factory=dict)
    trying: bool = True
    began: float = field(default_factory=time.monotonic)
    answered: bool = False  # its golden inputs, in this process, since it began

    @property
    def left_s(self) -> float:
        return max(0.0, self.began + self.seconds - time.monotonic())

    def fault(self, health: Mapping[str, float], soft_c: float) -> str:
        """What is wrong with the version now; empty for nothing."""
        if self.live.failure_share > self.old_share:
            return f"{self.live.failed} of its requests failed"
        if not self.trying:
            return ""
        if not self.answered or not self.left_s:  # at the beginning and at the end
            self.answered = True
            if wrong := in_time(self.live.predictor.replay, ANSWER_S):
                return f"golden inputs: {wrong}"
        return self._strain(health, soft_c)

    def _strain(self, health: Mapping[str, float], soft_c: float) -> str:
        """What the device suffers from now and did not before."""
        plenty = float(KEPT_MEMORY)
        memory = health.get("memory_available_bytes", plenty)
        if memory < KEPT_MEMORY / 2 <= self.before.get("memory_available_bytes", plenty):
            return f"memory runs out: {memory:.0f} bytes are available"
        limit = soft_c + HOTTER_C if soft_c else float("inf")
        heat = health.get("temperature_c", 0.0)
        if self.before.get("temperature_c", limit) < limit <= heat:
            return f"the device became {heat:.0f} °C hot"
        return ""
