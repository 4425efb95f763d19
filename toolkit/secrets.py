"""What only the person at the keyboard knows: asked for, or from the environment; never kept."""

import getpass
import os
import sys
from pathlib import Path

from edge_targets.runtime.errors import UsageError

PASSWORD, PASSPHRASE = "SANDERLING_PASSWORD", "SANDERLING_PASSPHRASE"
WIFI = "SANDERLING_WIFI_PASSPHRASE"


def password(ask: bool) -> str:
    """The password of a board; empty for none."""
    if not ask:
        return os.environ.get(PASSWORD, "")
    if not sys.stdin.isatty():
        raise UsageError("There is no terminal to ask for a password.", f"Set {PASSWORD} instead.")
    return getpass.getpass("Password: ", sys.stderr)


def passphrase(key: Path) -> bytes | None:
    """That of a key that lies in a folder of its own; None for none."""
    given = os.environ.get(PASSPHRASE, "")
    return given.encode() if given else None


def wifi_passphrase() -> str:
    """That of the wireless network; empty for none."""
    return os.environ.get(WIFI, "")


def typed_name(disk: Path) -> str:
    """What the person at the terminal types to have a disk overwritten; nothing for a file."""
    if not disk.is_block_device() or not sys.stdin.isatty():
        return ""
    sys.stderr.write(f"All that is on {disk} will be lost. Type {disk.name} to go on: ")
    return sys.stdin.readline().strip()
