"""A Raspberry Pi without the board: Debian's arm64 userland, its sshd on loopback.

By hand:  .venv/bin/python -m tests.pi.board [--cpu cortex-a76] [--suite trixie] [--port 2222]
In a test: the fixtures `pi` and `start_pi` of tests/pi/fixtures.py, or `running_pi` here.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from edge_targets.emulation.boards import BOARDS
from edge_targets.emulation.sysroot import PYTHON, PYTHONS, Sysroot, sysroot
from edge_targets.emulation.userland import Userland, start
from edge_targets.runtime.events import Job

# What Raspberry Pi OS Lite has of what we use. No systemd: it would want to be the init.
PACKAGES = (
    *PYTHON,
    *("base-files", "base-passwd", "bash", "dash", "coreutils", "sed", "grep", "gawk", "tar"),
    *("gzip", "util-linux", "mount", "procps", "findutils", "hostname", "passwd", "login"),
    *("iproute2", "openssh-server", "openssh-client", "openssh-sftp-server", "sudo"),
    *("tzdata", "libc-bin", "busybox-static", "e2fsprogs"),
)
PASSWORD = "raspberry"
# openssl passwd -6 -salt sanderling raspberry
CRYPTED = (
    "$6$sanderling$"
    "OidbRVuyh.FhKOngLbLTE2W17MMukkcjUYdN6o4XWTO9HyAgJEDlDBiom2.P4Eb0ra3P4PkhMWLoPTTvtEJze0"
)
USER_ID = 1000
SSHD_CONFIG = """\
UsePAM no
UseDNS no
PasswordAuthentication yes
PermitRootLogin prohibit-password
Subsystem sftp internal-sftp
SetEnv QEMU_CPU={cpu}
"""
SUDOERS = 'Defaults env_keep += "QEMU_CPU"\npi ALL=(ALL) NOPASSWD: ALL\n'
PAM = """\
auth sufficient pam_permit.so
account sufficient pam_permit.so
session optional pam_permit.so
"""
# vcgencmd(1) talks to the firmware; here to a file: `echo 0x50005 | sudo tee /run/throttled`.
VCGENCMD = """\
#!/bin/sh
[ "$1" = get_throttled ] || { echo 'error=1 error_msg="Command not registered"'; exit 1; }
echo "throttled=$(cat /run/throttled 2>/dev/null || echo 0x0)"
"""


@dataclass(frozen=True)
class Pi:
    """A board that answers to SSH as `pi` (who may sudo) and as `root`.

    Attributes:
        port: of its sshd on 127.0.0.1.
        key: a private key both users accept.
        host_key: the public line of the board's own key.
        disk: the folder all it writes goes to.
    """

    port: int
    key: Path
    host_key: str
    cpu: str
    suite: str
    disk: Path
    board: Userland
    host: str = "127.0.0.1"
    user: str = "pi"
    password: str = PASSWORD

    @property
    def address(self) -> str:
        return f"ssh://{self.user}@{self.host}:{self.port}"

    @property
    def files(self) -> Path:
        """What the board has written, by its path on the board; for looking only."""
        return self.board.files

    @property
    def log(self) -> str:
        return self.board.log.read_text(errors="replace")

    def command(self, *words: str, user: str = "pi") -> list[str]:
        """An ssh command line; `words` are for the board's shell."""
        options = {
            "StrictHostKeyChecking": "no",
            "UserKnownHostsFile": "/dev/null",
            "LogLevel": "ERROR",
            "IdentitiesOnly": "yes",
            "BatchMode": "yes",
        }
        asked = [part for option in options.items() for part in ("-o", "=".join(option))]
        place = ["-p", str(self.port), "-i", str(self.key), f"{user}@{self.host}"]
        return ["ssh", "-F", "/dev/null", *asked, *place, *words]

    def run(
        self, *words: str, user: str = "pi", check: bool = True, text: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Run words in the board's shell; `text` is what they read."""
        return subprocess.run(
            self.command(*words, user=user),
            input=text,
            capture_output=True,
            text=True,
            check=check,
            timeout=120,
        )

    def heat(self, celsius: float) -> None:
        """What /sys/class/thermal says from now on."""
        zone = self.disk / "sys/class/thermal/thermal_zone0/temp"
        zone.write_text(f"{celsius * 1000:.0f}\n")

    def stop(self) -> None:
        """Pull the plug: every process dies at once; what was written stays."""
        self.board.stop()


def board_files(job: Job, suite: str = "bookworm", cache: Path | None = None) -> Sysroot:
    return sysroot(suite, job, PACKAGES, cache)


@contextmanager
def running_pi(files: Sysroot, disk: Path, cpu: str = "cortex-a72", port: int = 0) -> Iterator[Pi]:
    """A board until the block ends; the same disk again is the same board after a reboot."""
    pi = boot(files, disk, cpu, port)
    try:
        yield pi
    finally:
        pi.stop()


def boot(files: Sysroot, disk: Path, cpu: str = "cortex-a72", port: int = 0) -> Pi:
    key = disk / "id_ed25519"
    if not key.exists():
        prepare(files, disk, cpu, key)
    board = start(files, disk, cpu, port)
    host_key = (disk / "files/etc/ssh/ssh_host_ed25519_key.pub").read_text().strip()
    return Pi(board.port, key, host_key, cpu, files.suite, disk, board)


def prepare(files: Sysroot, disk: Path, cpu: str, key: Path) -> None:
    """What first boot would have set up: users, keys, sshd."""
    root = disk / "files"
    for name in ("etc/ssh", "etc/sudoers.d", "etc/pam.d", "usr/bin"):
        (root / name).mkdir(parents=True)
    new_key(key)
    new_key(root / "etc/ssh/ssh_host_ed25519_key")
    users = (files.root / "etc/passwd").read_text()
    groups = (files.root / "etc/group").read_text()
    written = {
        "etc/passwd": f"{users}sshd:x:101:65534::/run/sshd:/usr/sbin/nologin\n"
        f"pi:x:{USER_ID}:{USER_ID}:,,,:/home/pi:/bin/bash\n",
        "etc/group": f"{groups}pi:x:{USER_ID}:\n",
        "etc/shadow": "root:*:19000:0:99999:7:::\nsshd:!:19000::::::\n"
        f"pi:{CRYPTED}:19000:0:99999:7:::\n",
        "etc/gshadow": "",
        "etc/nsswitch.conf": "passwd: files\ngroup: files\nshadow: files\nhosts: files\n",
        "etc/hosts": "127.0.0.1 localhost raspberrypi\n",
        "etc/hostname": "raspberrypi\n",
        "etc/ssh/sshd_config": SSHD_CONFIG.format(cpu=cpu),
        "etc/sudoers.d/010_pi-nopasswd": SUDOERS,
        "etc/pam.d/sudo": PAM,
        "etc/pam.d/other": PAM,
        "usr/bin/vcgencmd": VCGENCMD,
    }
    for name, text in written.items():
        (root / name).write_text(text)
    (root / "usr/bin/vcgencmd").chmod(0o755)
    (root / "etc/shadow").chmod(0o640)
    (root / "etc/sudoers.d/010_pi-nopasswd").chmod(0o440)
    authorized = key.with_suffix(".pub").read_bytes()
    for home, owner in (("root", 0), ("home/pi", USER_ID)):
        (root / home / ".ssh").mkdir(parents=True)
        (root / home / ".ssh/authorized_keys").write_bytes(authorized)
        for path in (root / home, root / home / ".ssh"):
            path.chmod(0o700)
        for path in (root / home, *(root / home).rglob("*")):
            os.chown(path, owner, owner)


def new_key(path: Path) -> None:
    words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "raspberrypi", "-f"]
    subprocess.run([*words, path], check=True, stdin=subprocess.DEVNULL)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cpu", default="cortex-a72", choices=sorted(BOARDS))
    parser.add_argument("--suite", default="bookworm", choices=sorted(PYTHONS))
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--disk", type=Path, help="kept, to start the same board again")
    wanted = parser.parse_args()

    files = board_files(
        Job(lambda event: say(f"{event.message} {event.done}/{event.total}")), wanted.suite
    )
    with (
        tempfile.TemporaryDirectory(prefix="pi-") as folder,
        running_pi(files, wanted.disk or Path(folder), wanted.cpu, wanted.port) as pi,
        suppress(KeyboardInterrupt),
    ):
        say(f"{pi.address}  password {pi.password}  key {pi.key}  log {pi.board.log}")
        say(" ".join(pi.command()))
        pi.board.process.wait()


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
