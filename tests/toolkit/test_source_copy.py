"""A copy of somebody's source: what is in it, and that the source stays as it was."""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from edge_targets.runtime.errors import Cancelled, DataError
from edge_targets.runtime.events import QUIET, Job
from toolkit.source_copy import copy_source


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return written(tmp_path / "mine", "pyproject.toml", "src/mine/__init__.py")


@pytest.fixture
def work(tmp_path: Path) -> Path:
    (tmp_path / "work").mkdir()
    return tmp_path / "work"


def written(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"{name}\n")
    return folder


def names_in(folder: Path) -> list[str]:
    """Of all files and links, but git's."""
    found = [
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_symlink() or path.is_file()
    ]
    return sorted(name for name in found if not name.startswith(".git/"))


def test_what_builds_and_environments_have_left_is_no_source(folder: Path, work: Path) -> None:
    source = names_in(
        written(folder, "src/mine/build/__init__.py", "src/mine/dist/data.txt", "src/mine/env.py")
    )
    written(
        folder,
        "build/lib/mine/gone.py", "dist/mine-0.1-py3-none-any.whl", "src/mine.egg-info/SOURCES.txt",
        "mine.egg-info/PKG-INFO", "src/mine/__pycache__/gone.cpython-311.pyc",
        ".pyodide_build/gone.py", "env/pyvenv.cfg", "env/lib/site.py", "src/.old/pyvenv.cfg",
    )  # fmt: skip

    copy = copy_source(folder, work, QUIET)

    assert copy.name == "mine"
    assert names_in(copy) == source


def test_a_package_that_is_called_build_is_source(folder: Path, work: Path) -> None:
    written(folder, "build/__init__.py", "build/lib.py")

    copy = copy_source(folder, work, QUIET)

    assert (copy / "build" / "lib.py").is_file()


def test_files_keep_their_bytes_their_times_and_that_they_are_programs(
    folder: Path, work: Path
) -> None:
    program = written(folder, "configure") / "configure"
    program.chmod(0o755)
    os.utime(program, (1e9, 1e9))

    copy = copy_source(folder, work, QUIET) / "configure"

    assert copy.read_text() == "configure\n"
    assert copy.stat().st_mode & 0o111
    assert copy.stat().st_mtime == 1e9


def test_links_lead_to_the_copy_or_out_of_it_but_never_back(
    folder: Path, work: Path, tmp_path: Path
) -> None:
    outside = written(tmp_path / "outside", "LICENSE", "large/data.bin")
    (folder / "inside").symlink_to("src/mine")
    (folder / "whole").symlink_to(folder / "src")
    (folder / "round").symlink_to(".")
    (folder / "LICENSE").symlink_to("../outside/LICENSE")
    (folder / "data").symlink_to(outside / "large")
    (folder / "gone").symlink_to("nowhere")

    copy = copy_source(folder, work, QUIET)

    assert (copy / "inside").readlink() == Path("src/mine")
    assert (copy / "whole").resolve() == copy / "src"
    assert (copy / "round").resolve() == copy
    assert (copy / "LICENSE").read_text() == "LICENSE\n"
    assert (copy / "data").resolve() == outside / "large"  # a link still: it may lead to anything
    assert (copy / "gone").readlink() == Path("nowhere")


def test_a_pipe_holds_nobody_up_and_the_copy_is_not_copied(folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    work = folder / "work"
    work.mkdir()

    copy = copy_source(folder, work, QUIET)

    assert names_in(copy) == ["pyproject.toml", "src/mine/__init__.py"]


def test_what_cannot_be_copied_is_named(folder: Path, work: Path) -> None:
    written(work, "mine")  # a file where the copy would be

    with pytest.raises(DataError, match="could not be copied to build it") as caught:
        copy_source(folder, work, QUIET)

    assert str(work / "mine") in str(caught.value)
    assert caught.value.hint


def test_a_copy_can_be_stopped(folder: Path, work: Path) -> None:
    job = Job()
    job.cancel()

    with pytest.raises(Cancelled):
        copy_source(folder, work, job)


def git(folder: Path, *words: str) -> str:
    own = ("-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
    told = {name: text for name, text in os.environ.items() if not name.startswith("GIT_")}
    words = ("git", "-C", str(folder), *own, *words)
    return subprocess.run(words, env=told, capture_output=True, text=True, check=True).stdout


def digests(folder: Path) -> dict[str, str]:
    return {
        name.relative_to(folder).as_posix(): hashlib.sha256(name.read_bytes()).hexdigest()
        for name in folder.rglob("*")
        if name.is_file()
    }


IGNORED = ("ls-files", "--others", "--ignored", "--exclude-standard")
VERSION = ("describe", "--tags", "--dirty")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """With a package in `packages/mine`, of which three files are not for others."""
    if not shutil.which("git"):
        pytest.skip("there is no git")
    root = tmp_path / "repository"
    git(tmp_path, "init", "--quiet", str(root))
    written(root, "other.txt", "packages/mine/pyproject.toml", "packages/mine/mine.py")
    written(root, "packages/mine/dist/kept.txt")  # left behind, and no change of the source
    (root / ".gitignore").write_text("secret.txt\n")
    (root / "packages" / ".gitignore").write_text("private.txt\n")
    git(root, "add", ".")
    git(root, "commit", "--quiet", "--message", "first")
    git(root, "tag", "v1.2")
    written(root / "packages" / "mine", "secret.txt", "private.txt", "own.txt")
    (root / ".git" / "info" / "exclude").write_text("own.txt\n")
    return root


@pytest.mark.parametrize("inner", [".", "packages/mine"])
def test_git_says_of_a_copy_what_it_says_of_the_source(
    inner: str, repository: Path, work: Path
) -> None:
    folder = repository / inner
    before = digests(repository)

    copy = copy_source(folder, work, QUIET)

    assert git(copy, *VERSION) == "v1.2\n"
    assert git(copy, *IGNORED) == git(folder, *IGNORED)
    assert git(copy, *IGNORED).count(".txt") == 3
    assert git(copy, "status", "--porcelain") == ""
    assert digests(repository) == before
    # what is changed or only staged there is so here
    written(folder, "staged.py")
    git(folder, "add", "staged.py")
    again = copy_source(folder, work / "again", QUIET)
    assert git(again, *VERSION) == git(folder, *VERSION) == "v1.2-dirty\n"
    assert "staged.py" in git(again, "ls-files")


def test_the_rules_of_a_repository_hold_without_git(
    repository: Path, work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    copy = copy_source(repository / "packages" / "mine", work, QUIET)

    assert (copy / "mine.py").is_file()
    assert (copy.parent / ".gitignore").read_text() == "private.txt\n"
    assert (copy.parents[1] / ".gitignore").read_text() == "secret.txt\n"
