"""Ends a program at each call that changes a disk.

`crashing.c` stands before the C library. `kills` runs a step again and again and ends it one call
later each time; `recorded` tells what a step did, for `volatile` to play with.

Run as a program (`python -m tests.edge_targets.crashing`), this is the child that is ended.
"""

import ctypes
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from edge_targets.agent.home import Home, child_environment
from edge_targets.agent.trial import attempt
from edge_targets.agent.updater import Updater
from edge_targets.runtime.contract import Record
from edge_targets.runtime.sketch import Sketch
from edge_targets.runtime.spool import Spool
from tests.edge_targets.volatile import Call

MOST_CALLS = 1000
RECORDS = 6  # that the telemetry step spools


# ---- the steps, run by the child


def updater(root: Path) -> Updater:
    """With the trial in this very process: a child of its own takes seconds."""
    return Updater(Home(root), attempt)


def record(number: int) -> Record:
    return Record(str(number), "pi", "tiny", "1", "", "", 1, {}, Sketch([0.0]))


def install(root: Path, package: Path) -> None:
    updater(root).install(package)


def confirm(root: Path, package: Path) -> None:
    updater(root).slots("tiny").confirm()


def start(root: Path, package: Path) -> None:
    updater(root).start()


def roll_back(root: Path, package: Path) -> None:
    updater(root).roll_back("tiny", "by hand")


def remove(root: Path, package: Path) -> None:
    updater(root).remove("tiny")


def spool(root: Path, package: Path) -> None:
    """Some records come, the first two are acknowledged by the collector, more come."""
    mark = ctypes.CDLL(None).crash_mark
    kept = Spool(root / "spool.db")
    for number in range(RECORDS):
        kept.add(record(number))
        mark(f"added {number}".encode())
        if number == RECORDS // 2:
            mark(b"forgetting")
            kept.forget(["0", "1"])
    kept.close()


STEPS: dict[str, Callable[[Path, Path], None]] = {
    one.__name__: one for one in (install, confirm, start, roll_back, remove, spool)
}


def main(words: list[str]) -> None:
    mode, step, root, out, package = words
    library = ctypes.CDLL(None)  # what LD_PRELOAD brought is among its symbols
    act = STEPS[step]
    if mode == "record":
        handle = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        library.crash_record(root.encode(), handle)
        act(Path(root), Path(package))
        return
    for number in range(1, MOST_CALLS):
        here = Path(out) / str(number)
        shutil.copytree(root, here)
        child = os.fork()
        if child == 0:
            library.crash_kill_at(str(here).encode(), ctypes.c_long(number))
            act(here, Path(package))
            os._exit(0)
        status = os.waitpid(child, 0)[1]
        if status == 0:
            return
        if status != signal.SIGKILL:
            raise SystemExit(f"call {number}: ended with {status}")
    raise SystemExit("no end of calls")


def child(library: Path, *words: str | Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.edge_targets.crashing", *map(str, words)],
        cwd=Path(__file__).parents[2],
        env={**child_environment(), "LD_PRELOAD": str(library)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def kills(library: Path, step: str, root: Path, out: Path, package: Path) -> Iterator[Path]:
    """Copies of `root`, in each of which the step was killed one call later; the last was not."""
    out.mkdir()
    child(library, "kill", step, root, out, package)
    yield from sorted(out.iterdir(), key=lambda path: int(path.name))


def recorded(library: Path, step: str, root: Path, out: Path, package: Path) -> list[Call]:
    """What the step does to a copy of `root`; paths are relative to it."""
    here = out.with_suffix(".root")
    shutil.copytree(root, here)
    child(library, "record", step, here, out, package)
    shutil.rmtree(here)
    calls, text = [], out.read_bytes()
    while text:
        op, path, other, offset, size, text = text.split(b"\0", 5)
        paths = [os.path.relpath(one.decode(), here) if one else "" for one in (path, other)]
        if op == b"mark":
            paths = [path.decode(), ""]
        calls.append(Call(op.decode(), paths[0], paths[1], int(offset), text[: int(size)]))
        text = text[int(size) :]
    return calls


if __name__ == "__main__":
    main(sys.argv[1:])
