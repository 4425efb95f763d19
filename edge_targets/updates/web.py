"""Bytes from a web server, bounded in rate and time.

`http.client` follows no redirects, knows no files and asks no proxy: none of them is needed to
fetch a static file, and each has been a way in.
"""

import http.client
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import quote, urlsplit

from edge_targets.runtime.errors import DeviceError
from edge_targets.runtime.exchange import what_failed
from edge_targets.updates.fetching import CHUNK, Limits, MissingError

NO_CHECK_TIME = 0x200000  # X509_V_FLAG_NO_CHECK_TIME of OpenSSL


@dataclass(frozen=True)
class Web:
    """A web server; with `checks_time` false, certificates out of their time are taken too."""

    name: str
    limits: Limits = field(default_factory=Limits)
    checks_time: bool = True

    def read(self, path: str, offset: int = 0) -> tuple[int, Iterator[bytes]]:
        parts = urlsplit(self.name)
        connection = self._connection(parts.scheme, parts.hostname or "", parts.port)
        try:
            with self._explained(), self._watched(connection):
                connection.connect()
                connection.putrequest("GET", f"{parts.path.rstrip('/')}/{quote(path)}")
                connection.putheader("Connection", "close")
                if offset:
                    connection.putheader("Range", f"bytes={offset}-")
                connection.endheaders()
                answer = connection.getresponse()
            start = self._start(path, answer, offset)
        except BaseException:
            connection.close()
            raise
        return start, self._chunks(connection, answer)

    def _connection(self, scheme: str, host: str, port: int | None) -> http.client.HTTPConnection:
        if scheme == "http":
            return http.client.HTTPConnection(host, port, timeout=self.limits.timeout_s)
        context = ssl.create_default_context()
        if not self.checks_time:  # the files are signed: TLS only keeps them private
            context.verify_flags |= NO_CHECK_TIME
        return http.client.HTTPSConnection(
            host, port, timeout=self.limits.timeout_s, context=context
        )

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise DeviceError(
                f"{self.name} does not answer: {what_failed(error)}.",
                "Is the repository's address right, and can this device reach it?",
            ) from error

    @contextmanager
    def _watched(self, connection: http.client.HTTPConnection) -> Iterator[None]:
        """A server that dribbles its headers resets a socket's timeout, but not this one."""
        late = threading.Event()

        def end() -> None:
            late.set()
            with suppress(OSError):
                if connection.sock:
                    connection.sock.shutdown(socket.SHUT_RDWR)

        timer = threading.Timer(self.limits.patience_s, end)
        timer.daemon = True
        timer.start()
        try:
            yield
            if late.is_set():  # the end of a connection looks like the end of the headers
                raise TimeoutError(f"no answer within {self.limits.patience_s:g} s")
        finally:
            timer.cancel()

    def _start(self, path: str, answer: http.client.HTTPResponse, offset: int) -> int:
        if answer.status == http.client.OK:
            return 0
        if answer.status == http.client.PARTIAL_CONTENT:
            said = (answer.getheader("Content-Range") or "").removeprefix("bytes ")
            if said.partition("-")[0] == str(offset):
                return offset
            raise DeviceError(f"{self.name} sent another part of {path} than asked for.")
        if answer.status in (http.client.NOT_FOUND, http.client.FORBIDDEN, http.client.GONE):
            raise MissingError(
                f"{self.name} has no {path}.", "Is it the address of a repository's folder?"
            )
        if 300 <= answer.status < 400:
            raise DeviceError(
                f"{self.name} sends elsewhere for {path}; that is not followed.",
                "Give the address that the files really lie at.",
            )
        raise DeviceError(f"{self.name} answered {answer.status} for {path}.", "Try again later.")

    def _chunks(
        self, connection: http.client.HTTPConnection, answer: http.client.HTTPResponse
    ) -> Iterator[bytes]:
        pace = Pace(self.name, self.limits)
        try:
            while True:
                with self._explained():
                    chunk = answer.read1(pace.chunk)
                if not chunk:
                    break
                yield chunk
                pace.took(len(chunk))
            if answer.length:
                raise DeviceError(f"{self.name} broke off.", "It is tried again.")
        finally:
            connection.close()


class Pace:
    """Keeps a download below its limit, and ends one that is kept waiting."""

    def __init__(self, name: str, limits: Limits) -> None:
        self.name = name
        self.limits = limits
        self.began = self.window = time.monotonic()
        self.bytes = self.in_window = 0
        limit = limits.bytes_per_s
        self.chunk = max(1, min(CHUNK, limit // 4)) if limit else CHUNK
        self.slowest = min(limits.slowest_bytes_per_s, limit / 2 if limit else 1e12)

    def took(self, size: int) -> None:
        """Count what came; sleep when that was too fast.

        Raises:
            DeviceError: too little came for too long.
        """
        self.bytes += size
        self.in_window += size
        now = time.monotonic()
        if now - self.window >= self.limits.patience_s:
            if self.in_window < self.slowest * (now - self.window):
                raise DeviceError(
                    f"{self.name} sends less than {self.slowest:.0f} bytes a second.",
                    "It is tried again; is the network, or the server, very slow?",
                )
            self.window, self.in_window = now, 0
        if self.limits.bytes_per_s:
            ahead = self.bytes / self.limits.bytes_per_s - (now - self.began)
            if ahead > 0:
                time.sleep(ahead)
