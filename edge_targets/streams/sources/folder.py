"""New files in a folder: pictures, arrays, tables, sounds."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from edge_targets.runtime.errors import DataError, DeviceError
from edge_targets.streams.files import SUFFIXES, samples_in
from edge_targets.streams.members import described
from edge_targets.streams.samples import Sample
from edge_targets.streams.sources.base import Samples, Source, World

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Folder(Source):
    """Reads every file once, oldest first, when it has stopped growing."""

    live: ClassVar = False

    path: str = described("The folder.")
    pattern: str = described("Which files of it.", "*")
    every_s: float = described("Seconds between two looks.", 1.0, 0.05, 3600)
    then: str = described(
        "What becomes of a file that was read.", "keep", choices=("keep", "delete", "move")
    )
    once: bool = described("Whether to end when all is read.", False)

    def samples(self, world: World) -> Samples:
        folder = Path(self.path)
        done: dict[str, tuple[int, int]] = {}
        before: dict[str, tuple[int, int]] = {}
        while not world.stopping.is_set():
            now = self._look(folder)
            done = {name: facts for name, facts in done.items() if name in now}  # bounded
            # a file that is still written to is another one at the next look
            ready = [
                n for n, f in now.items() if done.get(n) != f and (self.once or before.get(n) == f)
            ]
            for name in ready:
                if world.stopping.is_set():
                    return
                yield from self._read(folder / name)
                done[name] = now[name]
            before = now
            if self.once or world.stopping.wait(self.every_s):
                return

    def _look(self, folder: Path) -> dict[str, tuple[int, int]]:
        """Size and time of each file, the oldest first."""
        found = []
        try:
            for path in folder.glob(self.pattern):
                if path.suffix.lower() in SUFFIXES and path.is_file():
                    facts = path.stat()
                    found.append((facts.st_mtime_ns, path.name, facts.st_size))
            if not folder.is_dir():
                raise NotADirectoryError("it is not there")
        except OSError as error:
            raise DeviceError(
                f"{folder} cannot be read: {error}.", "Is the folder there, or the disk in?"
            ) from error
        return {name: (size, changed) for changed, name, size in sorted(found)}

    def _read(self, path: Path) -> Iterator[Sample]:
        try:
            yield from samples_in(path)
        except DataError as error:  # one bad file does not end the others
            log.warning("%s %s", error, error.hint)
        try:
            if self.then == "delete":
                path.unlink(missing_ok=True)
            elif self.then == "move":
                (path.parent / "done").mkdir(exist_ok=True)
                path.replace(path.parent / "done" / path.name)
        except OSError as error:
            log.warning("%s stays: %s", path, error)
