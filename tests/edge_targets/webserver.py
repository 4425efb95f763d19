"""A real web server of a folder, with ranges, that can be told to misbehave."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

Misbehave = Callable[[BaseHTTPRequestHandler, bytes], None]


@dataclass
class FileServer:
    """Serves `folder`; what is in `tricks` answers for the paths that end so."""

    folder: Path
    tricks: dict[str, Misbehave] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)  # path, range
    sent: int = 0
    server: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        assert self.server
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def asked_for(self, ending: str) -> int:
        return sum(path.endswith(ending) for path, _ in self.asked)


@contextmanager
def serving(folder: Path) -> Iterator[FileServer]:
    mine = FileServer(folder)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            with suppress(OSError):  # the client had enough
                self.answer()

        def answer(self) -> None:
            wanted = self.headers.get("Range", "")
            mine.asked.append((self.path, wanted))
            file = mine.folder / self.path.lstrip("/")
            data = file.read_bytes() if file.is_file() else None
            for ending, trick in mine.tricks.items():
                if self.path.endswith(ending):
                    self.close_connection = True
                    trick(self, data or b"")
                    return
            if data is None:
                self.send_error(404)
                return
            start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
            self.send_response(206 if wanted else 200)
            if wanted:
                self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
            self.send_header("Content-Length", str(len(data) - start))
            self.end_headers()
            self.wfile.write(data[start:])
            mine.sent += len(data) - start

        def log_message(self, *words: object) -> None:
            pass

    mine.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    mine.server.daemon_threads = True
    thread = threading.Thread(target=mine.server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield mine
    finally:
        mine.server.shutdown()
        mine.server.server_close()
        thread.join()


def begin(handler: BaseHTTPRequestHandler, length: int | None = None) -> None:
    handler.send_response(200)
    if length is not None:
        handler.send_header("Content-Length", str(length))
    handler.end_headers()


def endless(handler: BaseHTTPRequestHandler, data: bytes) -> None:
    """What was asked for, and then more of it, for ever."""
    begin(handler)
    handler.wfile.write(data)
    while True:
        handler.wfile.write(bytes(1 << 16))


def dribbling(handler: BaseHTTPRequestHandler, data: bytes) -> None:
    """A byte now and then, so that no timeout of a socket is ever reached."""
    begin(handler, len(data))
    for byte in data:
        handler.wfile.write(bytes([byte]))
        handler.wfile.flush()
        time.sleep(0.02)


def dribbling_headers(handler: BaseHTTPRequestHandler, data: bytes) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX: ")
    while True:
        handler.wfile.write(b"x")
        handler.wfile.flush()
        time.sleep(0.02)


def breaking_off(after: int) -> Misbehave:
    """Sends so many bytes of the file and hangs up, whatever the range."""

    def trick(handler: BaseHTTPRequestHandler, data: bytes) -> None:
        wanted = handler.headers.get("Range", "")
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        handler.send_response(206 if wanted else 200)
        if wanted:
            handler.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        handler.send_header("Content-Length", str(len(data) - start))
        handler.end_headers()
        handler.wfile.write(data[start : start + after])

    return trick


def other(content: bytes) -> Misbehave:
    """Something else than the file."""

    def trick(handler: BaseHTTPRequestHandler, data: bytes) -> None:
        begin(handler, len(content))
        handler.wfile.write(content)

    return trick


def redirecting(handler: BaseHTTPRequestHandler, data: bytes) -> None:
    handler.send_response(302)
    handler.send_header("Location", handler.path)  # a loop
    handler.send_header("Content-Length", "0")
    handler.end_headers()
