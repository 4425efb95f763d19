"""What a board is, asked over SSH in one go; nothing is changed there."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edge_targets.runtime.errors import DeviceError, UnsupportedError
from edge_targets.runtime.events import Job
from edge_targets.transport.borders import ssh_address
from edge_targets.transport.login import CONNECTIONS
from edge_targets.transport.ssh import Ssh

if TYPE_CHECKING:
    from edge_targets.places.facts import Facts, Runtime

PYTHON = "/usr/bin/python3"  # of the board; no other is asked to run the agent
SOFTWARE = "/opt/sanderling"
YEAR_2025 = 1_735_689_600  # a clock before it was never set
NEEDED = 400 << 20  # bytes on the disk: an environment, the one before, two versions of a model
SIXTY_FOUR = "Install the 64-bit Raspberry Pi OS: it runs on the Raspberry Pi 3 and all newer ones."
# what a board calls itself when its processor has the first instruction set, ARMv6
ARMV6 = ("Raspberry Pi Zero W", "Raspberry Pi Zero Rev", "Raspberry Pi Model")
GENERIC = {"aarch64": "linux_arm64", "armv7l": "linux_armv7", "x86_64": "linux_x86_64"}

# POSIX sh; $1 is a Python, $2 where our software is. An answer is empty where none is known
QUESTIONS = r"""
say() { printf '%s=%s\n' "$1" "$2"; }
tree=/sys/firmware/devicetree/base
say machine "$(uname -m)"
say bits "$(getconf LONG_BIT 2>/dev/null)"
say model "$({ cat $tree/model || cat /proc/device-tree/model; } 2>/dev/null | tr -d '\0')"
say system "$(. /etc/os-release 2>/dev/null && echo "$PRETTY_NAME")"
version='import sys; print("%d.%d" % sys.version_info[:2])'
say python "$("$1" -I -c "$version" 2>/dev/null)"
say libc "$(getconf GNU_LIBC_VERSION 2>/dev/null)"
test -d /run/systemd/system && say service systemd || say service keeper
say disk_kb "$(df -Pk /opt 2>/dev/null | awk 'NR==2 {print $4}')"
say memory_kb "$(awk '/^MemTotal:/ {print $2}' /proc/meminfo)"
say clock "$(date +%s)"
say throttled "$(vcgencmd get_throttled 2>/dev/null | cut -d= -f2)"
say user_id "$(id -u)"
test "$(id -u)" = 0 || sudo -n true 2>/dev/null && say root yes || say root no
say environment "$(basename "$(readlink "$2/current" 2>/dev/null)")"
"""


@dataclass(frozen=True)
class Found:
    """What a board says of itself; empty or 0 where it does not.

    Attributes:
        machine: as `uname -m` says; `bits` are those of its programs, which may be fewer.
        python: version of /usr/bin/python3, such as 3.11.
        service: what can keep an agent running there: `systemd` or `keeper`.
        clock: seconds since 1970, as the board believes.
        throttled: bits of `vcgencmd get_throttled`, 0–3 now and 16–19 since it was started.
        is_root: whether we may become root without a password.
        environment: that is installed there; empty for none.
    """

    machine: str
    bits: int = 0
    model: str = ""
    system: str = ""
    python: str = ""
    libc: str = ""
    service: str = "systemd"
    disk_bytes: int = 0
    memory_bytes: int = 0
    clock: int = 0
    throttled: int = 0
    is_root: bool = False
    environment: str = ""

    @property
    def runs(self) -> str:
        """The machine that its programs are for: a 64-bit kernel may carry a 32-bit system."""
        return "armv7l" if self.machine == "aarch64" and self.bits == 32 else self.machine

    @property
    def clock_is_set(self) -> bool:
        return self.clock >= YEAR_2025


def probe(ssh: Ssh, job: Job, python: str = PYTHON, software: str = SOFTWARE) -> Found:
    """Ask a board what it is, of which version its `python` is, and what `software` it has.

    Raises:
        DeviceError: it gives no sense: another system than Linux, or no shell.
    """
    job.step("look at the board")
    return read(
        ssh.check(["sh", "-s", "--", python, software], QUESTIONS.encode(), job), str(ssh.address)
    )


def probe_at(address: str, keys: Path, password: str, job: Job) -> Found:
    """Ask the board at `user@host` what it is; with a password, our key is trusted there then."""
    return probe(CONNECTIONS.get(ssh_address(address), keys, password, job), job)


def read(text: str, where: str) -> Found:
    answers = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    if not answers.get("machine"):
        raise DeviceError(f"{where} is no Linux that answers.", "Does `ssh` give a shell there?")

    def number(name: str, base: int = 10) -> int:
        try:
            return int(answers.get(name, ""), base)
        except ValueError:
            return 0

    return Found(
        machine=answers["machine"],
        bits=number("bits"),
        model=answers.get("model", ""),
        system=answers.get("system", ""),
        python=answers.get("python", ""),
        libc=answers.get("libc", ""),
        service=answers.get("service", ""),
        disk_bytes=number("disk_kb") << 10,
        memory_bytes=number("memory_kb") << 10,
        clock=number("clock"),
        throttled=number("throttled", 16),
        is_root=answers.get("root") == "yes",
        environment=answers.get("environment", ""),
    )


def suggest(found: Found, known: Mapping[str, "Facts"]) -> str:
    """The catalog's name for a board; `known` are the facts of each name there.

    Raises:
        UnsupportedError: nothing in the catalog is such a board, and why.
    """
    named = f"{found.model or 'This board'} ({found.runs})"
    if found.runs == "armv6l" or found.model.startswith(ARMV6):
        raise UnsupportedError(
            f"{named} has an ARMv6 processor: no runtime for models is made for it.",
            "Use a Raspberry Pi Zero 2 W, or a Raspberry Pi 3 or newer.",
        )
    if found.runs == "aarch64":
        # the longest beginning that fits: "Raspberry Pi 4" would fit a Raspberry Pi 400 too
        fits = {
            beginning: name
            for name, facts in known.items()
            for beginning in facts.boards
            if found.model.startswith(beginning)
        }
        if fits:
            return fits[max(fits, key=len)]
    name = GENERIC.get(found.runs, "")
    if name not in known:
        raise UnsupportedError(
            f"{named} is nothing that Sanderling knows.",
            f"Known: {', '.join(sorted(known))}.",
        )
    return name


def check(found: Found, title: str, runtime: "Runtime") -> None:
    """Do nothing for a board that a target's environment can run on.

    Raises:
        UnsupportedError: another processor or Python.
        DeviceError: no room, or we may not become root.
    """
    if found.runs == "armv6l":
        raise UnsupportedError(
            "The board has an ARMv6 processor: no runtime for models is made for it.",
            "Use a Raspberry Pi Zero 2 W, or a Raspberry Pi 3 or newer.",
        )
    if found.runs != runtime.machine:
        known = found.model or found.system or "The board"
        raise UnsupportedError(
            f"{known} runs programs for {found.runs}; a {title} runs those for {runtime.machine}.",
            SIXTY_FOUR if found.runs == "armv7l" else "Name its own target with --target.",
        )
    if found.python not in runtime.pythons:
        raise UnsupportedError(
            f"The board's /usr/bin/python3 is {found.python or 'not there'}; a {title} needs "
            f"{' or '.join(runtime.pythons)}.",
            "Raspberry Pi OS Bookworm has 3.11, Trixie 3.13: install one of them.",
        )
    if not found.environment and found.disk_bytes < NEEDED:
        raise DeviceError(
            f"The board has {found.disk_bytes >> 20} MB free; {NEEDED >> 20} are needed.",
            "Free some space there (`df -h` tells where), or use a larger card.",
        )
