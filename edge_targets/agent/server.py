"""The agent's HTTP: one thread for all clients, bounded in bytes, time and connections.

Requests are read, answered and written by one thread that waits for all sockets at once
(`selectors`): on a board with four slow cores a thread for each client would spend more time on
changing hands than on answers. What takes long (an installation, a benchmark, an upload, a slow
model) has a thread of its own, so that serving never stops.
"""

import errno
import logging
import selectors
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from edge_targets.agent.access import Access, Listening, listen_tcp, listen_unix
from edge_targets.agent.batching import Batching
from edge_targets.agent.connection import Connection, State
from edge_targets.agent.http1 import Answer, Problem
from edge_targets.agent.limits import Limits
from edge_targets.agent.service import Service

log = logging.getLogger(__name__)

MOST_ACCEPTED = 32  # at once: those who are here already want answers too
MOST_SLOW = 8  # slow requests at work
SWEEP_S = 0.5  # between two looks at deadlines
SWITCH_S = 5e-4  # an installation in another thread keeps the interpreter so long, not 5 ms
GRACE_S = 5.0  # for requests at work when the agent ends
BUSY = b"HTTP/1.1 503 Busy\r\nContent-Length: 23\r\nConnection: close\r\n\r\n" + (
    b'{"error": "I am busy."}'
)


