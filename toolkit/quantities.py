"""Amounts as people write them: `1%`, `200kB`, `5ms`, `10min`."""

import math
import re
from collections.abc import Mapping

from edge_targets.runtime.errors import UsageError

AMOUNT = re.compile(r"(\d+(?:\.\d*)?|\.\d+)\s*([a-zA-Zµ%]*)")
BYTES = {"": 1, "B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9}
BYTES |= {"KB": 10**3, "k": 10**3, "M": 10**6, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
MILLISECONDS = {"": 1.0, "us": 1e-3, "µs": 1e-3, "ms": 1.0, "s": 1e3}
SECONDS = {"": 1.0, "s": 1.0, "min": 60.0, "h": 3600.0}
SHARES = {"": 1.0, "%": 0.01}
MOST_THREADS = 64  # more cores than a device has; engines fail with many thousands


def amount(text: str, units: Mapping[str, float], option: str, example: str) -> float:
    found = AMOUNT.fullmatch(text.strip())
    value = float(found[1]) * units[found[2]] if found and found[2] in units else math.inf
    if not math.isfinite(value):
        raise UsageError(f"{option} {text}: this is no amount.", f"Write it like {example}.")
    return value


def share(text: str, option: str, example: str = "1% or 0.01") -> float:
    """`1%` or `0.01`: from 0 to 1. A bare `1` is refused: some mean 1 %, others all."""
    value = round(amount(text, SHARES, option, example), 12)  # 95 * 0.01 is 0.9500000000000001
    if value >= 1 and not text.strip().endswith("%"):
        raise UsageError(f"{option} {text}: a share or a percentage?", f"Write it like {example}.")
    if value > 1:
        raise UsageError(f"{option} {text}: more than all.", f"Write it like {example}.")
    return value


def size_bytes(text: str, option: str) -> int:
    return round(amount(text, BYTES, option, "200kB or 1MB"))


def milliseconds(text: str, option: str) -> float:
    return amount(text, MILLISECONDS, option, "5ms or 800us")


def seconds(text: str, option: str) -> float:
    return amount(text, SECONDS, option, "90s or 10min")


def check_threads(threads: int) -> None:
    if not 1 <= threads <= MOST_THREADS:
        raise UsageError(
            f"A model does not run on {threads} threads.", f"Use --threads 1 to {MOST_THREADS}."
        )
