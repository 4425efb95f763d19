"""Ends a program at each call that changes a disk, and shows what a power cut would leave.

`crashing.c` stands before the C library. `kills` runs a step again and again and ends it one call
later each time. `Disk` replays what a step did on a disk with a volatile cache: a power cut keeps
what was synced, and of the rest any part.

Run as a program (`python -m tests.edge_targets.crashing`), this is the child that is ended.
"""

import ctypes
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from edge_targets.agent.home import Home, child_environment
from edge_targets.agent.trial import attempt
from edge_targets.agent.updater import Updater
from edge_targets.runtime.contract import Record
from edge_targets.runtime.sketch import Sketch
from edge_targets.runtime.spool import Spool

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


# ---- a disk with a volatile cache


@dataclass(frozen=True)
class Call:
    """One change of a disk, as `crashing.c` recorded it."""

    op: str
    path: str
    other: str
    offset: int
    data: bytes


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


@dataclass(eq=False)
class File:
    """What was synced, and the calls since."""

    kept: bytes = b""
    calls: list[Call] = field(default_factory=list)

    def after(self, choose: Callable[[], str]) -> bytes:
        """What is there when each call since the sync is "kept" out, or "cached" and so there.

        Or its "zeros" or a "part" of its data only.
        """
        found = bytearray(self.kept)
        for call in self.calls:
            choice = choose()
            if choice == "kept":
                continue
            size = len(call.data) // 2 if choice == "part" else len(call.data)
            data = bytes(size) if choice == "zeros" else call.data[:size]
            found.extend(bytes(max(0, call.offset + size - len(found))))
            if call.op == "truncate":
                del found[call.offset :]
            found[call.offset : call.offset + size] = data
        return bytes(found)


@dataclass(eq=False)
class Folder:
    """Names as programs see them, and each state they were in since the last sync."""

    cached: "dict[str, File | Folder]" = field(default_factory=dict)
    states: "list[dict[str, File | Folder]]" = field(default_factory=lambda: [{}])

    def put(self, name: str, node: "File | Folder | None") -> None:
        self.cached = {one: held for one, held in self.cached.items() if one != name}
        if node is not None:
            self.cached[name] = node
        self.states.append(self.cached)


class Disk:
    """A disk that has just been mounted with what lies below `root`."""

    def __init__(self, root: Path) -> None:
        self.root = self._read(root)

    def _read(self, path: Path) -> Folder:
        entries: dict[str, File | Folder] = {}
        for one in sorted(path.iterdir()):
            if one.is_dir():
                entries[one.name] = self._read(one)
            else:
                entries[one.name] = File(one.read_bytes())
        return Folder(entries, [entries])

    def _at(self, path: str) -> "File | Folder":
        node: File | Folder = self.root
        for word in Path(path).parts:
            assert isinstance(node, Folder)
            node = node.cached[word]
        return node

    def _folder(self, path: str) -> tuple[Folder, str]:
        folder = self._at(str(Path(path).parent))
        assert isinstance(folder, Folder)
        return folder, Path(path).name

    def do(self, call: Call) -> None:
        if call.op == "mark" or not call.path:
            return
        if call.op in ("write", "truncate"):
            file = self._at(call.path)
            assert isinstance(file, File)
            file.calls.append(call)
        elif call.op == "sync":
            node = self._at(call.path)
            if isinstance(node, File):
                node.kept, node.calls = node.after(lambda: "cached"), []
            else:
                node.states = [node.cached]
        else:
            folder, name = self._folder(call.path)
            if call.op in ("create", "mkdir"):
                folder.put(name, File() if call.op == "create" else Folder())
            else:
                node = folder.cached[name]
                folder.put(name, None)
                if call.op == "rename":
                    folder, name = self._folder(call.other)
                    folder.put(name, node)

    def cut(self, names: Callable[[int], int], data: Callable[[], str]) -> dict[str, bytes | None]:
        """What is left after a power cut: files with their content, and folders.

        `names` picks one of so many states of a folder, `data` what came of a call that was not
        synced: see `File.after`.
        """
        return dict(self._lying(self.root, "", names, data))

    def _lying(
        self, folder: Folder, path: str, names: Callable[[int], int], data: Callable[[], str]
    ) -> Iterator[tuple[str, bytes | None]]:
        for name, node in folder.states[names(len(folder.states))].items():
            if isinstance(node, Folder):
                yield f"{path}{name}", None
                yield from self._lying(node, f"{path}{name}/", names, data)
            elif not name.endswith("-shm"):  # memory that SQLite's processes share
                yield f"{path}{name}", node.after(data)


def cuts(root: Path, calls: list[Call], out: Path, seed: int = 5) -> Iterator[tuple[int, Path]]:
    """Each state in which a power cut during `calls` can leave a disk: how many calls came before.

    After each call: all that was not synced lost; the names there and the data lost; the data
    there and the names lost; all there, as after a kill; and two mixtures.
    """
    rng = random.Random(seed)
    kinds = ("kept", "cached", "zeros", "part")
    ways: list[tuple[Callable[[int], int], Callable[[], str]]] = [
        (lambda count: 0, lambda: "kept"),
        (lambda count: count - 1, lambda: "kept"),
        (lambda count: 0, lambda: "cached"),
        (lambda count: count - 1, lambda: "cached"),
        *[(rng.randrange, lambda: rng.choice(kinds))] * 2,
    ]
    disk, seen = Disk(root), set()
    for done in range(len(calls) + 1):
        if done:
            disk.do(calls[done - 1])
        acknowledged = done == len(calls) or calls[done].op == "mark"
        for names, data in ways:
            lying = disk.cut(names, data)
            state = (acknowledged, *lying.items())
            if state in seen:
                continue
            seen.add(state)
            write(lying, out)
            yield done, out
            shutil.rmtree(out)


def write(lying: dict[str, bytes | None], out: Path) -> None:
    out.mkdir()
    for path, content in lying.items():
        if content is None:
            (out / path).mkdir()
        else:
            (out / path).write_bytes(content)


if __name__ == "__main__":
    main(sys.argv[1:])
