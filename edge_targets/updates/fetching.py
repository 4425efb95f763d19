"""Bytes from a repository, believed in nothing: bounded in size, rate and time.

`http.client` follows no redirects, knows no files and asks no proxy: none of them is needed to
fetch a static file, and each has been a way in.
"""

import hashlib
import http.client
import os
import shutil
import socket
import ssl
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol
from urllib.parse import quote, urlsplit

from edge_targets.runtime.durable import storing, sync_folder
from edge_targets.runtime.errors import DeviceError, IntegrityError, StorageError

CHUNK = 64 << 10  # bytes
SPARE = 16 << 20  # bytes of disk that a download leaves free
NO_CHECK_TIME = 0x200000  # X509_V_FLAG_NO_CHECK_TIME of OpenSSL


class MissingError(DeviceError):
    """There is no such file."""


@dataclass(frozen=True)
class Limits:
    """What a download may take.

    Attributes:
        bytes_per_s: at most; 0 is no limit.
        slowest_bytes_per_s: less than this over `patience_s` is no download but an attack.
        timeout_s: for one answer of the network.
        attempts: each goes on where the one before ended.
    """

    bytes_per_s: int = 0
    slowest_bytes_per_s: int = 500
    patience_s: float = 30.0
    timeout_s: float = 15.0
    attempts: int = 3


class Source(Protocol):
    """Where a repository's files come from."""

    @property
    def name(self) -> str: ...

    def read(self, path: str, offset: int = 0) -> tuple[int, Iterator[bytes]]:
        """Where the bytes begin (at `offset`, or at 0 when that cannot be), and the bytes."""
        ...


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
                f"{self.name} does not answer: {error or type(error).__name__}.",
                "Is the repository's address right, and can this device reach it?",
            ) from error

    @contextmanager
    def _watched(self, connection: http.client.HTTPConnection) -> Iterator[None]:
        """A server that dribbles its headers resets a socket's timeout, but not this one."""
        late = threading.Event()

        def end() -> None:
            late.set()
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


@dataclass(frozen=True)
class Folder:
    """A copy of a repository on a disk, such as a stick."""

    folder: Path

    @property
    def name(self) -> str:
        return str(self.folder)

    def read(self, path: str, offset: int = 0) -> tuple[int, Iterator[bytes]]:
        file = self.folder / path
        try:
            # not blocking: what is named like a file may be a pipe that nobody writes to
            handle = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError as error:
            raise MissingError(
                f"{self.name} has no {path}: {error.strerror}.", "Copy the whole repository."
            ) from error
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            os.close(handle)
            raise MissingError(f"{file} is no file.", "Copy the whole repository.")
        return offset, self._chunks(handle, offset)

    def _chunks(self, handle: int, offset: int) -> Iterator[bytes]:
        with os.fdopen(handle, "rb") as file:
            try:
                file.seek(offset)
                while chunk := file.read(CHUNK):
                    yield chunk
            except OSError as error:
                raise DeviceError(
                    f"{self.name} cannot be read: {error.strerror}.", "Is the stick still there?"
                ) from error


def read_bytes(source: Source, path: str, limit: int) -> bytes:
    """A small file whole.

    Raises:
        IntegrityError: it has more than `limit` bytes.
    """
    _, chunks = source.read(path)
    parts, size = [], 0
    for chunk in chunks:
        parts.append(chunk)
        size += len(chunk)
        if size > limit:
            raise endless(source, path, limit)
    return b"".join(parts)


def endless(source: Source, path: str, limit: int) -> IntegrityError:
    return IntegrityError(
        f"{source.name} sends more than {limit} bytes for {path}; it was cut off.",
        "Nothing of it is used. Is the repository's server still yours?",
    )


def download(source: Source, path: str, size: int, sha256: str, out: Path, attempts: int) -> int:
    """Get a file of known size and hash; what an interrupted download left is gone on with.

    Returns the bytes that were fetched.

    Raises:
        DeviceError: it did not come; what came stays, to be gone on with.
        IntegrityError: it is not what was signed; nothing of it stays.
        StorageError: no room.
    """
    with storing(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        room = shutil.disk_usage(out.parent).free
    there = out.stat().st_size if out.exists() else 0
    if size - there > room - SPARE:
        raise StorageError(
            f"{path} has {size} bytes; {out.parent} has {room} left.", "Free some space on it."
        )
    fetched = 0
    for attempt in range(attempts):
        there = out.stat().st_size if out.exists() else 0
        try:
            if there < size:
                fetched += _append(source, path, size, out, there)
        except MissingError:
            raise
        except DeviceError:
            if attempt == attempts - 1:
                raise
            continue
        if out.stat().st_size == size and _digest(out) == sha256:
            sync_folder(out.parent)
            return fetched
        short = out.stat().st_size < size
        if not short:
            out.unlink()
            # what was there before may be at fault: once more from the beginning
            if not there:
                raise IntegrityError(
                    f"{path} of {source.name} is not what was signed.",
                    "Nothing of it is used. Publish it again.",
                )
    raise DeviceError(f"{source.name} did not send all of {path}.", "It is tried again.")


def _append(source: Source, path: str, size: int, out: Path, there: int) -> int:
    start, chunks = source.read(path, there)
    fetched = 0
    with storing(out), out.open("r+b" if start else "wb") as file:
        file.seek(start)
        at = start
        for chunk in chunks:
            at += len(chunk)
            fetched += len(chunk)
            if at > size:
                file.truncate(0)
                raise endless(source, path, size)
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())
    return fetched


def _digest(file: Path) -> str:
    with storing(file), file.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
