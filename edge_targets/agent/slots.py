"""Two places for an unpacked package, and a pointer to the one that is served.

The pointer is a small file that is replaced atomically, after everything it leads to has been
synced: a kill or a power cut at any moment leaves the old package active or the new one. (A
pointer that is flipped without these syncs can come back empty after a power cut.)
"""

import shutil
import uuid
from pathlib import Path

from edge_targets.runtime.durable import replace_file, storing, sync_folder

NAMES = ("a", "b")
STAGED = ".incoming-"
RETIRED = ".old-"


class Slots:
    """The slots below one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.pointer = folder / "active"
        with storing(folder):
            folder.mkdir(parents=True, exist_ok=True)

    def clean(self) -> None:
        """Remove what an interrupted installation left. Not while one is running."""
        for left in [*self.folder.glob(f"{STAGED}*"), *self.folder.glob(f".{STAGED}*")]:
            shutil.rmtree(left, ignore_errors=True)
        for left in self.folder.glob(f"{RETIRED}*"):
            name = left.name.removeprefix(RETIRED)[:1]
            if name in NAMES and not (self.folder / name).exists():
                left.rename(self.folder / name)  # the kill came before its successor arrived
            else:
                shutil.rmtree(left, ignore_errors=True)
        for left in self.folder.glob(".active.*"):
            left.unlink(missing_ok=True)

    @property
    def active(self) -> Path | None:
        """The folder that is served; None before the first package."""
        try:
            name = self.pointer.read_text("ascii", "replace").strip()
        except OSError:
            return None
        folder = self.folder / name
        return folder if name in NAMES and folder.is_dir() else None

    @property
    def free(self) -> Path:
        """The slot the next package goes to; it holds the one before the active one."""
        active = self.active
        return self.folder / (NAMES[1] if active and active.name == NAMES[0] else NAMES[0])

    def staging(self) -> Path:
        """A new path beside the slots, to unpack and try a package in."""
        return self.folder / f"{STAGED}{uuid.uuid4().hex}"

    def commit(self, staged: Path) -> Path:
        """Move a tried package into the free slot and make it the active one."""
        free = self.free
        with storing(self.folder):
            if free.exists():
                retired = self.folder / f"{RETIRED}{free.name}-{uuid.uuid4().hex}"
                free.rename(retired)
            staged.rename(free)
            sync_folder(self.folder)
        self.activate(free)
        for retired in self.folder.glob(f"{RETIRED}{free.name}-*"):
            shutil.rmtree(retired, ignore_errors=True)
        return free

    def activate(self, slot: Path) -> None:
        replace_file(self.pointer, f"{slot.name}\n".encode())
