"""Looks for a newer version in the repository a device follows, and fetches it.

`python -m edge_targets.agent.pulling --root FOLDER [--from FOLDER] [--skip MODEL=VERSION]` is one
look, in a process of its own, so that its memory is given back: it prints one line of JSON and
leaves what it found, checked, in `incoming/`. `--from` reads a copy of the repository, such as a
stick's, with the very same checks. `puller` has that done on a schedule, and installs.

A device follows the models it serves; one that serves none yet takes what the channel has for its
target. It follows the channel also back: when the version it serves was withdrawn, the newest that
is left is taken.
"""

import argparse
import json
import logging
import sys
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import ClassVar

from edge_targets.agent.home import Home, Settings, TrustedKeys
from edge_targets.agent.slots import Slots
from edge_targets.package import MANIFEST, MAX_FILE, SIGNATURE, verify
from edge_targets.package.repacked import Repacked
from edge_targets.runtime.contract import Wire
from edge_targets.runtime.durable import alone, storing
from edge_targets.runtime.errors import DeviceError, EdgeError, IntegrityError
from edge_targets.updates.client import Client, Offer
from edge_targets.updates.clock import Clock, Seen
from edge_targets.updates.fetching import Folder, Limits, Source, download
from edge_targets.updates.patch import apply
from edge_targets.updates.web import Web

log = logging.getLogger(__name__)

MAX_ROOT = 256 << 10  # bytes of root.json
PULLED = "pulled-"
FOLDER = "updates"
DRIFT = timedelta(hours=1)  # that a clock may be set back by without being wrong


@dataclass(frozen=True)
class Found(Wire):
    """What one look gave, the line that the child prints.

    Attributes:
        state: `current` (nothing newer), `found`, or `failed`.
        model: that a newer version was fetched of.
        version: of it.
        file: where it lies, checked.
        fetched_bytes: that it took.
        base: the version that a delta was applied to; empty when the whole file was fetched.
        notes: of the release.
        error: what failed, and `hint` what to do.
    """

    versioned: ClassVar = True

    state: str
    model: str = ""
    version: str = ""
    file: str = ""
    fetched_bytes: int = 0
    base: str = ""
    notes: str = ""
    error: str = ""
    hint: str = ""


