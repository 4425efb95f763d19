"""Findings in a file, a JSON object a line; a full one makes room for the next."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from edge_targets.runtime.errors import DeviceError
from edge_targets.streams.members import described
from edge_targets.streams.samples import Finding
from edge_targets.streams.sinks.base import Send, Sink


@dataclass(frozen=True)
class File(Sink):
    """`PATH` is written to; `PATH.1` is the one before, and so on."""

    path: str = described("The file.")
    most_bytes: int = described("Of one file, before the next is begun.", 10 << 20, 1 << 10)
    keep: int = described("Full files that are kept.", 3, 0, 1000)

    @contextmanager
    def open(self) -> Iterator[Send]:
        path = Path(self.path)

        def send(finding: Finding) -> None:
            line = json.dumps(finding.to_json()) + "\n"
            try:
                # opened each time: what rotates logs, or unplugs the disk, is noticed
                with path.open("a") as file:
                    if file.tell() + len(line) > self.most_bytes and file.tell():
                        self._rotate(path)
                    else:
                        file.write(line)
                        return
                with path.open("a") as file:
                    file.write(line)
            except OSError as error:
                raise _lost(path, error) from error

        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _lost(path, error) from error
        yield send

    def _rotate(self, path: Path) -> None:
        names = [path, *(path.with_name(f"{path.name}.{n}") for n in range(1, self.keep + 1))]
        names[-1].unlink(missing_ok=True)
        for older, newer in zip(names[:0:-1], names[-2::-1], strict=True):
            if newer.exists():
                newer.replace(older)


def _lost(path: Path, error: OSError) -> DeviceError:
    return DeviceError(
        f"{path} could not be written: {error.strerror or error}.", "Is there room, and may we?"
    )
