"""A folder of source once more, for a build that may write beside what it reads.

What an earlier build has left there stays behind, or a module that is long deleted came back.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from edge_targets.runtime.errors import DataError
from edge_targets.runtime.events import Job

GIT = ".git"
LEFT = (GIT, "__pycache__", ".pyodide_build")  # anywhere; of git's there is a copy of its own
BUILT = ("build", "dist")  # at the top, where no code lies in them


def copy_source(folder: Path, work: Path, job: Job) -> Path:
    """Copy the package in `folder` into `work`, which is empty or not there; where it lies.

    Links that lead out of it still lead there; all others lead to the copy. Times are kept, since
    generators of code compare them. A backend that asks git gets the same answers.

    Raises:
        DataError: something in it cannot be read, or `work` cannot be written.
    """
    folder, work = folder.resolve(), work.resolve()
    root = next((one for one in (folder, *folder.parents) if (one / GIT).exists()), None)
    top = work / (root or folder).name
    place = top / folder.relative_to(root or folder)
    try:
        if root:
            _copy_rules(root, folder, top)
        for path in _sources(folder, work, job):
            _copy(path, folder, place)
    except OSError as error:
        raise DataError(
            f"{folder} could not be copied to build it: {error.filename}: {error.strerror}.",
            "Check who may read there, and that the disk for temporary files has space.",
        ) from error
    if root and (top / GIT).exists():
        _copy_index(root, top)
    return place


def _sources(folder: Path, work: Path, job: Job) -> Iterator[Path]:
    """Everything that may be source, each folder before what is in it."""

    def refuse(error: OSError) -> NoReturn:
        raise error

    for here, folders, files in os.walk(folder, onerror=refuse):
        paths = {name: Path(here, name) for name in (*folders, *files)}
        kept = [name for name, path in paths.items() if not _left(path, folder, work)]
        folders[:] = [name for name in folders if name in kept]
        for name in sorted(kept):
            job.step(f"copy {folder.name}")
            yield paths[name]


def _left(path: Path, folder: Path, work: Path) -> bool:
    if path.name in LEFT or path.name.endswith(".egg-info") or path == work:
        return True
    at_top = path.parent == folder and path.name in BUILT and path.is_dir()
    return (at_top and not any(path.glob("*.py"))) or (path / "pyvenv.cfg").is_file()


def _copy(path: Path, folder: Path, place: Path) -> None:
    there = place / path.relative_to(folder)
    there.parent.mkdir(parents=True, exist_ok=True)
    if path.is_symlink():
        there.symlink_to(_target(path, folder, place))
    elif path.is_dir():
        there.mkdir(exist_ok=True)
    elif path.is_file():  # else a pipe or a socket, which nobody can copy
        shutil.copy2(path, there)


def _target(link: Path, folder: Path, place: Path) -> Path:
    """What the copy of a link says: as it was written, where that leads to the same."""
    written = link.readlink()
    target = Path(os.path.normpath(link.parent / written))
    if not target.is_relative_to(folder):
        return target
    return place / target.relative_to(folder) if written.is_absolute() else written


def _copy_rules(root: Path, folder: Path, top: Path) -> None:
    """What tells a backend which files to leave out and which version this is, but the index.

    Without these it might put a file into the wheel that nobody is to see.
    """
    top.parent.mkdir(parents=True, exist_ok=True)
    with suppress(subprocess.CalledProcessError, FileNotFoundError):  # a git that says no, or none
        _git(top.parent, "clone", "--shared", "--no-checkout", "--quiet", str(root), str(top))
        own = root / _git(root, "rev-parse", "--git-path", "info/exclude").decode().strip()
        if own.is_file():
            shutil.copyfile(own, top / GIT / "info" / "exclude")
    for above in folder.parents:
        if above.is_relative_to(root):
            here = top / above.relative_to(root)
            here.mkdir(parents=True, exist_ok=True)
            if (above / ".gitignore").is_file():
                shutil.copyfile(above / ".gitignore", here / ".gitignore")


def _copy_index(root: Path, top: Path) -> None:
    """Have git know the same files, and miss none that only the copy is without."""
    with suppress(subprocess.CalledProcessError):
        _git(top, "update-index", "-z", "--index-info", given=_git(root, "ls-files", "-sz"))
        names = _git(root, "ls-files", "-z").split(b"\0")[:-1]
        gone = [
            name
            for name in names
            if os.path.lexists(root / os.fsdecode(name))
            and not os.path.lexists(top / os.fsdecode(name))
        ]
        given = b"".join(name + b"\0" for name in gone)
        _git(top, "update-index", "-z", "--skip-worktree", "--stdin", given=given)


def _git(folder: Path, *words: str, given: bytes = b"") -> bytes:
    told = {name: text for name, text in os.environ.items() if not name.startswith("GIT_")}
    done = subprocess.run(
        ["git", "-C", str(folder), *words], input=given, capture_output=True, env=told, check=True
    )
    return done.stdout
