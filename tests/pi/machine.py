"""A whole arm64 machine (qemu's `virt`) whose power can fail: kernel, disks, console, snapshot.

Images are made without root and without mounting anything: `mke2fs -d` fills a file system, and the
initial RAM disk (the kernel's newc cpio format, see its
Documentation/driver-api/early-userspace/buffer-format.rst) is written here.
"""

import gzip
import hashlib
import json
import select
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_targets.emulation.sysroot import sysroot
from edge_targets.runtime.events import Job

TOOLS = ("qemu-system-aarch64", "mke2fs")
MODULES = (
    *("virtio", "virtio_ring", "virtio_pci_legacy_dev", "virtio_pci_modern_dev", "virtio_pci"),
    *("virtio_blk", "failover", "net_failover", "virtio_net", "rng-core", "virtio-rng"),
    *("fat", "vfat", "nls_cp437", "nls_ascii"),
)
SBIN = "/usr/sbin:/sbin"  # Debian keeps disk tools out of users' PATH
MB = 1 << 20
START_S = 20  # until qemu listens
BOOT_S = 120  # a loaded machine with two cores takes ten

INIT = """\
#!/bin/busybox sh
b=/bin/busybox
$b mount -t proc proc /proc; $b mount -t sysfs sys /sys; $b mount -t devtmpfs dev /dev
for module in {modules}; do $b insmod /modules/$module.ko; done
how=rw
for word in $($b cat /proc/cmdline); do
    case $word in
    root=*) root=${{word#root=}} ;;
    init=*) init=${{word#init=}} ;;
    opt=*) opt=${{word#opt=}} ;;
    ro) how=ro ;;
    esac
done
tries=0
while [ ! -b $root ] && [ $tries -lt 100 ]; do $b sleep 0.1; tries=$((tries+1)); done
$b mount -t ext4 -o $how,noatime $root /mnt || {{ echo "NO ROOT $root"; $b poweroff -f; }}
[ -z "$opt" ] || $b mount -t ext4 -o ro $opt /mnt/opt
for place in proc sys dev; do $b mount --move /$place /mnt/$place; done
exec $b switch_root /mnt $init
"""


def missing() -> list[str]:
    """What this machine lacks to be another one."""
    found = [tool for tool in TOOLS if which(tool) is None]
    return [*found, *(tool for tool in ("dpkg-deb", "apt-get") if shutil.which(tool) is None)]


def which(tool: str) -> str | None:
    return shutil.which(tool) or shutil.which(tool, path=SBIN)


@dataclass(frozen=True)
class Kernel:
    """Debian's kernel for virtual machines, and the RAM disk that finds the root."""

    image: Path
    ram_disk: Path


def kernel(job: Job, cache: Path | None = None) -> Kernel:
    files = sysroot("bookworm", job, ("linux-image-cloud-arm64", "busybox-static"), cache)
    image = next((files.root / "boot").glob("vmlinuz-*"))
    version = hashlib.sha256(repr((INIT, MODULES)).encode()).hexdigest()[:12]
    ram_disk = files.folder / f"initramfs-{version}.gz"
    if not ram_disk.exists():
        whole = ram_disk.with_suffix(".half")
        whole.write_bytes(gzip.compress(initramfs(files.root), 1))
        whole.rename(ram_disk)
    return Kernel(image, ram_disk)


def initramfs(root: Path) -> bytes:
    """Busybox, the drivers of a virtual machine, and a script that goes on to the real root."""
    drivers = {path.stem: path for path in (root / "lib/modules").glob("*/kernel/**/*.ko")}
    there = [name for name in MODULES if name in drivers]  # others are in the kernel itself
    entries = [entry(name, 0o40755) for name in ("bin", "dev", "proc", "sys", "mnt", "modules")]
    entries += [
        entry("dev/console", 0o20600, device=(5, 1)),
        entry("bin/busybox", 0o100755, (root / "usr/bin/busybox").read_bytes()),
        entry("init", 0o100755, INIT.format(modules=" ".join(there)).encode()),
        *(entry(f"modules/{name}.ko", 0o100644, drivers[name].read_bytes()) for name in there),
        entry("TRAILER!!!", 0),
    ]
    return b"".join(entries)


def entry(name: str, mode: int, data: bytes = b"", device: tuple[int, int] = (0, 0)) -> bytes:
    """One file of a newc archive."""
    title = name.encode() + b"\0"
    fields = (0, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(title), 0)
    head = b"070701" + b"".join(b"%08X" % field for field in fields) + title
    return head + bytes(-len(head) % 4) + data + bytes(-len(data) % 4)


def file_system(image: Path, megabytes: int, folder: Path | None = None, sector: int = 0) -> None:
    """An ext4 file system in a file, from its `sector` on, with what lies in `folder`."""
    if not image.exists():
        with image.open("wb") as file:
            file.truncate(megabytes * MB)
    words = [str(which("mke2fs")), "-q", "-F", "-t", "ext4", "-m", "0"]
    words += ["-d", str(folder)] if folder else []
    words += ["-E", f"offset={sector * 512},lazy_itable_init=0"]
    subprocess.run([*words, image, f"{megabytes}M"], check=True, capture_output=True)


