"""One signed file that travels: pack, verify, unpack.

Every byte of it is covered: the manifest by the signature, all other members by hashes in the
manifest, and the rest (headers, the directory) by the one form that `archive` allows.
"""

import base64
import binascii
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from edge_targets.package.archive import (
    MAX_FILE,
    MEND,
    Member,
    archive,
    check_names,
    damaged,
    directory,
    scan,
)
from edge_targets.package.keys import (
    KEY_FILE,
    SigningKey,
    key_id,
    public_key,
    signed_by,
    signing_key,
)
from edge_targets.runtime.contract import FileFact, Manifest
from edge_targets.runtime.durable import replace_file, storing, sync_folder
from edge_targets.runtime.errors import IntegrityError

__all__ = [
    "KEY_FILE",
    "MAX_FILE",
    "SigningKey",
    "key_id",
    "pack",
    "public_key",
    "signature_of",
    "signing_key",
    "unpack",
    "verify",
    "verify_folder",
]

MANIFEST, SIGNATURE = "manifest.json", "manifest.sig"
MAX_MANIFEST = 1 << 20  # bytes, parsed in memory
MAX_SIGNATURE = 4 << 10  # bytes
SERVED = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")  # a model's name and version are parts of URLs


def pack(manifest: Manifest, members: Mapping[str, bytes], key: SigningKey, out: Path) -> Manifest:
    """Write and sign a package; the same input gives the same bytes.

    `members` are all files but the manifest and its signature; `manifest.files` is filled from
    them.

    Raises:
        IntegrityError: a name that is not plain, or more bytes than a package may have.
        StorageError: the disk did not take it; what was at `out` is unharmed.
    """
    check_names(out.name, [MANIFEST, SIGNATURE, *members])
    facts = {
        name: FileFact(hashlib.sha256(data).hexdigest(), len(data))
        for name, data in sorted(members.items())
    }
    manifest = replace(manifest, files=facts)
    _check_manifest(out.name, manifest)
    text = manifest.dump().encode()
    data = archive(
        {MANIFEST: text, SIGNATURE: signature_of(key, text), **dict(sorted(members.items()))}
    )
    if len(data) > MAX_FILE or len(text) > MAX_MANIFEST:
        raise IntegrityError(
            f"{out.name} would have {len(data)} bytes, {len(text)} of them the manifest; "
            f"{MAX_FILE} and {MAX_MANIFEST} are the most.",
            "Make the model smaller, for example with quantize_int8.",
        )
    replace_file(out, data)
    return manifest


def verify(file: Path, trusted: Collection[str]) -> Manifest:
    """Check every byte of a package; `trusted` are public keys in base64.

    Raises:
        IntegrityError: unknown key, wrong signature, or any byte that is not as it was packed.
    """
    with _opened(file) as handle:
        return Reader(file.name, trusted).read(handle)


def unpack(file: Path, folder: Path, trusted: Collection[str]) -> Manifest:
    """Verify a package, then write its members to `folder`, which appears whole or not at all.

    Raises:
        IntegrityError: as `verify`; nothing was written then.
        StorageError: the disk did not take it, or `folder` is there already.
    """
    with _opened(file) as handle, storing(folder):
        Reader(file.name, trusted).read(handle)
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        try:
            # checked again while it is written: the file may have changed in between
            manifest = Reader(file.name, trusted, temporary).read(handle)
            temporary.chmod(0o755)
            sync_folder(temporary)
            temporary.rename(folder)  # refuses a folder that holds something
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        sync_folder(folder.parent)
    return manifest


def verify_folder(folder: Path, trusted: Collection[str]) -> Manifest:
    """Check an unpacked package against its own signed manifest: disks decay."""
    hint = "Deploy the package again."
    try:
        text = (folder / MANIFEST).read_bytes()
        manifest = _signed(folder.name, text, (folder / SIGNATURE).read_bytes(), trusted)
        for name, fact in manifest.files.items():
            with (folder / name).open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != fact.sha256:
                    raise IntegrityError(f"{folder / name} is damaged.", hint)
    except OSError as error:
        raise IntegrityError(f"{folder} is incomplete: {error.strerror}.", hint) from error
    return manifest


