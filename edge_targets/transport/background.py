"""One event loop in a thread of its own, for a library that knows no other way."""

import asyncio
import atexit
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError
from concurrent.futures import TimeoutError as NotYet
from typing import Any, TypeVar

from edge_targets.runtime.events import QUIET, Job

T = TypeVar("T")
LOOK_S = 0.1  # how soon a cancelled job is seen


class Background:
    """Starts its thread on first use; the thread ends with the process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closing: list[Callable[[], Coroutine[Any, Any, None]]] = []

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                thread = threading.Thread(target=self._loop.run_forever, name="ssh", daemon=True)
                thread.start()
                atexit.register(self._end, thread)
            return self._loop

    def at_end(self, close: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Have `close` awaited before the process ends."""
        self._closing.append(close)

    def wait(
        self,
        work: Coroutine[Any, Any, T],
        job: Job = QUIET,
        what: str = "",
        look: Callable[[], object] = int,
    ) -> T:
        """The result of `work`; a cancelled job cancels it. `look` is called in the meantime."""
        future = asyncio.run_coroutine_threadsafe(work, self.loop)
        try:
            while True:
                try:
                    return future.result(LOOK_S)
                except NotYet:
                    if future.done():  # it is the work itself that timed out
                        raise
                if job.cancelled:
                    job.step(what)  # raises
                look()
        except CancelledError as error:
            raise ConnectionResetError("the connection was closed") from error
        finally:
            future.cancel()  # does nothing once it is done

    def _end(self, thread: threading.Thread) -> None:
        assert self._loop is not None
        for close in self._closing:
            try:
                asyncio.run_coroutine_threadsafe(close(), self._loop).result(2)
            except Exception:  # noqa: S112, BLE001 - the process is ending
                continue
        self._loop.call_soon_threadsafe(self._loop.stop)
        thread.join(2)
        if not thread.is_alive():
            self._loop.close()


BACKGROUND = Background()
