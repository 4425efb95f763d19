"""Debian packages of another architecture and suite, fetched and unpacked but never installed.

apt is given a configuration of its own (status, lists and cache in our folder; see
apt.conf(5)), so nothing of this machine's apt is touched; which mirror to ask, and through which
proxy, is read from this machine's. No maintainer script runs: nothing foreign is executed.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_targets.runtime.durable import replace_file
from edge_targets.runtime.errors import DeviceError, UnsupportedError
from edge_targets.runtime.events import Job

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
SUITES = frozenset({"bullseye", "bookworm", "trixie", "forky", "sid", "stable", "testing"})
# What is read by people only makes a third of a package.
LEFT_OUT = ("doc", "doc-base", "info", "locale", "man", "lintian", "bug")
KEEPING = ("Acquire::IndexTargets", "Acquire::GzipIndexes")
TIMEOUT_S = 900  # a closure of 60 MB over a slow line


def missing_tools() -> list[str]:
    """Which of the programs used here this machine lacks."""
    return [tool for tool in ("apt-get", "dpkg-deb", "tar") if shutil.which(tool) is None]


def mirror(apt: Path = Path("/etc/apt")) -> str:
    """The Debian mirror this machine takes its own packages from.

    Raises:
        UnsupportedError: it takes them from none.
    """
    for uri, suites in [*_stanzas(apt), *_one_liners(apt)]:
        if SUITES & set(suites):
            return uri
    raise UnsupportedError(
        "This machine's apt knows no Debian mirror.",
        f"Emulated boards need Debian's arm64 packages: name a mirror in {apt / 'sources.list'}.",
    )


def _stanzas(apt: Path) -> Iterator[tuple[str, list[str]]]:
    """Mirror and suites of every deb822 stanza (sources.list(5))."""
    for file in sorted(apt.glob("sources.list.d/*.sources")):
        for stanza in re.split(r"\n\s*\n", file.read_text(errors="replace")):
            fields = {
                name.lower(): value.split()
                for name, value in re.findall(r"^([\w-]+):[ \t]*(.*)$", stanza, re.MULTILINE)
            }
            if fields.get("enabled") == ["no"] or "deb" not in fields.get("types", []):
                continue
            for uri in fields.get("uris", [])[:1]:
                yield uri, fields.get("suites", [])


def _one_liners(apt: Path) -> Iterator[tuple[str, list[str]]]:
    for file in [apt / "sources.list", *sorted(apt.glob("sources.list.d/*.list"))]:
        if not file.is_file():
            continue
        for line in file.read_text(errors="replace").splitlines():
            found = re.match(r"deb\s+(?:\[[^]]*\]\s+)?(\S+)\s+(\S+)\s+\S", line)
            if found:
                yield found[1], [found[2]]


@dataclass(frozen=True)
class Archive:
    """One suite of Debian for one architecture.

    Attributes:
        suite: bookworm, trixie, …
        architecture: as Debian says it: arm64.
        folder: keeps apt's lists and the packages downloaded; not for two processes at once.
    """

    suite: str
    architecture: str
    folder: Path

    def fetch(self, packages: Sequence[str], job: Job) -> list[Path]:
        """The files of `packages` and all they depend on; what is there is not fetched again.

        Raises:
            DeviceError: the mirror does not answer, or has no such package.
            UnsupportedError: this machine has no apt, or no Debian mirror in it.
        """
        if missing := missing_tools():
            raise UnsupportedError(
                f"{', '.join(missing)} is not here, and Debian's packages come through it.",
                "Use a Debian machine.",
            )
        self._configure()
        if not any((self.folder / "lists").glob("*Packages*")):
            self._update(job)
        job.step(f"downloading {self.suite} packages for {self.architecture}")
        try:
            return self._download(packages)
        except DeviceError:  # the lists are older than the mirror's packages
            self._update(job)
            return self._download(packages)

    def _configure(self) -> None:
        for name in ("lists/partial", "archives/partial", "state"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        (self.folder / "status").touch()
        source = f"deb [signed-by={KEYRING}] {mirror()} {self.suite} main\n"
        replace_file(self.folder / "sources.list", source.encode())
        settings = {
            "APT::Architecture": self.architecture,
            "APT::Install-Recommends": "false",
            "APT::Sandbox::User": "root",  # our folder is nobody else's to read
            "Acquire::Languages": "none",
            "Dir::Etc::parts": "/nonexistent",  # the machine's hooks are not for us
            "Dir::Etc::main": "/nonexistent",
            "Dir::Etc::sourcelist": str(self.folder / "sources.list"),
            "Dir::Etc::sourceparts": "/nonexistent",
            "Dir::State": str(self.folder / "state"),
            "Dir::State::Lists": str(self.folder / "lists"),
            "Dir::State::status": str(self.folder / "status"),
            "Dir::Cache": str(self.folder),
            "Dir::Cache::archives": str(self.folder / "archives"),
        }
        lines = [*_acquiring(), f'APT::Architectures {{ "{self.architecture}"; }};']
        lines += [f'{name} "{value}";' for name, value in settings.items()]
        # The machine's may name a proxy with its password.
        replace_file(self.folder / "apt.conf", "\n".join(lines).encode(), mode=0o600)

    def _update(self, job: Job) -> None:
        job.step(f"reading which packages {self.suite} has for {self.architecture}")
        self._apt("update")

    def _download(self, packages: Sequence[str]) -> list[Path]:
        plan = self._apt("install", "--simulate", *packages)
        self._apt("install", "--download-only", *packages)
        return [
            self._file(name, version)
            for name, version in re.findall(r"^Inst (\S+) \((\S+) ", plan, re.MULTILINE)
        ]

    def _file(self, name: str, version: str) -> Path:
        quoted = version.replace(":", "%3a")
        found = sorted((self.folder / "archives").glob(f"{name}_{quoted}_*.deb"))
        if not found:
            raise DeviceError(f"apt fetched no {name} {version}.", "Is the disk full?")
        return found[0]

    def _apt(self, *words: str) -> str:
        environment = os.environ | {"APT_CONFIG": str(self.folder / "apt.conf"), "LC_ALL": "C"}
        try:
            done = subprocess.run(
                ["apt-get", "-y", "-q", *words],
                env=environment,
                capture_output=True,
                text=True,
                check=True,
                timeout=TIMEOUT_S,
            )
        except subprocess.TimeoutExpired as error:
            raise DeviceError("The Debian mirror is too slow.", "Try again later.") from error
        except subprocess.CalledProcessError as error:
            said = [line for line in error.stderr.splitlines() if line.startswith("E:")]
            raise DeviceError(
                f"apt could not get {self.suite} packages for {self.architecture}: "
                f"{' '.join(said) or error.stderr.strip()}",
                "Check the network and the mirror that apt names.",
            ) from error
        return done.stdout


def _acquiring() -> list[str]:
    """How this machine reaches its mirror: proxies, time limits, checks that were relaxed.

    Not how it keeps its lists: ours are read more often than they are fetched.
    """
    dumped = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=True)
    return [
        line
        for line in dumped.stdout.splitlines()
        if line.startswith("Acquire::") and not line.startswith(KEEPING)
    ]


def unpack(package: Path, root: Path) -> None:
    """Lay the files of a package into `root`, without what only people read.

    Raises:
        DeviceError: the package cannot be read, or the files not be written.
    """
    without = [f"--exclude=./usr/share/{name}/*" for name in LEFT_OUT]
    # Since /usr was merged, /bin and the like are links, and must stay so.
    untar = ["tar", "-x", "--keep-directory-symlink", "--numeric-owner", *without]
    with subprocess.Popen(
        ["dpkg-deb", "--fsys-tarfile", package], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as tape:
        laid = subprocess.run(
            [*untar, "-C", root, "-f", "-"],
            stdin=tape.stdout,
            capture_output=True,
            text=True,
            check=False,
        )
    if tape.returncode or laid.returncode:
        raise DeviceError(
            f"{package.name} could not be unpacked: {laid.stderr.strip()[-300:]}",
            "Is the disk full?",
        )
