"""What is installed, what is missing, and the command that mends it.

Nothing heavy is imported: packages are looked up in the metadata of what is installed.
"""

import ctypes
import os
import platform
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import edge_targets
from toolkit.report import Result

GIB = 1 << 30
MEMORY = 2 * GIB  # bytes: torch, a browser and an agent at the same time in the demo
DISK = GIB // 2  # bytes: several demos; a workspace grows by a few MB a model
OLDEST, NEWEST = (3, 11), (3, 13)  # as `requires-python` says

EXTRAS = {  # what a person cannot do without it, in words short enough for a table
    "train": "training",
    "search": "searching to a budget",
    "compile": "building ONNX, TFLite",
    "import": "importing Keras, trees",
    "collect": "telemetry, serving",
    "gui": "the window",
    "browser": "testing a bundle",
}
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FONTS = ("/usr/share/fonts", "/usr/local/share/fonts", "~/.local/share/fonts", "~/.fonts")
# What Qt loads at start, and Debian's package for it.
LIBRARIES = {
    "libEGL.so.1": "libegl1",
    "libGL.so.1": "libgl1",
    "libxkbcommon-x11.so.0": "libxkbcommon-x11-0",
    "libxcb-icccm.so.4": "libxcb-icccm4",
    "libxcb-keysyms.so.1": "libxcb-keysyms1",
    "libxcb-cursor.so.0": "libxcb-cursor0",
}


@dataclass(frozen=True)
class Finding:
    """One thing looked for; `mend` is the command that brings it, empty when all is well."""

    name: str
    found: str
    needed_for: str
    passed: bool
    mend: str = ""
    required: bool = False


@dataclass(frozen=True)
class Doctor(Result):
    """All that was looked for; not `ok` only when something required is missing."""

    checks: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        return all(check.passed for check in self.checks if check.required)


def examine(workspace: Path | None = None) -> Doctor:
    """Look at this machine, this environment and `workspace` (the current folder when None)."""
    folder = _nearest(workspace or Path.cwd())
    checks = (
        _python(),
        *_packages(),
        _writable(folder),
        _disk(folder),
        _memory(),
        _cores(),
        _browser(),
        _web_files(),
        *_window(),
    )
    mends = dict.fromkeys(check.mend for check in checks if check.mend)  # each once, in order
    return Doctor(checks, next=tuple(mends) or ("sanderling demo",))


def chromium() -> Path | None:
    """The installed Chromium (or Chrome) that opens bundles, if there is one."""
    found = filter(None, map(shutil.which, BROWSERS))
    return next(map(Path, found), None)


def _python() -> Finding:
    good = OLDEST <= sys.version_info[:2] <= NEWEST
    wanted = f"{OLDEST[0]}.{OLDEST[1]} to {NEWEST[0]}.{NEWEST[1]}"
    mend = "" if good else f"python3.11 -m venv .venv  # any Python from {wanted}"
    return Finding("Python", platform.python_version(), "everything", good, mend, required=True)


def _packages() -> Iterator[Finding]:
    """Every requirement in Sanderling's own metadata, so that no second list exists."""
    try:
        requirements = metadata.requires("sanderling") or []
    except metadata.PackageNotFoundError:
        yield Finding(
            "sanderling",
            "not installed",
            "everything",
            passed=False,
            mend="pip install -e '.[all]'",
            required=True,
        )
        return
    for requirement in requirements:
        name, wanted, extra = _read(requirement)
        if extra == "all" or (extra and extra not in EXTRAS):
            continue
        yield _package(name, wanted, extra)


def _package(name: str, wanted: str, extra: str) -> Finding:
    package = f"sanderling[{extra}]" if extra else "sanderling"
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        version = ""
    good = bool(version) and _satisfies(version, wanted)
    return Finding(
        name,
        version if good else f"{version or 'not installed'} (wanted {wanted})",
        EXTRAS.get(extra, "everything"),
        good,
        ""
        if good
        else f"pip install --upgrade '{package}'"
        if version
        else f"pip install '{package}'",
        required=not extra,
    )


