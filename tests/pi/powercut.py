"""A device whose power fails again and again, and the account of what it may not lose.

One picture of the machine is taken when all programs are in memory and the data disk has not been
touched; every life goes on from there, so a cut costs seconds and not a boot. The disk is real
all the same: its journal is replayed, and whatever was not flushed before the last cut may be gone.
"""

import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from edge_targets.agent.home import Settings, TrustedKeys
from edge_targets.emulation.sysroot import Sysroot, default_cache, sysroot
from edge_targets.emulation.userland import python
from edge_targets.enrolment.wheels import fetch_wheels
from edge_targets.package import pack, public_key
from edge_targets.places.known_good import ARM64
from edge_targets.runtime.events import Job
from tests.edge_targets import tiny
from tests.pi.account import Account
from tests.pi.machine import Kernel, Machine, file_system, kernel, running
from tests.pi.powernbd import DiskServer, VolatileDisk

ROOT = Path(__file__).parents[2]
VERSIONS = tuple(str(number) for number in range(1, 9))
SITE = "usr/local/lib/python3.11/dist-packages"
SYSTEM_MB = 400
LONGEST_BOOT_S = 1.0  # a cut while the device starts comes within this time
LONGEST_WORK_S = 2.0  # and one while it works within this
MOST_STEPS = 6  # before a cut right after one
SILENCE_S = 60
APPEND = "root=/dev/vda ro opt=/dev/vdb init=/opt/life/life.py loglevel=3"


@dataclass(frozen=True)
class Device:
    """What every life of the device has in common."""

    parts: Kernel
    system: Path
    programs: Path
    picture: Path
    blank: Path
    folder: Path

    def drives(self, data: str) -> list[str]:
        fixed = [f"file={path},format=raw,read-only=on" for path in (self.system, self.programs)]
        return [*fixed, f"file={data},format=raw,discard=ignore"]


def build(folder: Path, job: Job) -> Device:
    """Make the disks, start the machine once, and photograph it."""
    programs, blank = folder / "programs.img", folder / "blank.img"
    lay_programs(folder / "programs", sysroot("bookworm", job))
    file_system(programs, 16, folder / "programs")
    agent = folder / "data/agent"
    agent.mkdir(parents=True)
    Settings(device="pi", probation_s=0).save(agent)
    TrustedKeys((public_key(tiny.KEY),)).save(agent)
    file_system(blank, 32, folder / "data")
    device = Device(kernel(job), system(job), programs, folder / "picture", blank, folder)
    with running(device.parts, folder, device.drives(str(blank)), APPEND) as machine:
        machine.expect('@{"event": "warm"')
        machine.snapshot(device.picture)
    return device


def system(job: Job) -> Path:
    """The board's system with the runtime's wheels; kept, for neither changes with our code."""
    files = sysroot("bookworm", job)
    wheels = fetch_wheels(ARM64, "3.11", ("onnx",), default_cache() / "wheels", job)
    image = files.folder / f"system-{wheels[0].parent.name}.img"
    if not image.exists():
        with tempfile.TemporaryDirectory(dir=files.folder) as half:
            root = Path(half) / "root"
            shutil.copytree(files.root, root, symlinks=True)
            for wheel in wheels:
                with zipfile.ZipFile(wheel) as packed:
                    packed.extractall(root / SITE)
            compiled(root / "usr/lib/python3.11", files)
            compiled(root / SITE, files)
            made = Path(half) / image.name
            file_system(made, SYSTEM_MB, root)
            made.rename(image)
    return image


def compiled(folder: Path, files: Sysroot) -> None:
    """Beside every module its bytecode: the guest's disks are read-only, and compiling is slow."""
    words = ["-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash", str(folder)]
    same = f"{sys.version_info[0]}.{sys.version_info[1]}" == files.python_version
    command = [sys.executable, *words] if same else python(files, words)
    subprocess.run(command, check=False, capture_output=True)


