"""Bounds for what may never come back, in a process that is there to read one file only."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

_alone: list[bool] = []


def begin() -> None:
    """Say that this process may be ended: whoever started it answers for that."""
    _alone.append(True)


@contextmanager
def within(seconds: int) -> Iterator[None]:
    """End the process when the block takes longer; anywhere else there is no such bound.

    A loop in a library's C code runs no Python, so only the system can end it.
    """
    if not _alone or not hasattr(signal, "alarm"):
        yield
        return
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
