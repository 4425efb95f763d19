"""`bundle --build`: a folder becomes a wheel, or the error says what is missing."""

import hashlib
import os
import shutil
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from edge_targets.bundling.wheels import Python, read_wheels
from edge_targets.runtime.errors import Cancelled, DataError, UnsupportedError
from edge_targets.runtime.events import QUIET, Event, Job
from tests.web.built import LOCK
from tests.web.wheel_files import BACKEND, COMPILED
from toolkit import browser_wheels

PYTHON = Python(LOCK)
NATIVE = "cp311-cp311-linux_x86_64"
REPO = Path(__file__).resolve().parents[2]


@pytest.fixture
def project(tmp_path: Path) -> Callable[..., Path]:
    """Gives `project(backend)`: the folder of a Python package with a build backend of its own."""

    def write(text: str, requires: str = "[]", backend: str = "backend") -> Path:
        folder = tmp_path / "project"
        folder.mkdir()
        (folder / "pyproject.toml").write_text(
            '[project]\nname = "mine"\nversion = "0.1"\n[build-system]\n'
            f'requires = {requires}\nbuild-backend = "{backend}"\nbackend-path = ["."]\n'
        )
        (folder / "backend.py").write_text(text)
        return folder

    return write


def test_a_folder_of_plain_python_becomes_a_wheel(
    project: Callable[..., Path], tmp_path: Path
) -> None:
    folder = project(BACKEND.format(tag="py3-none-any"))
    before = sorted(folder.iterdir())
    (tmp_path / "out").mkdir()

    file = browser_wheels.build_wheel(folder, tmp_path / "out", "3.14.2", QUIET)

    [found] = read_wheels([file], PYTHON, "mine:fix")
    assert (found.name, found.version) == ("mine", "0.1")
    assert sorted(folder.iterdir()) == before
    assert list((tmp_path / "out").iterdir()) == [file]


# one that knows nothing of SOURCE_DATE_EPOCH: what is in its wheel has the times of the files
BY_THE_CLOCK = BACKEND.replace(
    "archive.writestr(path, data)",
    """
            import os, pathlib, time
            there = pathlib.Path(path)
            there.parent.mkdir(exist_ok=True)
            there.write_bytes(data)
            then = os.stat("pyproject.toml").st_mtime
            os.utime(there, (then, then))
            archive.write(there)
""",
)
TOLD = """
def told():
    import os, time
    return [os.environ["SOURCE_DATE_EPOCH"], time.strftime("%Z"), os.environ["PYTHONHASHSEED"],
            oct(os.umask(0))]
"""


def digests(folder: Path) -> dict[str, tuple[int, str]]:
    return {
        path.relative_to(folder).as_posix(): (
            path.lstat().st_mtime_ns,
            hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "",
        )
        for path in folder.rglob("*")
    }


def test_a_backend_that_writes_the_time_makes_the_same_wheel(
    project: Callable[..., Path], tmp_path: Path
) -> None:
    folder, made = project(BY_THE_CLOCK.format(tag="py3-none-any")), []
    for then in (1.0e9, 1.5e9):
        os.utime(folder / "pyproject.toml", (then, then))
        before = digests(folder)

        made.append(browser_wheels.build_wheel(folder, tmp_path, "3.14.2", QUIET).read_bytes())

        assert digests(folder) == before
    assert made[0] == made[1]


