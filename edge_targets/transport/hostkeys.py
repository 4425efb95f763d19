"""The keys of the hosts we know: pinned on first use (RFC 4251, section 4.1), then never changed.

The file is OpenSSH's `known_hosts`, so that its `ssh` takes it as it is.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from edge_targets.runtime.durable import replace_file, storing
from edge_targets.runtime.errors import DeviceError

FILE = "known_hosts"
MAX_BYTES = 1 << 20


@dataclass(frozen=True)
class HostKeys:
    """A `known_hosts` file."""

    path: Path

    def pinned(self, host: str, port: int) -> str:
        """The public key of a host as `type base64`; empty when none is known."""
        for name, key in self._lines():
            if name == entry(host, port):
                return key
        return ""

    def pin(self, host: str, port: int, key: str) -> None:
        line = f"{entry(host, port)} {key}\n".encode()
        with storing(self.path):
            # one write in append mode: two processes that meet a host at once do not mix lines
            handle = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                os.write(handle, line)
                os.fsync(handle)
            finally:
                os.close(handle)

    def forget(self, host: str, port: int) -> None:
        """Forget the host's key, so that the next one is taken."""
        kept = [f"{name} {key}\n" for name, key in self._lines() if name != entry(host, port)]
        if self.path.exists():
            replace_file(self.path, "".join(kept).encode(), 0o600)

    def _lines(self) -> list[tuple[str, str]]:
        try:
            with self.path.open("rb") as file:
                text = file.read(MAX_BYTES).decode("ascii", "replace")
        except FileNotFoundError:
            return []
        except OSError as error:
            raise DeviceError(
                f"{self.path} cannot be read: {error.strerror or error}.", "Check who may read it."
            ) from error
        found = []
        for line in text.splitlines():
            name, _, key = line.partition(" ")
            if key and not name.startswith("#"):
                found.append((name, " ".join(key.split()[:2])))
        return found


def entry(host: str, port: int) -> str:
    return host if port == 22 else f"[{host}]:{port}"
