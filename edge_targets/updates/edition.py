"""One state of a repository's metadata: read and believed by its root, changed, signed, written.

The order of the writes is what a reader relies on (The Update Framework specification, section
6.2, consistent snapshots): files and roles come under names nobody asks for yet, and the
timestamp, which leads to them, comes last. Whoever is killed in between leaves the old state; what
lies there unreferenced is overwritten by the next who publishes.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_targets.runtime.durable import replace_file, storing
from edge_targets.runtime.errors import IntegrityError, StorageError
from edge_targets.updates.names import ROLES
from edge_targets.updates.vault import Vault

if TYPE_CHECKING:
    from tuf.api.metadata import Metadata, MetaFile, Root, Snapshot, Targets, Timestamp

ISSUED = "x-issued"  # when a timestamp or root was signed: a floor for clocks that know no better
MAX_METADATA = 8 << 20  # bytes of one file; more is not read
MAX_ROOTS = 10_000


@dataclass(frozen=True)
class Lifetimes:
    """How long a signature holds. That of the timestamp is how long a freeze can last unseen."""

    root: timedelta = timedelta(days=730)
    targets: timedelta = timedelta(days=365)
    channel: timedelta = timedelta(days=365)
    snapshot: timedelta = timedelta(days=30)
    timestamp: timedelta = timedelta(days=14)

    def of(self, role: str) -> timedelta:
        found = getattr(self, role) if role in ROLES else self.channel
        assert isinstance(found, timedelta)
        return found


@dataclass
class Edition:
    """The metadata of one moment; `changed` are the roles to be signed anew."""

    root: "Metadata[Root]"
    targets: "Metadata[Targets]"
    channels: "dict[str, Metadata[Targets]]"
    snapshot: "Metadata[Snapshot]"
    timestamp: "Metadata[Timestamp]"
    retired: "dict[str, MetaFile]" = field(default_factory=dict)  # removed channels
    changed: set[str] = field(default_factory=set)

    def role(self, name: str) -> "Metadata[Any]":
        found: Metadata[Any] = getattr(self, name) if name in ROLES else self.channels[name]
        return found


def read_root(folder: Path, pinned: bytes) -> "tuple[Metadata[Root], bytes]":
    """The newest root that follows from the pinned one, each signed by the one before; its text."""
    from tuf.api.exceptions import RepositoryError
    from tuf.api.metadata import Metadata, Root

    try:
        root, text = Metadata[Root].from_bytes(pinned), pinned
        root.verify_delegate("root", root)
        for version in range(root.signed.version + 1, MAX_ROOTS):
            path = folder / f"{version}.root.json"
            if not path.exists():
                break
            text = _read(path)
            newer = Metadata[Root].from_bytes(text)
            root.verify_delegate("root", newer)
            newer.verify_delegate("root", newer)
            if newer.signed.version != version:
                raise RepositoryError("another version than its name says")
            root = newer
    except RepositoryError as error:
        raise _foreign(folder, error) from error
    return root, text


def read(folder: Path, pinned: bytes) -> Edition:
    """The state that the timestamp leads to, every part of it checked.

    Raises:
        IntegrityError: something there was not signed by the keys that the root names.
        StorageError: something is missing.
    """
    from tuf.api.exceptions import RepositoryError
    from tuf.api.metadata import Metadata, Snapshot, Targets, Timestamp

    root, _ = read_root(folder, pinned)
    try:
        timestamp = Metadata[Timestamp].from_bytes(_read(folder / "timestamp.json"))
        root.verify_delegate("timestamp", timestamp)
        fact = timestamp.signed.snapshot_meta
        text = _read(folder / f"{fact.version}.snapshot.json")
        fact.verify_length_and_hashes(text)
        snapshot = Metadata[Snapshot].from_bytes(text)
        root.verify_delegate("snapshot", snapshot)
        metas = dict(snapshot.signed.meta)

        def fetched(name: str, delegator: "Metadata[Any]") -> "Metadata[Targets]":
            fact = metas.pop(f"{name}.json")
            text = _read(folder / f"{fact.version}.{name}.json")
            fact.verify_length_and_hashes(text)
            found = Metadata[Targets].from_bytes(text)
            delegator.verify_delegate(name, found)
            if found.signed.version != fact.version:
                raise RepositoryError(f"{name} has another version than the snapshot says")
            return found

        targets = fetched("targets", root)
        delegations = targets.signed.delegations
        names = list(delegations.roles or ()) if delegations else []
        channels = {name: fetched(name, targets) for name in names}
    except (RepositoryError, KeyError) as error:
        raise _foreign(folder, error) from error
    return Edition(root, targets, channels, snapshot, timestamp, metas)


def _foreign(folder: Path, error: Exception) -> IntegrityError:
    return IntegrityError(
        f"{folder.parent} is not as it was published: {str(error).rstrip('.')}.",
        "Restore the folder from a copy, or begin a new repository in an empty one.",
    )


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            text = file.read(MAX_METADATA + 1)
    except OSError as error:
        raise StorageError(
            f"{path} cannot be read: {error.strerror}.",
            "Restore the repository's folder from a copy.",
        ) from error
    if len(text) > MAX_METADATA:
        raise IntegrityError(f"{path} is no metadata of ours.", "Restore it from a copy.")
    return text


@dataclass(frozen=True)
class Writer:
    """Signs and writes an edition; `now` is the time of signing."""

    folder: Path
    vault: Vault
    lifetimes: Lifetimes
    now: datetime

    def write(self, edition: Edition, also: Mapping[str, Iterable[Any]] | None = None) -> None:
        """Write what changed, the snapshot and the timestamp; `also` are further signers a role."""
        from tuf.api.metadata import MetaFile

        with storing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        more = also or {}
        meta = edition.snapshot.signed.meta
        # the snapshot's own lists are made anew: what it says of each role, and of those retired
        meta.update(edition.retired)
        for name in sorted(edition.changed - {"root", "snapshot", "timestamp"}):
            delegator = edition.root if name == "targets" else edition.targets
            text = self.signed(name, edition.role(name), delegator, more.get(name, ()))
            version = edition.role(name).signed.version
            replace_file(self.folder / f"{version}.{name}.json", text)
            meta[f"{name}.json"] = MetaFile(version, len(text), _hashes(text))
        if edition.changed - {"root", "timestamp"}:
            text = self.signed("snapshot", edition.snapshot, edition.root, more.get("snapshot", ()))
            version = edition.snapshot.signed.version
            replace_file(self.folder / f"{version}.snapshot.json", text)
            edition.timestamp.signed.snapshot_meta = MetaFile(version, len(text), _hashes(text))
        stamp = edition.timestamp
        stamp.signed.unrecognized_fields[ISSUED] = _text(self.now)
        text = self.signed("timestamp", stamp, edition.root, more.get("timestamp", ()))
        replace_file(self.folder / "timestamp.json", text)
        edition.changed.clear()

    def write_root(self, root: "Metadata[Root]", old: Iterable[Any] = ()) -> bytes:
        """The next root; `old` are signers of the one before, whose word makes it follow."""
        with storing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        root.signed.unrecognized_fields[ISSUED] = _text(self.now)
        text = self.signed("root", root, root, old)
        replace_file(self.folder / f"{root.signed.version}.root.json", text)
        return text

    def signed(
        self, name: str, metadata: "Metadata[Any]", delegator: "Metadata[Any]", also: Iterable[Any]
    ) -> bytes:
        """The next version of a role, as it is written.

        Raises:
            IntegrityError: too few of its keys are here.
        """
        from tuf.api.serialization.json import JSONSerializer

        role = delegator.signed.get_delegated_role(name)
        keys = [delegator.signed.get_key(keyid) for keyid in role.keyids]
        signers = self.vault.signers(name, keys)
        if len(signers) < role.threshold:
            raise IntegrityError(
                f"{name} needs {role.threshold} of its {len(keys)} keys; {len(signers)} are here.",
                "Name the folders that hold the others, for example on the stick they lie on.",
            )
        metadata.signed.version += 1
        metadata.signed.expires = (self.now + self.lifetimes.of(name)).replace(microsecond=0)
        metadata.signatures.clear()
        for signer in {signer.public_key.keyid: signer for signer in (*signers, *also)}.values():
            metadata.sign(signer, append=True)
        return metadata.to_bytes(JSONSerializer(compact=True))


def _hashes(text: bytes) -> dict[str, str]:
    return {"sha256": hashlib.sha256(text).hexdigest()}


def _text(when: datetime) -> str:
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
