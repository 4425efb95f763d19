"""From a package to a folder: what is copied, written, hashed, signed and compressed."""

import hashlib
import os
import re
import shutil
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from edge_targets.bundling import hosting
from edge_targets.bundling.beside import write_beside
from edge_targets.bundling.index import INDEX, SIGNED, write_index
from edge_targets.bundling.licences import LICENCES, TEXTS, write_licences
from edge_targets.bundling.options import USUAL, Options
from edge_targets.bundling.page import write_page
from edge_targets.bundling.parts import ENGINES, WEB, Parts
from edge_targets.bundling.replacing import check_replaceable, replaced, take_up
from edge_targets.bundling.wheels import Python, Wheel, read_wheels, write_wheels
from edge_targets.package import SigningKey, unpack, verify
from edge_targets.runtime.contract import FileFact, Manifest, plain
from edge_targets.runtime.durable import storing
from edge_targets.runtime.engines import engines
from edge_targets.runtime.errors import UnsupportedError
from edge_targets.runtime.events import QUIET, Job

PACKAGE = "package"  # of a bundle's folders: the unpacked package
HEADERS = "headers"
README = "README.txt"
OTHERS = "other engines"  # than the first one: of all of them a browser runs one
PARTS = {  # by how a path begins, what it is told as
    r"engines/\w+-": OTHERS,
    r"engines/": "engine",
    r"python/wheels/": "packages",
    r"python/": "Python",
    rf"{PACKAGE}/": "model",
    r"": "page",
}
UNFETCHED = (f"{TEXTS}/", LICENCES, "sanderling.d.ts")  # of no use to a page that answers


@dataclass(frozen=True)
class Part:
    """Of a bundle: `sent_bytes` are what a browser fetches when its host compresses (brotli)."""

    name: str
    files: int
    size_bytes: int
    sent_bytes: int


@dataclass(frozen=True)
class Bundle:
    """A finished folder: how many files it holds, and their bytes together.

    `parts` are what a page fetches, and so neither licences nor what is there twice.
    """

    directory: Path
    files: int
    size_bytes: int
    parts: tuple[Part, ...] = ()

    @property
    def sent(self) -> Mapping[str, int]:
        """Bytes on the wire by part."""
        return {part.name: part.sent_bytes for part in self.parts}

    @property
    def sent_bytes(self) -> int:
        """On the wire before a page is ready, with the engine that it begins with."""
        return sum(part.sent_bytes for part in self.parts if part.name != OTHERS)


def bundle(
    package: Path,
    folder: Path,
    key: SigningKey,
    trusted: Collection[str],
    options: Options = USUAL,
    job: Job = QUIET,
    web: Path = WEB,
) -> Bundle:
    """Verify a package and lay it out as a web page in `folder`; an older bundle is replaced.

    Args:
        package: a `.sndl` file.
        folder: appears whole or not at all; where it is a link, the folder it points to does.
        key: signs the bundle.
        trusted: public keys in base64; the package must be signed by one of them.
        options: what goes in beside the package.
        job: told of every file.
        web: the built browser files.

    Raises:
        IntegrityError: the package is not as it was packed, or signed by a stranger; a wheel is
            not what it says.
        UnsupportedError: no engine of a browser runs the model, a wheel is for another Python, or
            the browser files are not built.
        UsageError: options that cannot be together.
        StorageError: `folder` holds something else, or the disk did not take it.
    """
    parts = Parts.read(web)
    if not options.lite:
        parts.check_runtime()
    with storing(folder):
        real = Path(os.path.realpath(folder))
        take_up(real)
        check_replaceable(real)
    manifest = verify(package, trusted)
    if manifest.format not in ENGINES:
        raise UnsupportedError(
            f"No engine of a browser runs {manifest.format!r} ({manifest.name}).",
            f"Build one of: {', '.join(ENGINES)}.",
        )
    wheels = read_wheels(options.wheels, Python(parts.lock), options.after)
    with storing(folder), replaced(real) as fresh:
        unpack(package, fresh / PACKAGE, trusted)
        check_batch(fresh / PACKAGE / manifest.model, manifest)
        return Maker(fresh, manifest, parts, options, wheels, key, job).made(folder)


def check_batch(model: Path, manifest: Manifest) -> None:
    """Refuse what LiteRT.js, which cannot resize, refuses; with no LiteRT here its page does."""
    litert = engines["tflite"]
    if manifest.format != "tflite" or not find_spec(litert.package):
        return
    if litert(model, manifest.signature).is_free:
        raise UnsupportedError(
            f"No engine of a browser runs a model of any number of items ({manifest.name}).",
            "Build it without `--free-batch`, and package that.",
        )


