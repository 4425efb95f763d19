"""Packages on their way in, piece by piece: an upload that was cut off goes on where it stopped.

A partial file is named by the SHA-256 that the whole shall have. There is one at a time, it is
forgotten after some hours, and nothing in it is believed before all of it is there and hashed.
"""

import hashlib
import os
import re
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edge_targets.agent.http1 import CONTINUE, Problem
from edge_targets.agent.limits import Limits
from edge_targets.package import MAX_FILE
from edge_targets.runtime.durable import storing
from edge_targets.runtime.errors import IntegrityError, StorageError

KEEP_S = 6 * 3600.0  # that a partial upload waits for its sender
SPARE = 64 << 20  # bytes of disk that an upload leaves to everything else,
SPARE_SHARE = 20  # or a twentieth of a smaller disk
PREFIX, SUFFIX = "upload-", ".part"
CHUNK = 256 << 10  # bytes
DIGEST = re.compile(r"[0-9a-f]{64}")


class Incoming:
    """The folder of uploads; one request at a time works in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lock = threading.Lock()

    def path(self, digest: str) -> Path:
        if not DIGEST.fullmatch(digest):
            raise Problem(400, "That is no SHA-256 in 64 small hexadecimal digits.")
        return self.folder / f"{PREFIX}{digest}{SUFFIX}"

    def size(self, digest: str) -> int:
        """Bytes that are here already."""
        path = self.path(digest)
        self.forget()
        try:
            return path.stat().st_size
        except FileNotFoundError:
            return 0

    def append(self, digest: str, offset: int, length: int, chunks: Iterator[bytes]) -> int:
        """Put `chunks` behind the first `offset` bytes; the size afterwards.

        What arrived stays when the sender is lost on the way.
        """
        path = self.path(digest)
        with self.alone():
            here = self.size(digest)
            if offset not in (here, 0):
                raise Problem(409, f"{here} bytes are here, not {offset}.", "Go on from there.")
            if offset + length > MAX_FILE:
                raise Problem(413, f"A package has at most {MAX_FILE} bytes.")
            with storing(self.folder):
                self.folder.mkdir(exist_ok=True)
                disk = shutil.disk_usage(self.folder)
            spare = min(SPARE, disk.total // SPARE_SHARE)
            if disk.free < length + spare:
                raise StorageError(
                    f"No space left for this: {disk.free >> 10} KiB of the disk are free; "
                    f"{length >> 10} KiB would come, and {spare >> 10} KiB must stay free.",
                    "The disk is full: free some space on the device, then try again.",
                )
            self.forget(but=path)
            with storing(path):
                begin = os.O_APPEND if offset else os.O_TRUNC  # from 0: the sender begins anew
                handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | begin, 0o600)
            try:
                for chunk in chunks:
                    write(handle, chunk, path)
            finally:
                os.close(handle)
            return offset + length

    @contextmanager
    def whole(self, digest: str) -> Iterator[Path]:
        """The finished file, gone after the block.

        Raises:
            IntegrityError: what arrived is something else; it is gone too.
        """
        path = self.path(digest)
        with self.alone():
            try:
                with path.open("rb") as file:
                    found = hashlib.file_digest(file, "sha256").hexdigest()
            except FileNotFoundError as error:
                raise Problem(404, "That package was not uploaded.", "Upload it first.") from error
            try:
                if found != digest:
                    raise IntegrityError(
                        "The upload is damaged: its SHA-256 is another one.", "Upload it again."
                    )
                yield path
            finally:
                path.unlink(missing_ok=True)

    @contextmanager
    def alone(self) -> Iterator[None]:
        if not self.lock.acquire(blocking=False):
            raise Problem(503, "Another upload is under way.", "Try again when it is done.")
        try:
            yield
        finally:
            self.lock.release()

    def forget(self, but: Path | None = None) -> None:
        """Delete what nobody went on with; with `but`, everything except that."""
        oldest = time.time() - KEEP_S
        for path in self.folder.glob(f"{PREFIX}*{SUFFIX}"):
            try:
                if path != but and (but or path.stat().st_mtime < oldest):
                    path.unlink()
            except FileNotFoundError:
                continue


def write(handle: int, chunk: bytes, path: Path) -> None:
    """All of a chunk: a write may take a part only."""
    view = memoryview(chunk)
    with storing(path):
        while view:
            view = view[os.write(handle, view) :]


class LostError(Exception):
    """The sender of an upload is gone, or as good as gone."""


class Upload:
    """A body that a thread reads from the socket, which waits there."""

    def __init__(
        self, link: socket.socket, begun: bytes, length: int, waits: bool, limits: Limits
    ) -> None:
        self.link = link
        self.begun = begun
        self.length = length
        self.left = length
        self.waits = waits
        self.limits = limits

    def chunks(self) -> Iterator[bytes]:
        """All of it.

        Raises:
            LostError: the sender hung up, or was too slow.
        """
        deadline = time.monotonic() + self.limits.upload_s
        chunk = self.begun
        while self.left:
            if not chunk:
                chunk = self.receive(deadline - time.monotonic())
            self.left -= len(chunk)
            yield chunk
            chunk = b""

    def receive(self, left_s: float) -> bytes:
        if left_s <= 0:
            raise LostError("the upload took too long")
        try:
            self.link.settimeout(min(left_s, self.limits.body_s))
            if self.waits:
                self.waits = False
                self.link.sendall(CONTINUE)
            chunk = self.link.recv(min(CHUNK, self.left))
        except OSError as error:
            raise LostError(str(error)) from error
        if not chunk:
            raise LostError("the sender hung up")
        return chunk
