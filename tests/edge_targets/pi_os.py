"""A system such as Raspberry Pi OS, made of Debian's arm64 packages, and the machine it starts on.

The image has what matters to a first start: an MBR, a FAT boot partition with kernel and
cmdline.txt, an ext4 root with systemd (and cloud-init in Trixie's), sshd and Python. The machine
does what the firmware of a board does: it reads kernel, RAM disk and command line from the boot
partition of the card at every start.
"""

import hashlib
import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from edge_targets.emulation.sysroot import PYTHON, default_cache, sysroot
from edge_targets.flashing.table import SECTOR, read_table
from edge_targets.runtime.errors import DeviceError, UnsupportedError
from edge_targets.runtime.events import QUIET
from tests.edge_targets.cards import BOOKWORM, MEGABYTE, TRIXIE, entry, fat_image
from tests.pi.machine import Kernel, file_system, kernel, running
from tests.pi.machine import missing as missing_tools

PACKAGES = (
    *PYTHON,
    *("base-files", "base-passwd", "bash", "dash", "coreutils", "sed", "grep", "gawk", "tar"),
    *("gzip", "util-linux", "mount", "procps", "findutils", "hostname", "passwd", "login"),
    *("iproute2", "openssh-server", "openssh-sftp-server", "sudo", "tzdata", "libc-bin"),
    *("systemd", "systemd-sysv", "udev", "dbus", "perl-base", "init-system-helpers"),
    "network-manager",
)
CLOUD = (
    *("cloud-init", "netplan.io", "netcat-openbsd", "ca-certificates"),
    *("cloud-guest-utils", "e2fsprogs", "console-setup"),  # what its modules call
)
PERMIT = "".join(f"{kind} sufficient pam_permit.so\n" for kind in ("auth", "account", "session"))
FILES = {
    "etc/fstab": "/dev/vda1 /boot/firmware vfat defaults 0 0\n/dev/vda2 / ext4 defaults 0 0\n",
    "etc/hostname": "raspberrypi\n",
    "etc/hosts": "127.0.0.1\tlocalhost\n127.0.1.1\traspberrypi\n",
    "etc/machine-id": "5a17c0de5a17c0de5a17c0de5a17c0de\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\n",
    "etc/shadow": "root:*:19000:0:99999:7:::\nsshd:!:19000::::::\nmessagebus:!:19000::::::\n",
    "etc/gshadow": "",
    "etc/ssh/sshd_config": "Include /etc/ssh/sshd_config.d/*.conf\nUsePAM no\nUseDNS no\n"
    "Subsystem sftp internal-sftp\n",
    "etc/pam.d/other": PERMIT,
    "etc/pam.d/sudo": PERMIT,
    "etc/sudoers": "root ALL=(ALL:ALL) ALL\n@includedir /etc/sudoers.d\n",
    # as the maker's images have them
    "usr/lib/netplan/00-network-manager-all.yaml": "network: {version: 2, renderer: "
    "NetworkManager}\n",
    "etc/cloud/cloud.cfg.d/99_raspberry-pi.cfg": "datasource_list: [NoCloud, None]\n"
    "datasource:\n  NoCloud:\n    seedfrom: file:///boot/firmware\n"
    "ssh_deletekeys: false\nssh_genkeytypes: []\n",
}
PASSWD = (
    "sshd:x:101:65534::/run/sshd:/usr/sbin/nologin\n"
    "messagebus:x:102:102::/nonexistent:/usr/sbin/nologin\n"
)
GROUP = "messagebus:x:102:\nnetdev:x:108:\n"
CMDLINE = b"root=/dev/vda2 init=/sbin/init rootwait net.ifnames=0\n"
START = 8 * MEGABYTE  # of the boot partition, as the maker's images have it
BOOT_MB, ROOT_MB = 256, 900
RECIPE = "6"  # a new one makes every image anew


def pi_os(suite: str) -> Path:
    """An image such as the maker's, unpacked; made once for this machine and kept."""
    if lacking := missing_tools():
        pytest.skip(f"no machine to start: {', '.join(lacking)} missing")
    kept = default_cache() / "emulation"
    recipe = repr((PACKAGES, CLOUD, FILES, PASSWD, GROUP, CMDLINE, BOOT_MB, ROOT_MB, RECIPE))
    image = kept / f"pi-os-{suite}-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}.img"
    if not image.exists():
        kept.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=kept) as scratch:
            _make(suite, Path(scratch)).rename(image)
    return image


