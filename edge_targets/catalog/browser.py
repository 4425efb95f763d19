"""A web browser: a folder for any web server, with Pyodide and WebAssembly in it."""

import hashlib
import json
import math
import shutil
import tempfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import edge_targets
from edge_targets.catalog.base import Deployment, Facts, Place, Status, Target
from edge_targets.package import unpack, verify
from edge_targets.package.archive import archive
from edge_targets.runtime.contract import SCHEMA, FileFact, Manifest, plain
from edge_targets.runtime.durable import storing, sync_folder
from edge_targets.runtime.errors import StorageError, UnsupportedError
from edge_targets.runtime.events import QUIET, Job

ROOT = Path(edge_targets.__file__).parent
WEB = ROOT / "_web"
INDEX = "bundle.json"  # also the mark by which a folder is known to be ours


@dataclass(frozen=True)
class Bundle:
    """A finished folder: how many files it holds, and their bytes together."""

    directory: Path
    files: int
    size_bytes: int


class Browser(Target):
    """Its address is the folder that a web server offers; the pages there look after themselves."""

    title: ClassVar = "Browser"
    formats: ClassVar = ("onnx",)
    facts: ClassVar = Facts(
        ram_bytes=1 << 30,  # what a tab may take on a phone; WebAssembly itself ends at 4 GiB
        flash_bytes=1 << 30,  # of its cache
        cores=1,
        cpu="wasm32 with SIMD",
    )

    def deploy(self, package: Path, place: Place, job: Job) -> Deployment:
        """Replace the bundle in the folder.

        The difference of the golden outputs is not a number: every page that opens finds out by
        itself, and refuses the model when it is too large.
        """
        folder = Path(place.address).expanduser().resolve()
        bundle(package, folder, place.trusted, job)
        return Deployment(folder.as_uri(), verify(package, place.trusted).version, math.nan)

    def status(self, place: Place) -> Status:
        folder = Path(place.address).expanduser().resolve()
        try:
            found = json.loads((folder / INDEX).read_text())
            return Status("ready", folder.as_uri(), found["model"], found["version"])
        except (OSError, ValueError, TypeError, KeyError):
            return Status("empty")

    def stop(self, place: Place) -> None:
        """Nothing runs there: whoever serves the folder is stopped where it was started."""

    def flush(self, place: Place) -> int:
        """Pages send by themselves, once a minute and when they are left: none wait here."""
        return 0


def bundle(
    package: Path, folder: Path, trusted: Collection[str], job: Job = QUIET, web: Path = WEB
) -> Bundle:
    """Verify a package and lay it out as a web page in `folder`; an older bundle is replaced.

    Args:
        package: a `.sndl` file.
        folder: appears whole or not at all.
        trusted: public keys in base64; the package must be signed by one of them.
        job: told of every file.
        web: the built browser files.

    Raises:
        IntegrityError: the package is not as it was packed, or signed by a stranger.
        UnsupportedError: the package holds no ONNX model, or the browser files are not built.
        StorageError: `folder` holds something else, or the disk did not take it.
    """
    if not (web / "index.html").is_file():
        raise UnsupportedError(
            "The browser files are not built.",
            "Run `make web` in a clone; an installed Sanderling brings them along.",
        )
    _check_replaceable(folder)
    manifest = verify(package, trusted)
    Browser().fits(manifest, package.stat().st_size)
    with storing(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        try:
            made = _fill(fresh, package, trusted, web, job)
            fresh.chmod(0o755)
            _swap(fresh, folder)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
    return Bundle(folder, len(made), sum(made.values()))


def _check_replaceable(folder: Path) -> None:
    if folder.is_dir() and ((folder / INDEX).is_file() or not any(folder.iterdir())):
        return
    if folder.exists() or folder.is_symlink():
        raise StorageError(
            f"{folder} holds something that is not a bundle; it was left alone.",
            "Name a new or empty folder.",
        )


def _fill(
    fresh: Path, package: Path, trusted: Collection[str], web: Path, job: Job
) -> Mapping[str, int]:
    """Write everything; sizes in bytes by name, the index included."""
    sources = sorted(path for path in web.rglob("*") if path.is_file())
    for source in job.track(sources, "copy the page"):
        place = fresh / source.relative_to(web)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, place)
    job.step("unpack the model")
    manifest = unpack(package, fresh / "package", trusted)
    (fresh / "runtime.zip").write_bytes(runtime_archive())
    listed = sorted(path for path in fresh.rglob("*") if path.is_file())
    facts = {}
    for path in job.track(listed, "hash the files"):
        data = path.read_bytes()
        name = path.relative_to(fresh).as_posix()
        facts[name] = FileFact(hashlib.sha256(data).hexdigest(), len(data))
    index = _index(manifest, facts)
    (fresh / INDEX).write_text(index)
    return {INDEX: len(index), **{name: fact.size for name, fact in facts.items()}}


def _index(manifest: Manifest, facts: Mapping[str, FileFact]) -> str:
    content = {
        "schema": SCHEMA,
        "model": manifest.name,
        "version": manifest.version,
        "files": plain(facts),
    }
    return json.dumps(content, indent=1, sort_keys=True) + "\n"


def runtime_archive() -> bytes:
    """The runtime's sources as a zip that Python can import from; same sources, same bytes."""
    sources = [ROOT / "__init__.py", *(ROOT / "runtime").rglob("*.py")]
    return archive(
        {path.relative_to(ROOT.parent).as_posix(): path.read_bytes() for path in sorted(sources)}
    )


def _swap(fresh: Path, folder: Path) -> None:
    """Put `fresh` in the place of `folder`; if that fails, what was there comes back."""
    old = fresh.with_name(f"{fresh.name}.old")
    replaced = folder.exists()
    if replaced:
        folder.rename(old)
    try:
        fresh.rename(folder)
    except OSError:
        if replaced:
            old.rename(folder)
        raise
    sync_folder(folder.parent)
    shutil.rmtree(old, ignore_errors=True)