def test_a_build_is_told_the_same_time_order_and_modes_wherever_it_runs(
    project: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = BACKEND.replace('b"def fix(answer): return answer"', "repr(told()).encode()")
    folder, made = project(TOLD + text.format(tag="py3-none-any")), []
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    for zone, seed, mask in (("Asia/Tokyo", "1", 0o077), ("America/Lima", "2", 0o002)):
        monkeypatch.setenv("TZ", zone)
        monkeypatch.setenv("PYTHONHASHSEED", seed)
        usual = os.umask(mask)
        try:
            file = browser_wheels.build_wheel(folder, tmp_path, "3.14.2", QUIET)
        finally:
            os.umask(usual)
        made.append(file.read_bytes())

    assert made[0] == made[1]
    with zipfile.ZipFile(file) as archive:
        assert archive.read("mine.py") == b"['315532800', 'UTC', '0', '0o22']"


@pytest.fixture
def with_setuptools(tmp_path: Path) -> Path:
    """A package of two modules, as most people write one."""
    folder = tmp_path / "usual"
    (folder / "src" / "mine").mkdir(parents=True)
    (folder / "src" / "mine" / "__init__.py").write_text("def fix(answers): return answers\n")
    (folder / "src" / "mine" / "words.py").write_text("WORDS = {'a', 'b'}\n")
    (folder / "pyproject.toml").write_text(
        '[project]\nname = "mine"\nversion = "0.1"\n'
        '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n'
    )
    return folder


def built_with_setuptools(folder: Path, out: Path) -> Path:
    try:
        return browser_wheels.build_wheel(folder, out, "3.14.2", QUIET)
    except DataError as error:
        if "in reach of pip" in error.hint:
            pytest.skip("pip cannot reach setuptools here")
        raise


def test_setuptools_makes_the_same_bytes_of_the_same_folder_and_leaves_it_alone(
    with_setuptools: Path, tmp_path: Path
) -> None:
    made = []
    for then in (1.0e9, 1.5e9):
        for path in with_setuptools.rglob("*"):
            os.utime(path, (then, then))
        before = digests(with_setuptools)

        made.append(built_with_setuptools(with_setuptools, tmp_path).read_bytes())

        assert digests(with_setuptools) == before
    assert made[0] == made[1]


def test_a_module_that_was_deleted_is_not_in_the_next_wheel(
    with_setuptools: Path, tmp_path: Path
) -> None:
    # as setuptools leaves its folders where somebody builds in place
    shutil.copytree(with_setuptools / "src", with_setuptools / "build" / "lib")
    (with_setuptools / "src" / "mine.egg-info").mkdir()
    (with_setuptools / "src" / "mine.egg-info" / "SOURCES.txt").write_text("src/mine/words.py\n")
    (with_setuptools / "src" / "mine" / "words.py").unlink()

    file = built_with_setuptools(with_setuptools, tmp_path)

    with zipfile.ZipFile(file) as archive:
        code = [name for name in archive.namelist() if name.endswith(".py")]
    assert code == ["mine/__init__.py"]


def test_a_compiled_wheel_too_is_built_from_a_copy_and_has_no_times(
    project: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program that writes the wheel stands for the compiler, which most machines lack."""
    folder = project(BACKEND.format(tag=NATIVE))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    kept = browser_wheels.kept("3.14")
    program(
        kept,
        "bin/pyodide",
        'test "$SOURCE_DATE_EPOCH" = 315532800 || exit 1',
        'cd "$2" && mkdir build && touch build/left',
        f"sed -i s/{NATIVE}/{COMPILED}/ backend.py",
        f'exec {sys.executable} -c "import backend, sys; backend.build_wheel(sys.argv[1])" "$4"',
    )
    (kept / "whole").touch()
    before = digests(folder)

    file = browser_wheels.build_wheel(folder, tmp_path, "3.14.2", QUIET)

    assert digests(folder) == before
    assert file.name == f"mine-0.1-{COMPILED}.whl"
    with zipfile.ZipFile(file) as archive:
        assert {one.date_time for one in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_a_build_that_fails_names_the_folder_and_not_its_copy(
    project: Callable[..., Path], tmp_path: Path
) -> None:
    folder = project("import pathlib; raise SystemError(f'no {pathlib.Path.cwd()}/words.txt')")

    with pytest.raises(DataError) as caught:
        browser_wheels.build_wheel(folder, tmp_path, "3.14.2", QUIET)

    assert f"no {folder}/words.txt" in str(caught.value)


def test_a_package_with_compiled_parts_says_what_it_needs(
    project: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = project(BACKEND.format(tag=NATIVE))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    if browser_wheels.python_like("3.14"):
        pytest.skip("there is a Python here that the tool runs in")

    with pytest.raises(UnsupportedError, match=r"in Python 3\.14.* none here") as caught:
        browser_wheels.build_wheel(folder, tmp_path, "3.14.2", QUIET)

    assert "--with" in caught.value.hint


def program(folder: Path, name: str, *lines: str) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(["#!/bin/sh", *lines, ""]))
    path.chmod(0o755)


@pytest.mark.parametrize("said", ["3.11", "no", "", "3.14.5", "3.14 or so"])
def test_a_program_that_is_not_the_python_it_is_called_is_not_used(
    said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path, "python3.14", f"echo {said}")
    monkeypatch.setenv("PATH", str(tmp_path))

    assert browser_wheels.python_like("3.14") is None


def test_a_tool_that_cannot_be_had_leaves_nothing_that_counts_as_one(
    project: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = project(BACKEND.format(tag=NATIVE))
    says = 'if [ "$1" = -I ]; then echo 3.14; else echo "error: no space left"; exit 1; fi'
    program(tmp_path / "bin", "python3.14", says)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    for _ in range(2):
        with pytest.raises(UnsupportedError, match="could not be fetched: error: no space left"):
            browser_wheels.build_wheel(folder, tmp_path, "3.14.2", QUIET)


def test_a_cross_compiler_that_cannot_be_had_is_told_with_what_to_do(
    project: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = project(BACKEND.format(tag=NATIVE))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    kept = browser_wheels.kept("3.14")
    program(kept, "bin/pyodide", "echo 'Error: could not download the xbuildenv'; exit 1")
    (kept / "whole").touch()

    with pytest.raises(UnsupportedError, match="could not download the xbuildenv") as caught:
        browser_wheels.build_wheel(folder, tmp_path, "3.14.2", QUIET)

    assert "Emscripten" in caught.value.hint
    assert "--with" in caught.value.hint


@pytest.mark.parametrize(
    ("backend", "text", "words"),
    [
        ("backend", "raise SystemError('broken on purpose')", "broken on purpose"),
        ("backend", "def build_wheel(*words): raise ValueError('no compiler')", "no compiler"),
        ("gone", "", "gone"),
    ],
)
def test_a_package_that_does_not_build_is_told_with_its_last_words(
    backend: str, text: str, words: str, project: Callable[..., Path], tmp_path: Path
) -> None:
    folder = project(text, backend=backend)

    with pytest.raises(DataError, match=words) as caught:
        browser_wheels.build_wheel(folder, tmp_path, "3.14.2", QUIET)

    assert "pip wheel" in caught.value.hint


def test_a_build_that_needs_what_pip_cannot_reach_says_so(
    project: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = project("", '["a-backend-of-nobody-xyz"]')
    monkeypatch.setenv("PIP_NO_INDEX", "1")

    with pytest.raises(DataError, match="could not be built") as caught:
        browser_wheels.build_wheel(folder, tmp_path, "3.14.2", QUIET)

    assert "in reach of pip" in caught.value.hint


def test_a_folder_without_a_package_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no Python package"):
        browser_wheels.build_wheel(tmp_path, tmp_path, "3.14.2", QUIET)


def test_a_build_that_is_cancelled_ends_with_all_its_children(
    project: Callable[..., Path], tmp_path: Path
) -> None:
    mark = tmp_path / "child.pid"
    text = (
        "import os, pathlib, time\n"
        f"pathlib.Path({str(mark)!r}).write_text(str(os.getpid()))\n"
        "time.sleep(600)\n"
    )
    folder = project(text)
    job = Job()

    def stop(event: Event) -> None:
        if mark.exists() and mark.read_text():
            job.cancel()

    job.listen = stop
    with pytest.raises(Cancelled):
        browser_wheels.build_wheel(folder, tmp_path, "3.14.2", job)

    child = int(mark.read_text())
    until = time.monotonic() + 20
    while Path(f"/proc/{child}").exists() and time.monotonic() < until:
        time.sleep(0.05)  # the system takes it away a moment after
    assert not Path(f"/proc/{child}").exists()


def test_the_tool_is_named_among_the_extras() -> None:
    import tomllib

    extras = tomllib.loads((REPO / "pyproject.toml").read_text())["project"]
    named = extras["optional-dependencies"]["wasm"]

    assert [one.partition(";")[0].strip() for one in named] == [browser_wheels.TOOL]
