"""A device that follows a channel: a real home, a real repository, a real web server."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from edge_targets.agent.home import Home, Settings, TrustedKeys
from edge_targets.agent.pulling import Found, Look
from edge_targets.agent.slots import Slots
from edge_targets.package import public_key, unpack
from edge_targets.runtime.errors import EdgeError
from edge_targets.runtime.events import Job
from edge_targets.updates import delta
from edge_targets.updates.clock import Clock
from edge_targets.updates.fetching import Limits, Source
from edge_targets.updates.names import Release
from edge_targets.updates.records import Stored
from edge_targets.updates.repository import Repository
from edge_targets.updates.web import Web
from tests.edge_targets.channels import repository
from tests.edge_targets.tiny import KEY
from tests.edge_targets.webserver import FileServer, serving

TWICE = Limits(attempts=2)
IMPATIENT = Limits(slowest_bytes_per_s=1000, patience_s=1.5, timeout_s=5.0, attempts=2)


@dataclass
class Following:
    folder: Path
    repo: Repository
    server: FileServer
    home: Home
    build: Callable[..., Path]
    limits: Limits = TWICE
    files: dict[str, Path] = field(default_factory=dict)

    def publish(
        self, version: str, base: str = "", channel: str = "stable", **facts: Any
    ) -> Stored:
        """Pack a version and publish it, with a delta from `base` where it is said."""
        scale = 1.0 + len(self.files) / 10
        file = self.files[version] = self.build(version, scale, **facts)
        deltas = {}
        if base:
            deltas[base] = self.folder / f"{base}-{version}.sndd"
            delta.make(self.files[base], file, deltas[base], Job())
        release = Release(facts.get("name", "tiny"), version, "simulator", "onnx")
        return self.repo.publish(channel, file, release, deltas)

    def installed(self, version: str) -> None:
        """As the agent leaves it."""
        slots = Slots(self.home.root / "models" / "tiny")
        slots.folder.mkdir(parents=True, exist_ok=True)
        staged = self.home.root / f"staged-{version}"
        unpack(self.files[version], staged, (public_key(KEY),))
        slots.commit(staged, version)
        slots.confirm()

    def look(self, **changes: Any) -> Found:
        """One look; what it raises is what the device would say."""
        source: Source = Web(self.server.url, self.limits)
        look = Look(self.home, source, Clock.system(), self.limits)
        found = replace(look, **changes).run()
        if found.file:
            digest = hashlib.sha256(Path(found.file).read_bytes()).hexdigest()
            assert digest == hashlib.sha256(self.files[found.version].read_bytes()).hexdigest()
        return found

    def refuses(self, **changes: Any) -> str:
        """What a look fails with; nothing is left in `incoming/` then."""
        try:
            found = self.look(**changes)
        except EdgeError as error:
            assert not list(self.home.incoming.glob("*"))
            return f"{error} {error.hint}"
        raise AssertionError(f"it was taken: {found}")


@contextmanager
def following(folder: Path, build: Callable[..., Path], **facts: Any) -> Iterator[Following]:
    """A repository with an empty channel `stable`, and a device that knows its root."""
    repo = repository(folder, **facts)
    repo.create()
    home = Home(folder / "follower")
    home.root.mkdir()
    (home.root / "root.json").write_bytes(repo.vault.pinned.read_bytes())
    TrustedKeys((public_key(KEY),)).save(home.root)
    with serving(repo.directory) as server:
        Settings(repository=server.url, window_s=3600).save(home.root)
        yield Following(folder, repo, server, home, build)
