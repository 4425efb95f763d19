"""Open a package for a user's own loop: its files are compared with its manifest.

This tells damage, not deceit: who signed a package is checked where packages are installed, by
the agent. Whoever gives a path to their own program trusts what lies there.
"""

import hashlib
import re
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edge_targets.runtime.contract import Manifest
from edge_targets.runtime.durable import storing
from edge_targets.runtime.errors import IntegrityError

MANIFEST = "manifest.json"
MAX_MANIFEST = 1 << 20  # bytes, parsed in memory
MAX_FILE = 512 << 20  # bytes that a package may have
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")  # no separators, nothing hidden, no `..`
AGAIN = "Get the package again from where it was made; do not use this copy."


@contextmanager
def unpacked(path: Path) -> Iterator[Path]:
    """A folder with the package's files: `path` itself, or a temporary one for a `.sndl` file.

    Raises:
        IntegrityError: there is no package, or a file is not as its manifest says.
    """
    if path.is_dir():
        if not (path / MANIFEST).is_file():
            raise IntegrityError(f"{path} holds no package.", "Give a .sndl file, or its folder.")
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="sanderling-") as name:
        folder = Path(name)
        try:
            with zipfile.ZipFile(path) as file, storing(folder):
                _extract(path.name, file, folder)
        except (OSError, zipfile.BadZipFile, NotImplementedError, KeyError) as error:
            raise IntegrityError(
                f"{path} is no package: {error}.", "Give a .sndl file, or an unpacked folder."
            ) from error
        yield folder


def _extract(title: str, file: zipfile.ZipFile, folder: Path) -> None:
    listed = file.getinfo(MANIFEST)
    if listed.file_size > MAX_MANIFEST:
        raise IntegrityError(f"{title}: its manifest has {listed.file_size} bytes.", AGAIN)
    text = file.read(listed)
    manifest = Manifest.parse(text)
    if sum(fact.size for fact in manifest.files.values()) > MAX_FILE:
        raise IntegrityError(f"{title} would unpack to more than {MAX_FILE} bytes.", AGAIN)
    (folder / MANIFEST).write_bytes(text)
    for name, fact in manifest.files.items():
        if not NAME.fullmatch(name) or file.getinfo(name).file_size != fact.size:
            raise IntegrityError(f"{title}: {name[:80]!r} is not as it was packed.", AGAIN)
        data = file.read(name)
        if hashlib.sha256(data).hexdigest() != fact.sha256:
            raise IntegrityError(f"{title}: {name} is not as it was packed.", AGAIN)
        (folder / name).write_bytes(data)
