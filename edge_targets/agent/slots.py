"""Places for the unpacked packages of one model, and a pointer to the one that is served.

The pointer is a small file that is replaced atomically, after everything it leads to has been
synced: a kill or a power cut at any moment leaves the old package served or the new one. (A
pointer that is flipped without these syncs can come back empty after a power cut.) Two slots hold
the version that is served and the one before; a new one goes to a third name, so that no slot is
ever written, or removed, while the pointer leads to it.

Since a flip a version is on probation, as in RAUC (https://rauc.readthedocs.io, "mark-good") and
Mender: `fallback` is served again unless the new one is confirmed.
"""

import shutil
import uuid
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from edge_targets.package import SERVED
from edge_targets.runtime.contract import Manifest, Wire, texts
from edge_targets.runtime.durable import replace_file, storing, sync_folder
from edge_targets.runtime.errors import EdgeError

NAMES = ("a", "b", "c")
STAGED = ".incoming-"
RETIRED = ".old-"
MOST_REFUSED = 20  # versions that are remembered; the oldest is forgotten


@dataclass(frozen=True)
class Pointer(Wire):
    """What is served, and what is if that fails.

    Attributes:
        active: the slot that is served; empty for none.
        fallback: the slot of the version before; empty for none.
        probation: whether `active` has still to prove itself.
        starts: of the agent since `active` was last seen healthy, each counted before loading.
        refused: versions that were rolled back, the latest last.
    """

    versioned: ClassVar = True
    nested: ClassVar = {"refused": texts}

    active: str = ""
    fallback: str = ""
    probation: bool = False
    starts: int = 0
    refused: tuple[str, ...] = ()

    def without(self, version: str) -> "Pointer":
        return replace(self, refused=tuple(one for one in self.refused if one != version))

    def refusing(self, version: str) -> "Pointer":
        """The same, refusing a version as well; none when it is empty."""
        if not version:
            return self
        known = self.without(version).refused
        return replace(self, refused=(*known, version)[-MOST_REFUSED:])


