"""A real repository of a few small files, and what reads it as any client of the standard would."""

import os
from collections.abc import Callable
from pathlib import Path

from edge_targets.updates.names import Release
from edge_targets.updates.repository import Repository
from edge_targets.updates.vault import Vault


def repository(folder: Path, **facts: object) -> Repository:
    return Repository(folder / "public", Vault(folder / "keys"), **facts)  # type: ignore[arg-type]


def release(version: str, model: str = "tiny", target: str = "simulator", **facts: str) -> Release:
    return Release(model, version, target, "onnx", **facts)  # type: ignore[arg-type]


def content(path: Path, size: int = 1000) -> Path:
    path.write_bytes(os.urandom(size))
    return path


def accepts(repo: Repository, cache: Path, path: str, root: bytes) -> bool:
    """Whether somebody else's client, starting from `root`, finds `path` and takes its file."""
    from tuf.api.exceptions import RepositoryError
    from tuf.ngclient import Updater

    (cache / "targets").mkdir(parents=True, exist_ok=True)
    fetch = FolderFetcher(lambda url: repo.directory / url)
    words = (str(cache), "metadata", str(cache / "targets"), "targets")
    try:
        updater = Updater(*words, fetcher=fetch, bootstrap=root)  # type: ignore[arg-type]
        found = updater.get_targetinfo(path)
        return found is not None and bool(updater.download_target(found))
    except RepositoryError:
        return False


class FolderFetcher:
    def __init__(self, find: Callable[[str], Path]) -> None:
        self.find = find

    def download_bytes(self, url: str, max_length: int) -> bytes:
        from tuf.api.exceptions import DownloadHTTPError

        if not self.find(url).exists():
            raise DownloadHTTPError("no", 404)
        return self.find(url).read_bytes()

    def download_file(self, url: str, max_length: int) -> object:
        return self.find(url).open("rb")
