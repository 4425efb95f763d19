"""The user's own Python package as a wheel that a browser's Python can install.

A package of Python alone is built as for any place. One with compiled parts is built once more by
pyodide-build, a tool with an environment of its own, which brings the cross compiler. It compiles
for the Python that it runs in, so that must be one like the browser's.
"""

import os
import shutil
import stat
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from edge_targets.bundling.contents import Contents
from edge_targets.runtime.durable import alone, storing
from edge_targets.runtime.errors import DataError, UnsupportedError
from edge_targets.runtime.events import Job
from toolkit.source_copy import copy_source

TOOL = "pyodide-build>=0.39,<0.40"  # that builds for the Pyodide of web/package.json
TIMEOUT_S = 3600  # a cross compiler is fetched and a package compiled
LOOK_S = 0.1
PURE = "-none-any.whl"
COMPILED = "wasm32.whl"
READABLE = stat.S_IFREG | 0o644
STEADY = {"PYTHONHASHSEED": "0", "TZ": "UTC"}  # for what a build writes in an order, or as a time
EPOCH = "315532800"  # 1980 in seconds, the first year that a zip file knows
END = "[end of output]"  # as pip closes what the build said
OFFLINE = ("no matching distribution", "could not find a version", "connection", "resolve host")


def build_wheel(folder: Path, out: Path, python: str, job: Job) -> Path:
    """A wheel of the package in `folder`, for a browser with that Python; a file in `out`.

    Raises:
        DataError: the folder holds no Python package, or it cannot be built.
        UnsupportedError: it has compiled parts, and what builds these cannot be had.
    """
    if not any((folder / name).is_file() for name in ("pyproject.toml", "setup.py")):
        raise DataError(
            f"{folder} holds no Python package.", "Give a folder with a pyproject.toml."
        )
    folder = folder.resolve()
    with tempfile.TemporaryDirectory(dir=out) as work:
        wheel = _plain(folder, Path(work, "plain"), job)
        if not wheel.name.endswith(PURE):
            wheel = _crossed(folder, Path(work, "crossed"), tool(python, job), job)
        settle(wheel)
        return Path(shutil.move(wheel, out / wheel.name))


def _plain(folder: Path, work: Path, job: Job) -> Path:
    """As for this machine, in an environment that pip makes for it, and takes away again."""
    source, made = copy_source(folder, work / "source", job), work / "made"
    words = ["wheel", "--no-deps", "--no-input", "--quiet", "--disable-pip-version-check"]
    said = run(
        [sys.executable, "-m", "pip", *words, "--wheel-dir", str(made), str(source)],
        f"build {folder.name}",
        job,
    )
    if said is not None:
        offline = any(sign in said.lower() for sign in OFFLINE)
        raise DataError(
            f"{folder} could not be built: {last_error(said.replace(str(source), str(folder)))}",
            "What its pyproject.toml names under [build-system] must be in reach of pip: check "
            "the network, or have pip find it (pip config set global.find-links FOLDER)."
            if offline
            else f"`pip wheel --no-deps {folder}` says more.",
        )
    return _only(made, ".whl")


def _crossed(folder: Path, work: Path, program: Path, job: Job) -> Path:
    source, made = copy_source(folder, work / "source", job), work / "made"
    made.mkdir()
    compiler = program.parents[1] / "compiler"  # kept for the next time
    words = ["build", str(source), "--outdir", str(made), "--xbuildenv-path", str(compiler)]
    said = run([str(program), *words], f"build {folder.name} for the browser", job, program.parent)
    if said is not None:
        raise UnsupportedError(
            f"{folder} has compiled parts, and could not be built for the browser: "
            f"{last_error(said.replace(str(source), str(folder)))}",
            "The cross compiler (Emscripten) is fetched from the network the first time. "
            "Build it where that can be had, and give the wheel with --with.",
        )
    return _only(made, COMPILED)


def _only(made: Path, ending: str) -> Path:
    found = [path for path in made.iterdir() if path.name.endswith(ending)]
    if len(found) != 1:
        raise DataError(f"The build gave {len(found)} wheels.", "Does it build with `pip wheel`?")
    return found[0]


def settle(wheel: Path) -> None:
    """Write it once more with nothing of the hour and of this machine around its files.

    Raises:
        IntegrityError: it is damaged.
    """
    contents = Contents.read(wheel)
    last = f"{contents.info}/"  # as PEP 427 recommends
    with zipfile.ZipFile(wheel, "w") as archive:
        for name in sorted(contents.members, key=lambda name: (name.startswith(last), name)):
            member = zipfile.ZipInfo(name)  # of 1980
            member.external_attr = READABLE << 16
            archive.writestr(member, contents.members[name], zipfile.ZIP_DEFLATED)


def tool(python: str, job: Job) -> Path:
    """The program of pyodide-build, put into an environment of its own when first needed.

    `python` is the browser's, such as 3.14.2.

    Raises:
        DeviceError: another run is fetching it.
        UnsupportedError: there is no Python for it, or it cannot be fetched.
    """
    short = ".".join(python.split(".")[:2])
    place = kept(short)
    program, whole = place / "bin" / "pyodide", place / "whole"
    if whole.is_file():
        return program
    own = python_like(short)
    if own is None:
        raise UnsupportedError(
            f"A package with compiled parts is built by pyodide-build in Python {short}, as the "
            "browser's is; there is none here.",
            f"Install python{short}; or build the wheel on another machine and give it with "
            "--with.",
        )
    with alone(place.with_suffix(".lock"), "pyodide-build is being fetched already.", "Wait."):
        shutil.rmtree(place, ignore_errors=True)  # what a run has left that was stopped
        said = run([own, "-m", "venv", str(place)], "make an environment", job)
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


def kept(python: str) -> Path:
    """The tool's environment, where the user's programs keep what they can fetch again."""
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return caches / "sanderling" / f"{TOOL.partition('>')[0]}-{python}"


def python_like(short: str) -> str | None:
    """A Python of that version; what a program says of itself counts, not its name."""
    ask = "import sys, venv, ensurepip; print(*sys.version_info[:2], sep='.')"
    for name in (f"python{short}", "python3", "python"):
        program = shutil.which(name)
        if program is None:
            continue
        with suppress(OSError, subprocess.SubprocessError):
            words = [program, "-I", "-c", ask]
            told = subprocess.run(words, capture_output=True, timeout=60, check=True, text=True)
            if told.stdout.strip() == short:
                return program
    return None


def run(words: Sequence[str], doing: str, job: Job, beside: Path | None = None) -> str | None:
    """Run a program to its end; what it said where it failed, None where it did not."""
    environment: Mapping[str, str] = {
        "SOURCE_DATE_EPOCH": EPOCH,
        **os.environ,
        **STEADY,
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
            umask=0o022,  # modes too go into what is built
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
    """The line that tells why, in what a build or pip around it said."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    if END in lines:
        lines = lines[: lines.index(END)]  # what follows is of pip alone
    else:
        lines = [line for line in lines if "error" in line.lower()] or lines or ["it said nothing"]
    return lines[-1][-300:].rstrip(".") + "."
