"""A board's files: a Debian arm64 root folder, made once and kept.

Made beside its final name and renamed, under a lock, so a killed run leaves nothing that looks
finished and two at once make one.
"""

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from edge_targets.emulation.boards import BOARDS, write_sys
from edge_targets.emulation.debian import Archive, unpack
from edge_targets.runtime.durable import replace_file, storing
from edge_targets.runtime.errors import UnknownNameError
from edge_targets.runtime.events import Job

PYTHONS = {"bookworm": "3.11", "trixie": "3.13"}
# What an engine's wheel needs beside itself.
PYTHON = ("python3", "libstdc++6", "libgomp1")
RECIPE = 1  # of what is done after unpacking; a new number makes every sysroot anew
MERGED = ("bin", "sbin", "lib")  # links into /usr since Debian 12


@dataclass(frozen=True)
class Sysroot:
    """A root folder for arm64 programs; whoever writes into it works on a copy or an overlay.

    Attributes:
        folder: holds `root` and, once asked for, a view of it for each core.
        suite: Debian's name of it.
    """

    folder: Path
    suite: str

    @property
    def root(self) -> Path:
        return self.folder / "root"

    @property
    def python_version(self) -> str:
        return PYTHONS[self.suite]

    @property
    def python(self) -> Path:
        return self.root / "usr/bin" / f"python{self.python_version}"

    def seen_by(self, cpu: str) -> Path:
        """The same root for `qemu -L`, with the /proc/cpuinfo and /sys of a board with this core.

        Raises:
            UnknownNameError: no board has such a core.
        """
        if cpu not in BOARDS:
            raise UnknownNameError("core", cpu, tuple(BOARDS))
        view = self.folder / cpu
        if view.is_dir():
            return view
        with storing(view), _half_made(self.folder, cpu) as half:
            for entry in self.root.iterdir():
                if entry.name not in {"proc", "sys"}:
                    (half / entry.name).symlink_to(f"../root/{entry.name}")
            (half / "proc").mkdir()
            (half / "proc/cpuinfo").write_text(BOARDS[cpu].cpuinfo)
            write_sys(half / "sys", BOARDS[cpu])
            _settle(half, view)
        return view


def default_cache() -> Path:
    """Where sysroots are kept unless a caller says otherwise."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "sanderling"


def sysroot(
    suite: str, job: Job, packages: Sequence[str] = PYTHON, cache: Path | None = None
) -> Sysroot:
    """The root folder with these packages and all they need: found in `cache`, else made there.

    Raises:
        UnknownNameError: no such suite.
        DeviceError: the packages could not be fetched.
        UnsupportedError: this machine has no apt, or no Debian mirror.
    """
    if suite not in PYTHONS:
        raise UnknownNameError("suite", suite, tuple(PYTHONS))
    kept = (cache or default_cache()) / "emulation"
    wanted = "\n".join([str(RECIPE), *sorted(packages)])
    name = f"{suite}-{hashlib.sha256(wanted.encode()).hexdigest()[:12]}"
    made = Sysroot(kept / name, suite)
    if made.folder.is_dir():
        return made
    with storing(kept):
        kept.mkdir(parents=True, exist_ok=True)
    with storing(made.folder), _locked(kept / f"{suite}.lock"):
        if not made.folder.is_dir():  # somebody may have made it while we waited
            files = Archive(suite, "arm64", kept / f"apt-{suite}").fetch(packages, job)
            _clear_half_made(kept, suite)
            with _half_made(kept, suite) as half:
                _lay(files, half / "root", job)
                replace_file(half / "packages.txt", "\n".join(f.name for f in files).encode())
                _settle(half, made.folder)
    return made


def _lay(files: Sequence[Path], root: Path, job: Job) -> None:
    for name in MERGED:  # first, or a package would make folders of them
        (root / "usr" / name).mkdir(parents=True)
        (root / name).symlink_to(f"usr/{name}")
    for file in job.track(files, "unpacking the board's packages"):
        unpack(file, root)
    for name in ("proc", "sys", "dev", "run", "tmp", "root", "home", "etc", "opt", "var/log"):
        (root / name).mkdir(parents=True, exist_ok=True)
    (root / "tmp").chmod(0o1777)
    (root / "root").chmod(0o700)
    _after_unpacking(root)


def _after_unpacking(root: Path) -> None:
    """What maintainer scripts would have done and programs miss."""
    for name in ("passwd", "group"):
        master = root / "usr/share/base-passwd" / f"{name}.master"
        if master.exists():
            shutil.copyfile(master, root / "etc" / name)
    alternatives = {"awk": "gawk"}
    for name, real in alternatives.items():
        if (root / "usr/bin" / real).exists() and not (root / "usr/bin" / name).exists():
            (root / "usr/bin" / name).symlink_to(real)


@contextmanager
def _locked(lock: Path) -> Iterator[None]:
    """One process at a time; the system drops the lock of one that dies."""
    with lock.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def _half_made(parent: Path, name: str) -> Iterator[Path]:
    half = Path(tempfile.mkdtemp(prefix=f".{name}-half-", dir=parent))
    try:
        half.chmod(0o755)
        yield half
    finally:
        shutil.rmtree(half, ignore_errors=True)


def _settle(half: Path, final: Path) -> None:
    """Give a finished folder its name; somebody else's of the same name is as good."""
    try:
        half.rename(final)
    except OSError:
        if not final.is_dir():
            raise


def _clear_half_made(kept: Path, suite: str) -> None:
    """What killed runs left; called under the suite's lock, so nobody is at work in it."""
    for folder in kept.glob(f".{suite}-half-*"):
        shutil.rmtree(folder, ignore_errors=True)