@dataclass(frozen=True)
class Maker:
    """Fills one folder."""

    fresh: Path
    manifest: Manifest
    parts: Parts
    options: Options
    wheels: tuple[Wheel, ...]
    key: SigningKey
    job: Job

    @property
    def engine(self) -> str:
        return ENGINES[self.manifest.format]

    def made(self, folder: Path) -> Bundle:
        sources = self.parts.chosen(
            self.engine, self.options.accelerate, not self.options.lite, bool(self.wheels)
        )
        self._copy(sources)
        more = write_wheels(self.fresh, self.wheels, Python(self.parts.lock))
        write_licences(self.fresh, self._names(), self.parts.folder, more)
        write_page(self.fresh, self.options.origins)
        facts = self._hashed()
        packed = write_beside(self.fresh, list(facts), sources, self.job)
        self._write_hosting()
        beside = [*packed, *self._hosting_names(), f"{INDEX}.br", f"{INDEX}.gz"]
        write_index(self.fresh, self._index(facts, sorted(beside)), self.key)
        packed |= write_beside(self.fresh, [INDEX], {}, self.job)
        sizes = [path.stat().st_size for path in self.fresh.rglob("*") if path.is_file()]
        fetched = {name: fact.size for name, fact in facts.items()}
        fetched |= {name: (self.fresh / name).stat().st_size for name in (INDEX, SIGNED)}
        return Bundle(folder, len(sizes), sum(sizes), told_by_part(fetched, packed))

    def _copy(self, sources: Mapping[str, Path]) -> None:
        for name in self.job.track(list(sources), "copy the page"):
            place = self.fresh / name
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(sources[name], place)

    def _names(self) -> list[str]:
        paths = (path for path in self.fresh.rglob("*") if path.is_file())
        return sorted(path.relative_to(self.fresh).as_posix() for path in paths)

    def _hashed(self) -> dict[str, FileFact]:
        facts = {}
        for name in self.job.track(self._names(), "hash the files"):
            data = (self.fresh / name).read_bytes()
            facts[name] = FileFact(hashlib.sha256(data).hexdigest(), len(data))
        return facts

    def _index(self, facts: Mapping[str, FileFact], beside: list[str]) -> dict[str, Any]:
        options, versions = self.options, self.parts.versions
        python = {
            "version": versions.get("python", ""),
            "after": options.after,
            "packages": [wheel.name for wheel in self.wheels],
        }
        telemetry = {
            "url": "/".join([*([options.collector.rstrip("/")] if options.collector else []),
                             hosting.RECORDS]),
            "token": options.token,
            "notice": options.notice,
        }  # fmt: skip
        return {
            "model": self.manifest.name,
            "version": self.manifest.version,
            "sanderling": versions.get("sanderling", ""),  # where pages read it
            "versions": self.parts.versions_of(self.engine, not options.lite),
            "engine": self.engine,
            "accelerate": options.accelerate,
            "python": None if options.lite else python,
            "telemetry": telemetry,
            "key": self.key.public,
            "licences": LICENCES,
            "files": plain(facts),
            "beside": beside,
        }

    def _hosting_names(self) -> list[str]:
        return [README, *(f"{HEADERS}/{name}" for name in hosting.snippets())]

    def _write_hosting(self) -> None:
        (self.fresh / HEADERS).mkdir()
        for name, text in hosting.snippets(*self.options.origins).items():
            (self.fresh / HEADERS / name).write_text(text)
        told = hosting.README.format(
            model=self.manifest.name,
            version=self.manifest.version,
            sanderling=self.parts.versions.get("sanderling", ""),
        )
        (self.fresh / README).write_text(told)


def told_by_part(sizes: Mapping[str, int], packed: Mapping[str, int]) -> tuple[Part, ...]:
    """What a page fetches by part, the largest first; `packed` are the sizes of what is smaller."""
    found: dict[str, list[str]] = {}
    for name in sizes:
        if not name.startswith(UNFETCHED):
            part = next(part for start, part in PARTS.items() if re.match(start, name))
            found.setdefault(part, []).append(name)
    parts = [
        Part(
            part,
            len(names),
            sum(sizes[name] for name in names),
            sum(packed.get(f"{name}.br", sizes[name]) for name in names),
        )
        for part, names in found.items()
    ]
    return tuple(sorted(parts, key=lambda part: -part.sent_bytes))
