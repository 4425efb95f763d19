"""Debian's own sshd on loopback with a folder of its own, and a server that takes passwords."""

import asyncio
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from edge_targets.transport.borders import SshAddress
from edge_targets.transport.login import own_key
from tests.edge_targets.tiny import free_port, wait_until

SSHD = shutil.which("sshd", path=os.environ["PATH"] + ":/usr/sbin:/sbin")


@dataclass
class Sshd:
    """A real sshd; `folder` holds its configuration, its host key and who may come in."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> SshAddress:
        return SshAddress(os.environ.get("USER") or "root", "127.0.0.1", self.port)

    def new_host_key(self) -> None:
        for old in self.folder.glob("host_key*"):
            old.unlink()
        words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.folder / "host_key")]
        subprocess.run(words, check=True)

    def trust(self, keys: Path) -> None:
        public = own_key(keys).export_public_key()
        (self.folder / "authorized_keys").write_bytes(public)

    def start(self) -> None:
        assert SSHD
        settings = {
            "HostKey": self.folder / "host_key",
            "AuthorizedKeysFile": self.folder / "authorized_keys",
            "PidFile": "none",
            "UsePAM": "no",
            "PasswordAuthentication": "no",
            "StrictModes": "no",
            "PermitRootLogin": "prohibit-password",
            "Subsystem": "sftp internal-sftp",
        }
        config = self.folder / "sshd_config"
        config.write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
        Path("/run/sshd").mkdir(exist_ok=True)
        listen = ["-o", f"ListenAddress=127.0.0.1:{self.port}"]
        log = (self.folder / "log").open("wb")
        with log:
            self.process = subprocess.Popen(
                [SSHD, "-D", "-e", "-f", str(config), *listen],
                stderr=log,
                start_new_session=True,
            )
        wait_until(lambda: b"listening" in (self.folder / "log").read_bytes())

    def stop(self) -> None:
        """End it and every connection it has."""
        if self.process:
            children = subprocess.run(
                ["ps", "-o", "pid=", "--ppid", str(self.process.pid)],
                capture_output=True, text=True, check=False,
            ).stdout.split()  # fmt: skip
            for pid in (self.process.pid, *map(int, children)):
                with suppress(ProcessLookupError):
                    os.kill(pid, 9)
            self.process.wait()
            self.process = None


@contextmanager
def sshd_in(folder: Path) -> Iterator[Sshd]:
    if not SSHD:
        pytest.skip("Debian's openssh-server is not installed")
    if os.geteuid() != 0:
        pytest.skip("only root can start a sshd that logs in")
    folder.mkdir()
    server = Sshd(folder, free_port())
    server.new_host_key()
    server.start()
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def password_server(home: Path, password: str) -> Iterator[SshAddress]:
    """An SSH server that knows one password, and the keys in `home`; programs run in `home`."""
    import asyncssh

    connections: list[asyncssh.SSHServerConnection] = []

    class Server(asyncssh.SSHServer):
        def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
            connections.append(conn)

        def begin_auth(self, username: str) -> bool:
            return True

        def password_auth_supported(self) -> bool:
            return True

        def validate_password(self, username: str, given: str) -> bool:
            return given == password

        def public_key_auth_supported(self) -> bool:
            return True

        def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
            known = home / ".ssh/authorized_keys"
            lines = known.read_text().splitlines() if known.exists() else []
            offered = key.export_public_key().split()[1].decode()
            return any(offered in line.split() for line in lines)

    async def handle(process: Any) -> None:
        child = await asyncio.create_subprocess_shell(
            process.command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={"PATH": os.environ["PATH"], "HOME": str(home)},
        )
        out, err = await child.communicate(await process.stdin.read())
        process.stdout.write(out)
        process.stderr.write(err)
        process.exit(child.returncode)

    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def listen() -> Any:
        return await asyncssh.listen(
            "127.0.0.1",
            0,
            server_factory=Server,
            server_host_keys=[asyncssh.generate_private_key("ssh-ed25519")],
            process_factory=handle,
            encoding=None,
        )

    server = asyncio.run_coroutine_threadsafe(listen(), loop).result(10)
    try:
        yield SshAddress("pi", "127.0.0.1", server.get_port())
    finally:

        async def end() -> None:
            server.close()
            await server.wait_closed()
            for connection in connections:
                connection.abort()
                await connection.wait_closed()
            await asyncio.sleep(0.05)  # transports close in the loop's next turns

        asyncio.run_coroutine_threadsafe(end(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
