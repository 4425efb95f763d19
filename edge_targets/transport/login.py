"""Into a board: the host's key is pinned on first use, ours is trusted after the password."""

import os
import shlex
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_targets.runtime.durable import storing
from edge_targets.runtime.errors import DeviceError, StorageError, first_line
from edge_targets.runtime.events import QUIET, Job
from edge_targets.transport.background import BACKGROUND
from edge_targets.transport.borders import SshAddress, translated
from edge_targets.transport.files import PATIENCE, Patience
from edge_targets.transport.hostkeys import FILE, HostKeys, entry
from edge_targets.transport.ssh import Ssh

if TYPE_CHECKING:
    from asyncssh import SSHClientConnection, SSHKey

KEY = "ssh_ed25519"
TRUST = """
umask 077
mkdir -p "$HOME/.ssh" && touch "$HOME/.ssh/authorized_keys" && IFS= read -r key || exit 1
grep -qxF "$key" "$HOME/.ssh/authorized_keys" && exit 0
test -z "$(tail -c 1 "$HOME/.ssh/authorized_keys")" || echo >> "$HOME/.ssh/authorized_keys"
printf '%s\\n' "$key" >> "$HOME/.ssh/authorized_keys"
"""  # the key comes on standard input


def own_key(keys: Path) -> "SSHKey":
    """Our key for boards, made on first use; only its owner may read it.

    Raises:
        DeviceError: the file holds no key, or others may read it.
    """
    import asyncssh

    path = keys / KEY
    try:
        if not path.exists():
            _make_key(path)
        if path.stat().st_mode & 0o077:
            raise DeviceError(
                f"The key {path} can be read by others; it is not used.",
                f"If nobody else had it: chmod 600 {path}. Otherwise delete it.",
            )
        return asyncssh.read_private_key(path)
    except (OSError, asyncssh.KeyImportError) as error:
        raise DeviceError(
            f"The key {path} cannot be used: {first_line(error)}.", "Delete it; a new one is made."
        ) from error


def _make_key(path: Path) -> None:
    import asyncssh

    key = asyncssh.generate_private_key("ssh-ed25519", comment="sanderling")
    with storing(path):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(key.export_private_key())
                file.flush()
                os.fsync(file.fileno())
            # a link, unlike a rename, fails when another process made its key first
            with suppress(FileExistsError):
                path.hardlink_to(temporary)
        finally:
            temporary.unlink(missing_ok=True)


class Connections:
    """The connections of this process, each opened once and again after it was lost."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[tuple[SshAddress, Path], Ssh] = {}

    def get(
        self,
        address: SshAddress,
        keys: Path,
        password: str = "",
        job: Job = QUIET,
        patience: Patience = PATIENCE,
    ) -> Ssh:
        """A live connection. With a password, our key is trusted there from now on.

        Raises:
            DeviceError: nobody answers, another host key than before, or no way in.
        """
        with self._lock:
            known = self._known.get((address, keys))
            if known and known.alive:
                return known
            fresh = _connect(address, keys, password, job, patience)
            self._known[address, keys] = fresh
            return fresh

    def close(self, address: SshAddress, keys: Path) -> None:
        with self._lock:
            if known := self._known.pop((address, keys), None):
                known.close()

    async def close_all(self) -> None:
        for known in self._known.values():
            known.raw.abort()


CONNECTIONS = Connections()
BACKGROUND.at_end(CONNECTIONS.close_all)


def _connect(address: SshAddress, keys: Path, password: str, job: Job, patience: Patience) -> Ssh:
    import asyncssh

    key = own_key(keys)
    # our key first; then what `ssh` would take; then the password, once
    ways: list[dict[str, Any]] = [{"client_keys": [key], "agent_path": None}, {}]
    if password:
        ways.append({"client_keys": None, "agent_path": None, "password": password})
    for way in ways:
        job.step("connect")
        with translated(address), suppress(asyncssh.PermissionDenied):
            raw = BACKGROUND.wait(_open(address, HostKeys(keys / FILE), way, patience), job)
            found = Ssh(address, raw, patience)
            if "password" in way:
                found.check(["sh", "-c", TRUST], key.export_public_key())
            return found
    said = "and the password was refused" if password else "and no password was given"
    raise DeviceError(
        f"{address} does not take our key, {said}.",
        "Give the password of that user once; our key is then trusted there.",
    )


async def _open(
    address: SshAddress, hosts: HostKeys, way: dict[str, Any], patience: Patience
) -> "SSHClientConnection":
    import asyncssh

    pinned = hosts.pinned(address.host, address.port)
    problems: list[DeviceError] = []

    class Client(asyncssh.SSHClient):
        def validate_host_public_key(
            self, host: str, addr: str, port: int, key: asyncssh.SSHKey
        ) -> bool:
            offered = " ".join(key.export_public_key().decode().split()[:2])
            try:
                if not pinned:
                    hosts.pin(address.host, address.port, offered)
            except StorageError as error:
                problems.append(DeviceError(str(error), error.hint))
                return False
            if pinned in ("", offered):
                return True
            before = asyncssh.import_public_key(pinned).get_fingerprint()
            problems.append(changed_key(address, hosts, before, key.get_fingerprint()))
            return False

    # the type that is pinned is asked for; a host with several keys then shows that one
    algorithms = {"server_host_key_algs": [pinned.split()[0]]} if pinned else {}
    try:
        return await asyncssh.connect(
            address.host,
            address.port,
            username=address.user,
            config=None,
            known_hosts=([], [], []),
            client_factory=Client,
            connect_timeout=patience.connect_s,
            login_timeout=patience.connect_s,
            keepalive_interval=patience.alive_s,
            keepalive_count_max=3,
            **algorithms,
            **way,
        )
    except asyncssh.HostKeyNotVerifiable:
        if problems:
            raise problems[0] from None
        raise


def changed_key(address: SshAddress, hosts: HostKeys, before: str, now: str) -> DeviceError:
    named = entry(address.host, address.port)
    return DeviceError(
        f"{address} shows another host key than before: {now}, and it was {before}. "
        "Somebody may be in between; nothing was sent.",
        "If you set the board up anew, forget its old key: "
        f"ssh-keygen -R {shlex.quote(named)} -f {shlex.quote(str(hosts.path))}",
    )