class Server:
    """Listens for one agent. `stopped` is set when a client asks the agent to end.

    Raises:
        DeviceError: it cannot listen there, or must not.
    """

    def __init__(
        self,
        agent: Any,
        listening: Listening = Listening(),  # noqa: B008 - frozen
        batching: Batching = Batching(),  # noqa: B008 - frozen
        limits: Limits = Limits(),  # noqa: B008 - frozen
    ) -> None:
        listening.check()
        self.listening = listening
        self.limits = limits
        self.access = Access(listening)
        self.stopped = threading.Event()
        self.tls = listening.tls()
        self.blocked: tuple[type[OSError], ...] = (BlockingIOError, InterruptedError)
        if self.tls:
            import ssl

            self.blocked = (*self.blocked, ssl.SSLWantReadError, ssl.SSLWantWriteError)
        self.service = Service(agent, self.stopped, self.aside, batching)
        self.batcher = self.service.batcher
        self.connections: set[Connection] = set()
        self.in_flight = 0
        self.slow = 0
        self.now = time.monotonic()
        self.swept = self.now
        self.ending = False
        self.posted: deque[Callable[[], None]] = deque()
        self.thread = threading.Thread(target=self.run, name="serving", daemon=True)
        self.listeners = [listen_tcp(listening)]
        try:
            if listening.socket:
                self.listeners.append(listen_unix(Path(listening.socket)))
            self.waker, self.woken = socket.socketpair()
        except BaseException:
            for listener in self.listeners:
                listener.close()
            raise
        self.waker.setblocking(False)
        self.woken.setblocking(False)
        self.address: tuple[Any, ...] = self.listeners[0].getsockname()
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.woken, selectors.EVENT_READ, self.wake_up)
        self.listen()

    @property
    def url(self) -> str:
        host, port = str(self.address[0]), self.address[1]
        return f"{self.access.scheme}://{f'[{host}]' if ':' in host else host}:{port}"

    def start(self) -> None:
        sys.setswitchinterval(SWITCH_S)
        self.thread.start()

    def close(self) -> None:
        """Take no more connections, finish the requests at work, and end."""
        self.post(self.wind_up)
        if self.thread.is_alive():
            self.thread.join(GRACE_S + 2)
        else:
            self.run()

    # ---- the loop

    def run(self) -> None:
        while not (self.ending and self.is_done()):
            events = self.selector.select(self.pause_s())
            self.now = time.monotonic()
            for key, mask in events:
                self.guard(key.data, mask)
            while self.posted:
                self.guard(self.posted.popleft())
            self.batcher.flush()
            if self.now - self.swept > SWEEP_S:
                self.sweep()
        for connection in list(self.connections):
            connection.end()
        self.selector.close()
        self.waker.close()
        self.woken.close()

    def pause_s(self) -> float | None:
        due = self.batcher.due_s()
        if due is not None:
            return due
        return SWEEP_S if self.connections or self.ending or len(self.paused) else None

    def guard(self, call: Callable[..., None], *words: Any) -> None:
        """One client's bad luck, even by our fault, must not end the others."""
        try:
            call(*words)
        except Exception:
            log.exception("a connection failed")
            if isinstance(owner := getattr(call, "__self__", None), Connection):
                owner.end()

    def sweep(self) -> None:
        self.swept = self.now
        for connection in [each for each in self.connections if each.deadline < self.now]:
            self.guard(connection.expire)
        self.listen()

    def is_done(self) -> bool:
        at_work = any(each.state in (State.WORK, State.WRITE) for each in self.connections)
        return not at_work or self.now > self.ends

    def wind_up(self) -> None:
        self.ending, self.ends = True, time.monotonic() + GRACE_S
        for listener in self.listeners:
            with suppress(KeyError):
                self.selector.unregister(listener)
            listener.close()
        if self.listening.socket:
            Path(self.listening.socket).unlink(missing_ok=True)

    # ---- other threads

    def post(self, call: Callable[[], None]) -> None:
        """Have the server's thread call something soon."""
        self.posted.append(call)
        with suppress(OSError):  # full: it will wake up anyway
            self.waker.send(b"\0")

    def wake_up(self, mask: int) -> None:
        with suppress(BlockingIOError):
            self.woken.recv(4096)

    def aside(self, work: Callable[[], Any], then: Callable[[Any], None]) -> bool:
        """Run `work` on another thread, and `then` with its result or exception on ours."""

        def run() -> None:
            try:
                result = work()
            except BaseException as error:  # noqa: BLE001 - `then` gets it
                result = error
            self.post(lambda: then(result))

        try:
            threading.Thread(target=run, daemon=True).start()
        except RuntimeError:  # the system has no thread for us
            return False
        return True

    def slowly(self, work: Callable[[], Answer], then: Callable[[Any], None]) -> None:
        """`aside`, for requests that may take long; there are only so many at once."""

        def after(result: Any) -> None:
            self.slow -= 1
            then(result)

        if self.slow >= MOST_SLOW:
            raise Problem(503, "Too much is being done at once.", "Try again in a moment.")
        self.slow += 1
        if not self.aside(work, after):
            self.slow -= 1
            raise Problem(503, "No thread is free for this.", "Try again in a moment.")

    # ---- bounds

    def reserve(self, size: int) -> None:
        if self.in_flight + size > self.limits.in_flight:
            raise Problem(503, "Too many large requests at once.", "Try again in a moment.")
        self.in_flight += size

    # ---- new connections

    def listen(self) -> None:
        self.paused: list[socket.socket] = []
        if self.ending:
            return
        for listener in self.listeners:
            with suppress(KeyError):  # it is there already
                self.selector.register(
                    listener, selectors.EVENT_READ, lambda mask, it=listener: self.accept(it)
                )

    def accept(self, listener: socket.socket) -> None:
        for _ in range(MOST_ACCEPTED):
            try:
                link, _ = listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                    log.warning("no connection can be taken now: %s", error)
                    self.selector.unregister(listener)  # until the next sweep
                    self.paused.append(listener)
                    return
                continue
            self.welcome(link, listener.family != socket.AF_UNIX)

    def make_room(self) -> bool:
        """Part with the oldest of those who hold a place and ask for nothing."""
        silent = [each for each in self.connections if not each.proven]
        oldest = min(silent, key=lambda each: each.since, default=None)
        if oldest is None or oldest.since + self.limits.prove_s > self.now:
            return False
        oldest.end()
        return True

    def welcome(self, link: socket.socket, over_tcp: bool) -> None:
        link.setblocking(False)
        if len(self.connections) >= self.limits.connections and not self.make_room():
            with suppress(OSError):
                link.send(BUSY)
                link.shutdown(socket.SHUT_WR)
            link.close()
            return
        try:
            if over_tcp:
                link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if self.tls:
                    link = self.tls.wrap_socket(
                        link, server_side=True, do_handshake_on_connect=False
                    )
            self.connections.add(
                Connection(self, link, over_tcp, over_tcp and self.tls is not None)
            )
        except OSError:
            link.close()
