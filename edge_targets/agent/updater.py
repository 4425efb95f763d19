"""Take a package: verify, unpack, try, and only then flip to it; and go back when it is no good."""

import logging
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from edge_targets.agent.health import check_disk, check_memory
from edge_targets.agent.home import Home, Settings
from edge_targets.agent.protocol import DATATYPES
from edge_targets.agent.slots import (
    NAMES,
    Pointer,
    Slots,
    clean,
    known,
    move_old_root,
    staging,
)
from edge_targets.agent.trial import in_child
from edge_targets.package import unpack, verify, verify_folder
from edge_targets.runtime.contract import Manifest
from edge_targets.runtime.durable import storing, sync_folder
from edge_targets.runtime.engines import engines
from edge_targets.runtime.errors import (
    DeviceError,
    EdgeError,
    IntegrityError,
    StorageError,
    UnknownNameError,
    UnsupportedError,
)
from edge_targets.runtime.predictor import Predictor

log = logging.getLogger(__name__)

RUNS = 200  # timed predictions: the median of fewer wavers
MOST_STARTS = 3  # of a version on probation; one more and it is rolled back
DOUBTFUL_STARTS = 10  # of any version: from then on it is tried in a child before it is loaded

Try = Callable[[Path, int], dict[str, float]]


@dataclass(frozen=True)
class Fresh:
    """A package that was loaded, how far its golden outputs were off, and where it lay then."""

    predictor: Predictor
    golden_difference: float
    staged: Path


@dataclass(frozen=True)
class Fallen:
    """A version that gave way: what it was, what is served instead (None: nothing), and why."""

    manifest: Manifest
    predictor: Predictor | None
    why: str


class RefusedVersionError(DeviceError):
    """A version that failed here before, and that nobody asked for again."""


