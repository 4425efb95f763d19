"""A board over SSH: run programs, send and fetch files, reach what listens there (RFC 4251–4254).

`edge_targets.transport.login` opens the connection. Everything that asyncssh or the system raises
becomes a `DeviceError` here, once.
"""

import hashlib
import shlex
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from edge_targets.runtime.errors import DeviceError, IntegrityError
from edge_targets.runtime.events import QUIET, Job
from edge_targets.transport.background import BACKGROUND
from edge_targets.transport.borders import SshAddress, translated
from edge_targets.transport.files import Files, Patience, Sent

if TYPE_CHECKING:
    from asyncssh import SSHClientConnection

MAX_OUTPUT = 4 << 20  # bytes of a program's output that are kept
READ = 64 << 10


@dataclass(frozen=True)
class Done:
    """How a program ended; output as text."""

    code: int
    out: str
    err: str

    @property
    def said(self) -> str:
        """The last thing it said, for a message."""
        lines = (self.err.strip() or self.out.strip() or "it said nothing").splitlines()
        return lines[-1][-300:]


class Ssh:
    """One connection to a board, from any thread."""

    def __init__(self, address: SshAddress, raw: "SSHClientConnection", patience: Patience) -> None:
        self.address = address
        self.raw = raw
        self.patience = patience
        self.lost = threading.Event()
        self._forwards: dict[str | int, str] = {}
        self._files = Files(raw, patience)

    @property
    def alive(self) -> bool:
        return not self.raw.is_closed() and not self.lost.is_set()

    def run(
        self,
        words: Sequence[str],
        data: bytes = b"",
        job: Job = QUIET,
        heard: Callable[[str], object] | None = None,
        silence_s: float = 0,
    ) -> Done:
        """Run a program; `data` is its input, `heard` gets each line of its output as it comes.

        Raises:
            DeviceError: the connection ends, or nothing is heard for `silence_s`.
        """
        lines: SimpleQueue[str] = SimpleQueue()

        def hear() -> None:
            with suppress(Empty):
                while True:
                    line = lines.get_nowait()
                    if heard:
                        heard(line)

        # the far shell gets each word quoted: nothing in data is ever a command
        command = " ".join(shlex.quote(word) for word in words)
        work = self._run(command, data, lines, silence_s or self.patience.silence_s)
        with translated(self.address, self.lost.set):
            done = BACKGROUND.wait(work, job, words[0], hear)
        hear()
        return done

    async def _run(
        self, command: str, data: bytes, lines: SimpleQueue[str], silence_s: float
    ) -> Done:
        import asyncio

        kept: dict[str, list[bytes]] = {"out": [], "err": []}
        beat = asyncio.Event()

        async def read(name: str, stream: Any) -> None:
            size, rest = 0, b""
            while chunk := await stream.read(READ):
                size += len(chunk)
                if size > MAX_OUTPUT:
                    raise DeviceError(
                        f"{self.address}: `{command[:60]}` said too much.", "See its log there."
                    )
                kept[name].append(chunk)
                beat.set()
                *whole, rest = (rest + chunk).split(b"\n")
                if name == "out":
                    for line in whole:
                        lines.put(line.decode(errors="replace"))

        async def feed(stream: Any) -> None:
            with suppress(BrokenPipeError, ConnectionResetError):  # it read no more
                stream.write(data)
                await stream.drain()
                stream.write_eof()

        process = await self.raw.create_process(command, encoding=None)
        streams = read("out", process.stdout), read("err", process.stderr), feed(process.stdin)
        work = asyncio.gather(*streams, process.wait_closed())
        # asked for its exception here, or asyncio complains of one that nobody saw
        work.add_done_callback(lambda _: work.cancelled() or work.exception())
        work.add_done_callback(lambda _: beat.set())
        try:
            while not work.done():
                beat.clear()
                await asyncio.wait_for(beat.wait(), silence_s)
            await work
        except TimeoutError as error:
            raise DeviceError(
                f"{self.address}: `{command[:60]}` said nothing for {silence_s:g} s.",
                "The board may be stuck: look at it, restart it, then try again.",
            ) from error
        finally:
            work.cancel()
            if not process.channel.is_closing():
                process.kill()
            process.close()  # and nobody waits: the other side may never answer
        code = process.returncode
        if code is None:
            raise ConnectionResetError("the connection was lost")
        out, err = (b"".join(kept[name]).decode(errors="replace") for name in ("out", "err"))
        return Done(code, out, err)

    def check(self, words: Sequence[str], data: bytes = b"", job: Job = QUIET) -> str:
        """The output of a program that ends well."""
        done = self.run(words, data, job)
        if done.code:
            raise DeviceError(f"{self.address}: {words[0]}: {done.said}", "Look at the board.")
        return done.out

    def put(self, file: Path, remote: str, job: Job = QUIET, what: str = "send") -> None:
        """Send a file; it appears whole or not at all. What a lost connection left is kept.

        The path is relative to the user's home; folders above it are made.

        Raises:
            DeviceError: no room, no right, or no connection.
            IntegrityError: other bytes arrive there, twice.
        """
        with file.open("rb") as handle, translated(self.address, self.lost.set):
            digest = hashlib.file_digest(handle, "sha256").hexdigest()
            size = handle.seek(0, 2)
            part = f"{remote}.{digest[:16]}.part"
            for _ in range(2):
                job.step(what, 0, size)
                sent = Sent()
                work = self._files.send(handle, size, part, sent)
                BACKGROUND.wait(work, job, what, partial(sent.tell, job, what, size))
                job.step(what, size, size)
                if self.sha256(part, job) == digest:
                    BACKGROUND.wait(self._files.rename(part, remote))
                    return
                BACKGROUND.wait(self._files.remove(part))  # an older half of it was damaged
        raise IntegrityError(
            f"{self.address}: {remote} is not there as it was sent.",
            "The board's disk or memory may be failing: try another SD card.",
        )

    def sha256(self, remote: str, job: Job = QUIET) -> str:
        """In hexadecimal, as the board itself reads the file; empty when it has none."""
        done = self.run(["sha256sum", "--", remote], job=job)
        return done.out.split()[0].lstrip("\\") if done.code == 0 and done.out else ""

    def get(self, remote: str, limit: int = MAX_OUTPUT) -> bytes | None:
        """A file's bytes; None when there is none.

        Raises:
            DeviceError: it is longer than `limit`, or cannot be read.
        """
        with translated(self.address, self.lost.set):
            found = BACKGROUND.wait(self._files.read(remote, limit))
        if found is not None and len(found) > limit:
            raise DeviceError(f"{self.address}: {remote} is too long.", "Look at the board.")
        return found

    def forward(self, to: str | int) -> str:
        """The address, on loopback here, of a port of the board's loopback or a Unix socket."""
        if to not in self._forwards:
            with translated(self.address, self.lost.set):
                port = BACKGROUND.wait(self._forward(to))
            self._forwards[to] = f"http://127.0.0.1:{port}"
        return self._forwards[to]

    async def _forward(self, to: str | int) -> int:
        if isinstance(to, int):
            listener = await self.raw.forward_local_port("127.0.0.1", 0, "127.0.0.1", to)
        else:
            listener = await self.raw.forward_local_port_to_path("127.0.0.1", 0, to)
        return listener.get_port()

    def close(self) -> None:
        self.lost.set()
        BACKGROUND.loop.call_soon_threadsafe(self.raw.abort)
