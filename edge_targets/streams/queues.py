"""A queue that never grows: when it is full the oldest gives way, and that is counted."""

import threading
import time
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Bounded(Generic[T]):
    """For what is worth less the older it is: frames of a camera, answers nobody takes."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.items: deque[T] = deque()
        self.dropped = 0
        self.ended = False
        self.changed = threading.Condition()

    def put(self, item: T, wait: bool = False) -> None:
        """Add an item; with `wait` there is room first, or the queue has been closed."""
        with self.changed:
            while wait and len(self.items) >= self.size and not self.ended:
                self.changed.wait()
            if self.ended:
                self.dropped += 1
                return
            if len(self.items) >= self.size:
                self.items.popleft()
                self.dropped += 1
            self.items.append(item)
            self.changed.notify_all()

    def get(self, timeout_s: float) -> T | None:
        """The oldest item; None when none came in time, or none will come any more."""
        until = time.monotonic() + timeout_s
        with self.changed:
            while not self.items and not self.ended:
                left = until - time.monotonic()
                if left <= 0:
                    return None
                self.changed.wait(left)
            if not self.items:
                return None
            item = self.items.popleft()
            self.changed.notify_all()
            return item

    def close(self) -> None:
        """No more is added; what is there can still be taken."""
        with self.changed:
            self.ended = True
            self.changed.notify_all()

    @property
    def finished(self) -> bool:
        with self.changed:
            return self.ended and not self.items
