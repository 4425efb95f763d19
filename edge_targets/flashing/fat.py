"""A FAT file system in a file, read and changed with mtools: nothing is mounted, nobody is root."""

import hashlib
import os
import re
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_targets.runtime.errors import DataError, DeviceError, IntegrityError, first_line

TIMEOUT_S = 600.0  # a damaged file system could lead mtools in circles
MAX_TEXT = 1 << 20  # bytes of a file that is read into memory
CLUSTER = 32 << 10  # bytes: the largest piece that FAT gives a file
ENVIRONMENT = {"MTOOLSRC": os.devnull, "MTOOLS_SKIP_CHECK": "1", "LC_ALL": "C.UTF-8"}


@dataclass(frozen=True)
class Fat:
    """The file system in `path`."""

    path: Path

    def names(self) -> frozenset[str]:
        """What lies at the top, in small letters."""
        listed = self._run(["mdir", "-b", "-a", "-i", self.path, "::"]).decode("utf-8", "replace")
        return frozenset(line.strip("/").lower() for line in listed.replace("::", "").splitlines())

    def free(self) -> int:
        """Bytes that are free."""
        listed = self._run(["mdir", "-i", self.path, "::"]).decode("utf-8", "replace")
        found = re.search(r"([\d ]+) bytes free", listed)
        return int(found[1].replace(" ", "")) if found else 0

    def read(self, name: str) -> bytes:
        """A small file at the top."""
        return self._run(["mtype", "-i", self.path, f"::{name}"])

    def put(self, files: Mapping[str, bytes], folder: Path | None = None) -> int:
        """Write files at the top, and a folder under its own name; how many files that is.

        Every one is read back and compared.

        Raises:
            DeviceError: there is not enough room; nothing was written.
            IntegrityError: what was read back is not what was written.
        """
        sizes = [len(data) for data in files.values()]
        inside = _content(folder) if folder else {}
        sizes += [(folder / name).stat().st_size for name in inside] if folder else []
        needed = sum(-(-size // CLUSTER) * CLUSTER for size in sizes) + len(sizes) * CLUSTER // 16
        if needed > self.free():
            raise DeviceError(
                f"The boot partition of the image has {self.free()} bytes free; "
                f"{needed} are needed.",
                "Use a newer image, whose boot partition is larger, or a smaller package.",
            )
        with tempfile.TemporaryDirectory(prefix="sanderling-boot-") as scratch:
            new, back = Path(scratch, "new"), Path(scratch, "back")
            new.mkdir()
            back.mkdir()
            for name, data in files.items():
                (new / name).write_bytes(data)
            sources: list[Path | str] = [new / name for name in files]
            sources += [folder] if folder else []
            self._run(["mcopy", "-s", "-o", "-i", self.path, *sources, "::/"])
            wanted = [f"::/{path.name}" for path in map(Path, sources)]
            self._run(["mcopy", "-s", "-n", "-i", self.path, *wanted, back])
            expected = _content(new)
            if folder:
                expected |= {f"{folder.name}/{name}": digest for name, digest in inside.items()}
            if _content(back) != expected:
                raise IntegrityError(
                    "The boot partition does not hold what was written to it.",
                    "Is the image damaged? Get it again.",
                )
        return len(expected)

    def _run(self, words: Sequence[str | Path]) -> bytes:
        """One of the mtools; never a shell, never more output than `MAX_TEXT`."""
        try:
            with tempfile.TemporaryFile() as output:
                done = subprocess.run(
                    list(words),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.PIPE,
                    env=os.environ | ENVIRONMENT,
                    timeout=TIMEOUT_S,
                    check=False,
                )
                output.seek(0)
                answer = output.read(MAX_TEXT)
        except FileNotFoundError as error:
            raise missing("mtools") from error
        except subprocess.TimeoutExpired as error:
            raise DataError(
                "The boot partition of the image is damaged.", "Get it again."
            ) from error
        if done.returncode:
            why = first_line(OSError(done.stderr.decode("utf-8", "replace")))
            raise DataError(f"The boot partition cannot be changed: {why}.", "Is it a FAT one?")
        return answer


def missing(package: str) -> DeviceError:
    """A program of the system that is not there."""
    return DeviceError(
        f"{package} is not installed.", f"On Debian and Ubuntu: sudo apt install {package}"
    )


def _content(folder: Path) -> dict[str, str]:
    """Every file below `folder` by its path, with its SHA-256."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise DataError(f"{path} is neither a file nor a folder.", "Make the payload again.")
        if path.is_file():
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            found[str(path.relative_to(folder))] = digest
    return found
