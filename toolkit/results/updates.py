"""What comes of publishing to channels, and how a repository stands."""

from dataclasses import dataclass

from toolkit.report import Result


@dataclass(frozen=True)
class RoleRow:
    """A role of a repository: `here` of its `keys` can sign on this machine, `threshold` must."""

    name: str
    version: int
    expires: str
    days_left: float
    keys: int
    threshold: int
    here: int


@dataclass(frozen=True)
class DeltaRow:
    """A way to a release from an earlier version; `share` is of the whole package."""

    base: str
    size_bytes: int
    share: float

    def __str__(self) -> str:
        return f"{self.base}: {100 * self.share:.0f} %"


@dataclass(frozen=True)
class ReleaseRow:
    """A version of a model in a channel; the largest `sequence` is the one devices take."""

    channel: str
    target: str
    model: str
    version: str
    sequence: int
    size_bytes: int
    notes: str
    deltas: tuple[DeltaRow, ...]


@dataclass(frozen=True)
class Channels(Result):
    """A repository: its folder, its channels, what they hold and who signs."""

    directory: str
    channels: tuple[str, ...]
    releases: tuple[ReleaseRow, ...]
    roles: tuple[RoleRow, ...]
    note: str = ""


@dataclass(frozen=True)
class Published(Result):
    """A package that devices of a channel take from now on."""

    package: str
    channel: str
    directory: str
    path: str
    target: str
    model: str
    version: str
    sequence: int
    size_bytes: int
    deltas: tuple[DeltaRow, ...]


@dataclass(frozen=True)
class Withdrawn(Result):
    """A version that no device is led to any more; `newest` is what they take instead."""

    channel: str
    target: str
    model: str
    version: str
    newest: str


@dataclass(frozen=True)
class Refreshed(Result):
    """Roles that were signed anew, and the earliest day on which one of them runs out."""

    directory: str
    signed: tuple[str, ...]
    expires: str
    role: str


@dataclass(frozen=True)
class Rotated(Result):
    """A role with new keys; devices learn of them from root version `root_version`."""

    role: str
    keys: int
    threshold: int
    root_version: int


@dataclass(frozen=True)
class Followed(Result):
    """A device that takes its updates from a channel from now on; from none where it is empty.

    A download may take all that the network gives where `bytes_per_s` is None.
    """

    device: str
    repository: str = ""
    channel: str = ""
    pull_s: float | None = None
    bytes_per_s: int | None = None
    broker: str = ""
    note: str = ""


@dataclass(frozen=True)
class Stick(Result):
    """A folder that a device can be updated from without a network."""

    directory: str
    files: int
    size_bytes: int
    expires: str
