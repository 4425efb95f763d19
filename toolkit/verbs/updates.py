"""Updates over the air: what is published, and who signs it."""

from pathlib import Path

from edge_targets.runtime.errors import UsageError
from edge_targets.runtime.events import QUIET, Job
from toolkit.results import updates as r
from toolkit.verbs.words import Columns, Count, Folder, Folders, Given


def publish(
    package: str,
    /,
    *,
    channel: str = "stable",
    notes: Given = None,
    broker: Given = None,
    workspace: Folder = None,
    job: Job = QUIET,
) -> r.Published:
    """Put a package into a channel, where the devices that follow it find it by themselves.

    Deltas from the versions that devices are likely to have are made too.

    Args:
        package: the name of a package.
        channel: of the repository that `channel init` made.
        notes: what is new, for a person.
        broker: mqtt://HOST:PORT or mqtts://…, to have devices look at once.
    """
    from toolkit import publishing
    from toolkit.workspace import Workspace

    shelves = Workspace.find(workspace)
    return publishing.publish(
        shelves, package, channel, None, job, notes or "", broker=broker or ""
    )


def channel_init(
    directory: Path,
    /,
    *,
    channel: Columns = (),
    offline: Folders = (),
    keys: int = 1,
    threshold: int = 1,
    workspace: Folder = None,
    job: Job = QUIET,
) -> r.Channels:
    """Make a repository: a folder of static files that any web server can give to devices.

    It is one of The Update Framework: whoever breaks into that web server can neither forge,
    freeze nor take back what devices take.

    Args:
        directory: the folder to write.
        channel: a channel to begin with; may be repeated; stable unless given.
        offline: a folder for the keys of root and targets, such as a stick's, that is here only
            when they sign; may be repeated, one for each key.
        keys: how many keys root and targets have.
        threshold: how many of them must sign.
    """
    from toolkit import publishing, secrets
    from toolkit.workspace import Workspace

    shelves = Workspace.find(workspace)
    channels = channel or ("stable",)
    return publishing.channel_init(
        shelves, directory, channels, offline, keys, threshold, secrets.passphrase
    )


def channel_show(*, workspace: Folder = None, job: Job = QUIET) -> r.Channels:
    """Tell what each channel holds, who signs, and until when what is signed holds."""
    from toolkit import publishing
    from toolkit.workspace import Workspace

    return publishing.channel_show(Workspace.find(workspace))


def channel_add(
    channel: str, /, *, keys: Folders = (), workspace: Folder = None, job: Job = QUIET
) -> r.Channels:
    """Add a channel, with a key of its own.

    Args:
        channel: what to call it, such as beta.
        keys: a folder with keys that are not kept here; may be repeated.
    """
    from toolkit import publishing, secrets
    from toolkit.workspace import Workspace

    shelves = Workspace.find(workspace)
    return publishing.channel_add(shelves, channel, keys, secrets.passphrase)


def channel_remove(
    channel: str, /, *, keys: Folders = (), workspace: Folder = None, job: Job = QUIET
) -> r.Channels:
    """Take a channel away; devices that follow it stay as they are.

    Args:
        channel: the name of a channel.
        keys: a folder with keys that are not kept here; may be repeated.
    """
    from toolkit import publishing, secrets
    from toolkit.workspace import Workspace

    shelves = Workspace.find(workspace)
    return publishing.channel_remove(shelves, channel, keys, secrets.passphrase)


def channel_refresh(
    *, keys: Folders = (), workspace: Folder = None, job: Job = QUIET
) -> r.Refreshed:
    """Sign anew what is about to run out; to be run by a timer, once a day.

    Args:
        keys: a folder with keys that are not kept here; may be repeated.
    """
    from toolkit import publishing, secrets
    from toolkit.workspace import Workspace

    shelves = Workspace.find(workspace)
    return publishing.channel_refresh(shelves, keys, secrets.passphrase)


def channel_rotate(
    role: str,
    /,
    *,
    count: Count = None,
    threshold: Count = None,
    keys: Folders = (),
    workspace: Folder = None,
    job: Job = QUIET,
) -> r.Rotated:
    """Give a role new keys, for example because one may have been stolen.

    Args:
        role: root, targets, snapshot, timestamp, or the name of a channel.
        count: how many keys it has from now on; as many as before unless given.
        threshold: how many of them must sign; with --count, one unless given.
        keys: a folder with keys that are not kept here; may be repeated.
    """
    from toolkit import publishing, secrets
    from toolkit.workspace import Workspace

    shelves = Workspace.find(workspace)
    if count is not None and count < 1:
        raise UsageError(f"A role cannot have {count} keys.", "Use --count 1, or 3.")
    words = (role, count or 0, threshold or 0)
    return publishing.channel_rotate(shelves, *words, keys, secrets.passphrase)


def channel_withdraw(
    model: str,
    version: str,
    /,
    *,
    channel: str = "stable",
    target: Given = None,
    workspace: Folder = None,
    job: Job = QUIET,
) -> r.Withdrawn:
    """Take a version out of a channel; its devices go to the newest that is left.

    Args:
        model: by the name it is served.
        version: of it.
        channel: the name of a channel.
        target: needed only where the version was published for several.
    """
    from toolkit import publishing
    from toolkit.workspace import Workspace

    shelves = Workspace.find(workspace)
    return publishing.withdraw(shelves, channel, model, version, target or "")


def channel_stick(
    directory: Path,
    /,
    *,
    channel: str = "stable",
    model: Given = None,
    target: Given = None,
    workspace: Folder = None,
    job: Job = QUIET,
) -> r.Stick:
    """Copy the newest packages to a folder, such as a USB stick's, to update without a network.

    A device checks it as it would check a web server; how it is told to is in docs/updates.md.

    Args:
        directory: the folder to write.
        channel: the name of a channel.
        model: only this one, by the name it is served.
        target: only for this one.
    """
    from toolkit import following
    from toolkit.workspace import Workspace

    shelves = Workspace.find(workspace)
    return following.stick(shelves, directory, channel, model or "", target or "")
