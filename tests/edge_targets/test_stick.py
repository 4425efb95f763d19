"""An update from a stick passes the very same checks as one from the network."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from edge_targets.agent import stick
from edge_targets.agent.home import Home, Settings
from edge_targets.catalog.simulator import Simulator
from edge_targets.places.target import Place
from edge_targets.runtime.errors import DeviceError, EdgeError
from edge_targets.runtime.events import Job
from edge_targets.updates.clock import Clock
from edge_targets.updates.fetching import Folder
from tests.edge_targets.conftest import Build
from tests.edge_targets.following import Following, following


@pytest.fixture
def device(tmp_path: Path, build: Build) -> Iterator[Following]:
    folder = tmp_path / "publisher"
    folder.mkdir()
    with following(folder, build) as device:
        yield device


@pytest.fixture
def agent(device: Following, place: Place) -> Home:
    """A running agent that serves `v1` and knows the root, but no repository's address."""
    device.publish("v1")
    Simulator().deploy(device.files["v1"], place, Job())
    home = Home(Path(place.address))
    shutil.copy(device.home.root / "root.json", home.root)
    return home


def copied(device: Following, folder: Path) -> Path:
    shutil.copytree(device.repo.directory, folder / "sanderling")
    return folder / "sanderling"


def served(place: Place) -> str:
    return Simulator().status(place).version


def test_a_stick_updates_a_running_device(
    device: Following, agent: Home, place: Place, tmp_path: Path
) -> None:
    device.publish("v2", base="v1")
    folder = copied(device, tmp_path / "stick")

    [done] = stick.update(agent, folder)

    assert (done.version, done.base) == ("v2", "v1")
    assert served(place) == "v2"
    assert stick.update(agent, folder) == ()


def test_a_stick_with_nothing_newer_says_so(
    device: Following, agent: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = copied(device, tmp_path / "stick")

    assert stick.main(["--root", str(agent.root), str(folder)]) == 0

    assert capsys.readouterr().out == f"{folder} holds nothing newer.\n"


def test_a_stick_with_an_older_state_is_refused(
    device: Following, agent: Home, place: Place, tmp_path: Path
) -> None:
    old = copied(device, tmp_path / "old")
    device.publish("v2")
    stick.update(agent, copied(device, tmp_path / "new"))

    with pytest.raises(DeviceError, match="older state than this device has seen"):
        stick.update(agent, old)

    assert served(place) == "v2"


def test_a_stick_whose_package_was_changed_is_refused(
    device: Following, agent: Home, place: Place, tmp_path: Path
) -> None:
    stored = device.publish("v2")
    folder = copied(device, tmp_path / "stick")
    file = folder / stored.file.relative_to(device.repo.directory)
    file.write_bytes(file.read_bytes().replace(b"tiny", b"tinx", 1))

    with pytest.raises(DeviceError, match="is not what was signed"):
        stick.update(agent, folder)

    assert served(place) == "v1"


def test_a_stick_that_lay_in_a_drawer_too_long_is_refused(
    device: Following, tmp_path: Path
) -> None:
    device.publish("v1")
    folder = copied(device, tmp_path / "stick")
    later = Clock(datetime.now(UTC) + timedelta(days=15))

    assert "out of date" in device.refuses(source=Folder(folder), clock=later)


def test_a_stick_and_the_network_are_one_history(device: Following, tmp_path: Path) -> None:
    device.publish("v1")
    folder = copied(device, tmp_path / "stick")
    device.publish("v2")
    device.look()

    assert "older state" in device.refuses(source=Folder(folder))


def test_a_stick_that_lacks_its_package_says_so(device: Following, tmp_path: Path) -> None:
    stored = device.publish("v1")
    folder = copied(device, tmp_path / "stick")
    (folder / stored.file.relative_to(device.repo.directory)).unlink()

    assert "Copy the whole repository" in device.refuses(source=Folder(folder))


def test_sticks_are_found_where_they_are_mounted(device: Following, tmp_path: Path) -> None:
    (tmp_path / "media" / "pi" / "EMPTY").mkdir(parents=True)
    folder = copied(device, tmp_path / "media" / "pi" / "STICK")

    assert stick.sticks([tmp_path / "media"]) == [folder]


def test_a_device_whose_agent_is_off_says_so(
    device: Following, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = copied(device, tmp_path / "stick")

    code = stick.main(["--root", str(device.home.root), str(folder)])

    assert code == 1
    assert "No agent runs in" in capsys.readouterr().err


def test_a_device_may_be_told_to_follow_another_repository(
    device: Following, tmp_path: Path, build: Build
) -> None:
    device.publish("v1")
    assert device.look().version == "v1"
    (tmp_path / "second").mkdir()
    with following(tmp_path / "second", build) as second:
        for _ in range(3):
            second.repo.rotate("timestamp")
        second.publish("v9")
        home = device.home
        replace(Settings.load(home.root), repository=second.server.url).save(home.root)
        with pytest.raises(EdgeError, match="not signed by the keys"):
            replace_look(second, home)

        shutil.copy(second.home.root / "root.json", home.root)

        assert replace_look(second, home) == "v9"


def replace_look(device: Following, home: Home) -> str:
    return replace(device, home=home).look().version
