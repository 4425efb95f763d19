"""The ed25519 keys (RFC 8032) that packages are signed with."""

import base64
import binascii
import hashlib
import os
import tempfile
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from edge_targets.runtime.durable import storing, sync_folder
from edge_targets.runtime.errors import IntegrityError, StorageError

KEY_FILE = "signing_key.pem"  # in the folder of a workspace's keys
MAX_PEM = 4 << 10  # bytes: an ed25519 key takes 119


@dataclass(frozen=True)
class SigningKey:
    """A private key by its 32-byte seed, with the public half in base64."""

    seed: bytes = field(repr=False)
    public: str

    @classmethod
    def from_seed(cls, seed: bytes) -> "SigningKey":
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        raw = Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
        return cls(seed, base64.b64encode(raw).decode())

    @property
    def key_id(self) -> str:
        return key_id(self.public)

    def sign(self, data: bytes) -> bytes:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        return Ed25519PrivateKey.from_private_bytes(self.seed).sign(data)


def public_key(key: SigningKey) -> str:
    """The half that devices trust: 32 bytes in base64."""
    return key.public


def key_id(public: str) -> str:
    """The first 16 hexadecimal digits of the sha256 of a raw public key."""
    return hashlib.sha256(raw_key(public)).hexdigest()[:16]


def raw_key(public: str) -> bytes:
    try:
        raw = base64.b64decode(public, validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != 32:
        raise IntegrityError(f"{public!r} is not a public key.", "A key is 32 bytes in base64.")
    return raw


def signed_by(
    trusted: Collection[str], identity: str, signature: bytes, data: bytes
) -> bool | None:
    """Whether the key named `identity` signed `data`; None when no such key is trusted."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    for public in trusted:
        if key_id(public) == identity:
            try:
                Ed25519PublicKey.from_public_bytes(raw_key(public)).verify(signature, data)
            except InvalidSignature:
                return False
            return True
    return None


def signing_key(path: Path) -> SigningKey:
    """The private key in `path`, made on first use; only its owner may read it.

    Raises:
        IntegrityError: others may read the file, or it holds no ed25519 key.
        StorageError: it can be neither read nor made.
    """
    try:
        return _load(path)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise StorageError(
            f"The signing key {path} cannot be read: {error.strerror or error}.",
            "Check who may read it.",
        ) from error
    seed = os.urandom(32)
    with storing(path):
        handle, name = tempfile.mkstemp(prefix=".key.", dir=path.parent)  # mode 0600, O_EXCL
        temporary = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(_pem(seed))
                file.flush()
                os.fsync(file.fileno())
            # a link, unlike a rename, fails when another process made its key first
            path.hardlink_to(temporary)
        except FileExistsError:
            return _load(path)
        finally:
            temporary.unlink(missing_ok=True)
        sync_folder(path.parent)
    return SigningKey.from_seed(seed)


def _pem(seed: bytes) -> bytes:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return Ed25519PrivateKey.from_private_bytes(seed).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _load(path: Path) -> SigningKey:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_mode & 0o077:
            raise IntegrityError(
                f"The signing key {path} can be read by others; it is not used.",
                f"If nobody else had it: chmod 600 {path}. Otherwise delete it; a new one is made.",
            )
        text = file.read(MAX_PEM)
    hint = "Restore it from a copy, or delete it; a new one is made."
    try:
        key = load_pem_private_key(text, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise IntegrityError(f"{path} is not a private key.", hint) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise IntegrityError(f"{path} is not an ed25519 key.", hint)
    return SigningKey.from_seed(key.private_bytes_raw())
