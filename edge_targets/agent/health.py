"""How the device itself is doing; a figure the system does not tell is left out."""

import os
import re
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from edge_targets.runtime.durable import storing
from edge_targets.runtime.errors import DeviceError, StorageError

THERMAL = Path("/sys/class/thermal/thermal_zone0/temp")  # thousandths of a degree; Pi: the SoC
MEMORY = Path("/proc/meminfo")
OWN_GROUP, GROUPS = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")
THROTTLED = Path("/sys/devices/platform/soc/soc:firmware/get_throttled")  # hexadecimal
VCGENCMD = "/usr/bin/vcgencmd"
# https://www.raspberrypi.com/documentation/computers/os.html, "get_throttled": bits now; the same
# 16 higher: since the start
BITS = {0: "under_voltage", 1: "frequency_capped", 2: "throttled", 3: "soft_temperature_limit"}
KEPT_DISK, KEPT_SHARE = 16 << 20, 0.02  # bytes, but at most that share, that stay free for logs
KEPT_MEMORY = 16 << 20  # bytes that stay available beside a new model


def health(root: Path) -> dict[str, float]:
    """Degrees Celsius, bytes, and the load of the last minute."""
    found: dict[str, float] = {}
    with suppress(OSError):
        found["disk_free_bytes"] = shutil.disk_usage(root).free
    with suppress(OSError):
        found["load"] = os.getloadavg()[0]
    with suppress(OSError, ValueError):
        found["temperature_c"] = int(THERMAL.read_text()) / 1000
    if memory := available_memory():
        found["memory_available_bytes"] = memory
    return found


def available_memory() -> int:
    """Bytes that this process and its children can still take; 0 where the system does not tell."""
    with suppress(OSError, ValueError, StopIteration):
        available = _figure(MEMORY.read_text(), "MemAvailable:") * 1024
        return max(1, min(available, _group_memory()))
    return 0


def _group_memory() -> int:
    """What a limit such as systemd's MemoryMax= leaves (Linux: admin-guide/cgroup-v2, "memory")."""
    with suppress(OSError, ValueError, StopIteration):
        path = _line(OWN_GROUP.read_text(), "0::")
        folder = GROUPS / path.lstrip("/")
        limit = int((folder / "memory.max").read_text())  # "max": there is none
        used = int((folder / "memory.current").read_text())
        cached = _figure((folder / "memory.stat").read_text(), "inactive_file ")
        return limit - used + cached
    return sys.maxsize


def _line(text: str, begin: str) -> str:
    """The rest of the first line that begins so."""
    return next(line for line in text.splitlines() if line.startswith(begin))[len(begin) :]


def _figure(text: str, begin: str) -> int:
    return int(_line(text, begin).split()[0])


def throttled() -> dict[str, Any]:
    """What the board's firmware says of its supply and heat: words for now, and since the start.

    Empty where there is no such firmware.
    """
    text = ""
    with suppress(OSError):
        text = THROTTLED.read_text()
    if not text and os.access(VCGENCMD, os.X_OK):
        with suppress(OSError, subprocess.SubprocessError):
            words = [VCGENCMD, "get_throttled"]
            text = subprocess.run(
                words, capture_output=True, text=True, timeout=2, check=True
            ).stdout
    return throttling(text)


def throttling(text: str) -> dict[str, Any]:
    """`text` is `throttled=0x50005`, or the number alone."""
    found = re.fullmatch(r"(?:throttled=)?(?:0x)?([0-9a-fA-F]{1,8})", text.strip())
    if found is None:
        return {}
    bits = int(found[1], 16)
    return {
        "now": [word for bit, word in BITS.items() if bits >> bit & 1],
        "ever": [word for bit, word in BITS.items() if bits >> bit + 16 & 1],
    }


def check_disk(folder: Path, size: int, what: str) -> None:
    """Refuse what would leave no room for telemetry; `size` in bytes.

    Raises:
        StorageError: says how much is needed and is there.
    """
    with storing(folder):
        usage = shutil.disk_usage(folder)
    needed = size + min(KEPT_DISK, round(KEPT_SHARE * usage.total))
    if usage.free < needed:
        raise StorageError(
            f"{what} needs {megabytes(needed)} MB on the disk; "
            f"{megabytes(usage.free)} MB are free.",
            "The disk is full: free some space on it, then try again.",
        )


def check_memory(size: int, what: str) -> None:
    """Refuse what would not fit beside what is served; `size` in bytes.

    Raises:
        DeviceError: says how much is needed and is there.
    """
    available = available_memory()
    if available and available < size + KEPT_MEMORY:
        raise DeviceError(
            f"{what} needs {megabytes(size + KEPT_MEMORY)} MB of memory; "
            f"{megabytes(available)} MB are available.",
            "Remove another model from the device, or make this one smaller (quantize_int8).",
        )


def megabytes(size: float) -> str:
    return f"{size / 1e6:.1f}"
