#!/usr/bin/python3 -u
"""The life of a device, as the first process of a machine whose power will fail.

It imports all it needs, lets go of the data disk and says `warm`: there the machine is
photographed. Each life goes on from that picture: it takes the disk, as any boot does, serves what
it finds there, and works until the power fails. What it does it says before (`begin`) and after
(`end`), each a line of JSON on the console.
"""

import ctypes
import fcntl
import json
import os
import random
import tempfile
import termios
import time
import tty
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime  # noqa: F401 - what takes long is in the picture

from edge_targets.agent.agent import Agent
from edge_targets.agent.home import Home
from edge_targets.agent.trial import attempt
from edge_targets.package import verify
from edge_targets.runtime.contract import Record, Tensor
from edge_targets.runtime.errors import EdgeError
from edge_targets.runtime.sketch import Sketch

PACKAGES = Path("/opt/life")
DATA = Path("/run/data")
DISK = "vdc"
DRIVER = Path("/sys/bus/virtio/drivers/virtio_blk")
RESEED = 0x5207  # RNDRESEEDCRNG of linux/random.h: else every life draws the same numbers
MS_NOATIME = 1024
ROWS = [[1.0, 2.0, 3.0], [-1.0, 0.5, 0.0]]
BURST = 6  # records of telemetry at a time
libc = ctypes.CDLL(None, use_errno=True)


class Console:
    def __init__(self) -> None:
        self.handle = os.open("/dev/ttyAMA0", os.O_RDWR | os.O_NOCTTY)
        tty.setraw(self.handle)

    def say(self, event: str, **facts: Any) -> None:
        os.write(self.handle, b"@" + json.dumps({"event": event, **facts}).encode() + b"\n")
        termios.tcdrain(self.handle)  # what is said is said before what follows

    def hear(self) -> Any:
        line = b""
        while not line.endswith(b"\n"):
            line += os.read(self.handle, 4096)
        return json.loads(line)


def mount(kind: str, source: str, target: Path, flags: int = 0) -> None:
    target.mkdir(parents=True, exist_ok=True)
    if libc.mount(source.encode(), str(target).encode(), kind.encode(), flags, None):
        raise OSError(ctypes.get_errno(), f"mount {source}")


def main() -> None:
    console = Console()
    mount("tmpfs", "tmpfs", Path("/run"))
    mount("tmpfs", "tmpfs", Path("/tmp"))
    verify(PACKAGES / "1.sndl", json.loads((PACKAGES / "trusted.json").read_text()))
    device = os.path.basename(os.path.realpath(f"/sys/block/{DISK}/device"))  # noqa: PTH119
    (DRIVER / "unbind").write_text(device)
    console.say("warm")
    order = console.hear()
    time.clock_settime(time.CLOCK_REALTIME, order["time"])
    draw_anew(order["seed"])
    (DRIVER / "bind").write_text(device)
    while not Path(f"/dev/{DISK}").exists():
        time.sleep(0.01)
    mount("ext4", f"/dev/{DISK}", DATA, MS_NOATIME)
    if not order["sync"]:
        os.fsync = lambda fd: None  # the control: it must be caught
    try:
        Life(console, order["seed"]).run()
    except BaseException as error:
        console.say("died", why=f"{type(error).__name__}: {error}")
        raise


def draw_anew(seed: int) -> None:
    with Path("/dev/urandom").open("r+b", buffering=0) as source:
        source.write(seed.to_bytes(8, "little") * 8)
        fcntl.ioctl(source, RESEED)
    random.seed(os.urandom(16))
    tempfile._name_sequence = None  # type: ignore[attr-defined]


class Life:
    """What one device does between two power cuts."""

    def __init__(self, console: Console, seed: int) -> None:
        self.console = console
        self.seed = seed
        self.chance = random.Random(seed)
        self.agent = Agent(Home(DATA / "agent"))
        self.agent.updater.attempt = lambda folder, threads: attempt(folder, threads)
        self.kept: list[str] = [one.id for one in self.agent.spool.batch(10_000, 1 << 30)]
        self.added = 0

    def run(self) -> None:
        self.console.say("state", **self.state(), spool=self.kept)
        steps: dict[Callable[[], None], int] = {
            self.update: 6,
            self.confirm: 4,
            self.roll_back: 3,
            self.spoilt: 1,
            self.telemetry: 3,
            self.acknowledged: 2,
            self.second_model: 2,
        }
        while True:
            [step] = self.chance.choices(list(steps), list(steps.values()))
            step()

    def state(self) -> dict[str, Any]:
        """What is served, whether it answers exactly as that version must, and the pointers."""
        served = {manifest.name: manifest.version for manifest in self.agent.models()}
        return {
            "served": served,
            "wrong": [name for name, version in served.items() if not self.exact(name, version)],
            "pointers": {name: self.pointer(name) for name in served},
        }

    def pointer(self, name: str) -> dict[str, Any]:
        slots = self.agent.updater.slots(name)
        pointer, fallback = slots.pointer, slots.manifest(slots.fallback)
        return {
            "fallback": fallback.version if fallback else None,
            "probation": pointer.probation,
            "starts": pointer.starts,
            "refused": list(pointer.refused),
        }

    def exact(self, name: str, version: str) -> bool:
        known = json.loads((PACKAGES / "expected.json").read_text())
        rows = Tensor((2, 3), [value for row in ROWS for value in row])
        found = self.agent.predict(name, None, {"x": rows})
        values = np.asarray(found.outputs["probabilities"].data)
        return found.manifest.version == version and bool(
            np.allclose(values, known[version], atol=1e-5)
        )

    def doing(self, what: str, act: Callable[[], object], **facts: Any) -> None:
        self.console.say("begin", step=what, **facts)
        try:
            act()
            error = ""
        except EdgeError as found:
            error = str(found)
        self.console.say("end", step=what, error=error, **facts, **self.state())

    def install(self, name: str, file: str) -> None:
        self.doing(
            "install",
            lambda: self.agent.install(PACKAGES / f"{file}.sndl"),
            name=name,
            version=file,
        )

    def update(self) -> None:
        served = self.agent.models()
        now = {manifest.version for manifest in served}
        versions = json.loads((PACKAGES / "versions.json").read_text())
        self.install("tiny", self.chance.choice([one for one in versions if one not in now]))

    def confirm(self) -> None:
        self.doing("confirm", self.agent.warden.look, name="tiny")

    def roll_back(self) -> None:
        self.doing("roll back", lambda: self.agent.rollback("tiny"), name="tiny")

    def spoilt(self) -> None:
        self.install("tiny", "spoilt")

    def second_model(self) -> None:
        if "second" in [manifest.name for manifest in self.agent.models()]:
            self.doing("remove", lambda: self.agent.remove("second"), name="second")
        else:
            self.install("second", "second")

    def telemetry(self) -> None:
        for _ in range(BURST):
            self.added += 1
            identity = f"{self.seed}-{self.added}"
            self.console.say("begin", step="record", ids=[identity])
            self.agent.spool.add(record(identity))
            self.kept.append(identity)
            self.console.say("end", step="record", ids=[identity])

    def acknowledged(self) -> None:
        ids, self.kept = self.kept[: 2 * BURST], self.kept[2 * BURST :]
        self.console.say("begin", step="forget", ids=ids)
        self.agent.spool.forget(ids)
        self.console.say("end", step="forget", ids=ids)


def record(identity: str) -> Record:
    moment = "2026-01-01T00:00:00+00:00"
    return Record(identity, "pi", "tiny", "1", moment, moment, 0, {}, Sketch([1.0, 10.0]))


if __name__ == "__main__":
    main()
