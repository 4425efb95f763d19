"""A web browser: a folder for any web server, with Pyodide and WebAssembly in it."""

import fcntl
import glob
import hashlib
import json
import math
import os
import shutil
import tempfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NoReturn

import edge_targets
from edge_targets.package import unpack, verify
from edge_targets.package.archive import archive
from edge_targets.places.facts import Facts
from edge_targets.places.folders import check_folder, folder_at
from edge_targets.places.rates import FLOAT, INT8, Macs, Rates, Work, usual_speed
from edge_targets.places.target import Deployment, Place, Status, Target
from edge_targets.runtime.contract import SCHEMA, FileFact, Manifest, plain
from edge_targets.runtime.durable import storing, sync_folder
from edge_targets.runtime.errors import DeviceError, StorageError, UnsupportedError
from edge_targets.runtime.events import QUIET, Job

ROOT = Path(edge_targets.__file__).parent
WEB = ROOT / "_web"
PROVING = "proving"  # of its folders: the page that `sanderling verify` drives; no bundle has it
INDEX = "bundle.json"  # also tells which files of a folder are ours
BEGUN = ".bundling-"  # in the name of a working folder beside the bundle

# MobileNetV2 (Sandler et al. 2018, arXiv:1801.04381) in onnxruntime-web on a laptop, one thread: 35
# ms in float, 48 ms in int8, which it emulates
MACS, NONE = Macs(window=10.8e6, point=281e6, depth=20.7e6), Macs()
FLOATS = Work(MACS, NONE, values=15e6, weight_bytes=14e6, operators=66)
IN_INT8 = Work(NONE, MACS, values=15e6, weight_bytes=3.5e6, operators=66)
RATES = Rates(
    {
        (FLOAT, 1): usual_speed(FLOAT, FLOATS, 35e-3),
        (INT8, 1): usual_speed(INT8, IN_INT8, 48e-3),
    },
    engines={"onnx": 1.0},
    off=3.0,  # phones and laptops are that far apart
    source="MobileNetV2 in onnxruntime-web on a laptop",
)


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
        rates=RATES,
    )

    def check_address(self, address: str) -> str:
        if "://" in address:
            raise DeviceError(
                f"{address!r} is not the address of a {self.title}.",
                "Give the folder that your web server offers.",
            )
        folder = check_folder(address)
        with storing(folder):
            _check_replaceable(folder)
        return str(folder)

    def deploy(self, package: Path, place: Place, job: Job) -> Deployment:
        """Replace the bundle in the folder.

        The difference of the golden outputs is not a number: every page that opens finds out by
        itself, and refuses the model when it is too large.
        """
        folder = folder_at(place.address)
        bundle(package, folder, place.trusted, job)
        return Deployment(folder.as_uri(), verify(package, place.trusted).version, math.nan)

    def status(self, place: Place) -> Status:
        try:
            folder = folder_at(place.address)
            index = read_index(folder)
        except (DeviceError, OSError):
            return Status("unreachable")
        if index is None:
            return Status("empty", pending=0)
        return Status("ready", folder.as_uri(), index["model"], index["version"], pending=0)

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
        folder: appears whole or not at all; where it is a link, the folder it points to does.
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
    real = Path(os.path.realpath(folder))
    with storing(folder):
        for left in real.parent.glob(f"{glob.escape(_beginning(real))}*"):
            _take_up(left, real)
        _check_replaceable(real)
    Browser().fits(verify(package, trusted), package.stat().st_size)
    with storing(folder):
        real.parent.mkdir(parents=True, exist_ok=True)
        with _working(real) as work:
            made = _fill(work / "new", package, trusted, web, job)
            _swap(work, real)
    return Bundle(folder, len(made), sum(made.values()))


def read_index(folder: Path) -> dict[str, Any] | None:
    """The index of the bundle in a folder; None when there is none that we wrote.

    Raises:
        OSError: the folder may not be read.
    """
    try:
        found = json.loads((folder / INDEX).read_bytes())
    except (FileNotFoundError, NotADirectoryError, ValueError, RecursionError):
        return None
    kinds = {"schema": int, "model": str, "version": str, "files": dict}
    ours = isinstance(found, dict) and all(isinstance(found.get(k), t) for k, t in kinds.items())
    return found if ours and found["schema"] == SCHEMA else None


def _check_replaceable(folder: Path) -> None:
    """Refuse a folder with anything in it that a bundle did not bring."""
    if not os.path.lexists(folder):
        return
    index = read_index(folder)
    ours = {INDEX, *index["files"]} if index else set()
    for name in _files_in(folder):
        if name not in ours:
            raise StorageError(
                f"{folder} holds {name}, which no bundle brought there; it was left alone.",
                "Name a new or empty folder.",
            )


def _files_in(folder: Path) -> Iterator[str]:
    """Everything in a folder but folders, by its path from there."""

    def refuse(error: OSError) -> NoReturn:
        raise error  # what cannot be looked into may hold anything

    for place, folders, files in os.walk(folder, onerror=refuse):
        here = Path(place)
        links = [name for name in folders if (here / name).is_symlink()]
        for name in sorted((*files, *links)):
            yield (here / name).relative_to(folder).as_posix()


def _fill(
    fresh: Path, package: Path, trusted: Collection[str], web: Path, job: Job
) -> Mapping[str, int]:
    """Write everything; sizes in bytes by name, the index included."""
    fresh.mkdir()
    sources = sorted(
        path
        for path in web.rglob("*")
        if path.is_file() and PROVING not in path.relative_to(web).parts
    )
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


def _beginning(folder: Path) -> str:
    return f".{folder.name}{BEGUN}"


@contextmanager
def _working(folder: Path) -> Iterator[Path]:
    """A folder beside `folder` to work in, held while the block runs, and gone after it."""
    work = Path(tempfile.mkdtemp(prefix=_beginning(folder), dir=folder.parent))
    handle = os.open(work, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield work
    finally:
        _clear(work, folder)
        os.close(handle)


def _take_up(left: Path, folder: Path) -> None:
    """Clear the working folder of a run that was killed; one that is held is at work still."""
    with suppress(OSError):
        handle = os.open(left, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _clear(left, folder)
        finally:
            os.close(handle)


def _swap(work: Path, folder: Path) -> None:
    """Put what is `new` in the place of `folder`, which becomes `old`."""
    if folder.exists():
        folder.rename(work / "old")
    (work / "new").rename(folder)
    sync_folder(folder.parent)


def _clear(work: Path, folder: Path) -> None:
    """Remove a working folder; a bundle that was moved out and not replaced goes back."""
    old = work / "old"
    if old.exists() and not folder.exists():
        old.rename(folder)
    shutil.rmtree(work, ignore_errors=True)
