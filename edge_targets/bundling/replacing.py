"""A folder that appears whole or not at all, in the place of an older bundle."""

import fcntl
import glob
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import NoReturn

from edge_targets.bundling.index import names_in, read_index
from edge_targets.runtime.durable import sync_folder
from edge_targets.runtime.errors import StorageError

BEGUN = ".bundling-"  # in the name of a working folder beside the bundle


def check_replaceable(folder: Path) -> None:
    """Refuse a folder with anything in it that a bundle did not bring.

    Raises:
        OSError: the folder may not be read.
        StorageError: it holds something else.
    """
    if os.path.lexists(folder):
        with _held(folder.parent):  # or its index might be of one bundle and its files of the next
            _check(folder)


def _check(folder: Path) -> None:
    ours = names_in(read_index(folder))
    for name in _files_in(folder):
        if name not in ours:
            raise StorageError(
                f"{folder} holds {name}, which no bundle brought there; it was left alone.",
                "Name a new or empty folder.",
            )


@contextmanager
def replaced(folder: Path) -> Iterator[Path]:
    """A folder to fill, which takes the place of `folder` when the block ends well.

    Of two runs at once each finds a whole folder or none, and the later one stays.
    """
    check_replaceable(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _working(folder) as work:
        fresh = work / "new"
        fresh.mkdir()
        yield fresh
        with _held(folder.parent):
            if os.path.lexists(folder):
                _check(folder)  # somebody may have put a file there in the meantime
                folder.rename(work / "old")
            fresh.rename(folder)
            sync_folder(folder.parent)


def _files_in(folder: Path) -> Iterator[str]:
    """Everything in a folder but folders, by its path from there."""

    def refuse(error: OSError) -> NoReturn:
        raise error  # what cannot be looked into may hold anything

    for place, folders, files in os.walk(folder, onerror=refuse):
        here = Path(place)
        links = [name for name in folders if (here / name).is_symlink()]
        for name in sorted((*files, *links)):
            yield (here / name).relative_to(folder).as_posix()


def _beginning(folder: Path) -> str:
    return f".{folder.name}{BEGUN}"


def take_up(folder: Path) -> None:
    """Clear the working folders of runs that were killed; one that is held is at work still."""
    if not folder.parent.is_dir():
        return
    with _held(folder.parent):
        for left in folder.parent.glob(f"{glob.escape(_beginning(folder))}*"):
            with suppress(OSError), _held(left, fcntl.LOCK_EX | fcntl.LOCK_NB):
                _clear(left, folder)


@contextmanager
def _working(folder: Path) -> Iterator[Path]:
    """A folder beside `folder` to work in, held while the block runs, and gone after it."""
    with ExitStack() as stack:
        with _held(folder.parent):  # or another run might take it for one that was left
            work = Path(tempfile.mkdtemp(prefix=_beginning(folder), dir=folder.parent))
            stack.enter_context(_held(work))
        stack.callback(_clear, work, folder)
        yield work


@contextmanager
def _held(folder: Path, how: int = fcntl.LOCK_EX) -> Iterator[None]:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, how)
        yield
    finally:
        os.close(handle)


def _clear(work: Path, folder: Path) -> None:
    """Remove a working folder; a bundle that was moved out and not replaced goes back."""
    old = work / "old"
    if old.exists() and not folder.exists():
        old.rename(folder)
    shutil.rmtree(work, ignore_errors=True)
