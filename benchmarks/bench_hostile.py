"""Ten thousand damaged and hostile model files: does any break, hang or bloat the reader?

Each file is read under the limits that `toolkit.guarded` sets, in a fork of a process that has
the libraries loaded already: a start of Python a file would take hours. A reader that is ended by
a signal or by its limits is counted: the product answers it with an error, but it should be rare.

    python benchmarks/bench_hostile.py [FILES] [--seed N] [--kind NAME ...] [--json]
"""

import argparse
import io
import json
import os
import shutil
import signal
import struct
import sys
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.hostile_specimens import SPECIMENS
from edge_targets.runtime.errors import EdgeError
from edge_targets.runtime.events import QUIET
from toolkit.guarded import SHARE, answer, limit
from toolkit.importers import Source, importers, recognised

FILES = 10_000
MOST_S = 5
MOST_WAIT_S = 120  # on a busy machine five seconds of work take longer
HUGE = (0x7FFFFFFF, 0xFFFFFFFF, 1 << 40, (1 << 63) - 1)

Mutation = Callable[[bytes, np.random.Generator], bytes]


def flipped(data: bytes, rng: np.random.Generator) -> bytes:
    """One to sixteen bytes are others."""
    made = bytearray(data)
    for place in rng.integers(0, len(made), int(rng.integers(1, 17))):
        made[place] = int(rng.integers(256))
    return bytes(made)


def truncated(data: bytes, rng: np.random.Generator) -> bytes:
    return data[: int(rng.integers(0, len(data)))]


def spliced(data: bytes, rng: np.random.Generator) -> bytes:
    """A piece stands elsewhere as well: sizes and offsets no longer fit."""
    start, length, place = (int(rng.integers(0, len(data))) for _ in range(3))
    piece = data[start : start + min(length, 256)]
    return data[:place] + piece + data[place + int(rng.integers(0, len(piece) + 1)) :]


def enlarged(data: bytes, rng: np.random.Generator) -> bytes:
    """A number of four or eight bytes, or of a protobuf message, claims to be huge."""
    value = HUGE[int(rng.integers(len(HUGE)))]
    place = int(rng.integers(0, max(len(data) - 10, 1)))
    form = int(rng.integers(3))
    if form == 0:
        piece = struct.pack("<I", value & 0xFFFFFFFF)
    elif form == 1:
        piece = struct.pack("<Q", value)
    else:
        piece = b"\xff" * 9 + b"\x01"
    return data[:place] + piece + data[place + len(piece) :]


def repacked(data: bytes, rng: np.random.Generator) -> bytes:
    """A member of an archive is damaged, and its checksum is right."""
    if not data.startswith(b"PK"):
        return flipped(data, rng)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = sorted(members)[int(rng.integers(len(members)))]
    if members[name]:
        other = (flipped, truncated, spliced, enlarged)[int(rng.integers(4))]
        members[name] = other(members[name], rng)
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for key, value in members.items():
            archive.writestr(key, value)
    return made.getvalue()


MUTATIONS: tuple[Mutation, ...] = (flipped, truncated, spliced, enlarged, repacked)


@dataclass(frozen=True)
class Outcome:
    """How reading one file ended: `read`, `refused` or `ended`, the last with its reason."""

    state: str
    reason: str
    seconds: float
    peak_bytes: int


def read_in_a_fork(path: Path, folder: Path) -> Outcome:
    """Read a file as `toolkit.guarded` does, with its limits."""
    try:
        name = recognised(Source.of(path))
    except EdgeError as error:
        return Outcome("refused", str(error), 0.0, 0)
    kind, size = importers[name], path.stat().st_size
    words = {
        "importer": name, "path": str(path), "trust": False, "shapes": {}, "network": "",
        "words": [],
    }  # fmt: skip
    child = os.fork()
    if not child:
        nowhere = os.open(os.devnull, os.O_RDWR)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        limit(kind.memory_bytes + SHARE * size, MOST_S)
        signal.alarm(MOST_WAIT_S)  # one that sleeps uses no processor time
        try:
            answer(words, folder, QUIET)
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is told
            (folder / "fault").write_text(repr(error)[:300])
            os._exit(1)
        os._exit(0)
    _, status, used = os.wait4(child, 0)
    seconds, peak = used.ru_utime + used.ru_stime, used.ru_maxrss * 1024
    if status:
        fault = folder / "fault"
        why = fault.read_text() if fault.exists() else f"signal {os.WTERMSIG(status)}"
        return Outcome("ended", f"{name}: {why}", seconds, peak)
    facts = json.loads((folder / "answer.json").read_text())
    if "error" in facts:
        return Outcome("refused", facts["message"], seconds, peak)
    return Outcome("read", "", seconds, peak)


@dataclass(frozen=True)
class Findings:
    """How all files ended.

    Attributes:
        kinds: how often each state, kind by kind.
        ended: how often a reader was ended, by reason.
        most_bytes: of memory that a reader held, the libraries included.
    """

    files: int
    kinds: dict[str, Counter[str]]
    ended: Counter[str]
    slowest_s: float
    most_bytes: int


def run(files: int, seed: int, kinds: list[str], keep: Path | None) -> Findings:
    """The outcomes of as many files, the kinds in turn."""
    found: dict[str, Counter[str]] = {}
    ends: Counter[str] = Counter()
    slowest, largest = 0.0, 0
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        originals = {name: SPECIMENS[name](folder) for name in kinds or SPECIMENS}
        for name, data in originals.items():
            (folder / "whole").write_bytes(data)
            sound = read_in_a_fork(folder / "whole", folder)
            assert sound.state == "read", (name, sound)
        for index in range(files):
            name = list(originals)[index % len(originals)]
            rng = np.random.default_rng([seed, index])
            mutation = MUTATIONS[int(rng.integers(len(MUTATIONS)))]
            path = folder / "damaged"
            path.write_bytes(mutation(originals[name], rng))
            outcome = read_in_a_fork(path, folder)
            found.setdefault(name, Counter())[outcome.state] += 1
            slowest = max(slowest, outcome.seconds)
            largest = max(largest, outcome.peak_bytes)
            if outcome.state == "ended":
                ends[outcome.reason] += 1
                if keep:
                    shutil.copy(path, keep / f"{name}-{index}")
    return Findings(files, found, ends, slowest, largest)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("files", nargs="?", type=int, default=FILES)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kind", action="append", default=[], choices=sorted(SPECIMENS))
    parser.add_argument("--keep", type=Path, help="a folder for files that ended their reader")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"  # before any is loaded: a fork has no threads of its parent
    start = time.monotonic()
    found = run(given.files, given.seed, given.kind, given.keep)
    if given.json:
        print(json.dumps(vars(found)))
        return 0
    print(f"{found.files} files in {time.monotonic() - start:.0f} s\n")
    print("| kind | refused | read | ended their reader |\n|---|---|---|---|")
    for name, counts in found.kinds.items():
        print(f"| {name} | {counts['refused']} | {counts['read']} | {counts['ended']} |")
    print(f"\nslowest: {found.slowest_s:.1f} s of processor time (limit {MOST_S})")
    print(f"largest: {found.most_bytes / 1e6:.0f} MB of memory, libraries included")
    for reason, count in found.ended.items():
        print(f"ended {count} x: {reason}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
