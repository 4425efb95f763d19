"""What a device believes of a repository: the client's side of The Update Framework.

The library checks who signed what, versions and expiry (specification, section 5); here it is given
our source of bytes, a time that does not run backwards, and durable files: what it has seen must
outlive a power cut, or an older state could be passed off as the newest.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, cast

from edge_targets.runtime.durable import replace_file, storing
from edge_targets.runtime.errors import DeviceError, IntegrityError, UnknownNameError
from edge_targets.updates.clock import Clock, Seen, moment
from edge_targets.updates.edition import ISSUED
from edge_targets.updates.fetching import MissingError, Source, read_bytes
from edge_targets.updates.names import Release, release_of

if TYPE_CHECKING:
    from tuf.api.metadata import Targets
    from tuf.ngclient import Updater
    from tuf.ngclient.fetcher import FetcherInterface

# bytes of metadata that are read before any signature is checked
MAX_ROOT, MAX_TIMESTAMP, MAX_SNAPSHOT = 256 << 10, 16 << 10, 512 << 10
MAX_TARGETS = 4 << 20  # some ten thousand releases
MAX_ROOTS = 256  # that are followed in one go


@dataclass(frozen=True)
class Offer:
    """A file of a channel that may be fetched; `path` is where its bytes lie."""

    release: Release
    path: str
    size: int
    sha256: str


class Client:
    """One device's view of one repository, kept in `folder`."""

    def __init__(self, folder: Path, root: bytes, source: Source, clock: Clock) -> None:
        self.folder = folder
        self.root = root
        self.source = source
        self.clock = clock

    def offers(self, channel: str, target: str) -> list[Offer]:
        """What the channel holds for a target, the newest first.

        Raises:
            DeviceError: the repository cannot be reached.
            IntegrityError: it is not to be believed.
            UnknownNameError: it has no such channel.
        """
        with _explained(self.source.name):
            updater = self._refreshed()
            found = list(self._listed(updater, channel, target))
        return sorted(found, key=lambda one: (-one.release.sequence, one.release.base))

    def _listed(self, updater: "Updater", channel: str, target: str) -> Iterator[Offer]:
        trusted = updater._trusted_set
        delegations = trusted.targets.delegations
        known = sorted(delegations.roles or ()) if delegations else []
        if channel not in known:
            raise UnknownNameError("channel", channel, known)
        updater.get_targetinfo(f"{channel}/{target}/-/-")  # has the channel's role loaded
        for path in sorted(cast("Targets", trusted[channel]).targets):
            # asked for again from the top: a role has no say outside of what it was given
            entry = updater.get_targetinfo(path)
            release = release_of(path, entry.custom, channel) if entry else None
            if entry is None or release is None or release.target != target:
                continue
            digest = entry.hashes.get("sha256", "")
            folder, _, name = path.rpartition("/")
            yield Offer(release, f"targets/{folder}/{digest}.{name}", entry.length, digest)

    def _refreshed(self) -> "Updater":
        from tuf.api.exceptions import ExpiredMetadataError

        seen = Seen.load(self.folder)
        updater = self._updater(seen)
        try:
            updater.refresh()
        except ExpiredMetadataError:
            keys = _keys(updater)
            if not seen.keys or seen.keys == keys:
                raise
            # the key that vouched for this floor is not believed any more
            seen = Seen()
            updater = self._updater(seen)
            updater.refresh()
        stamp = updater._trusted_set.timestamp
        times = (self._time(seen), moment(stamp.unrecognized_fields.get(ISSUED)))
        now = max(when for when in times if when)
        text = now.astimezone(UTC).isoformat(timespec="seconds")
        Seen(text, self.clock.uptime_s, self.clock.boot, _keys(updater)).save(self.folder)
        return updater

    def _time(self, seen: Seen) -> datetime:
        """The latest of the calendar, what was seen, and when the pinned root was signed."""
        from tuf.api.metadata import Metadata, Root

        fields = Metadata[Root].from_bytes(self.root).signed.unrecognized_fields
        issued = moment(fields.get(ISSUED))
        times = (self.clock.now, seen.floor(self.clock), issued)
        return max(when for when in times if when)

    def _updater(self, seen: Seen) -> "Updater":
        from tuf.ngclient import Updater, UpdaterConfig

        class Durable(Updater):
            def _persist_file(self, filename: str, data: bytes) -> None:
                replace_file(Path(filename), data)

        if not hasattr(Updater, "_persist_file"):
            raise _unknown_library()
        metadata = self.folder / "metadata"
        with storing(metadata):
            metadata.mkdir(parents=True, exist_ok=True)
        updater = Durable(
            str(metadata),
            "metadata",
            fetcher=cast("FetcherInterface", Fetcher(self.source)),
            config=UpdaterConfig(
                MAX_ROOTS,
                root_max_length=MAX_ROOT,
                timestamp_max_length=MAX_TIMESTAMP,
                snapshot_max_length=MAX_SNAPSHOT,
                targets_max_length=MAX_TARGETS,
            ),
            bootstrap=self.root,
        )
        known = getattr(updater, "_trusted_set", None)
        if not isinstance(getattr(known, "reference_time", None), datetime):
            raise _unknown_library()
        updater._trusted_set.reference_time = self._time(seen)
        return updater


class Fetcher:
    """What the library asks for bytes."""

    def __init__(self, source: Source) -> None:
        self.source = source

    def download_bytes(self, url: str, max_length: int) -> bytes:
        from tuf.api.exceptions import DownloadHTTPError

        try:
            # what a snapshot says of a length is only as good as its signer
            return read_bytes(self.source, url, min(max_length, MAX_TARGETS))
        except MissingError as error:
            if url.endswith(".root.json"):  # there is no newer one: how the search for it ends
                raise DownloadHTTPError(str(error), 404) from error
            raise


def _unknown_library() -> DeviceError:
    """Time and durable files go through inner parts of the library: others are not guessed at."""
    return DeviceError(
        f"tuf {version('tuf')} is built otherwise than Sanderling knows: no updates are pulled.",
        "Install one that it knows: pip install 'tuf>=6,<8'.",
    )


def _keys(updater: "Updater") -> tuple[str, ...]:
    role = updater._trusted_set.root.get_delegated_role("timestamp")
    return tuple(sorted(role.keyids))


@contextmanager
def _explained(name: str) -> Iterator[None]:
    """The library's errors as ours, each with what it means for a user."""
    from tuf.api import exceptions as tuf

    try:
        yield
    except tuf.ExpiredMetadataError as error:
        raise IntegrityError(
            f"What {name} offers is out of date: {error}.",
            "Sign it anew with `sanderling channel refresh`; is the device's clock right?",
        ) from error
    except tuf.BadVersionNumberError as error:
        raise IntegrityError(
            f"{name} offers an older state than this device has seen: {error}.",
            "Restore the repository, or publish again; nothing was taken.",
        ) from error
    except tuf.LengthOrHashMismatchError as error:
        raise IntegrityError(
            f"{name} mixes states, or was changed: {error}.",
            "Copy the whole repository anew; nothing was taken.",
        ) from error
    except tuf.UnsignedMetadataError as error:
        raise IntegrityError(
            f"{name} is not signed by the keys this device believes: {error}.",
            "Is it the right repository? The device's root.json says whose word counts.",
        ) from error
    except (tuf.RepositoryError, ValueError, RecursionError) as error:
        raise IntegrityError(
            f"{name} is no repository that can be used: {error}.",
            "Publish it again; nothing was taken.",
        ) from error
    except tuf.DownloadError as error:
        raise DeviceError(f"{name}: {error}.", "It is tried again.") from error
