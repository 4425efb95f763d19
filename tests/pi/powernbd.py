"""A disk with a volatile write cache, served to qemu over NBD.

What the guest wrote is on the medium only once it was flushed, or written with FUA; a power cut
leaves any part of the rest there, sector by sector, in no order: what SD cards and SSDs promise,
and no more. Protocol: https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md
"""

import os
import random
import socket
import struct
import threading
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Self

SECTOR = 512  # bytes that are written whole or not at all
OPTION_MAGIC, REPLY_MAGIC, REQUEST_MAGIC = 0x49484156454F5054, 0x3E889045565A9, 0x25609513
SIMPLE_REPLY_MAGIC = 0x67446698
FIXED_NEWSTYLE, NO_ZEROES = 1, 2
HAS_FLAGS, SEND_FLUSH, SEND_FUA = 1, 4, 8
EXPORT_NAME, ABORT, INFO, GO = 1, 2, 6, 7
ACK, INFO_EXPORT, UNSUPPORTED = 1, 3, (1 << 31) + 1
READ, WRITE, DISCONNECT, FLUSH = 0, 1, 2, 3
FUA = 1
LARGEST = 64 << 20  # bytes of one request: twice what qemu sends


class VolatileDisk:
    """An image file behind a write cache. `cut` and the operations may come from any thread."""

    def __init__(self, image: Path) -> None:
        self.handle = os.open(image, os.O_RDWR)
        self.size = os.fstat(self.handle).st_size
        self.cache: dict[int, bytes] = {}  # by sector, of what the medium has not yet
        self.flushes = 0
        self.powered = True
        self.lock = threading.Lock()

    def read(self, offset: int, length: int) -> bytes:
        found = bytearray(os.pread(self.handle, length, offset))
        first = offset // SECTOR
        if self.cache:
            for index in range(length // SECTOR):
                cached = self.cache.get(first + index)
                if cached is not None:
                    found[index * SECTOR : (index + 1) * SECTOR] = cached
        return bytes(found)

    def write(self, offset: int, data: bytes, lasting: bool = False) -> None:
        first = offset // SECTOR
        for index in range(len(data) // SECTOR):
            self.cache[first + index] = data[index * SECTOR : (index + 1) * SECTOR]
        if lasting:
            self._keep(range(first, first + len(data) // SECTOR))

    def flush(self) -> None:
        self.flushes += 1
        self._keep(list(self.cache))

    def _keep(self, sectors: Iterable[int]) -> None:
        for sector in sectors:
            os.pwrite(self.handle, self.cache.pop(sector), sector * SECTOR)

    def cut(self, chance: random.Random) -> int:
        """The power fails: a random share of the cache reached the medium. How many did not."""
        with self.lock:
            self.powered = False
            share = chance.random()
            self._keep([sector for sector in list(self.cache) if chance.random() < share])
            lost = len(self.cache)
            self.cache.clear()
            return lost

    def close(self) -> None:
        os.close(self.handle)


class DiskServer:
    """Serves one disk on a Unix socket until it is closed."""

    def __init__(self, disk: VolatileDisk, path: Path) -> None:
        self.disk = disk
        self.path = path
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen()
        self.thread = threading.Thread(target=self._serve, name="disk", daemon=True)

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)  # wakes whoever waits for a connection
        self.listener.close()
        self.thread.join(10)
        self.path.unlink(missing_ok=True)
        self.disk.close()

    @property
    def url(self) -> str:
        return f"nbd+unix:///?socket={self.path}"

    def _serve(self) -> None:
        with suppress(OSError, EOFError):
            connection, _ = self.listener.accept()
            with connection:
                if self._agree(connection):
                    while self._answer(connection):
                        pass

    def _agree(self, connection: socket.socket) -> bool:
        """Handshake; False when the client only wanted to know."""
        connection.sendall(
            b"NBDMAGIC" + struct.pack(">QH", OPTION_MAGIC, FIXED_NEWSTYLE | NO_ZEROES)
        )
        take(connection, 4)
        flags = HAS_FLAGS | SEND_FLUSH | SEND_FUA
        export = struct.pack(">QH", self.disk.size, flags)
        while True:
            _, option, length = struct.unpack(">QII", take(connection, 16))
            take(connection, length)

            def reply(kind: int, data: bytes = b"", option: int = option) -> None:
                head = struct.pack(">QIII", REPLY_MAGIC, option, kind, len(data))
                connection.sendall(head + data)

            if option == EXPORT_NAME:
                connection.sendall(export)
                return True
            if option in (INFO, GO):
                reply(INFO_EXPORT, struct.pack(">H", 0) + export)
                reply(ACK)
                if option == GO:
                    return True
            elif option == ABORT:
                reply(ACK)
                return False
            else:
                reply(UNSUPPORTED)

    def _answer(self, connection: socket.socket) -> bool:
        """One request; False when it was the last."""
        magic, flags, kind, handle, offset, length = struct.unpack(">IHHQQI", take(connection, 28))
        if magic != REQUEST_MAGIC or kind == DISCONNECT or length > LARGEST:
            return False
        data = take(connection, length) if kind == WRITE else b""
        with self.disk.lock:
            if not self.disk.powered:
                return False
            found = b""
            if kind == READ:
                found = self.disk.read(offset, length)
            elif kind == WRITE:
                self.disk.write(offset, data, lasting=bool(flags & FUA))
            elif kind == FLUSH:
                self.disk.flush()
            error = 0 if kind in (READ, WRITE, FLUSH) else 22  # EINVAL
        connection.sendall(struct.pack(">IIQ", SIMPLE_REPLY_MAGIC, error, handle) + found)
        return True


def take(connection: socket.socket, length: int) -> bytes:
    found = bytearray()
    while len(found) < length:
        part = connection.recv(min(length - len(found), 1 << 20))
        if not part:
            raise EOFError
        found += part
    return bytes(found)
