"""Who may speak to the agent: where it listens, and what a request must show.

On loopback and on the Unix socket the device's own users are trusted (the socket by its file
permissions). Anywhere else strangers can reach us: then TLS hides what is said and a token
tells who may say it. A page of another site that a visitor's browser shows is a stranger too.
"""

import hmac
import ipaddress
import os
import socket
import stat
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from edge_targets.agent.http1 import Head, Problem
from edge_targets.runtime.errors import DeviceError

if TYPE_CHECKING:
    import ssl

BACKLOG = 128  # connections that the system keeps until we take them
SHORTEST_TOKEN = 16  # characters: 64 bits and more when random
SOCKET_MODE = 0o660  # the agent's user and group


@dataclass(frozen=True)
class Listening:
    """Where the agent listens.

    Attributes:
        port: 0 takes a free one.
        socket: path of a Unix socket beside it; empty for none.
        certificate: file of the TLS certificate chain, in PEM; empty for none.
        key: file of its private key.
        token: what `Authorization: Bearer` must say over TCP; empty asks for none.
        insecure: listen beyond loopback without TLS or a token all the same.
    """

    host: str = "127.0.0.1"
    port: int = 0
    socket: str = ""
    certificate: str = ""
    key: str = ""
    token: str = field(default="", repr=False)
    insecure: bool = False

    @property
    def is_local(self) -> bool:
        """Whether only programs of this device can connect."""
        with suppress(ValueError):
            return ipaddress.ip_address(self.host).is_loopback
        return self.host.lower() == "localhost"

    def check(self) -> None:
        """Refuse to listen where strangers could do what they like.

        Raises:
            DeviceError: says what is missing.
        """
        if not self.host:  # the system would take it for every network
            raise DeviceError("There is no address to listen at.", "Say --host 0.0.0.0 for all.")
        if bool(self.certificate) != bool(self.key):
            raise DeviceError("TLS takes a certificate and its key.", "Say --tls CERT KEY.")
        if self.token and not (
            len(self.token) >= SHORTEST_TOKEN and self.token.isascii() and self.token.isprintable()
        ):
            raise DeviceError(
                f"The token is not {SHORTEST_TOKEN} or more printable characters.",
                "Make one: openssl rand -hex 32.",
            )
        if self.is_local or self.insecure or (self.token and self.certificate):
            return
        raise DeviceError(
            f"Anybody who reaches {self.host} could use this device.",
            "Give --tls CERT KEY and --token-file FILE, listen at 127.0.0.1 and forward the port "
            "over SSH, or say --insecure in a network where you trust everybody.",
        )

    def tls(self) -> "ssl.SSLContext | None":
        if not self.certificate:
            return None
        import ssl

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            context.load_cert_chain(self.certificate, self.key)
        except (OSError, ValueError) as error:
            raise DeviceError(
                f"The certificate {self.certificate} cannot be used: {error}.",
                "Give a PEM file with the chain, and one with its key.",
            ) from error
        return context


def listen_tcp(listening: Listening) -> socket.socket:
    """A socket that listens at an address.

    Raises:
        DeviceError: the address is taken, or is none.
    """
    host, port = listening.host, listening.port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        if not 0 <= port < 1 << 16:
            raise ValueError("ports are 0 to 65535")
        listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
    except (OSError, TypeError, ValueError) as error:  # a host that is no name is a ValueError
        raise DeviceError(
            f"Cannot listen at {host}:{port}: {error}.", "Choose another port, or 0 for a free one."
        ) from error
    listener.setblocking(False)
    return listener


def listen_unix(path: Path) -> socket.socket:
    """A socket that listens in a folder; what an agent that was killed left there is replaced.

    Raises:
        DeviceError: the path is too long, cannot be made, or is something else than a socket.
    """
    listener = socket.socket(socket.AF_UNIX)
    try:
        if path.exists() or path.is_symlink():
            if not stat.S_ISSOCK(path.lstat().st_mode):
                raise DeviceError(f"{path} is no socket.", "Choose another path.")
            path.unlink()  # of an agent that was killed; the root folder's lock is ours
        old = os.umask(0o777 & ~SOCKET_MODE)
        try:
            listener.bind(str(path))
        finally:
            os.umask(old)
        listener.listen(BACKLOG)
    except (OSError, ValueError) as error:
        listener.close()
        raise DeviceError(
            f"Cannot listen at {path}: {error}.", "Choose a short path in a folder of the agent's."
        ) from error
    except DeviceError:
        listener.close()
        raise
    listener.setblocking(False)
    return listener


class Access:
    """Decides whether a request may be answered at all."""

    def __init__(self, listening: Listening) -> None:
        self.scheme = "https" if listening.certificate else "http"
        self.wanted = f"Bearer {listening.token}".encode() if listening.token else b""
        self.names = {"localhost", listening.host.lower()}
        with suppress(OSError):
            own = socket.gethostname().lower()
            self.names |= {own, f"{own}.local"}
        self.known = ""  # the Host header that was right last: it rarely changes

    def check(self, head: Head, over_tcp: bool) -> None:
        """Let a request through, or not.

        Raises:
            Problem: 403 for a page of another site, 401 without the token.
        """
        hosts = head.headers.get("host", ())
        if len(hosts) != 1 or not (hosts[0] == self.known or self.knows(hosts[0])):
            raise Problem(403, "The Host header does not name this device.", "Use its address.")
        self.known = hosts[0]
        for origin in head.headers.get("origin", ()):
            if origin.lower() != f"{self.scheme}://{hosts[0].lower()}":
                raise Problem(403, f"Pages of {origin[:80]} may not use this device.")
        if not over_tcp or not self.wanted:
            return
        given = head.headers.get("authorization", ())
        if len(given) != 1 or not hmac.compare_digest(given[0].encode(), self.wanted):
            raise Problem(
                401, "The token is missing or wrong.", "Send Authorization: Bearer TOKEN."
            )

    def knows(self, host: str) -> bool:
        """Whether a Host header means this device.

        A page of another site can make its own name point here (DNS rebinding), but then its
        name is in the header; an address in digits, or our own name, cannot be its.
        """
        try:
            name = urlsplit(f"//{host}").hostname or ""
            ipaddress.ip_address(name)
        except ValueError:
            return bool(host) and host.partition(":")[0].lower() in self.names
        return True