class Slots:
    """The slots of the model whose name the folder has."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "active"

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def pointer(self) -> Pointer:
        """What is stored; the empty pointer when that is nothing, or nothing that can be."""
        return self.read() or Pointer()

    def read(self) -> Pointer | None:
        """What is stored; None when it is missing or damaged."""
        try:
            text = self.file.read_bytes()
        except OSError:
            return None
        if text.strip() in (b"a", b"b"):  # as versions before 0.4 wrote it
            active = text.strip().decode()
            fallback = "b" if active == "a" else "a"
            return Pointer(active, fallback if (self.folder / fallback).is_dir() else "")
        try:
            found = Pointer.parse(text)
        except EdgeError:
            return None
        slots = found.active in NAMES and found.fallback in ("", *NAMES)
        return found if slots and type(found.starts) is int else None

    def slot(self, name: str) -> Path | None:
        """The folder of a slot the pointer names; None when there is none."""
        folder = self.folder / name
        return folder if name in NAMES and folder.is_dir() else None

    @property
    def active(self) -> Path | None:
        return self.slot(self.pointer.active)

    @property
    def fallback(self) -> Path | None:
        return self.slot(self.pointer.fallback)

    def manifest(self, slot: Path | None) -> Manifest | None:
        """What a slot says it holds, unchecked."""
        if slot is None:
            return None
        try:
            return Manifest.parse((slot / "manifest.json").read_bytes())
        except (OSError, EdgeError):
            return None

    def commit(self, staged: Path, version: str) -> Path:
        """Move a tried package into a free slot, serve it from now on, on probation.

        The very version that one on probation would fall back to amounts to going back: it is
        proven, and the other one is refused.
        """
        pointer = self.pointer
        free = next(name for name in NAMES if name not in (pointer.active, pointer.fallback))
        after = self._after(pointer, free, version)
        slot = self.folder / free
        with storing(self.folder):
            self.folder.mkdir(exist_ok=True)
            if slot.exists():
                shutil.rmtree(slot)
            staged.rename(slot)
            sync_folder(self.folder)
            sync_folder(self.folder.parent)
        self.write(after)
        self.clean()
        return slot

    def _after(self, pointer: Pointer, free: str, version: str) -> Pointer:
        """The pointer once `version` lies in the slot `free`; it never falls back to itself."""
        refused = pointer.without(version)
        active, fallback = self.version(pointer.active), self.version(pointer.fallback)
        # a version on probation gives way to the next one; what it would fall back to stays
        giving_way = pointer.probation and fallback != ""
        if giving_way and fallback == version != active:
            return Pointer(free, refused=refused.refusing(active).refused)
        stays = giving_way or active == version
        kept = pointer.fallback if stays else pointer.active
        return Pointer(free, kept, probation=True, refused=refused.refused)

    def version(self, name: str) -> str:
        """What the slot of that name says it holds, unchecked; empty for nothing."""
        manifest = self.manifest(self.slot(name))
        return manifest.version if manifest else ""

    def count_start(self) -> int:
        """One more start since the active version was last seen healthy; on return it is kept."""
        pointer = self.pointer
        self.write(replace(pointer, starts=pointer.starts + 1))
        return pointer.starts + 1

    def confirm(self) -> None:
        """The active version has proved itself."""
        pointer = self.pointer
        if pointer.probation or pointer.starts:
            self.write(replace(pointer, probation=False, starts=0))

    def roll_back(self, version: str) -> None:
        """Serve the fallback from now on, and refuse `version`, which was served till now."""
        pointer = self.pointer.refusing(version)
        self.write(Pointer(pointer.fallback, refused=pointer.refused))

    def write(self, pointer: Pointer) -> None:
        replace_file(self.file, pointer.dump().encode())

    def remove(self) -> None:
        """Forget the model: after a kill it is served as before, or gone."""
        with storing(self.folder):
            retired = self.folder.parent / f"{RETIRED}{uuid.uuid4().hex}"
            self.folder.rename(retired)
            sync_folder(self.folder.parent)
        shutil.rmtree(retired, ignore_errors=True)

    def clean(self) -> None:
        """Remove slots that nothing points to, and what an interrupted write left."""
        for left in self.folder.glob(".active.*"):
            left.unlink(missing_ok=True)
        pointer = self.read()
        if pointer:  # else each of the slots may be all we have
            for name in {*NAMES} - {pointer.active, pointer.fallback}:
                shutil.rmtree(self.folder / name, ignore_errors=True)
        with suppress(OSError):
            self.folder.rmdir()  # the kill came before the first slot did


def staging(models: Path) -> Path:
    """A new path beside the models, to unpack and try a package in."""
    return models / f"{STAGED}{uuid.uuid4().hex}"


def known(models: Path) -> dict[str, Slots]:
    """The slots of every model that lies below `models`, by name."""
    found = sorted(path for path in models.glob("*") if path.is_dir())
    return {path.name: Slots(path) for path in found if SERVED.fullmatch(path.name)}


def clean(models: Path) -> None:
    """Remove what interrupted installations and removals left. Not while one is running."""
    for left in models.glob(".*"):
        if left.name.lstrip(".").startswith((STAGED[1:], RETIRED[1:])):
            shutil.rmtree(left, ignore_errors=True)
    for slots in known(models).values():
        slots.clean()


def move_old_root(old: Path, models: Path) -> None:
    """Bring the one model of a root folder made before 0.4 to its place; once, in one step."""
    if not old.is_dir():
        return
    slots = Slots(old)
    folders = [slots.active, *(slots.slot(name) for name in NAMES)]
    manifests = (slots.manifest(folder) for folder in folders)
    name = next((one.name for one in manifests if one), "")
    if not isinstance(name, str) or not SERVED.fullmatch(name) or (models / name).exists():
        return
    with storing(models):
        old.rename(models / name)
        sync_folder(models)
        sync_folder(old.parent)
