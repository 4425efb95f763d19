"""Which repository a workspace signs, where its keys lie, and what it holds."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from edge_targets.runtime.contract import Wire, texts
from edge_targets.runtime.errors import DataError
from edge_targets.updates.names import Release
from edge_targets.updates.records import Stored
from edge_targets.updates.repository import Repository
from edge_targets.updates.vault import Passphrase, Vault, no_passphrase
from toolkit.results.updates import DeltaRow, ReleaseRow
from toolkit.workspace import Workspace

WHERE = "repository.json"  # beside the keys


@dataclass(frozen=True)
class Where(Wire):
    """Which repository a workspace signs; `offline` are the folders of root's and targets' keys."""

    versioned: ClassVar = True
    nested: ClassVar = {"offline": texts}

    directory: str
    offline: tuple[str, ...] = ()


def keys_folder(shelves: Workspace) -> Path:
    return shelves.key_file.parent / "tuf"


def is_made(online: Path) -> bool:
    """Whether keys and a repository are there, and not what a killed attempt left of them."""
    try:
        where = Where.parse((online / WHERE).read_bytes())
    except OSError:
        return False
    stamp = Path(where.directory) / "metadata" / "timestamp.json"
    return stamp.exists() and Vault(online).pinned.exists()


def repository_of(
    shelves: Workspace,
    directory: Path | None = None,
    keys: Sequence[Path] = (),
    passphrase: Passphrase = no_passphrase,
) -> Repository:
    """The repository that the workspace signs; `keys` are further folders to look for keys in.

    Raises:
        DataError: it has none yet.
    """
    online = keys_folder(shelves)
    try:
        where = Where.parse((online / WHERE).read_bytes())
    except OSError as error:
        raise DataError(
            "This workspace publishes nowhere yet.",
            "Make a repository with `sanderling channel init DIRECTORY`.",
        ) from error
    folders = tuple(dict.fromkeys((*(Path(one) for one in where.offline), *keys)))
    return Repository(directory or Path(where.directory), Vault(online, folders, passphrase))


def words(release: Release) -> tuple[str, str, str, str]:
    return release.model, release.version, release.target, release.format


def earlier(repo: Repository, channel: str, release: Release) -> list[Stored]:
    """Packages of the same model and target, the newest first."""
    key = (release.target, release.model)
    packages = [one for one in repo.releases(channel) if not one.release.base]
    return [one for one in packages if (one.release.target, one.release.model) == key]


def rows(repo: Repository, channel: str) -> list[ReleaseRow]:
    stored = repo.releases(channel)
    found = []
    for one in stored:
        r = one.release
        if r.base:
            continue
        deltas = tuple(
            DeltaRow(d.release.base, d.size, d.size / one.size)
            for d in stored
            if d.release.base and (words(d.release), d.release.sequence) == (words(r), r.sequence)
        )
        facts = (channel, r.target, r.model, r.version, r.sequence, one.size, r.notes)
        found.append(ReleaseRow(*facts, deltas))
    return found
