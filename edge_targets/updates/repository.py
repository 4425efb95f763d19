"""The repository that devices pull from: static files, signed as The Update Framework says.

`root` and `targets` say whose word counts, and may be signed from a drawer; each channel is a role
of its own, delegated by `targets`, whose key can publish into that channel and nowhere else;
`snapshot` and `timestamp` say what is current (https://theupdateframework.github.io/specification).
Any web server can serve the folder.

```
metadata/timestamp.json  N.root.json  N.targets.json  N.snapshot.json  N.CHANNEL.json
targets/CHANNEL/TARGET/MODEL/SHA256.VERSION.sndl  SHA256.FROM-VERSION.sndd
```
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from edge_targets.runtime.durable import replace_file
from edge_targets.runtime.errors import (
    DataError,
    IntegrityError,
    StorageError,
    UnknownNameError,
)
from edge_targets.updates.edition import Edition, Lifetimes, Writer, read, read_root
from edge_targets.updates.names import ROLES, Release, check_channel
from edge_targets.updates.records import RoleKeys, RoleState, Stored, entries
from edge_targets.updates.storing import place, store, sweep
from edge_targets.updates.vault import Vault

KEPT = timedelta(days=30)  # that files nobody is led to any more stay, for downloads under way


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Repository:
    """A repository by its folder and the keys it is signed with."""

    directory: Path
    vault: Vault
    lifetimes: Lifetimes = field(default_factory=Lifetimes)
    now: Callable[[], datetime] = _now

    @property
    def metadata(self) -> Path:
        return self.directory / "metadata"

    def create(
        self, channels: Sequence[str] = ("stable",), roles: Mapping[str, RoleKeys] | None = None
    ) -> None:
        """Make the keys and an empty repository. A killed attempt is begun again.

        Raises:
            DataError: there is one already, or its keys exist.
        """
        from tuf.api.metadata import Metadata, Root, Snapshot, Targets, Timestamp

        for channel in channels:
            check_channel(channel)
        if (self.metadata / "timestamp.json").exists():
            raise DataError(
                f"{self.directory} holds a repository already.", "Publish into it, or name another."
            )
        with self.vault.alone():
            wanted = {name: (roles or {}).get(name, RoleKeys()) for name in ROLES}
            # versions begin at 1: each signature counts one up
            root, targets = Metadata(Root(version=1)), Metadata(Targets(version=1))
            snapshot, timestamp = Metadata(Snapshot(version=1)), Metadata(Timestamp(version=1))
            for one in (root, targets, snapshot, timestamp):
                one.signed.version = 0
            for name, keys in wanted.items():
                self._give_keys(root, name, keys)
            edition = Edition(root, targets, {}, snapshot, timestamp, changed={"targets"})
            for channel in channels:
                self._delegate(edition, channel, (roles or {}).get(channel, RoleKeys()))
            text = self._writer().write_root(root)
            # pinned before the timestamp makes a repository of it: what is there is ours
            replace_file(self.vault.pinned, text)
            self._writer().write(edition)

    def publish(
        self,
        channel: str,
        file: Path,
        release: Release,
        deltas: Mapping[str, Path] | None = None,
    ) -> Stored:
        """Put a package into a channel as its newest; `deltas` lead to it from earlier versions.

        Raises:
            IntegrityError: a name that no path can have, or keys are missing.
        """
        release.checked()
        with self._changing() as edition:
            role = self._channel(edition, channel).signed
            # the role's own version never goes back: not even a withdrawn release is outnumbered
            release = replace(release, sequence=role.version + 1, base="")
            listed = [(release, file)]
            listed += [(replace(release, base=base), path) for base, path in (deltas or {}).items()]
            for one, source in listed:
                one.checked()
                role.targets[one.path(channel)] = self._store(one, channel, source)
            edition.changed.add(channel)
            self._writer().write(edition)
        return self.find(channel, release.target, release.model, release.version)

    def withdraw(self, channel: str, target: str, model: str, version: str) -> Release:
        """Take a version, and every delta to or from it, out of a channel."""
        with self._changing() as edition:
            role = self._channel(edition, channel)
            listed = entries(role.signed.targets, channel)
            mine = {p: r for p, r in listed.items() if (r.target, r.model) == (target, model)}
            found = [r for r in mine.values() if r.version == version and not r.base]
            if not found:
                known = sorted(r.version for r in mine.values() if not r.base)
                raise UnknownNameError("version", version, known)
            for path, release in mine.items():
                if version in (release.version, release.base):
                    del role.signed.targets[path]
            edition.changed.add(channel)
            self._writer().write(edition)
        return found[0]

    def refresh(self) -> tuple[str, ...]:
        """Sign the timestamp anew, and whatever is past half its life and can be signed here.

        Returns the roles that were signed. What lies unreferenced for a month is removed.
        """
        with self._changing() as edition:
            due = [s for s in self._states(edition) if self._is_due(s) and s.here >= s.threshold]
            edition.changed |= {state.name for state in due} - {"root"}
            signed = {"timestamp", *edition.changed, *({"snapshot"} if edition.changed else ())}
            if "root" in {state.name for state in due}:
                self._next_root(edition)
                signed.add("root")
            self._writer().write(edition)
            self._sweep(edition)
        return tuple(sorted(signed))

    def rotate(self, role: str, keys: RoleKeys | None = None) -> None:
        """Give a role new keys; the old ones are not believed any more.

        What the role signs is first signed by old and new keys, so that a device finds something
        to believe whichever root it has; then the root (or, for a channel, `targets`) is changed.
        """
        with self._changing() as edition:
            if role not in ROLES:
                self._channel(edition, role)
            delegator: Any = edition.root if role in ROLES else edition.targets
            old = delegator.signed.get_delegated_role(role)
            wanted = keys or RoleKeys(max(1, len(old.keyids)), old.threshold)
            known = [delegator.signed.get_key(keyid) for keyid in old.keyids]
            previous = self.vault.signers(role, known)
            if role == "root" and len(previous) < old.threshold:
                raise IntegrityError(
                    f"{old.threshold} of the old root keys must sign; {len(previous)} are here.",
                    "Name the folders that hold the others.",
                )
            new = self._give_keys(delegator, role, wanted)
            if role == "root":
                self._next_root(edition, previous)
                return
            if role not in ROLES:
                edition.changed |= {"targets", role}
                self._writer().write(edition)
                return
            edition.changed |= {role} - {"timestamp"}
            # a thief who had the key may have signed any version: ours must not be lower
            self._writer().write(edition, {role: (*previous, *new)})
            self._next_root(edition)

    def add_channel(self, channel: str, keys: RoleKeys | None = None) -> None:
        check_channel(channel)
        with self._changing() as edition:
            if channel in edition.channels:
                raise DataError(f"There is a channel {channel} already.", "Publish into it.")
            self._delegate(edition, channel, keys or RoleKeys())
            edition.changed.add("targets")
            self._writer().write(edition)

    def remove_channel(self, channel: str) -> None:
        """Nobody is led to it any more; devices that follow it say so and keep what they have."""
        with self._changing() as edition:
            self._channel(edition, channel)
            delegations = edition.targets.signed.delegations
            assert delegations is not None
            assert delegations.roles is not None
            for keyid in list(delegations.roles[channel].keyids):
                edition.targets.signed.revoke_key(keyid, channel)
            del delegations.roles[channel]
            edition.changed.add("targets")
            self._writer().write(edition)

    def channels(self) -> tuple[str, ...]:
        return tuple(sorted(self._read().channels))

    def releases(self, channel: str) -> tuple[Stored, ...]:
        """All files of a channel, the newest first, a package before the deltas that lead to it."""
        targets = self._channel(self._read(), channel).signed.targets
        found = []
        for path, release in entries(targets, channel).items():
            digest = targets[path].hashes["sha256"]
            size = targets[path].length
            found.append(Stored(release, path, size, digest, place(self.directory, path, digest)))
        return tuple(sorted(found, key=lambda one: (-one.release.sequence, one.release.base)))

    def find(self, channel: str, target: str, model: str, version: str) -> Stored:
        packages = [one for one in self.releases(channel) if not one.release.base]
        mine = [s for s in packages if (s.release.target, s.release.model) == (target, model)]
        for stored in mine:
            if stored.release.version == version:
                return stored
        raise UnknownNameError("version", version, [one.release.version for one in mine])

    def states(self) -> tuple[RoleState, ...]:
        return self._states(self._read())

    def _states(self, edition: Edition) -> tuple[RoleState, ...]:
        found = []
        for name in (*ROLES, *sorted(edition.channels)):
            delegator = (edition.root if name in ROLES else edition.targets).signed
            role = delegator.get_delegated_role(name)
            keys = [delegator.get_key(keyid) for keyid in role.keyids]
            here = sum(self.vault.file(name, key) is not None for key in keys)
            signed = edition.role(name).signed
            state = (name, signed.version, signed.expires, len(keys), role.threshold, here)
            found.append(RoleState(*state))
        return tuple(found)

    def _is_due(self, state: RoleState) -> bool:
        return state.expires - self.now() < self.lifetimes.of(state.name) / 2

    def _read(self) -> Edition:
        try:
            pinned = self.vault.pinned.read_bytes()
        except OSError as error:
            raise StorageError(
                f"There is no repository with these keys: {self.vault.pinned} cannot be read.",
                "Make one with `sanderling channel init DIRECTORY`.",
            ) from error
        return read(self.metadata, pinned)

    @contextmanager
    def _changing(self) -> Iterator[Edition]:
        """The present state, to be changed by nobody else meanwhile."""
        with self.vault.alone():
            edition = self._read()
            # a rotation that was killed may have left its root unpinned
            pinned = self.vault.pinned.read_bytes()
            _, newest = read_root(self.metadata, pinned)
            if newest != pinned:
                replace_file(self.vault.pinned, newest)
            yield edition

    def _writer(self) -> Writer:
        return Writer(self.metadata, self.vault, self.lifetimes, self.now())

    def _give_keys(self, delegator: Any, role: str, keys: RoleKeys) -> list[Any]:
        """New keys instead of those the role has; `delegator` is changed, not written."""
        entry = delegator.signed.get_delegated_role(role)
        for keyid in list(entry.keyids):
            delegator.signed.revoke_key(keyid, role)
        made = self.vault.make(role, keys.keys)
        for signer in made:
            delegator.signed.add_key(signer.public_key, role)
        entry.threshold = keys.threshold
        return made

    def _next_root(self, edition: Edition, old: Sequence[Any] = ()) -> None:
        text = self._writer().write_root(edition.root, old)
        replace_file(self.vault.pinned, text)

    def _delegate(self, edition: Edition, channel: str, keys: RoleKeys) -> None:
        from tuf.api.metadata import DelegatedRole, Delegations, Metadata, Targets

        signed = edition.targets.signed
        if signed.delegations is None:
            signed.delegations = Delegations({}, {})
        assert signed.delegations.roles is not None
        signed.delegations.roles[channel] = DelegatedRole(
            channel, [], 1, terminating=True, paths=[f"{channel}/*/*/*"]
        )
        self._give_keys(edition.targets, channel, keys)
        made = Metadata(Targets(version=1))
        # a channel of that name that was removed: its version goes on, devices know the last one
        gone = edition.retired.pop(f"{channel}.json", None)
        made.signed.version = gone.version if gone else 0
        edition.channels[channel] = made
        edition.changed.add(channel)

    def _channel(self, edition: Edition, channel: str) -> Any:
        if channel not in edition.channels:
            raise UnknownNameError("channel", channel, sorted(edition.channels))
        return edition.channels[channel]

    def _store(self, release: Release, channel: str, source: Path) -> Any:
        """Copy a file to where its hash says; its entry for the channel's metadata."""
        from tuf.api.metadata import TargetFile

        path = release.path(channel)
        size, digest = store(self.directory, path, source)
        return TargetFile(size, {"sha256": digest}, path, {"custom": release.to_json()})

    def _sweep(self, edition: Edition) -> None:
        """Remove files that nothing leads to and that are older than any download."""
        kept = {self.metadata / "timestamp.json"}
        for name in (*ROLES[1:3], *edition.channels):
            kept.add(self.metadata / f"{edition.role(name).signed.version}.{name}.json")
        for role in edition.channels.values():
            for path, entry in role.signed.targets.items():
                kept.add(place(self.directory, path, entry.hashes["sha256"]))
        sweep(self.directory, kept, (self.now() - KEPT).timestamp())
