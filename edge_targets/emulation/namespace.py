"""A board's first process: namespaces of its own, its file systems, its network, its children.

Run as a program of its own (`python -m edge_targets.emulation.namespace PLAN`) because a process
that unshares must have one thread. In a user namespace nothing here needs rights over the
machine, and nothing of the machine's is changed: not its mounts, not its binfmt_misc (every user
namespace has its own since Linux 6.7), not its network. The listening socket was made outside,
where it stays; all else of the board's network is inside, so two boards never meet on a port and
no board reaches the world. Standard library only.
"""

import ctypes
import fcntl
import json
import os
import select
import signal
import socket
import struct
import sys
from dataclasses import dataclass
from pathlib import Path

CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWPID = 0x20000, 0x10000000, 0x20000000
CLONE_NEWNET, CLONE_NEWUTS, CLONE_NEWIPC = 0x40000000, 0x04000000, 0x08000000
MS_BIND, MS_REC, MS_PRIVATE, MS_NOSUID, MS_NODEV = 0x1000, 0x4000, 1 << 18, 2, 4
PR_SET_PDEATHSIG = 1
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1
IDS = 65536  # users and groups of a board, numbered as outside
READY = b"ready\n"
HOST_NAME = "raspberrypi"
# ELF, 64 bits, little-endian, executable or shared object, machine 0xb7 (EM_AARCH64).
MAGIC = rb"\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00"
MASK = rb"\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff"
# Fix the binary (found outside, used inside), hand over argv[0], honour set-user-id (sudo).
FLAGS = b"FPC"
DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
SSHD = ("/usr/sbin/sshd", "-i", "-e")
AT_BOOT = "/etc/rc.local"

libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Plan:
    """What to start.

    Attributes:
        lower: the sysroot's root folder, only read.
        folder: the board's disk, with files/, work/, mounted/, sys/ and cpuinfo in it.
        cpu: qemu's name of the core.
        qemu: the statically linked emulator.
        listener: file descriptor of the listening socket.
    """

    lower: str
    folder: str
    cpu: str
    qemu: str
    listener: int


def called(result: int, what: str) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def mount(source: str, target: Path, kind: str = "", flags: int = 0, data: str = "") -> None:
    words = [word.encode() or None for word in (source, str(target), kind)]
    called(libc.mount(*words, flags, data.encode() or None), f"mount {target}")


def die_with_parent() -> None:
    called(libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL), "prctl")


def main(plan: Plan) -> int:
    """Make the namespaces, become the board's init in a grandchild, and wait for its end."""
    unshared, mapped = os.pipe(), os.pipe()
    middle = os.fork()
    if middle == 0:
        die_with_parent()
        called(
            libc.unshare(
                CLONE_NEWUSER
                | CLONE_NEWNS
                | CLONE_NEWPID
                | CLONE_NEWNET
                | CLONE_NEWUTS
                | CLONE_NEWIPC
            ),
            "unshare",
        )
        os.write(unshared[1], b"x")
        os.read(mapped[0], 1)  # until the parent has said who is who in here
        os.setgid(0)
        os.setuid(0)
        first = os.fork()  # the first child is number 1 of the new process namespace
        if first == 0:
            die_with_parent()
            os.environ.clear()
            board(plan)
        os._exit(os.waitstatus_to_exitcode(os.waitpid(first, 0)[1]) & 255)
    os.close(unshared[1])
    os.read(unshared[0], 1)
    for name in ("uid_map", "gid_map"):
        Path(f"/proc/{middle}/{name}").write_text(f"0 0 {IDS}\n")
    os.write(mapped[1], b"x")
    return os.waitstatus_to_exitcode(os.waitpid(middle, 0)[1]) & 255


def board(plan: Plan) -> None:
    root = Path(plan.folder) / "mounted"
    file_systems(plan, root)
    network_up()
    socket.sethostname(HOST_NAME)
    os.chroot(root)
    os.chdir("/")
    os.environ.update(
        QEMU_CPU=plan.cpu, PATH="/usr/sbin:/usr/bin:/sbin:/bin", HOME="/root", LANG="C.UTF-8"
    )
    init(socket.socket(fileno=plan.listener))


def file_systems(plan: Plan, root: Path) -> None:
    mount("none", Path("/"), flags=MS_REC | MS_PRIVATE)
    layers = f"lowerdir={plan.lower},upperdir={plan.folder}/files,workdir={plan.folder}/work"
    mount("overlay", root, "overlay", data=f"{layers},userxattr")
    mount("proc", root / "proc", "proc")
    mount(f"{plan.folder}/cpuinfo", root / "proc/cpuinfo", flags=MS_BIND)
    mount(f"{plan.folder}/sys", root / "sys", flags=MS_BIND)
    binfmt = root / "proc/sys/fs/binfmt_misc"
    mount("binfmt_misc", binfmt, "binfmt_misc")
    rule = b":".join([b"", b"arm64", b"M", b"0", MAGIC, MASK, plan.qemu.encode(), FLAGS])
    (binfmt / "register").write_bytes(rule)
    devices(root / "dev")
    for name, mode in (("run", "755"), ("tmp", "1777")):
        mount("tmpfs", root / name, "tmpfs", MS_NOSUID | MS_NODEV, f"mode={mode}")
    (root / "run/sshd").mkdir()


def devices(folder: Path) -> None:
    mount("tmpfs", folder, "tmpfs", MS_NOSUID, "mode=755")
    for name in DEVICES:
        (folder / name).touch()
        mount(f"/dev/{name}", folder / name, flags=MS_BIND)
    for name in ("pts", "shm"):
        (folder / name).mkdir()
    mount("devpts", folder / "pts", "devpts", MS_NOSUID, "newinstance,ptmxmode=0666,mode=620")
    mount("tmpfs", folder / "shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777")
    for name, target in {
        "ptmx": "pts/ptmx",
        "fd": "/proc/self/fd",
        "stdin": "fd/0",
        "stdout": "fd/1",
        "stderr": "fd/2",
    }.items():
        (folder / name).symlink_to(target)


def network_up() -> None:
    """A new network namespace has one interface, `lo`, and it is down."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        request = fcntl.ioctl(asked, SIOCGIFFLAGS, struct.pack("16sH14x", b"lo", 0))
        flags = struct.unpack("16sH14x", request)[1]
        fcntl.ioctl(asked, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", flags | IFF_UP))


def init(listener: socket.socket) -> None:
    """Hand connections to sshd and bury the dead, until whoever started the board is gone."""
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    os.set_blocking(woken, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    if os.access(AT_BOOT, os.X_OK):
        spawn((AT_BOOT,))
    os.write(1, READY)
    os.dup2(2, 1)  # and not closed: the next connection would take its number
    while True:
        readable = select.select([0, woken, listener.fileno()], [], [])[0]
        if 0 in readable:
            os._exit(0)  # the kernel kills all that is left in the namespace
        if woken in readable:
            os.read(woken, 512)
            bury()
        if listener.fileno() in readable:
            connection, _ = listener.accept()
            spawn(SSHD, connection.fileno())
            connection.close()


def spawn(words: tuple[str, ...], connection: int | None = None) -> None:
    if os.fork():
        return
    try:
        os.setsid()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        talk = os.open("/dev/null", os.O_RDWR) if connection is None else connection
        os.dup2(talk, 0)
        os.dup2(2 if connection is None else talk, 1)
        os.execv(words[0], words)  # noqa: S606 - there is no shell
    finally:
        os._exit(127)


def bury() -> None:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return


if __name__ == "__main__":
    sys.exit(main(Plan(**json.loads(sys.argv[1]))))
