"""Packages to channels that devices follow: a repository of static files, its keys, its deltas.

The keys lie in `keys/tuf/` of the workspace, unless those of root and targets are told to lie
elsewhere; `keys/tuf/repository.json` remembers which folder they sign, and where the others are.
"""

import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from edge_targets.package import public_key, verify
from edge_targets.runtime.durable import replace_file, storing
from edge_targets.runtime.errors import DataError, RecipeError, UnknownNameError, UsageError
from edge_targets.runtime.events import Job
from edge_targets.updates import delta
from edge_targets.updates.names import ROLES, Release
from edge_targets.updates.records import RoleKeys
from edge_targets.updates.repository import Repository
from edge_targets.updates.vault import Passphrase, Vault, no_passphrase
from toolkit.repositories import (
    WHERE,
    Where,
    earlier,
    is_made,
    keys_folder,
    repository_of,
    rows,
    words,
)
from toolkit.results.updates import (
    Channels,
    Published,
    Refreshed,
    RoleRow,
    Rotated,
    Withdrawn,
)
from toolkit.shipping import package_file, signing_key_of
from toolkit.workspace import Workspace

BASES = 5  # earlier versions that deltas are made from: what a fleet has that was not long off
WORTH = 0.8  # of a package; a larger delta is not kept
SOON_DAYS = 30.0


def channel_init(
    shelves: Workspace,
    directory: Path,
    channels: Sequence[str] = ("stable",),
    offline: Sequence[Path] = (),
    keys: int = 1,
    threshold: int = 1,
    passphrase: Passphrase = no_passphrase,
) -> Channels:
    """Make an empty repository in a folder; `keys` and `threshold` are of root and targets."""
    online = keys_folder(shelves)
    if is_made(online):
        known = Where.parse((online / WHERE).read_bytes()).directory
        raise DataError(
            f"This workspace publishes to {known} already.",
            "Add a channel there with `sanderling channel add`, or use another workspace.",
        )
    check_directory(shelves, directory)
    where = Where(str(directory.absolute()), tuple(str(one.absolute()) for one in offline))
    vault = Vault(online, tuple(Path(one) for one in where.offline), passphrase)
    role = RoleKeys(keys, threshold)
    with storing(online):
        online.mkdir(mode=0o700, parents=True, exist_ok=True)
    replace_file(online / WHERE, where.dump().encode(), 0o600)
    Repository(Path(where.directory), vault).create(channels, {"root": role, "targets": role})
    return channel_show(shelves)


def check_directory(shelves: Workspace, directory: Path) -> None:
    """Make the folder before any key: one that cannot be leaves nothing behind.

    Raises:
        DataError: it is a file, holds the workspace, or a repository already.
        StorageError: it cannot be made.
    """
    if directory.exists() and not directory.is_dir():
        raise DataError(f"{directory} is no folder.", "Name a folder, which may be a new one.")
    if shelves.root.resolve().is_relative_to(directory.resolve()):
        raise DataError(
            f"{directory} holds the workspace: a web server would give its keys away.",
            "Name a folder in the workspace, or elsewhere.",
        )
    if (directory / "metadata" / "timestamp.json").exists():
        raise DataError(
            f"{directory} holds a repository already.",
            "Publish into it from its own workspace, or name another folder.",
        )
    with storing(directory):
        (directory / "metadata").mkdir(parents=True, exist_ok=True)


def publish(
    shelves: Workspace,
    package_name: str,
    channel: str,
    directory: Path | None,
    job: Job,
    notes: str = "",
    bases: int = BASES,
    broker: str = "",
) -> Published:
    """Put a package into a channel, with deltas from its latest versions, and nudge devices."""
    repo = repository_of(shelves, directory)
    entry = shelves.get("packages", package_name)
    with tempfile.TemporaryDirectory() as scratch:
        file = package_file(shelves, entry, scratch)
        manifest = verify(file, (public_key(signing_key_of(shelves)),))
        release = Release(manifest.name, manifest.version, manifest.target, manifest.format)
        release = Release(*words(release), notes=notes).checked()
        before = earlier(repo, channel, release)
        if before and before[0].release.version == release.version:
            raise DataError(
                f"{manifest.name} {manifest.version} is the newest of {channel} already.",
                "Build and package another version.",
            )
        deltas = {}
        for stored in [one for one in before if one.release.version != release.version][:bases]:
            made = Path(scratch) / f"{stored.release.version}.sndd"
            if delta.make(stored.file, file, made, job).size < WORTH * file.stat().st_size:
                deltas[stored.release.version] = made
        job.step("publish", 0, 1)
        done = repo.publish(channel, file, release, deltas)
    job.step("publish", 1, 1)
    if broker:
        from edge_targets.agent.nudge import nudge

        nudge(broker, channel)
    [row] = [one for one in rows(repo, channel) if one.sequence == done.release.sequence]
    return Published(
        package_name,
        channel,
        str(repo.directory),
        done.path,
        release.target,
        release.model,
        release.version,
        done.release.sequence,
        done.size,
        row.deltas,
        next=("sanderling channel show", "sanderling device follow DEVICE URL"),
    )