def _read(requirement: str) -> tuple[str, str, str]:
    """Name, version bound and extra of one line of metadata."""
    line, _, marker = requirement.partition(";")
    name = re.match(r"[A-Za-z0-9._-]+", line)
    extra = re.search(r"""extra\s*==\s*['"]([\w.-]+)['"]""", marker)
    if not name:
        return line, "", extra[1] if extra else ""
    wanted = re.sub(r"\[.*?\]|\s", "", line[name.end() :])
    return name[0], wanted, extra[1] if extra else ""


def _satisfies(version: str, wanted: str) -> bool:
    """Enough for the bounds we write, `>=`, `<` and `==`; local versions do not count."""
    found = _release(version)
    for bound in filter(None, wanted.split(",")):
        limit = _release(bound.lstrip("<>="))
        if (
            (bound.startswith("==") and found != limit)
            or (bound.startswith(">=") and found < limit)
            or (bound.startswith("<") and found >= limit)
        ):
            return False
    return True


def _release(version: str) -> list[int]:
    leading = re.match(r"\d+(\.\d+)*", version)
    numbers = [int(part) for part in leading[0].split(".")] if leading else []
    while numbers and numbers[-1] == 0:  # 2.0 is 2.0.0
        numbers.pop()
    return numbers


def _nearest(folder: Path) -> Path:
    """`folder`, or the part of its path that exists: there it would be made."""
    folder = folder.absolute()
    return next(place for place in (folder, *folder.parents) if place.is_dir())


def _writable(folder: Path) -> Finding:
    try:
        # Trying is the only answer that also holds for root and for read-only disks.
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        found, good = f"{folder}: {error.strerror}", False
    else:
        found, good = str(folder), True
    mend = "" if good else "sanderling init ~/sanderling  # a folder that is yours"
    return Finding("Writing", found, "a workspace", good, mend, required=True)


def _disk(folder: Path) -> Finding:
    free = shutil.disk_usage(folder).free
    good = free >= DISK
    mend = "" if good else f"du -h --max-depth 1 {folder}  # see what can go"
    found = f"{free / GIB:.1f} GiB free"
    return Finding("Disk", found, "a workspace", good, mend, required=True)


def _memory() -> Finding:
    size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    good = size >= MEMORY
    found = f"{size / GIB:.1f} GiB" + ("" if good else f" (wanted {MEMORY // GIB})")
    return Finding("Memory", found, "training", good)


def _cores() -> Finding:
    usable = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    return Finding("CPU cores", f"{usable} ({platform.machine()})", "training", passed=True)


def _browser() -> Finding:
    path = chromium()
    return Finding(
        "Chromium",
        str(path or "not found"),
        "testing a bundle",
        path is not None,
        "" if path else "sudo apt-get install chromium",
    )


def _web_files() -> Finding:
    [package] = edge_targets.__path__
    folder = Path(package) / "_web"
    files = [path for path in folder.rglob("*") if path.is_file()]
    good = (folder / "index.html") in files
    size = sum(path.stat().st_size for path in files)
    in_clone = (Path(package).parent / "web" / "package.json").is_file()
    mend = "make web" if in_clone else "pip install --force-reinstall --no-deps sanderling"
    return Finding(
        "Browser files",
        f"{len(files)} files, {size / (1 << 20):.1f} MiB" if good else "not built",
        "bundles",
        good,
        "" if good else mend,
    )


def _window() -> Iterator[Finding]:
    if sys.platform != "linux":
        return
    missing = [name for name in LIBRARIES if not _loads(name)]
    packages = " ".join(LIBRARIES[name] for name in missing)
    yield Finding(
        "Qt's libraries",
        f"missing: {', '.join(missing)}" if missing else f"all {len(LIBRARIES)}",
        "the window",
        not missing,
        f"sudo apt-get install {packages}" if missing else "",
    )
    font = next(_fonts("Inter"), None)
    yield Finding(
        "Font Inter",
        font.name if font else "not found",
        "the window's look",
        font is not None,
        "" if font else "sudo apt-get install fonts-inter",
    )


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def _fonts(family: str) -> Iterator[Path]:
    for folder in map(Path, FONTS):
        for path in folder.expanduser().rglob(f"{family}*"):
            if path.suffix in {".ttf", ".otf", ".ttc"}:
                yield path
