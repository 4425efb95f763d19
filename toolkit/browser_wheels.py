"""The user's own Python package as a wheel that a browser's Python can install.

A package of Python alone is built as for any place. One with compiled parts is built once more by
pyodide-build, a tool with a Python and an environment of its own, which brings the cross compiler.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from edge_targets.runtime.durable import alone, storing
from edge_targets.runtime.errors import DataError, UnsupportedError
from edge_targets.runtime.events import Job

TOOL = "pyodide-build>=0.39,<0.40"  # that builds for the Pyodide of web/package.json
OLDEST = (3, 12)  # Python that the tool runs in
PYTHONS = ("python3.14", "python3.13", "python3.12", "python3")  # the browser's own one first
TIMEOUT_S = 3600  # a cross compiler is fetched and a package compiled
LOOK_S = 0.1
PURE = "-none-any.whl"
COMPILED = "wasm32.whl"
OFFLINE = ("no matching distribution", "could not find a version", "connection", "resolve host")


def build_wheel(folder: Path, out: Path, job: Job) -> Path:
    """A wheel of the package in `folder`, for Pyodide; a file in `out`.

    Raises:
        DataError: the folder holds no Python package, or it cannot be built.
        UnsupportedError: it has compiled parts, and what builds these cannot be had.
    """
    if not any((folder / name).is_file() for name in ("pyproject.toml", "setup.py")):
        raise DataError(
            f"{folder} holds no Python package.", "Give a folder with a pyproject.toml."
        )
    wheel = _plain(folder.resolve(), out, job)
    if wheel.name.endswith(PURE):
        return wheel
    return _crossed(folder.resolve(), out, tool(job), job)


def _plain(folder: Path, out: Path, job: Job) -> Path:
    """As for this machine, in an environment that pip makes for it, and takes away again."""
    words = ["wheel", "--no-deps", "--no-input", "--quiet", "--disable-pip-version-check"]
    with tempfile.TemporaryDirectory(dir=out) as made:
        said = run(
            [sys.executable, "-m", "pip", *words, "--wheel-dir", made, str(folder)],
            f"build {folder.name}",
            job,
        )
        if said is not None:
            offline = any(sign in said.lower() for sign in OFFLINE)
            raise DataError(
                f"{folder} could not be built: {last_error(said)}",
                "What its pyproject.toml names under [build-system] must be in reach of pip: check "
                "the network, or have pip find it (pip config set global.find-links FOLDER)."
                if offline
                else f"`pip wheel --no-deps {folder}` says more.",
            )
        return _only(Path(made), out, ".whl")


def _crossed(folder: Path, out: Path, program: Path, job: Job) -> Path:
    with tempfile.TemporaryDirectory(dir=out) as made:
        words = [str(program), "build", str(folder), "--outdir", made]
        # it keeps the cross compiler beside itself, for the next time
        said = run(words, f"build {folder.name} for the browser", job, program.parent)
        if said is not None:
            raise UnsupportedError(
                f"{folder} has compiled parts, and could not be built for the browser: "
                f"{last_error(said)}",
                "The cross compiler (Emscripten) is fetched from the network the first time. "
                "Build it where that can be had, and give the wheel with --with.",
            )
        return _only(Path(made), out, COMPILED)


def _only(made: Path, out: Path, ending: str) -> Path:
    found = [path for path in made.iterdir() if path.name.endswith(ending)]
    if len(found) != 1:
        raise DataError(f"The build gave {len(found)} wheels.", "Does it build with `pip wheel`?")
    return Path(shutil.move(found[0], out / found[0].name))


def tool(job: Job) -> Path:
    """The program of pyodide-build, put into an environment of its own when first needed.

    Raises:
        DeviceError: another run is fetching it.
        UnsupportedError: there is no Python for it, or it cannot be fetched.
    """
    place = kept()
    program, whole = place / "bin" / "pyodide", place / "whole"
    if whole.is_file():
        return program
    python = newer_python()
    if python is None:
        raise UnsupportedError(
            "A package with compiled parts needs pyodide-build, which needs Python "
            f"{'.'.join(map(str, OLDEST))} or newer; there is none here.",
            f"Install one ({', '.join(PYTHONS[:3])}); or build the wheel on another machine and "
            "give it with --with.",
        )
    with alone(place.with_suffix(".lock"), "pyodide-build is being fetched already.", "Wait."):
        shutil.rmtree(place, ignore_errors=True)  # what a run has left that was stopped
        said = run([python, "-m", "venv", str(place)], "make an environment", job)
        pip = [str(place / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-input"]
        said = said or run([*pip, "--disable-pip-version-check", TOOL], "fetch pyodide-build", job)
        if said is not None:
            raise UnsupportedError(
                f"pyodide-build could not be fetched: {last_error(said)}",
                "Check the network; or build the wheel elsewhere and give it with --with.",
            )
        with storing(whole):
            whole.touch()
    return program


def kept() -> Path:
    """The tool's environment, where the user's programs keep what they can fetch again."""
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return caches / "sanderling" / TOOL.replace(">=", "-").replace(",<", "-")


def newer_python() -> str | None:
    """A Python that the tool runs in; what a program says of itself counts, not its name."""
    ask = "import sys, venv, ensurepip; print(*sys.version_info[:2])"
    for name in PYTHONS:
        program = shutil.which(name)
        if program is None:
            continue
        try:
            told = subprocess.run(
                [program, "-I", "-c", ask], capture_output=True, timeout=60, check=True, text=True
            ).stdout.split()
            if len(told) == 2 and (int(told[0]), int(told[1])) >= OLDEST:
                return program
        except (OSError, subprocess.SubprocessError, ValueError):
            continue
    return None


def run(words: Sequence[str], doing: str, job: Job, beside: Path | None = None) -> str | None:
    """Run a program to its end; what it said where it failed, None where it did not."""
    environment: Mapping[str, str] = {
        **os.environ,
        **({"PATH": f"{beside}{os.pathsep}{os.environ.get('PATH', '')}"} if beside else {}),
    }
    with tempfile.TemporaryFile() as said:
        child = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )
        until = time.monotonic() + TIMEOUT_S
        try:
            while child.poll() is None and time.monotonic() < until:
                job.step(doing)
                time.sleep(LOOK_S)
        finally:
            if child.poll() is None:
                os.killpg(child.pid, 9)  # its compilers too
                child.wait()
        if child.returncode == 0:
            return None
        said.seek(0)
        return said.read().decode(errors="replace")


def last_error(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line.lower()]
    return (errors or lines or ["it said nothing"])[-1][-300:].rstrip(".") + "."
