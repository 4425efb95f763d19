"""The folder on disk that all of it lies in.

```
sanderling.toml                settings
objects/ab/ab12…               every file by its sha256: written once, never changed
entries/<digest>.json          what was made, from what, by which verb with which parameters
names/<kind>/<name>            the digest a name stands for now: the only thing that is replaced
keys/                          the signing key, readable by its owner alone
runs/  telemetry/              unfinished training runs; what devices sent
```
A name is replaced last and atomically, so a kill at any moment leaves the old or the new.
"""

import hashlib
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import tomli_w
from pydantic import BaseModel, ConfigDict, Field

from edge_targets.package import KEY_FILE
from edge_targets.runtime.contract import Wire, texts
from edge_targets.runtime.durable import replace_file, storing, sync_folder
from edge_targets.runtime.errors import (
    DataError,
    EdgeError,
    IntegrityError,
    RecipeError,
    UnknownNameError,
)
from toolkit.parameters import checked

SETTINGS = "sanderling.toml"
KINDS = ("datasets", "models", "artifacts", "packages", "devices")
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,79}")
DIGEST = re.compile(r"[0-9a-f]{64}")


class Settings(BaseModel):
    """What a user may write into `sanderling.toml`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_: Annotated[Literal[1], Field(alias="schema", description="Version of this file.")] = 1
    collector: Annotated[
        str, Field(pattern=r"https?://\S+", description="Where devices send telemetry.")
    ] = "http://127.0.0.1:7733"


@dataclass(frozen=True)
class Entry(Wire):
    """One thing that was made; never changed afterwards.

    Attributes:
        kind: one of `KINDS`, or `certificates`, which go by the name of their model.
        name: what it was called when it was made.
        verb: what made it.
        parameters: of the verb.
        parents: digests of the entries it was made from.
        files: file name to sha256.
        facts: what is known about it.
        created: ISO 8601, UTC.
        digest: sha256 of the entry as it lies on disk.
    """

    nested = {"parents": texts}  # noqa: RUF012 - a class fact of the wire base
    versioned = True

    kind: str
    name: str
    verb: str
    created: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    parents: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)

    # of the file it was read from: a newer version may write the same entry in another way
    digest: str = field(default="", compare=False)

    def to_json(self) -> dict[str, Any]:
        return {key: value for key, value in super().to_json().items() if key != "digest"}


def write(path: Path, data: bytes | str, mode: int = 0o644) -> None:
    with storing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, data.encode() if isinstance(data, str) else data, mode)


class NotFoundError(EdgeError):
    """There is no workspace where one was looked for."""


def check_name(name: str) -> str:
    if not NAME.fullmatch(name):
        raise RecipeError(
            f"{name!r} is not a name.",
            "Use small letters, digits, dots, dashes and underscores, at most 80, "
            "beginning with a letter or digit.",
        )
    return name


def plainly(folder: Path) -> Path:
    """The absolute path without `..`; links stay, for a link in a circle resolves to nothing."""
    return Path(os.path.normpath(folder.absolute()))


class Workspace:
    """Everything is named, everything remembers what it was made from."""

    def __init__(self, root: Path) -> None:
        self.root = root
        file = root / SETTINGS
        try:
            values = tomllib.loads(file.read_text("utf-8"))
        except (FileNotFoundError, NotADirectoryError) as error:
            raise NotFoundError(
                f"{root} is no workspace: it has no {SETTINGS}.",
                f"Make one with `sanderling init {root}`.",
            ) from error
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise RecipeError(
                f"{file} cannot be used: {str(error).splitlines()[0]}.",
                "Correct it, or delete it and run `sanderling init` again.",
            ) from error
        self.settings = checked(Settings, values, str(file))

    @classmethod
    def create(cls, root: Path) -> "Workspace":
        """A workspace at `root`; one that is there already is left as it is."""
        if root.exists() and not root.is_dir():
            raise DataError(f"{root} is a file.", "Choose the name of a folder.")
        if not (root / SETTINGS).exists():
            write(root / SETTINGS, tomli_w.dumps(Settings().model_dump(by_alias=True)))
        return cls(plainly(root))

    @classmethod
    def find(cls, root: Path | None) -> "Workspace":
        """The workspace at `root`, or the nearest one at or above the current folder."""
        if root is not None:
            return cls(plainly(root))
        here = Path.cwd()
        for folder in (here, *here.parents):
            if (folder / SETTINGS).is_file():
                return cls(folder)
        raise NotFoundError(
            f"There is no workspace at {here} or above it.",
            "Make one with `sanderling init .`, or name one with --workspace.",
        )

    def put(
        self,
        kind: str,
        name: str,
        files: Mapping[str, bytes],
        facts: Mapping[str, Any],
        verb: str,
        parameters: Mapping[str, Any] | None = None,
        parents: tuple[Entry, ...] = (),
    ) -> Entry:
        """Store something under a name; an older thing of that name keeps its digest."""
        check_name(name)
        stored = {file: self._store(data) for file, data in files.items()}
        entry = Entry(
            kind,
            name,
            verb,
            datetime.now(UTC).isoformat(timespec="milliseconds"),
            parameters or {},
            tuple(parent.digest for parent in parents),
            stored,
            facts,
        )
        text = entry.dump().encode()
        digest = hashlib.sha256(text).hexdigest()
        write(self.root / "entries" / f"{digest}.json", text)
        write(self.root / "names" / kind / name, digest + "\n")
        return replace(entry, digest=digest)

    def _store(self, data: bytes) -> str:
        digest = hashlib.sha256(data).hexdigest()
        path = self.object(digest)
        # what is there may be damaged: making a thing again must mend it
        if not path.exists() or path.read_bytes() != data:
            write(path, data, mode=0o444)
        return digest

    def object(self, digest: str) -> Path:
        return self.root / "objects" / digest[:2] / digest

    def file(self, entry: Entry, name: str) -> Path:
        """The stored file itself, for programs that want a path; read it only."""
        return self.object(entry.files[name])

    def read(self, entry: Entry, name: str) -> bytes:
        """A stored file's bytes, checked against their digest."""
        path = self.file(entry, name)
        data = path.read_bytes() if path.exists() else b""
        if hashlib.sha256(data).hexdigest() != entry.files[name]:
            raise IntegrityError(
                f"{name} of {entry.name} is damaged: {path} is not what was stored.",
                f"Make {entry.name} again; `sanderling show {entry.name}` names the verb.",
            )
        return data

    def entry(self, digest: str) -> Entry:
        path = self.root / "entries" / f"{digest}.json"
        if not DIGEST.fullmatch(digest) or not path.is_file():
            raise IntegrityError(
                f"The workspace has lost entry {digest[:12]!r}.",
                "Make the thing again, or restore the folder from a backup.",
            )
        data = path.read_bytes()
        if hashlib.sha256(data).hexdigest() != digest:
            raise IntegrityError(
                f"{path} is damaged: it is not what was stored.",
                "Make the thing again, or restore the folder from a backup.",
            )
        return replace(Entry.parse(data), digest=digest)

    def names(self, kind: str) -> list[str]:
        folder = self.root / "names" / kind
        if not folder.is_dir():
            return []
        return sorted(file.name for file in folder.iterdir() if NAME.fullmatch(file.name))

    def get(self, kind: str, name: str) -> Entry:
        if name not in self.names(kind):
            raise UnknownNameError(kind.removesuffix("s"), name, self.names(kind))
        stored = (self.root / "names" / kind / name).read_bytes()
        try:
            return self.entry(stored.decode("ascii", "replace").strip())
        except IntegrityError as error:
            raise IntegrityError(f"{kind}/{name}: {error}", error.hint) from error

    def forget(self, kind: str, name: str) -> None:
        """Take a name away; what it stood for stays, for the lineage of others."""
        self.get(kind, name)
        path = self.root / "names" / kind / name
        with storing(path):
            path.unlink()
            sync_folder(path.parent)

    def entries(self, kind: str) -> list[Entry]:
        return [self.get(kind, name) for name in self.names(kind)]

    def find_any(self, name: str, kinds: tuple[str, ...] = KINDS) -> Entry:
        """The thing called `name`, or `KIND/NAME` where several kinds know the name."""
        kind, slash, rest = name.partition("/")
        if slash and kind in kinds:
            return self.get(kind, rest)
        found = [kind for kind in kinds if name in self.names(kind)]
        if len(found) > 1:
            single = " and a ".join(kind.removesuffix("s") for kind in found)
            raise RecipeError(
                f"{name!r} names a {single}.", f"Say {' or '.join(f'{k}/{name}' for k in found)}."
            )
        if not found:
            known = sorted({known for kind in kinds for known in self.names(kind)})
            raise UnknownNameError(" or ".join(k.removesuffix("s") for k in kinds), name, known)
        return self.get(found[0], name)

    def lineage(self, entry: Entry, depth: int = 0) -> Iterator[tuple[int, Entry]]:
        """The entry and all it was made from, deepest last, each once."""
        seen: set[str] = set()

        def walk(here: Entry, depth: int) -> Iterator[tuple[int, Entry]]:
            if here.digest in seen:
                return
            seen.add(here.digest)
            yield depth, here
            for parent in here.parents:
                yield from walk(self.entry(parent), depth + 1)

        return walk(entry, depth)

    def runs(self) -> Path:
        """The folder for what is half done, made on first use."""
        folder = self.root / "runs"
        with storing(folder):
            folder.mkdir(exist_ok=True)
        return folder

    @property
    def key_file(self) -> Path:
        return self.root / "keys" / KEY_FILE

    @property
    def telemetry(self) -> Path:
        return self.root / "telemetry"