def channel_show(shelves: Workspace) -> Channels:
    """How the repository stands: channels, releases, and until when each role is signed."""
    repo = repository_of(shelves)
    channels = repo.channels()
    now = datetime.now(UTC)
    roles = []
    for state in repo.states():
        left = (state.expires - now).total_seconds() / 86_400
        facts = (state.name, state.version, state.expires.isoformat(), round(left, 2))
        roles.append(RoleRow(*facts, state.keys, state.threshold, state.here))
    late = [role for role in roles if role.days_left < 0]
    soon = [role for role in roles if role.days_left < SOON_DAYS and role.name != "timestamp"]
    note = ""
    if late:
        note = f"Expired: {', '.join(role.name for role in late)}. Devices take nothing."
    elif soon:
        note = f"Expires soon: {', '.join(role.name for role in soon)}."
    releases = tuple(row for channel in channels for row in rows(repo, channel))
    goes_on = (f"sanderling publish PACKAGE --channel {channels[0]}",) if channels else ()
    return Channels(
        str(repo.directory),
        channels,
        releases,
        tuple(roles),
        note,
        next=("sanderling channel refresh",) if late or soon else goes_on,
    )


def channel_add(
    shelves: Workspace,
    channel: str,
    keys: Sequence[Path] = (),
    passphrase: Passphrase = no_passphrase,
) -> Channels:
    repository_of(shelves, None, keys, passphrase).add_channel(channel)
    return channel_show(shelves)


def channel_remove(
    shelves: Workspace,
    channel: str,
    keys: Sequence[Path] = (),
    passphrase: Passphrase = no_passphrase,
) -> Channels:
    repository_of(shelves, None, keys, passphrase).remove_channel(channel)
    return channel_show(shelves)


def channel_refresh(
    shelves: Workspace, keys: Sequence[Path] = (), passphrase: Passphrase = no_passphrase
) -> Refreshed:
    """Sign the timestamp anew, and whatever else ages; to be done before the timestamp runs out."""
    repo = repository_of(shelves, None, keys, passphrase)
    signed = repo.refresh()
    first = min(repo.states(), key=lambda state: state.expires)
    return Refreshed(str(repo.directory), signed, first.expires.isoformat(), first.name)


def channel_rotate(
    shelves: Workspace,
    role: str,
    count: int = 0,
    threshold: int = 0,
    keys: Sequence[Path] = (),
    passphrase: Passphrase = no_passphrase,
) -> Rotated:
    """Give a role new keys, such as after a theft; `count` of 0 keeps how many there are."""
    repo = repository_of(shelves, None, keys, passphrase)
    known = [state.name for state in repo.states()]
    if role not in known:
        raise UnknownNameError("role", role, known)
    if threshold and not count:
        raise UsageError("--threshold needs a number of keys.", "Say how many with --count.")
    repo.rotate(role, RoleKeys(count, threshold or 1) if count else None)
    states = {state.name: state for state in repo.states()}
    mine = states[role]
    return Rotated(role, mine.keys, mine.threshold, states[ROLES[0]].version)


def withdraw(
    shelves: Workspace, channel: str, model: str, version: str, target: str = ""
) -> Withdrawn:
    """Take a version out of a channel; devices that serve it go back to the newest left."""
    repo = repository_of(shelves)
    mine = [s.release for s in repo.releases(channel) if not s.release.base]
    found = [r for r in mine if (r.model, r.version) == (model, version)]
    targets = sorted({r.target for r in found if target in ("", r.target)})
    if len(targets) > 1:
        raise RecipeError(
            f"{model} {version} is there for {', '.join(targets)}.", "Say which with --target."
        )
    models = sorted({r.model for r in mine})
    if model not in models:
        raise UnknownNameError(f"model in {channel}", model, models)
    if not targets:
        known = [r.version for r in mine if r.model == model]
        raise UnknownNameError("version", version, known)
    gone = repo.withdraw(channel, targets[0], model, version)
    left = earlier(repo, channel, gone)
    newest = left[0].release.version if left else ""
    return Withdrawn(channel, gone.target, model, version, newest)
