"""One client: bytes in, requests out, answers back, in their order.

All methods belong to the server's thread. While a slow request is at work nothing more is read,
so that a client that sends without listening fills its own buffers, not ours.
"""

import logging
import socket
import time
from contextlib import suppress
from enum import Enum, auto
from selectors import EVENT_READ, EVENT_WRITE
from typing import TYPE_CHECKING, Any

from edge_targets.agent.http1 import CONTINUE, END, Answer, Head, Problem, overlong, parse_head
from edge_targets.agent.http1 import problem_answer as answer_of
from edge_targets.agent.incoming import LostError, Upload
from edge_targets.agent.routes import Action, route
from edge_targets.agent.service import problem_of

if TYPE_CHECKING:
    from edge_targets.agent.server import Server

log = logging.getLogger(__name__)

MOST_DRAINED = 16 << 20  # bytes
CHUNK = 256 << 10  # bytes
SMALL = 64 << 10  # bytes: bodies up to that are taken whatever else is in memory


class State(Enum):
    """What a connection waits for."""

    SHAKE = auto()  # TLS begins
    HEAD = auto()  # between requests, or inside of a head
    BODY = auto()
    WORK = auto()  # a request is being answered
    WRITE = auto()  # an answer is taken slowly
    DRAIN = auto()  # the last answer is out; what still comes is thrown away
    END = auto()