@dataclass
class Machine:
    """A running machine: its console is a line of text each way."""

    process: "subprocess.Popen[bytes]"
    console: socket.socket
    control: Path
    said: bytearray
    port: int

    def lines(self, limit_s: float) -> Iterator[str]:
        """What the console says, line by line, until that long has passed or the machine ended."""
        until = time.monotonic() + limit_s
        while True:
            while b"\n" in self.said:
                line, _, rest = bytes(self.said).partition(b"\n")
                self.said[:] = rest
                yield line.decode(errors="replace").rstrip("\r")
            left = until - time.monotonic()
            if left <= 0 or not select.select([self.console], [], [], left)[0]:
                return
            part = self.console.recv(1 << 16)
            if not part:
                return
            self.said += part

    def expect(self, word: str, limit_s: float = BOOT_S) -> str:
        """The first line that begins with `word`."""
        seen: list[str] = []
        for line in self.lines(limit_s):
            if line.startswith(word):
                return line
            seen.append(line)
        raise TimeoutError(f"the machine never said {word!r}; it said: {seen[-30:]}")

    def say(self, line: str) -> None:
        self.console.sendall(line.encode() + b"\n")

    def snapshot(self, file: Path) -> None:
        """Write the machine's memory and devices, not its disks; it stands still from then on."""
        half = file.with_suffix(".half")
        monitor(self.control, "migrate", uri=f"exec:cat > '{half}'")
        while monitor(self.control, "query-migrate").get("status") != "completed":
            time.sleep(0.1)
        half.rename(file)


def monitor(control: Path, command: str, **words: Any) -> dict[str, Any]:
    """One command of QMP (docs/interop/qmp-spec.txt in QEMU); the one connection is ours."""
    with dial(control) as asked, asked.makefile("rw") as stream:
        stream.readline()
        answer: dict[str, Any] = {}
        for message in (
            {"execute": "qmp_capabilities"},
            {"execute": command, "arguments": words},
        ):
            stream.write(json.dumps(message))
            stream.flush()
            answer = {}
            while not answer.keys() & {"return", "error"}:
                answer = json.loads(stream.readline())
        if "error" in answer:
            raise OSError(f"{command}: {answer['error']['desc']}")
        found: dict[str, Any] = answer["return"]
        return found


@contextmanager
def running(
    parts: Kernel,
    folder: Path,
    drives: Sequence[str],
    append: str,
    *,
    cpu: str = "cortex-a72",
    cores: int = 1,
    memory_mb: int = 512,
    network: bool = False,
    resume: Path | None = None,
) -> Iterator[Machine]:
    """A machine until the block ends.

    Args:
        folder: for its sockets; short, for a socket's path has 108 bytes at most.
        drives: what qemu's `-drive` takes, each without `if=`; the guest has /dev/vda, vdb, …
        append: to the kernel's command line.
        network: whether its port 22 is reached at `Machine.port`, and nothing else.
        resume: a snapshot of the same machine to go on from.
    """
    console, control = folder / "console", folder / "control"
    for old in (console, control):
        old.unlink(missing_ok=True)
    port = free_port() if network else 0
    words = [
        *("qemu-system-aarch64", "-M", "virt,gic-version=2", "-cpu", cpu, "-smp", str(cores)),
        *("-m", str(memory_mb), "-accel", "tcg,thread=multi,tb-size=192", "-nographic"),
        *("-nodefaults", "-no-reboot", "-kernel", str(parts.image)),
        *("-initrd", str(parts.ram_disk), "-append", f"console=ttyAMA0 quiet {append}"),
        *("-chardev", f"socket,id=console,path={console},server=on,wait=on"),
        *("-serial", "chardev:console", "-monitor", "none"),
        *("-qmp", f"unix:{control},server=on,wait=off"),
        *("-device", "virtio-rng-pci"),
    ]
    for number, drive in enumerate(drives):
        words += ["-drive", f"if=none,id=disk{number},{drive}"]
        words += ["-device", f"virtio-blk-pci,drive=disk{number},romfile="]
    if network:
        words += ["-netdev", f"user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:{port}-:22"]
        words += ["-device", "virtio-net-pci,netdev=net,romfile="]
    if resume:
        words += ["-incoming", f"exec:cat '{resume}'"]
    with (folder / "qemu.log").open("ab") as log:
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        with dial(console) as line:
            while resume and monitor(control, "query-status")["status"] == "inmigrate":
                time.sleep(0.02)
            yield Machine(process, line, control, bytearray(), port)
    finally:
        process.kill()
        process.wait()


def dial(path: Path) -> socket.socket:
    """A socket that qemu makes, as soon as it is there."""
    until = time.monotonic() + START_S
    while True:
        found = socket.socket(socket.AF_UNIX)
        try:
            found.connect(str(path))
        except OSError:
            found.close()
            if time.monotonic() > until:
                raise
            time.sleep(0.02)
        else:
            return found


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])
