"""The private keys of a repository: ed25519 in PEM files, in one folder or in several.

The keys of the online roles lie together in one folder; those of `root` and `targets` may lie in
others (a stick in a drawer each), behind a passphrase. A file is found by its key's id, so a
folder may hold keys of the past too.
"""

import os
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from edge_targets.runtime.durable import alone, replace_file, storing
from edge_targets.runtime.errors import IntegrityError, StorageError

if TYPE_CHECKING:
    from securesystemslib.signer import CryptoSigner, Key

OFFLINE = ("root", "targets")
PINNED = "root.json"  # the newest root that we made: what the rest is checked against
MAX_PEM = 8 << 10  # bytes: an encrypted ed25519 key takes 300

Passphrase = Callable[[Path], bytes | None]


def no_passphrase(path: Path) -> None:
    return None


@dataclass(frozen=True)
class Vault:
    """Folders of keys.

    Attributes:
        online: of snapshot, timestamp and the channels; also of the pinned root.
        offline: of root and targets; none: they lie in `online`.
        passphrase: asked for each key of `offline`, by its file; None leaves it unprotected.
    """

    online: Path
    offline: tuple[Path, ...] = ()
    passphrase: Passphrase = field(default=no_passphrase, repr=False)

    @property
    def pinned(self) -> Path:
        return self.online / PINNED

    def alone(self) -> AbstractContextManager[None]:
        """Sign for this repository alone: two at once would give one version two contents."""
        with storing(self.online):
            self.online.mkdir(mode=0o700, parents=True, exist_ok=True)
        busy = "Something else is being published with these keys."
        return alone(self.online / "lock", busy, "Wait for it to end.")

    def make(self, role: str, count: int) -> list["CryptoSigner"]:
        """New keys of a role, spread over the folders it belongs to."""
        from securesystemslib.signer import CryptoSigner

        offline = role in OFFLINE and self.offline
        folders = self.offline if offline else (self.online,)
        made = [CryptoSigner.generate_ed25519() for _ in range(count)]
        for number, signer in enumerate(made):
            path = folders[number % len(folders)] / f"{role}-{signer.public_key.keyid[:16]}.pem"
            with storing(path):
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            secret = self.passphrase(path) if offline else None
            replace_file(path, _pem(signer, secret), 0o600)
        return made

    def signers(self, role: str, keys: Iterable["Key"]) -> list["CryptoSigner"]:
        """Those of the keys whose private half is here; each may need its passphrase.

        Raises:
            IntegrityError: a wrong passphrase, or a file that others may read.
        """
        found = [(self.file(role, key), key) for key in keys]
        return [self._signer(path, key) for path, key in found if path]

    def file(self, role: str, key: "Key") -> Path | None:
        """Where the private half of a key lies; None where it is not here."""
        name = f"{role}-{key.keyid[:16]}.pem"
        folders = (self.online, *self.offline)
        return next((folder / name for folder in folders if (folder / name).is_file()), None)

    def _signer(self, path: Path, key: "Key") -> "CryptoSigner":
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key
        from securesystemslib.signer import CryptoSigner, SSlibKey

        try:
            with path.open("rb") as file:
                if os.fstat(file.fileno()).st_mode & 0o077:
                    raise IntegrityError(
                        f"The key {path} can be read by others; it is not used.",
                        f"If nobody else had it: chmod 600 {path}. Otherwise rotate the role.",
                    )
                text = file.read(MAX_PEM)
        except OSError as error:
            raise StorageError(
                f"The key {path} cannot be read: {error.strerror}.", "Check who may read it."
            ) from error
        secret = self.passphrase(path) if b"ENCRYPTED" in text else None
        try:
            private = load_pem_private_key(text, secret or None)
            assert isinstance(private, Ed25519PrivateKey)
            assert isinstance(key, SSlibKey)
            return CryptoSigner(private, key)
        except (ValueError, TypeError, AssertionError, UnsupportedAlgorithm) as error:
            raise IntegrityError(
                f"The key {path} cannot be used: wrong passphrase, or not this key.",
                "Give its passphrase, or restore the file from a copy.",
            ) from error
        except Exception as error:  # the library's own: another private key under this name
            raise IntegrityError(
                f"{path} is not the key its name says.", "Restore the file from a copy."
            ) from error


def _pem(signer: "CryptoSigner", secret: bytes | None) -> bytes:
    from cryptography.hazmat.primitives.serialization import (
        BestAvailableEncryption,
        Encoding,
        PrivateFormat,
        load_pem_private_key,
    )

    if not secret:
        return signer.private_bytes
    key = load_pem_private_key(signer.private_bytes, None)
    protection = BestAvailableEncryption(secret)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, protection)