class Connection:
    """A client's socket and how far its request is."""

    def __init__(self, server: "Server", link: socket.socket, over_tcp: bool, tls: bool) -> None:
        self.server = server
        self.limits = server.limits
        self.link = link
        self.over_tcp = over_tcp
        self.tls = tls
        self.state = State.SHAKE if tls else State.HEAD
        self.since = time.monotonic()
        self.deadline = self.since + self.limits.head_s
        self.proven = False  # whether anything came that we may answer
        self.events = 0  # that the selector waits for
        self.buffer = b""
        self.head: Head | None = None
        self.action: Action | None = None
        self.body = bytearray()
        self.filled = 0
        self.reserved = 0
        self.out: memoryview = memoryview(b"")
        self.closes = False
        self.watch(EVENT_READ)

    def watch(self, events: int) -> None:
        if events == self.events:
            return
        selector = self.server.selector
        if not events:
            selector.unregister(self.link)
        elif self.events:
            selector.modify(self.link, events, self.ready)
        else:
            selector.register(self.link, events, self.ready)
        self.events = events

    # ---- what the selector says

    def ready(self, events: int) -> None:
        try:
            if self.state is State.SHAKE:
                self.shake()
            elif self.state is State.WRITE:
                self.write()
            else:
                self.read()
        except OSError as error:
            log.debug("a connection ended: %s", error)
            self.end()

    def shake(self) -> None:
        import ssl

        assert isinstance(self.link, ssl.SSLSocket)
        try:
            self.link.do_handshake()
        except ssl.SSLWantReadError:
            self.watch(EVENT_READ)
        except ssl.SSLWantWriteError:
            self.watch(EVENT_WRITE)
        else:
            self.state = State.HEAD
            self.watch(EVENT_READ)
            self.read()

    def read(self) -> None:
        """Take what has arrived; TLS may hold some back that the selector knows nothing of."""
        while self.state in (State.HEAD, State.BODY, State.DRAIN):
            try:
                if self.state is State.BODY:
                    count = self.link.recv_into(memoryview(self.body)[self.filled :])
                    self.filled += count
                else:
                    data = self.link.recv(SMALL if self.state is State.HEAD else CHUNK)
                    count = len(data)
                    self.take(data)
            except self.server.blocked:
                return
            if not count:
                self.end()
                return
            self.advance()
            if not self.tls:
                return
        if self.state is State.WORK:
            self.watch(0)  # until the answer is out

    def take(self, data: bytes) -> None:
        if self.state is State.HEAD:
            self.buffer = self.buffer + data if self.buffer else data
            return
        self.filled += len(data)
        if self.filled > MOST_DRAINED:
            raise ConnectionAbortedError("it never stops")

    # ---- requests

    def advance(self) -> None:
        """Go on as far as what has arrived allows."""
        while True:
            try:
                if self.state is State.HEAD and self.buffer:
                    if not self.begin():
                        return
                elif self.state is State.BODY and self.filled == len(self.body):
                    body, self.body = self.body, bytearray()
                    self.work(body)
                else:
                    return
            except Exception as error:  # noqa: BLE001 - a client gets an answer whatever happens
                self.refuse(error)

    def begin(self) -> bool:
        """Read a head, when it is whole; then decide what comes of it."""
        self.head = self.action = None
        while self.buffer.startswith(b"\r\n"):  # some clients end a body with an empty line
            self.buffer = self.buffer[2:]
        end = self.buffer.find(END)
        if end < 0:
            overlong(self.buffer)
            return False
        overlong(self.buffer[:end])
        head = parse_head(self.buffer[:end])
        self.buffer = self.buffer[end + len(END) :]
        self.head = head
        self.server.access.check(head, self.over_tcp)
        self.proven = True
        action, length = route(head)
        self.action = action
        # a body that this route does not take must not be read as the next request
        self.closes = bool(head.length) and not action.takes
        if action.kind == "upload":
            self.upload(action, length)
            return False
        if length <= len(self.buffer):
            body = self.buffer[:length]
            self.buffer = self.buffer[length:]
            self.work(body)
            return True
        if length > SMALL:
            self.reserve(length)
        self.body = bytearray(length)
        self.filled = len(self.buffer)
        self.body[: self.filled] = self.buffer
        self.buffer = b""
        self.state, self.deadline = State.BODY, self.server.now + self.limits.body_s
        if head.waits:
            self.send(CONTINUE)
        return True

    def work(self, body: bytes | bytearray) -> None:
        assert self.head is not None
        assert self.action is not None
        head, action = self.head, self.action
        self.state, self.deadline = State.WORK, float("inf")
        service = self.server.service
        if action.kind == "infer":
            action.handle(service, action.words, head, body, self.done)
        elif action.kind == "quick":
            self.reply(action.handle(service, action.words, body))
        else:
            self.server.slowly(lambda: action.handle(service, action.words, body), self.done)

    def upload(self, action: Action, length: int) -> None:
        """Hand the socket to a thread, which reads the body at the pace of its sender."""
        assert self.head is not None
        begun, self.buffer = self.buffer[:length], self.buffer[length:]
        upload = Upload(self.link, begun, length, self.head.waits, self.limits)
        service = self.server.service

        def work() -> Any:
            try:
                return action.handle(service, action.words, upload)
            finally:
                with suppress(OSError):
                    self.link.setblocking(False)

        def then(result: Any) -> None:
            if upload.left:
                self.closes = True
            self.done(result)

        self.server.slowly(work, then)
        self.state, self.deadline = State.WORK, float("inf")
        self.watch(0)

    def done(self, result: Any) -> None:
        """The answer to the request at work, or why there is none."""
        if self.state is not State.WORK:
            return
        if isinstance(result, LostError):
            self.end()
        elif isinstance(result, BaseException):
            self.refuse(result)
        else:
            self.reply(result)
        self.advance()
        if self.tls and self.state in (State.HEAD, State.BODY):
            self.ready(EVENT_READ)

    # ---- answers

    def refuse(self, error: BaseException) -> None:
        problem = problem_of(error)
        if problem.status == 500:
            log.error("%r", self.head, exc_info=error)
        # what follows a body that was not read, or a head that was not understood, is no request
        if self.state is not State.WORK:
            self.closes = True
        self.reply(answer_of(problem))

    def reply(self, answer: Answer) -> None:
        if self.head is None or not self.head.keeps or self.server.stopped.is_set():
            self.closes = True
        data = answer.encode(self.closes)
        sent = self.send(data)
        if sent == len(data):
            self.sent()
        if sent == len(data) or self.state is State.END:
            return
        self.out = memoryview(data)[sent:]
        self.server.in_flight += len(self.out)
        self.reserved += len(self.out)
        self.state, self.deadline = State.WRITE, self.server.now + self.limits.write_s
        self.watch(EVENT_WRITE)

    def send(self, data: bytes | memoryview) -> int:
        """As much as the system takes now; who is gone is let go."""
        try:
            return self.link.send(data)
        except self.server.blocked:
            return 0
        except OSError as error:
            log.debug("a connection ended: %s", error)
            self.end()
            return 0

    def write(self) -> None:
        self.out = self.out[self.send(self.out) :]
        if not self.out and self.state is State.WRITE:
            self.sent()
            self.advance()

    def sent(self) -> None:
        """The answer is out: the next request, or the end."""
        self.release()
        if self.closes:
            self.drain()
            return
        self.state, self.deadline = State.HEAD, self.server.now + self.limits.head_s
        self.watch(EVENT_READ)

    def drain(self) -> None:
        """Take a little of what still comes: a close at once could destroy our answer."""
        self.state, self.deadline = State.DRAIN, self.server.now + self.limits.drain_s
        self.filled, self.buffer = 0, b""
        self.watch(EVENT_READ)
        try:
            self.link.shutdown(socket.SHUT_WR)
        except OSError:  # the other side was quicker
            self.end()

    # ---- bounds

    def reserve(self, size: int) -> None:
        self.server.reserve(size)
        self.reserved += size

    def release(self) -> None:
        self.server.in_flight -= self.reserved
        self.reserved = 0
        self.out = memoryview(b"")

    def expire(self) -> None:
        """Its time is over: who dribbles is cut off like who is silent."""
        if self.state is State.BODY or (self.state is State.HEAD and self.buffer):
            self.head, self.body = None, bytearray()
            self.refuse(Problem(408, "The request took too long."))
        else:
            self.end()

    def end(self) -> None:
        if self.state is State.END:
            return
        self.watch(0)
        self.state = State.END
        self.release()
        self.buffer, self.body = b"", bytearray()
        self.link.close()
        self.server.connections.discard(self)
