"""How the device itself is doing; a figure the system does not tell is left out."""

import os
import shutil
from contextlib import suppress
from pathlib import Path

THERMAL = Path("/sys/class/thermal/thermal_zone0/temp")  # thousandths of a degree; Pi: the SoC
MEMORY = Path("/proc/meminfo")


def health(root: Path) -> dict[str, float]:
    """Degrees Celsius, bytes, and the load of the last minute."""
    found: dict[str, float] = {}
    with suppress(OSError):
        found["disk_free_bytes"] = shutil.disk_usage(root).free
    with suppress(OSError):
        found["load"] = os.getloadavg()[0]
    with suppress(OSError, ValueError):
        found["temperature_c"] = int(THERMAL.read_text()) / 1000
    with suppress(OSError, ValueError, StopIteration):
        lines = MEMORY.read_text().splitlines()
        line = next(line for line in lines if line.startswith("MemAvailable:"))
        found["memory_available_bytes"] = int(line.split()[1]) * 1024
    return found