def lay_programs(folder: Path, files: Sysroot) -> None:
    """What the guest has at /opt: our own code and some packages."""
    life = folder / "life"
    ignored = shutil.ignore_patterns("__pycache__", "_web")
    shutil.copytree(ROOT / "edge_targets", life / "edge_targets", ignore=ignored)
    compiled(life / "edge_targets", files)
    script = life / "life.py"
    shutil.copyfile(Path(__file__).parent / "guest/life.py", script)
    script.chmod(0o755)
    known: dict[str, list[float]] = {}
    for version in (*VERSIONS, "second"):
        scale = 1.0 + 0.25 * len(known)
        packed_as(life, version, scale)
        known[version] = tiny.expected(tiny.INPUTS, scale).ravel().tolist()
    packed_as(life, "spoilt", 1.0, off=0.5)
    (life / "expected.json").write_text(json.dumps(known))
    (life / "versions.json").write_text(json.dumps(VERSIONS))
    (life / "trusted.json").write_text(json.dumps([public_key(tiny.KEY)]))


def packed_as(folder: Path, version: str, scale: float, off: float = 0.0) -> None:
    name = "second" if version == "second" else "tiny"
    manifest = replace(tiny.manifest(version), name=name)
    pack(manifest, tiny.members(scale, off), tiny.KEY, folder / f"{version}.sndl")


def lives(
    device: Device, cuts: int, seed: int, sync: bool = True, until_harmed: bool = False
) -> Account:
    """So many lives, each ended by a power cut, and one more that is left to answer."""
    data = device.folder / f"data-{seed}.img"
    shutil.copyfile(device.blank, data)
    chance = random.Random(seed)
    account = Account()
    for number in range(cuts + 1):
        with a_life(device, data, chance.getrandbits(48), sync) as (machine, disk):
            if number < cuts:
                work(machine, account, chance)
                disk.cut(chance)
                machine.process.kill()
                listen(machine, account, SILENCE_S)  # what it had said before
                account.cut("start")
            else:
                answer(machine, account)
        if account.faults and until_harmed:
            break
    data.unlink()
    return account


@contextmanager
def a_life(
    device: Device, data: Path, seed: int, sync: bool
) -> Iterator[tuple[Machine, VolatileDisk]]:
    disk = VolatileDisk(data)
    drives = device.drives
    with (
        DiskServer(disk, device.folder / "disk") as server,
        running(
            device.parts, device.folder, drives(server.url), APPEND, resume=device.picture
        ) as machine,
    ):
        machine.say(json.dumps({"time": time.time(), "seed": seed, "sync": sync}))
        yield machine, disk


def work(machine: Machine, account: Account, chance: random.Random) -> None:
    """Let the device live until it is time for a cut: as it starts, at work, or just after."""
    when = chance.random()
    if when < 0.2:
        listen(machine, account, chance.uniform(0, LONGEST_BOOT_S))
        return
    answer(machine, account)
    if when < 0.7:
        listen(machine, account, chance.uniform(0, LONGEST_WORK_S))
        return
    for _ in range(chance.randint(1, MOST_STEPS)):  # what was just acknowledged must be there
        listen(machine, account, SILENCE_S, until=("end",))


def answer(machine: Machine, account: Account) -> None:
    if not listen(machine, account, SILENCE_S, until=("state", "died")):
        account.faults.append(f"the device did not answer in {SILENCE_S} s")


def listen(machine: Machine, account: Account, limit_s: float, until: Sequence[str] = ()) -> bool:
    """Take what the device says into account; whether it came to one of these events."""
    return any(account.hear(line) in until for line in machine.lines(limit_s))


def main() -> None:
    """By hand: python -m tests.pi.powercut CUTS [SEED] [nosync]."""
    cuts, seed = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1
    with tempfile.TemporaryDirectory(prefix="cut-") as folder:
        began = time.monotonic()
        device = build(Path(folder), Job())
        sys.stdout.write(f"built in {time.monotonic() - began:.1f} s\n")
        began = time.monotonic()
        account = lives(device, cuts, seed, sync="nosync" not in sys.argv)
        sys.stdout.write(f"{account}\n{time.monotonic() - began:.1f} s\n")


if __name__ == "__main__":
    main()
