"""What timing a model does to the board: heat, throttling, memory, and energy where it is told.

Only a Raspberry Pi 5 tells its energy: its power chip measures the current and voltage of every
rail (`vcgencmd pmic_read_adc`). Together that is what the board takes without what is plugged in.
A figure the board does not tell is left out.
"""

import os
import re
import resource
import statistics
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from edge_targets.agent.health import THERMAL, VCGENCMD, throttled

RAIL = re.compile(r"(\S+)_([AV])\s+(?:current|volt)\(\d+\)=([0-9.]+)[AV]")
SAMPLE_S = 0.1  # between two looks at the power; a look takes some milliseconds of one core
POWER_S = 2.0  # of predictions, for twenty looks


def watts(text: str) -> float | None:
    """The power of all rails that have both a current and a voltage; None where none has."""
    found: dict[str, dict[str, float]] = {}
    for rail, unit, number in RAIL.findall(text):
        found.setdefault(rail, {})[unit] = float(number)
    powers = [rail["A"] * rail["V"] for rail in found.values() if len(rail) == 2]
    return sum(powers) if powers else None


def power() -> float | None:
    """Watts that the board takes now."""
    if not os.access(VCGENCMD, os.X_OK):
        return None
    with suppress(OSError, subprocess.SubprocessError):
        told = subprocess.run(
            [VCGENCMD, "pmic_read_adc"], capture_output=True, text=True, timeout=2, check=True
        )
        return watts(told.stdout)
    return None


def temperature(file: Path = THERMAL) -> float | None:
    """Degrees Celsius of the chip."""
    with suppress(OSError, ValueError):
        return int(file.read_text()) / 1000
    return None


@contextmanager
def gauged(figures: dict[str, float]) -> Iterator[None]:
    """Add to `figures` what changed while the block ran, and the most memory there was."""
    before = temperature()
    yield
    after, said = temperature(), throttled()
    if before is not None and after is not None:
        figures |= {"temperature_before_c": before, "temperature_c": after}
    if said:
        figures["throttled"] = float(bool(said["now"]))
    figures["rss_bytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def energy(predict: Callable[[], object], read: Callable[[], float | None] = power) -> float | None:
    """Millijoules of one prediction, of all that the board takes; None where it does not tell."""
    if read() is None:
        return None
    found: list[float] = []
    done = threading.Event()

    def look() -> None:
        while not done.wait(SAMPLE_S):
            if (now := read()) is not None:
                found.append(now)

    looking = threading.Thread(target=look)
    looking.start()
    try:
        runs, begun = 0, time.perf_counter()
        while (took := time.perf_counter() - begun) < POWER_S:
            predict()
            runs += 1
    finally:
        done.set()
        looking.join()
    return statistics.mean(found) * took / runs * 1e3 if found and runs else None