def _make(suite: str, scratch: Path) -> Path:
    try:
        base = sysroot(suite, QUIET, (*PACKAGES, *(CLOUD if suite == "trixie" else ())))
        parts = kernel(QUIET)
    except (DeviceError, UnsupportedError) as error:
        pytest.skip(f"no system to start: {error}")
    files = {"bookworm": BOOKWORM, "trixie": TRIXIE}[suite] | {
        "cmdline.txt": CMDLINE,
        "kernel8.img": parts.image.read_bytes(),
        "initramfs8": parts.ram_disk.read_bytes(),
    }
    boot = fat_image(files, scratch, BOOT_MB)
    root, image = scratch / "root", scratch / "pi.img"
    subprocess.run(["cp", "-a", base.root, root], check=True)
    _set_up(root, suite)
    after, size = START + len(boot), ROOT_MB * MEGABYTE
    table = entry(START, len(boot), 0x0C) + entry(after, size, 0x83)
    with image.open("wb") as out:
        out.write(bytes(446) + table + bytes(32) + b"\x55\xaa")
        out.seek(START)
        out.write(boot)
    os.truncate(image, after + size)
    file_system(image, ROOT_MB, root, after // SECTOR)
    shutil.rmtree(root)
    return image


def _set_up(root: Path, suite: str) -> None:
    """What maintainer scripts and the maker's build would have done."""
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    (root / "etc/sudoers").chmod(0o440)
    (root / "boot/firmware").mkdir(parents=True)
    # The maker has it compiled already: a machine that does so at its first start is so busy that
    # devices come too late, and systemd ends in emergency mode.
    shutil.rmtree(root / "usr/lib/udev/hwdb.d")
    for name, text in (("passwd", PASSWD), ("group", GROUP)):
        with (root / "etc" / name).open("a") as file:
            file.write(text)
    certificates = sorted((root / "usr/share/ca-certificates/mozilla").glob("*.crt"))
    (root / "etc/ssl/certs").mkdir(parents=True, exist_ok=True)
    (root / "etc/ssl/certs/ca-certificates.crt").write_bytes(
        b"".join(path.read_bytes() for path in certificates)
    )
    shutil.rmtree(root / "var/run", ignore_errors=True)
    (root / "var/run").symlink_to("/run")  # where older programs look for the system's bus
    if (root / "usr/bin/nc.openbsd").exists():  # cloud-init's services talk through it
        (root / "usr/bin/nc").symlink_to("nc.openbsd")
    key = root / "etc/ssh/ssh_host_ed25519_key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    units = root / "usr/lib/systemd/system"
    wanted = {
        "multi-user.target": [units / "NetworkManager.service"],
        "network-online.target": [units / "NetworkManager-wait-online.service"],
    }
    if suite == "trixie":
        wanted["cloud-init.target"] = [
            path for path in units.glob("cloud-*.service") if "hotplug" not in path.name
        ]
    for target, found in wanted.items():
        folder = root / f"etc/systemd/system/{target}.wants"
        folder.mkdir(parents=True)
        for unit in found:
            (folder / unit.name).symlink_to(f"/usr/lib/systemd/system/{unit.name}")


@dataclass
class Board:
    """A board with a card in it."""

    card: Path
    user: str
    key: Path
    port: int = 0

    @property
    def console(self) -> Path:
        """What the board said on its serial line."""
        return self.card.with_suffix(".log")

    def boot_files(self, folder: Path, *names: str) -> list[Path]:
        """Files of the boot partition, as firmware or a card reader would read them."""
        with self.card.open("rb") as file:
            boot = read_table(file.read(MEGABYTE), self.card).boot
        assert boot
        for name in names:
            place = f"{self.card}@@{boot.start}"
            subprocess.run(["mcopy", "-n", "-i", place, f"::{name}", folder / name], check=True)
        return [folder / name for name in names]

    @contextmanager
    def powered(self) -> Iterator["subprocess.Popen[bytes]"]:
        """One start, until the block ends: then the plug is pulled."""
        with tempfile.TemporaryDirectory(prefix="pi-") as folder:
            image, ram_disk, cmdline = self.boot_files(
                Path(folder), "kernel8.img", "initramfs8", "cmdline.txt"
            )
            with running(
                Kernel(image, ram_disk),
                Path(folder),
                [f"file={self.card},format=raw"],
                cmdline.read_text().strip(),
                cores=2,
                memory_mb=1024,
                network=True,
            ) as machine:
                self.port = machine.port

                def listen() -> None:
                    with suppress(OSError), self.console.open("a") as log:  # until it is unplugged
                        for line in machine.lines(3600):
                            print(line, file=log, flush=True)

                threading.Thread(target=listen, daemon=True).start()
                yield machine.process

    def ask(self, words: str, limit_s: float) -> str:
        """What the board answers to a line of shell over SSH, as soon as it does."""
        options = ("StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "BatchMode=yes")
        told = [word for option in (*options, "ConnectTimeout=60") for word in ("-o", option)]
        place = ["-i", str(self.key), "-p", str(self.port), f"{self.user}@127.0.0.1"]
        until = time.monotonic() + limit_s
        while True:
            done = subprocess.run(
                ["ssh", "-F", "/dev/null", "-q", *told, *place, words],
                capture_output=True,
                text=True,
                stdin=subprocess.DEVNULL,
                check=False,
            )
            if done.returncode == 0:
                return done.stdout
            if time.monotonic() > until:
                raise TimeoutError(f"{done.stdout}{done.stderr}")
            time.sleep(2)
