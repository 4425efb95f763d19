"""The agent's HTTP: bounded in bytes, time and connections, whoever is on the other side."""

import io
import ipaddress
import json
import logging
import socket
import socketserver
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from edge_targets.agent.agent import Agent
from edge_targets.agent.routes import Call, Problem, answer_to, problem_of
from edge_targets.runtime.durable import storing

log = logging.getLogger(__name__)

MAX_CONNECTIONS = 32  # a thread each
MAX_IN_FLIGHT = 32 << 20  # bytes of bodies in memory, of all requests together
HEAD_S = 30.0  # for a request line and headers to arrive; also how long a connection may idle
BODY_S = 60.0  # for a body that is read into memory
UPLOAD_S = 900.0  # for a package: 512 MiB over slow wireless
WRITE_S = 30.0  # for an answer to be taken
CHUNK = 256 << 10  # bytes
BUSY = b"HTTP/1.1 503 Busy\r\nContent-Length: 23\r\nConnection: close\r\n\r\n" + (
    b'{"error": "I am busy."}'
)
JSON, BINARY = "application/json", "application/octet-stream"


class Timed(io.RawIOBase):
    """Reads a socket until a deadline: a sender that dribbles is cut off like a silent one."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.deadline = time.monotonic() + HEAD_S

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the request took too long")
        self.connection.settimeout(left)
        return self.connection.recv_into(buffer)


class Server(ThreadingHTTPServer):
    """Listens for one agent. `stopped` is set when a client asks the agent to end."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, agent: Agent, host: str, port: int) -> None:
        self.agent = agent
        self.stopped = threading.Event()
        self.free = threading.BoundedSemaphore(MAX_CONNECTIONS)
        self.in_flight = 0
        self.reserving = threading.Lock()
        self.names = {"localhost", host.lower()}
        with suppress(OSError):
            own = socket.gethostname().lower()
            self.names |= {own, f"{own}.local"}
        if ":" in host:
            self.address_family = socket.AF_INET6
        super().__init__((host, port), Handler)

    def server_bind(self) -> None:
        # not HTTPServer's, which looks our name up in DNS: that can take long on a device
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]

    @property
    def url(self) -> str:
        host, port = self.server_address[:2]
        host = str(host)
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    def process_request(self, request: Any, client_address: Any) -> None:
        if self.free.acquire(blocking=False):
            super().process_request(request, client_address)
            return
        with suppress(OSError):
            request.settimeout(1)
            request.sendall(BUSY)
        self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        log.debug("connection of %s ended: %s", client_address, sys.exc_info()[1])

    def reserve(self, size: int) -> None:
        with self.reserving:
            if self.in_flight + size > MAX_IN_FLIGHT:
                raise Problem(503, "Too many large requests at once.", "Try again in a moment.")
            self.in_flight += size

    def release(self, size: int) -> None:
        with self.reserving:
            self.in_flight -= size

    def knows(self, host: str) -> bool:
        """Whether a Host header means this device.

        A page of another site can make its own name point here (DNS rebinding), but then its
        name is in the header; an address in digits, or our own name, cannot be its.
        """
        try:
            name = urlsplit(f"//{host}").hostname or ""
            ipaddress.ip_address(name)
        except ValueError:
            return bool(host) and host.partition(":")[0].lower() in self.names
        return True


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    server: Server
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "Sanderling", ""
    disable_nagle_algorithm = True  # head and body are two writes

    def setup(self) -> None:
        super().setup()
        self.rfile.close()
        self.timed = Timed(self.connection)
        self.rfile = io.BufferedReader(self.timed)

    def handle_one_request(self) -> None:
        self.timed.deadline = time.monotonic() + HEAD_S
        super().handle_one_request()

    def do_GET(self) -> None:
        self.respond("GET")

    def do_POST(self) -> None:
        self.respond("POST")

    def respond(self, method: str) -> None:
        # a body that was not read to its end must not be taken for the next request
        self.unread = "content-length" in self.headers or "transfer-encoding" in self.headers
        try:
            self.check_sender()
            call = Call(method, self.path, self, self.server.agent, self.server.stopped)
            status, content = 200, answer_to(call)
            if content.get("ready") is False:
                status = 503
        except (TimeoutError, ConnectionError):
            raise
        except Exception as error:  # a client gets an answer whatever happens
            problem = problem_of(error)
            if problem.status == 500:
                log.exception("%s %s", method, self.path)
            status, content = problem.status, problem.to_json()
        self.reply(status, content)

    def check_sender(self) -> None:
        """Refuse what a page of another site can send through a visitor's browser."""
        hosts = self.headers.get_all("host", [])
        if len(hosts) != 1 or not self.server.knows(hosts[0].strip()):
            raise Problem(403, "The Host header does not name this device.", "Use its address.")
        for origin in self.headers.get_all("origin", []):
            if origin.lower() != f"http://{hosts[0].strip().lower()}":
                raise Problem(403, f"Pages of {origin[:80]} may not use this device.")

    def length(self, limit: int, content_type: str) -> int:
        """The size of the body that comes, checked; its type too."""
        given = (self.headers.get("content-type") or "").partition(";")[0].strip().lower()
        if given != content_type:
            raise Problem(415, f"The body must be {content_type}.")
        lengths = self.headers.get_all("content-length", [])
        if not lengths or "transfer-encoding" in self.headers:
            raise Problem(411, "Content-Length is missing.", "Send the body in one piece.")
        [text, *more] = lengths
        if more or not (text.isascii() and text.isdigit() and len(text) < 16):
            raise Problem(400, "Content-Length is not a number.")
        if int(text) > limit:
            raise Problem(413, f"The body has {text} bytes; {limit} are taken.")
        return int(text)

    @contextmanager
    def json_body(self, limit: int) -> Iterator[bytes]:
        """The whole body; its bytes count as in flight while the block runs."""
        size = self.length(limit, JSON)
        self.server.reserve(size)
        try:
            self.timed.deadline = time.monotonic() + BODY_S
            body = self.rfile.read(size)
            if len(body) < size:
                raise ConnectionAbortedError("the sender hung up")
            self.unread = False
            yield body
        finally:
            self.server.release(size)

    def copy_body(self, limit: int, path: Path, out: IO[bytes]) -> None:
        """The whole body, into the file `path`, open as `out` without a buffer."""
        left = self.length(limit, BINARY)
        self.timed.deadline = time.monotonic() + UPLOAD_S
        while left:
            chunk = self.rfile.read(min(CHUNK, left))
            if not chunk:
                raise ConnectionAbortedError("the sender hung up")
            view = memoryview(chunk)
            with storing(path):
                while view:  # a write without a buffer may take a part only
                    view = view[out.write(view) :]
            left -= len(chunk)
        self.unread = False

    def reply(self, status: int, content: dict[str, Any]) -> None:
        body = json.dumps(content, separators=(",", ":"), allow_nan=False).encode()
        self.connection.settimeout(WRITE_S)
        if self.unread or status in (403, 411) or self.server.stopped.is_set():
            self.close_connection = True
        self.send_response(status)
        self.send_header("Content-Type", JSON)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Content-Type-Options", "nosniff")
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)
        if self.unread:
            self.drain()

    def drain(self) -> None:
        """Take a little of what still comes: a close at once could destroy our answer."""
        self.timed.deadline = time.monotonic() + 1.0
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)
            for _ in range(64):
                if not self.rfile.read1(CHUNK):
                    break

    def send_error(
        self,
        code: int,
        message: str | None = None,
        explain: str | None = None,
    ) -> None:
        """What the base class refuses: a request line or headers that cannot be read."""
        self.unread = True
        self.close_connection = True
        self.request_version = "HTTP/1.1"  # what came had none; the answer needs a head
        self.reply(code, Problem(code, message or "The request cannot be read.").to_json())

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base's name
        log.debug("%s %s", self.client_address[0], format % args)
