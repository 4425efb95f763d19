"""arm64 programs on this machine: one at a time through qemu, or a whole board with its init.

`program` needs neither root nor any set-up: `qemu-aarch64 -cpu … -L SYSROOT` (QEMU's user-mode
emulation). `Userland` starts a board: processes, users, network and /proc of its own, in Linux
namespaces (see namespace.py), with a listener that hands every connection to an arm64 sshd.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from edge_targets.emulation.boards import BOARDS, write_sys
from edge_targets.emulation.namespace import READY, Plan
from edge_targets.emulation.sysroot import Sysroot
from edge_targets.runtime.errors import DeviceError, UnknownNameError, UnsupportedError

QEMU = "qemu-aarch64"  # takes plugins
STATIC_QEMU = "qemu-aarch64-static"  # runs where only the board's own libraries are
BINFMT_SINCE = (6, 7)  # the kernel that gave every user namespace its own binfmt_misc
STOP_S = 10


def program(
    sysroot: Sysroot,
    words: Sequence[str | Path],
    cpu: str = "cortex-a72",
    environment: Mapping[str, str] | None = None,
    options: Sequence[str] = (),
) -> list[str]:
    """The command that runs an arm64 program of the sysroot here.

    Args:
        words: the program, a path inside `sysroot.root`, and its arguments.
        cpu: what qemu calls the core; stated always, for its default core has every feature.
        environment: what the program is told beside this process's own environment.
        options: more options for qemu, `-plugin …` for one.
    """
    told = [word for pair in (environment or {}).items() for word in ("-E", "=".join(pair))]
    view = sysroot.seen_by(cpu)
    return [QEMU, "-cpu", cpu, *options, "-L", str(view), *told, *map(str, words)]


def python(
    sysroot: Sysroot,
    words: Sequence[str | Path],
    site: Sequence[Path] = (),
    cpu: str = "cortex-a72",
    environment: Mapping[str, str] | None = None,
    options: Sequence[str] = (),
) -> list[str]:
    """The command that runs the board's Python on `words`, importing from `site` first."""
    usr = sysroot.root / "usr"
    libraries = f"{usr}/lib/aarch64-linux-gnu"
    told = {
        "PYTHONHOME": str(usr),
        "PYTHONPATH": ":".join(map(str, site)),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": "0",  # instructions are counted: the same dictionary each time
        "LD_LIBRARY_PATH": libraries,
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        **(environment or {}),
    }
    return program(sysroot, [sysroot.python, "-s", *words], cpu, told, options)


def missing() -> list[str]:
    """What this machine lacks to run a whole board, in words; empty when it can."""
    lacking = [tool for tool in (STATIC_QEMU, "dpkg-deb") if shutil.which(tool) is None]
    release = tuple(int(part) for part in os.uname().release.split("-")[0].split(".")[:2])
    if release < BINFMT_SINCE:
        lacking.append(f"Linux {'.'.join(map(str, BINFMT_SINCE))}")
    if os.geteuid() != 0:
        lacking.append("root's range of user ids")  # sshd changes into several users
    if not _unshares():
        lacking.append("user namespaces")
    return lacking


def _unshares() -> bool:
    if shutil.which("unshare") is None:
        return False
    words = ["unshare", "--user", "--map-root-user", "--mount", "--net", "--pid", "--fork", "true"]
    return subprocess.run(words, capture_output=True, check=False).returncode == 0


@dataclass(frozen=True)
class Userland:
    """A running board.

    Attributes:
        port: on this machine's loopback, answered by the board's sshd.
        files: the board's root folder as far as it differs from the sysroot.
        log: what its init and its sshd say.
    """

    port: int
    files: Path
    log: Path
    process: "subprocess.Popen[bytes]"

    def stop(self) -> None:
        """As if unplugged: every process of the board is killed at once; its files stay."""
        if self.process.stdin is not None:
            self.process.stdin.close()
        try:
            self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@contextmanager
def userland(
    sysroot: Sysroot, folder: Path, cpu: str = "cortex-a72", port: int = 0
) -> Iterator[Userland]:
    """A board on loopback until the block ends.

    Args:
        folder: its disk: `files/` is laid over the sysroot and gets all that the board writes.
            What lies there is kept, so the same folder again is the same board after a reboot.
        cpu: of its processor, as qemu names it.
        port: to be reached at; 0 takes a free one.

    Raises:
        DeviceError: it did not start.
        UnsupportedError: this machine cannot emulate a board.
    """
    if lacking := missing():
        raise UnsupportedError(
            f"This machine cannot emulate a board: it lacks {', '.join(lacking)}.",
            "Debian: sudo apt-get install qemu-user-static; run as root.",
        )
    board = start(sysroot, folder, cpu, port)
    try:
        yield board
    finally:
        board.stop()


def start(sysroot: Sysroot, folder: Path, cpu: str, port: int = 0) -> Userland:
    """As `userland`, for whoever stops it himself; it also ends with this process."""
    folder = folder.resolve()
    if cpu not in BOARDS:
        raise UnknownNameError("core", cpu, tuple(BOARDS))
    for name in ("files", "work", "mounted"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "cpuinfo").write_text(BOARDS[cpu].cpuinfo)
    write_sys(folder / "sys", BOARDS[cpu])
    log = folder / "log"
    with socket.create_server(("127.0.0.1", port), backlog=64) as listener, log.open("ab") as said:
        plan = Plan(
            lower=str(sysroot.root.resolve()),
            folder=str(folder),
            cpu=cpu,
            qemu=str(shutil.which(STATIC_QEMU)),
            listener=listener.fileno(),
        )
        process = subprocess.Popen(
            [sys.executable, "-m", "edge_targets.emulation.namespace", json.dumps(asdict(plan))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
            pass_fds=[listener.fileno()],
        )
        bound = listener.getsockname()[1]
    assert process.stdout is not None
    with process.stdout as answers:
        ready = answers.readline() == READY
    board = Userland(bound, folder / "files", log, process)
    if not ready:
        board.stop()
        raise DeviceError(
            f"The emulated board did not start: {log.read_text()[-600:].strip()}",
            "It needs user namespaces and a file system that overlayfs takes.",
        )
    return board