class Reader:
    """Reads one package from an open file, believing nothing before it is checked.

    With a `folder`, the members are also written there, durably.
    """

    def __init__(self, title: str, trusted: Collection[str], folder: Path | None = None) -> None:
        self.folder = folder
        self.title = title
        self.trusted = trusted
        self.text = b""
        self.manifest: Manifest | None = None

    def read(self, handle: BinaryIO) -> Manifest:
        members = directory(self.title, handle)
        names = [member.name for member in members]
        if names != [MANIFEST, SIGNATURE, *sorted(set(names) - {MANIFEST, SIGNATURE})]:
            raise damaged(f"{self.title}: the order of its members")
        if members[0].size > MAX_MANIFEST or members[1].size > MAX_SIGNATURE:
            raise damaged(f"{self.title}: the size of its manifest")
        scan(self.title, handle, members, self.take)
        assert self.manifest is not None  # the signature was the second member
        if set(self.manifest.files) != set(names[2:]):
            raise damaged(f"{self.title}: the list of its members")
        return self.manifest

    def take(self, member: Member, chunks: Iterator[bytes]) -> None:
        if member.name == MANIFEST:
            self.text = b"".join(chunks)
            self.keep(member.name, iter([self.text]))
        elif member.name == SIGNATURE:
            signature = b"".join(chunks)
            self.manifest = _signed(self.title, self.text, signature, self.trusted)
            self.keep(member.name, iter([signature]))
        else:
            assert self.manifest is not None
            fact = self.manifest.files.get(member.name)
            digest = hashlib.sha256()
            self.keep(member.name, _hashing(chunks, digest.update))
            if fact is None or (digest.hexdigest(), member.size) != (fact.sha256, fact.size):
                raise damaged(f"{self.title}: {member.name}")

    def keep(self, name: str, chunks: Iterator[bytes]) -> None:
        if self.folder is None:
            deque(chunks, maxlen=0)
            return
        with (self.folder / name).open("xb") as file:
            file.writelines(chunks)
            file.flush()
            os.fsync(file.fileno())


def _hashing(chunks: Iterator[bytes], update: Callable[[bytes], None]) -> Iterator[bytes]:
    for chunk in chunks:
        update(chunk)
        yield chunk


@contextmanager
def _opened(file: Path) -> Iterator[BinaryIO]:
    try:
        handle = file.open("rb")
    except OSError as error:
        raise IntegrityError(
            f"{file} cannot be read: {error.strerror}.", "Give the path of a .sndl file."
        ) from error
    with handle:
        yield handle


def signature_of(key: SigningKey, text: bytes) -> bytes:
    """What `manifest.sig` holds, and every other file beside a text that a key has signed."""
    return _signature(key.key_id, key.sign(text))


def _signature(identity: str, signature: bytes) -> bytes:
    encoded = base64.b64encode(signature).decode()
    return json.dumps({"schema": 1, "key_id": identity, "signature": encoded}).encode() + b"\n"


def _signed(title: str, text: bytes, proof: bytes, trusted: Collection[str]) -> Manifest:
    """The manifest in `text`, read only after one of the trusted keys is seen to have signed it."""
    try:
        claim = json.loads(proof)
        identity, signature = str(claim["key_id"]), base64.b64decode(claim["signature"])
    except (ValueError, TypeError, KeyError, RecursionError, binascii.Error) as error:
        raise damaged(f"{title}: {SIGNATURE}") from error
    if proof != _signature(identity, signature):
        raise damaged(f"{title}: {SIGNATURE}")
    good = signed_by(trusted, identity, signature, text)
    if good is None:
        known = ", ".join(sorted(key_id(key) for key in trusted)) or "none"
        raise IntegrityError(
            f"{title} is signed with key {identity[:64]}, which is not trusted here.",
            f"Trusted: {known}. Sign it with one of these, or have that key trusted.",
        )
    if not good:
        raise IntegrityError(f"{title}: its signature does not fit its manifest.", MEND)
    manifest = Manifest.parse(text)
    _check_manifest(title, manifest)
    return manifest


def _check_manifest(title: str, manifest: Manifest) -> None:
    """What later steps rely on; even a signed manifest may have been made by a faulty program."""
    for word in (manifest.name, manifest.version):
        if not isinstance(word, str) or not SERVED.fullmatch(word):
            raise IntegrityError(
                f"{title}: {word!r} cannot be the name or version of a model.",
                "Use small letters, digits, '.', '_' and '-', beginning with a letter or digit.",
            )
    check_names(title, [MANIFEST, SIGNATURE, *manifest.files])
    if manifest.model not in manifest.files:
        raise IntegrityError(
            f"{title}: its model {manifest.model!r} is not in it.", "Package the model again."
        )
