"""Packages, devices and a collector, all real; whatever agent still runs at the end is ended."""

import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edge_targets.agent.home import Home, Settings
from edge_targets.catalog.simulator import Simulator
from edge_targets.package import pack, public_key
from edge_targets.places.target import Place
from tests.edge_targets.tiny import KEY, Collector, manifest, members

Build = Callable[..., Path]


@pytest.fixture
def build(tmp_path: Path) -> Build:
    """Packs a version of the tiny model."""

    def make(version: str = "1", scale: float = 1.0, off: float = 0.0, **changes: Any) -> Path:
        out = tmp_path / f"tiny-{version}.sndl"
        facts = replace(manifest(version), **changes)
        pack(facts, members(scale, off), KEY, out)
        return out

    return make


@pytest.fixture(scope="session")
def roots() -> Iterator[list[Path]]:
    """Folders of agents; whatever still runs in them at the end is ended."""
    found: list[Path] = []
    yield found
    for root in found:
        if root.exists() and (running := Home(root).running()):
            os.kill(running.pid, signal.SIGKILL)


@pytest.fixture
def place(tmp_path: Path, roots: list[Path]) -> Iterator[Place]:
    """A simulator's folder with short windows; its agent is stopped in the end."""
    root = tmp_path / "device"
    root.mkdir()
    roots.append(root)
    Settings(window_s=3600).save(root)
    place = Place("pi-kitchen", str(root), "", (public_key(KEY),))
    yield place
    if root.exists():
        Simulator().stop(place)


@pytest.fixture
def collector() -> Iterator[Collector]:
    collector = Collector()
    collector.start()
    yield collector
    collector.stop()