class Updater:
    """Installs packages into the slots of one home. One call at a time."""

    def __init__(self, home: Home, attempt: Try = in_child) -> None:
        self.home = home
        self.attempt = attempt
        self.models = home.models
        with storing(home.models):
            if not home.models.is_dir():
                home.models.mkdir(parents=True)
                sync_folder(home.root)
        move_old_root(home.old_slots, home.models)
        clean(home.models)
        self.fallen: list[Fallen] = []  # at the start

    def slots(self, name: str) -> Slots:
        """The slots of a model that lies here.

        Raises:
            UnknownNameError: none of that name does.
        """
        models = known(self.models)
        if name not in models:
            raise UnknownNameError("model", name, sorted(models))
        return models[name]

    def install(self, file: Path) -> Fresh:
        """Make `file` the active package of its name; when anything fails, the one before stays.

        Raises:
            IntegrityError: unknown key, damaged, does not run, or answers differently here.
            StorageError: no room on the disk.
            DeviceError: not enough memory.
        """
        with self.prepared(file, self.verified(file)) as fresh:
            self.commit(fresh)
        return fresh

    def verified(self, file: Path) -> Manifest:
        """What is in a package that comes from whom we trust; an IntegrityError otherwise."""
        return verify(file, self.home.trusted())

    @contextmanager
    def prepared(self, file: Path, manifest: Manifest, asked: bool = True) -> Iterator[Fresh]:
        """A package that was tried and loaded, ready for `commit`, in the block.

        Unless it was `asked` for, a version that was rolled back here before is refused.
        """
        if not asked and manifest.version in self.refused(manifest.name):
            raise RefusedVersionError(
                f"{manifest.name} {manifest.version} was rolled back on this device.",
                "Publish another version, or deploy this one by hand.",
            )
        settings = self.home.settings()
        staged = staging(self.models)
        try:
            self.unpack(file, manifest, staged)
            found = self.attempt(staged, settings.threads)
            check_memory(int(found.get("memory_bytes", 0)), f"{manifest.name} at work")
            # loaded before the flip: what is active has been loaded at least once
            yield Fresh(self.load(staged, settings), found["golden_difference"], staged)
        finally:
            shutil.rmtree(staged, ignore_errors=True)

    def commit(self, fresh: Fresh) -> None:
        """Flip to it, durably."""
        manifest = fresh.predictor.manifest
        slot = Slots(self.models / manifest.name).commit(fresh.staged, manifest.version)
        log.info("%s: slot %s with %s is active", manifest.name, slot.name, manifest.version)

    def is_active(self, manifest: Manifest) -> bool:
        """Whether it is the active one of its name already, and whole there."""
        slots = Slots(self.models / manifest.name)
        active = slots.active
        if active is None or slots.manifest(active) != manifest:
            return False
        try:
            verify_folder(active, self.home.trusted())
        except IntegrityError as error:
            log.warning("%s is installed again: %s", manifest.name, error)
            return False
        return True

    def refused(self, name: str) -> tuple[str, ...]:
        """Versions of a model that were rolled back here."""
        return Slots(self.models / name).pointer.refused

    def unpack(self, file: Path, manifest: Manifest, staged: Path) -> None:
        check_runs(manifest)
        size = sum(fact.size for fact in manifest.files.values())
        check_disk(self.models, size, f"{manifest.name} {manifest.version}")
        check_memory(manifest.files[manifest.model].size, f"the model of {manifest.name}")
        unpack(file, staged, self.home.trusted())

    def bench(self, file: Path, threads: int) -> dict[str, float]:
        """Time `file` in a process of its own; what is served, and the slots, stay.

        Raises:
            IntegrityError, StorageError, DeviceError: as for an installation.
        """
        staged = staging(self.models)
        try:
            self.unpack(file, self.verified(file), staged)
            return in_child(staged, threads, RUNS)
        finally:
            shutil.rmtree(staged, ignore_errors=True)

    def load(self, folder: Path, settings: Settings) -> Predictor:
        return Predictor(folder, threads=settings.threads)

    def loaded(self, slots: Slots, slot: Path | None) -> Predictor:
        """What a slot holds, every byte checked.

        Raises:
            DeviceError: it holds nothing that can be served.
        """
        hint = "Deploy a package."
        if slot is None:
            raise DeviceError(f"There is no version of {slots.name} to go back to.", hint)
        try:
            manifest = verify_folder(slot, self.home.trusted())
            if manifest.name != slots.name:
                raise DeviceError(f"{slot} holds {manifest.name}, another model.", hint)
            return self.load(slot, self.home.settings())
        except EdgeError:
            raise
        except Exception as error:  # engines fail in ways of their own
            raise DeviceError(f"{slot} cannot be served: {error}.", hint) from error

    def roll_back(self, name: str, why: str, lasting: bool = True) -> Fallen:
        """Serve the version before; on return that is durable, if it must be `lasting`.

        Raises:
            UnknownNameError: no such model.
            DeviceError: there is none before, or it does not load: all stays as it is.
            StorageError: the disk does not take it: all stays as it is.
        """
        slots = self.slots(name)
        manifest = slots.manifest(slots.active)
        if manifest is None:
            raise DeviceError(f"{name} has no version that is served.", "Deploy a package.")
        predictor = self.loaded(slots, slots.fallback)
        try:
            slots.roll_back(manifest.version)
            slots.clean()
        except StorageError as error:
            if lasting:
                raise
            log.warning("%s %s", error, error.hint)
        log.warning(
            "%s: back from %s to %s: %s", name, manifest.version, predictor.manifest.version, why
        )
        return Fallen(manifest, predictor, why)

    def remove(self, name: str) -> None:
        self.slots(name).remove()

    def start(self) -> list[Predictor]:
        """What each model serves from now on; one that fails does not keep the others away."""
        found = []
        for slots in known(self.models).values():
            predictor = self.start_model(slots)
            if predictor:
                found.append(predictor)
        return found

    def start_model(self, slots: Slots) -> Predictor | None:
        """The active version, or another slot when that is damaged or ends us again and again."""
        starts = 0
        try:
            starts = slots.count_start()  # before it is loaded: it may be what kills us
        except StorageError as error:  # a disk that takes nothing must not keep a model away
            log.warning("%s %s", error, error.hint)
        pointer, active = slots.pointer, slots.active
        manifest = slots.manifest(active)
        looping = pointer.probation and bool(pointer.fallback) and starts > MOST_STARTS
        why = f"started {starts} times and was never healthy for long" if looping else ""
        others = [slots.slot(name) for name in NAMES if slots.slot(name) != active]
        for slot in [*others, active] if looping else [active, *others]:
            if slot is None:
                continue
            try:
                if starts > DOUBTFUL_STARTS:
                    self.attempt(slot, self.home.settings().threads)
                predictor = self.loaded(slots, slot)
            except EdgeError as error:
                log.warning("%s: %s cannot be served: %s", slots.name, slot, error)
                why = why or str(error)
                continue
            if slot != active:
                self.point_to(slots, slot, manifest.version if manifest and looping else "")
                if manifest:
                    self.fallen.append(Fallen(manifest, predictor, why))
            return predictor
        if manifest:
            self.fallen.append(Fallen(manifest, None, why))
        return None

    def point_to(self, slots: Slots, slot: Path, refused: str) -> None:
        """Make another slot the active one; a version that ended us is refused from now on."""
        pointer = Pointer(slot.name, refused=slots.pointer.refused)
        log.warning("%s: back to slot %s", slots.name, slot.name)
        try:
            slots.write(pointer.refusing(refused))
        except StorageError as error:  # served all the same; the next start decides again
            log.warning("%s %s", error, error.hint)


def check_runs(manifest: Manifest) -> None:
    """Refuse a format without an engine here, and types the protocol does not know."""
    if manifest.format not in engines.names():
        raise UnsupportedError(
            f"This device runs no {manifest.format!r}.",
            f"Build one of: {', '.join(engines.names())}.",
        )
    for spec in (*manifest.signature.inputs, *manifest.signature.outputs):
        if spec.dtype not in DATATYPES:
            raise UnsupportedError(
                f"{spec.name} has type {spec.dtype}, which cannot be sent.",
                f"Use one of: {', '.join(DATATYPES)}.",
            )
