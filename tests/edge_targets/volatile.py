"""A disk with a volatile cache: a power cut keeps what was synced, and of the rest any part."""

import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Call:
    """One change of a disk, as `crashing.c` recorded it."""

    op: str
    path: str
    other: str
    offset: int
    data: bytes


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
