"""Addresses of boards, and what SSH's foreign errors become."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from edge_targets.runtime.errors import DeviceError, first_line
from edge_targets.runtime.exchange import what_failed

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9._-]{0,63}")
HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,252})|[0-9A-Fa-f:.]{2,45}(%[A-Za-z0-9._-]{1,15})?")
LOOK = "Is it on, on this network, and does `ssh` reach it?"


@dataclass(frozen=True)
class SshAddress:
    """Who we are on which host."""

    user: str
    host: str
    port: int = 22

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == 22 else f":{self.port}"
        return f"ssh://{self.user}@{host}{port}"


def ssh_address(text: str) -> SshAddress:
    """Read `user@host`, `user@host:port` or `ssh://user@host:port`.

    Raises:
        DeviceError: it is none of them.
    """
    user, at, rest = text.removeprefix("ssh://").partition("@")
    found = re.fullmatch(r"(?:\[([^\]]+)\]|([^:/\[\]]+))(?::([0-9]{1,5}))?/?", rest)
    host = (found[1] or found[2]) if found else ""
    port = int(found[3] or 22) if found else 0
    if not (at and NAME.fullmatch(user) and HOST.fullmatch(host) and 0 < port < 65536):
        raise DeviceError(
            f"{text!r} is not an address of a board.",
            "Give user and host, such as pi@raspberrypi.local or ssh://pi@192.168.1.20:22.",
        )
    return SshAddress(user, host, port)


@contextmanager
def translated(address: SshAddress, lost: Callable[[], object] = int) -> Iterator[None]:
    """Turn what asyncssh and the system say into a `DeviceError`."""
    import asyncssh

    try:
        yield
    except (asyncssh.SFTPNoConnection, asyncssh.SFTPConnectionLost) as error:
        lost()
        raise DeviceError(f"{address} does not answer: {first_line(error)}.", LOOK) from error
    except asyncssh.SFTPError as error:
        raise DeviceError(f"{address}: {first_line(error)}.", sftp_hint(error)) from error
    except (asyncssh.KeyExchangeFailed, asyncssh.ProtocolError, ValueError) as error:
        raise DeviceError(
            f"{address} speaks no SSH that we take: {first_line(error)}.",
            "Does another program listen there, or was the board set up anew?",
        ) from error
    except (asyncssh.Error, OSError, EOFError) as error:
        lost()
        raise DeviceError(f"{address} does not answer: {what_failed(error)}.", LOOK) from error


def sftp_hint(error: Exception) -> str:
    import asyncssh

    full = (asyncssh.SFTPNoSpaceOnFilesystem, asyncssh.SFTPQuotaExceeded, asyncssh.SFTPFailure)
    if isinstance(error, full):
        return "Is the board's disk full or read-only? See `df -h` there."
    return "Check who may read and write there."