@dataclass(frozen=True)
class Look:
    """One look at a repository; all it depends on comes in here."""

    home: Home
    source: Source
    clock: Clock
    limits: Limits
    skip: Collection[tuple[str, str]] = ()

    @property
    def folder(self) -> Path:
        return self.home.root / FOLDER

    def run(self) -> Found:
        """Fetch the first model that the channel has another version of.

        Raises:
            DeviceError: the repository cannot be reached, or nothing says whose word counts.
            IntegrityError: what it offers is not to be believed.
            StorageError: no room.
        """
        settings = Settings.load(self.home.root)
        busy = "This device is looking for updates already."
        with alone(self.folder / "lock", busy, "Wait for it to end."):
            for left in self.home.incoming.glob(f"{PULLED}*"):
                left.unlink(missing_ok=True)
            client = Client(self.folder, self._root(), self.source, self.clock)
            offers = client.offers(settings.channel, settings.target)
            slots = {one.name: one for one in self._slots() if one.active}
            for package in self._wanted(offers, slots):
                found = self._fetched(package, offers, slots.get(package.release.model))
                self._forget(keep=())
                return found
            self._forget(keep=())
        return Found("current")

    def _wanted(self, offers: list[Offer], slots: dict[str, Slots]) -> Iterator[Offer]:
        """The newest package of each followed model that is neither served nor refused."""
        seen: set[str] = set()
        for offer in offers:  # the newest first
            release = offer.release
            followed = release.model in slots or not slots
            if release.base or release.model in seen or not followed:
                continue
            refused: Collection[str] = ()
            served = None
            if mine := slots.get(release.model):
                refused = mine.pointer.refused
                manifest = mine.manifest(mine.active)
                served = manifest.version if manifest else None
            if release.version in refused or (release.model, release.version) in self.skip:
                continue
            seen.add(release.model)
            if release.version != served:
                yield offer

    def _fetched(self, package: Offer, offers: list[Offer], slots: Slots | None) -> Found:
        if package.size > MAX_FILE:
            raise IntegrityError(
                f"{package.path} has {package.size} bytes; a package has {MAX_FILE} at most.",
                "Publish a smaller one.",
            )
        release = package.release
        out = self.home.incoming / f"{PULLED}{package.sha256[:32]}.sndl"
        with storing(out):
            out.parent.mkdir(parents=True, exist_ok=True)
        fetched, base = self._by_delta(package, offers, slots, out)
        if not base:
            part = self.folder / "partial" / package.sha256
            attempts = self.limits.attempts
            self._forget(keep=(part,))
            fetched += download(
                self.source, package.path, package.size, package.sha256, part, attempts
            )
            with storing(out):
                part.replace(out)
        try:
            self._check(out, release.model, release.version)
        except EdgeError:
            out.unlink(missing_ok=True)
            raise
        words = (release.model, release.version, str(out), fetched, base, release.notes)
        return Found("found", *words)

    def _by_delta(
        self, package: Offer, offers: list[Offer], slots: Slots | None, out: Path
    ) -> tuple[int, str]:
        """Bytes fetched, and the version built on; no version when there is no such way."""
        manifest = slots.manifest(slots.active) if slots else None
        if slots is None or slots.active is None or manifest is None:
            return 0, ""
        goal = (package.release.model, package.release.version, manifest.version)
        for delta in offers:
            release = delta.release
            if (release.model, release.version, release.base) != goal or not release.base:
                continue
            if delta.size >= package.size:
                continue
            part = self.folder / "partial" / delta.sha256
            attempts = self.limits.attempts
            self._forget(keep=(part, part.with_name(package.sha256)))
            try:
                fetched = download(
                    self.source, delta.path, delta.size, delta.sha256, part, attempts
                )
                base = Repacked(slots.active, (MANIFEST, SIGNATURE))
                apply(part, base, out, package.size, package.sha256)
            except IntegrityError as error:
                log.warning("%s %s", error, error.hint)
                return 0, ""
            finally:
                if out.exists():
                    part.unlink(missing_ok=True)
            return fetched, release.base
        return 0, ""

    def _check(self, file: Path, model: str, version: str) -> None:
        """Signed by a maker of packages too, and what the channel says it is."""
        settings = Settings.load(self.home.root)
        manifest = verify(file, TrustedKeys.load(self.home.root).keys)
        said = (model, version, settings.target)
        if (manifest.name, manifest.version, manifest.target) != said:
            raise IntegrityError(
                f"The channel gives {manifest.name} {manifest.version} for {manifest.target} out "
                f"as {model} {version} for {settings.target}; it was not taken.",
                "Whoever publishes there made a mistake, or is not whom you think.",
            )

    def _slots(self) -> list[Slots]:
        folders = sorted((self.home.root / "models").glob("[a-z0-9]*"))
        return [Slots(folder) for folder in folders if folder.is_dir()]

    def _root(self) -> bytes:
        path = self.home.root / "root.json"
        try:
            with path.open("rb") as file:
                return file.read(MAX_ROOT)
        except OSError as error:
            raise DeviceError(
                f"Nothing says whose updates this device takes: {path}: {error.strerror}.",
                "Have it follow a repository with `sanderling device follow`.",
            ) from error

    def _forget(self, keep: Collection[Path]) -> None:
        """Remove partial downloads of what is not wanted any more."""
        for part in (self.folder / "partial").glob("*"):
            if part not in keep:
                part.unlink(missing_ok=True)


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m edge_targets.agent.pulling")
    parser.add_argument("--root", type=Path, required=True, help="folder of this device")
    parser.add_argument("--from", type=Path, dest="stick", help="a copy of the repository")
    parser.add_argument("--skip", action="append", default=[], metavar="MODEL=VERSION")
    options = parser.parse_args(words)
    found = look(Home(options.root.resolve()), options.stick, options.skip)
    sys.stdout.write(json.dumps(found.to_json()) + "\n")
    return 0 if found.state != "failed" else 1


def look(home: Home, stick: Path | None, skip: Collection[str]) -> Found:
    """One look with this machine's clock and the device's settings; errors are told, not raised."""
    try:
        settings = Settings.load(home.root)
        limits = Limits(bytes_per_s=settings.bytes_per_s)
        clock = Clock.system()
        source: Source
        if stick is not None:
            source = Folder(stick)
        elif settings.repository:
            # a certificate may look not valid yet to a clock that stands in 1970
            source = Web(
                settings.repository,
                limits,
                checks_time=is_set(clock, Seen.load(home.root / FOLDER)),
            )
        else:
            raise DeviceError(
                "This device follows no repository.", "Name one with `sanderling device follow`."
            )
        pairs = [tuple(word.partition("=")[::2]) for word in skip]
        return Look(home, source, clock, limits, [(m, v) for m, v in pairs]).run()
    except EdgeError as error:
        return Found("failed", error=str(error), hint=error.hint)
    except Exception as error:
        log.exception("look")
        return Found("failed", error=f"{type(error).__name__}: {error}", hint="This is a bug.")


def is_set(clock: Clock, seen: Seen) -> bool:
    """Whether the calendar can be right: no earlier than this code, nor than what was seen."""
    floors = [datetime.fromtimestamp(Path(__file__).stat().st_mtime, UTC), seen.floor(clock)]
    return all(clock.now >= floor - DRIFT for floor in floors if floor)


if __name__ == "__main__":
    logging.basicConfig(stream=sys.stderr, level=logging.INFO)
    sys.exit(main())
