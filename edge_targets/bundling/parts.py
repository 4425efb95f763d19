"""The built browser files: which of them a bundle needs, and whether they are up to date."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Self

import edge_targets
from edge_targets.runtime.errors import UnsupportedError

ROOT = Path(edge_targets.__file__).parent
WEB = ROOT / "_web"
PARTS = "parts.json"
PROVING = "proving"  # of its folders: the page that `sanderling verify` drives; no bundle has it
ENGINES = {"onnx": "ort", "tflite": "litert"}  # by the format of a package
VERSIONED = {  # of a bundle's parts, what others made, by its names among the versions
    "ort": ("onnxruntime-web",),
    "litert": ("litert",),
    "python": ("pyodide", "python"),
}
WHOLE = "python-whole"  # a part: one file with all of the standard library
LIBRARY = "python/stdlib.zip"  # what Python starts from; as it is built, what our own code imports
COMPATIBLE = "-compat"  # of an engine's parts: what browsers fetch that lack what is usual
MEND = "Run `make web` in a clone; an installed Sanderling brings them along."


@dataclass(frozen=True)
class Parts:
    """What `web/build.mjs` made.

    Attributes:
        folder: that all paths start from.
        versions: of us and of what others made, by name.
        lock: what Pyodide's own lock says of itself: its Python, platform and ABI.
        runtime: digest of the sources that its Python was compiled from.
        files: paths by the part that they belong to.
    """

    folder: Path
    versions: Mapping[str, str]
    lock: Mapping[str, str]
    runtime: str
    files: Mapping[str, tuple[str, ...]]

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Raises UnsupportedError: the browser files are not built, or not wholly there."""
        try:
            found = json.loads((folder / PARTS).read_bytes())
            files = {str(part): tuple(paths) for part, paths in found["parts"].items()}
            versions, lock = dict(found["versions"]), dict(found["lock"])
            made = cls(folder, versions, lock, str(found["runtime"]), files)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise UnsupportedError("The browser files are not built.", MEND) from error
        missing = [path for paths in files.values() for path in paths if not made.has(path)]
        if missing:
            raise UnsupportedError(f"Of the browser files {missing[0]} is missing.", MEND)
        return made

    def has(self, path: Any) -> bool:
        if not isinstance(path, str) or PurePosixPath(path).is_absolute() or ".." in path:
            return False
        return (self.folder / path).is_file()

    def chosen(
        self, engine: str, accelerate: bool, python: bool, whole: bool
    ) -> Mapping[str, Path]:
        """The files for one engine, by their paths in a bundle.

        A `whole` Python has all of its library: a stranger's code may import anything.
        """
        wanted = ["page", engine, *(["python"] if python else ())]
        others = [part for part in self.files if part.startswith(f"{engine}-")]
        wanted += [part for part in others if accelerate or part.endswith(COMPATIBLE)]
        for part in (*wanted, WHOLE):
            if part not in self.files:
                raise UnsupportedError(f"The browser files hold no part {part!r}.", MEND)
        paths = sorted({path for part in wanted for path in self.files[part]})
        found = {path: self.folder / path for path in paths}
        if whole:
            [library] = self.files[WHOLE]
            found[LIBRARY] = self.folder / library
        return found

    def versions_of(self, engine: str, python: bool) -> Mapping[str, str]:
        """Of us, and of what others made that a bundle with these parts has, by name."""
        parts = (engine, *(["python"] if python else ()))
        names = ["sanderling", *(name for part in parts for name in VERSIONED[part])]
        return {name: self.versions[name] for name in names if name in self.versions}

    def check_runtime(self) -> None:
        """Refuse a Python that was compiled from other sources than these."""
        if self.runtime != runtime_digest():
            raise UnsupportedError(
                "The browser files are older than the runtime's sources.", "Run `make web` again."
            )


def runtime_digest() -> str:
    """One sha256 over what runs in the browser's Python, as `web/build.mjs` computes it."""
    sources = [ROOT / "__init__.py", *(ROOT / "runtime").rglob("*.py")]
    digest = hashlib.sha256()
    for name, path in sorted((path.relative_to(ROOT.parent).as_posix(), path) for path in sources):
        digest.update(name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()
