"""Files of a board over SFTP (draft-ietf-secsh-filexfer-02), in the event loop's thread."""

import posixpath
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from edge_targets.runtime.events import Job

if TYPE_CHECKING:
    from asyncssh import SFTPClient, SSHClientConnection

PIECE = 1 << 20  # bytes sent between two reports; asyncssh keeps many requests of 32 kB under way


@dataclass(frozen=True)
class Patience:
    """Seconds until the other side counts as gone; boards answer in one, busy ones in some.

    Attributes:
        connect_s: for the network and the login together.
        silence_s: of a program that prints nothing, and of a transfer that does not move.
        alive_s: between two questions whether the connection lives; three without an answer end it.
    """

    connect_s: float = 30.0
    silence_s: float = 120.0
    alive_s: float = 10.0


PATIENCE = Patience()


@dataclass
class Sent:
    """How much of a file is there: written by one thread, told by another."""

    size: int = 0

    def tell(self, job: Job, what: str, total: int) -> None:
        job.step(what, self.size, total)


class Files:
    """What one connection sends and fetches."""

    def __init__(self, raw: "SSHClientConnection", patience: Patience) -> None:
        self.raw = raw
        self.patience = patience
        self._opened: SFTPClient | None = None

    async def _client(self) -> "SFTPClient":
        """The connection's one SFTP channel: opening it takes a slow board a while."""
        import asyncio

        if self._opened is None:
            starting = self.raw.start_sftp_client()
            self._opened = await asyncio.wait_for(starting, self.patience.silence_s)
        return self._opened

    async def send(self, handle: BinaryIO, size: int, part: str, sent: Sent) -> None:
        import asyncio

        import asyncssh

        sftp = await self._client()
        await sftp.makedirs(posixpath.dirname(part) or ".", exist_ok=True)
        try:
            at = (await sftp.stat(part)).size or 0
        except asyncssh.SFTPNoSuchFile:
            at = 0
        flags = asyncssh.FXF_WRITE | asyncssh.FXF_CREAT
        if at > size:
            at, flags = 0, flags | asyncssh.FXF_TRUNC
        sent.size = at
        attributes = asyncssh.SFTPAttrs(permissions=0o600)
        async with sftp.open(part, flags, attributes, encoding=None) as there:
            handle.seek(at)
            while piece := handle.read(PIECE):
                await asyncio.wait_for(there.write(piece, at), self.patience.silence_s)
                at += len(piece)
                sent.size = at

    async def rename(self, part: str, remote: str) -> None:
        await (await self._client()).posix_rename(part, remote)

    async def remove(self, remote: str) -> None:
        await (await self._client()).remove(remote)

    async def read(self, remote: str, limit: int) -> bytes | None:
        import asyncssh

        sftp = await self._client()
        try:
            async with sftp.open(remote, "rb", encoding=None) as there:
                found: bytes = await there.read(limit + 1)
                return found
        except asyncssh.SFTPNoSuchFile:
            return None
