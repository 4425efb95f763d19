"""How devices come by what is published: from a web server they follow, or on a stick."""

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from edge_targets.runtime.durable import storing
from edge_targets.runtime.errors import DataError, UnknownNameError, UsageError
from edge_targets.runtime.events import Job
from toolkit.repositories import repository_of
from toolkit.results.updates import Followed, Stick
from toolkit.shipping import place_of
from toolkit.workspace import Workspace


def follow(
    shelves: Workspace,
    device_name: str,
    repository: str,
    job: Job,
    channel: str = "stable",
    pull_s: float = 3600.0,
    bytes_per_s: int = 0,
    broker: str = "",
) -> Followed:
    """Have a device take its updates from `repository`, a web address; from nowhere when empty."""
    device = shelves.get("devices", device_name)
    changes: Mapping[str, object] = {
        "repository": repository,
        "channel": channel,
        "pull_s": pull_s,
        "bytes_per_s": bytes_per_s,
        "broker": broker,
    }
    check_wishes(changes)
    root = b""
    if repository:
        repo = repository_of(shelves)
        if channel not in repo.channels():
            raise UnknownNameError("channel", channel, list(repo.channels()))
        root = repo.vault.pinned.read_bytes()
    target, place = place_of(shelves, device)
    target.configure(place, changes, root, job)
    if not repository:
        return Followed(device_name, note="It looks for no updates from now on.")
    return Followed(
        device_name,
        repository,
        channel,
        pull_s,
        bytes_per_s or None,
        broker,
        next=(f"sanderling device status {device_name}",),
    )


def check_wishes(changes: Mapping[str, object]) -> None:
    """Refuse what no agent would take, by the words that were typed."""
    from edge_targets.agent.home import Settings

    typed = {"repository": "The repository", "pull_s": "--every", "bytes_per_s": "--limit"}
    try:
        replace(Settings(), **changes)  # type: ignore[arg-type]
    except DataError as error:
        name, _, rest = str(error).partition(" ")
        raise UsageError(f"{typed.get(name, f'--{name}')} {rest}", error.hint) from error


def stick(
    shelves: Workspace,
    directory: Path,
    channel: str,
    model: str = "",
    target: str = "",
    version: str = "",
) -> Stick:
    """Copy the metadata, and the newest package that fits, to a folder such as a stick's.

    A device checks it as it would a web server, so it holds as long as the timestamp does.
    """
    repo = repository_of(shelves)
    repo.refresh()
    wanted = []
    seen: set[tuple[str, str]] = set()
    for stored in repo.releases(channel):
        r = stored.release
        fits = all(
            said in ("", has)
            for said, has in ((model, r.model), (target, r.target), (version, r.version))
        )
        if fits and not r.base and (r.model, r.target) not in seen:
            seen.add((r.model, r.target))
            wanted.append(stored.file)
    if not wanted:
        raise DataError(f"{channel} holds nothing of the kind.", "See `sanderling channel show`.")
    wanted += sorted(repo.metadata.glob("*.json"), key=lambda file: file.name == "timestamp.json")
    if directory.exists() and not directory.is_dir():
        raise DataError(f"{directory} is no folder.", "Name that of a stick, such as /media/usb.")
    size = 0
    for file in wanted:
        copy = directory / file.relative_to(repo.directory)
        with storing(copy):
            copy.parent.mkdir(parents=True, exist_ok=True)
            if copy.exists() and file.suffix != ".json":
                copy.unlink()
            shutil.copyfile(file, copy)
        size += copy.stat().st_size
    first = min(repo.states(), key=lambda state: state.expires)
    return Stick(str(directory.absolute()), len(wanted), size, first.expires.isoformat())
