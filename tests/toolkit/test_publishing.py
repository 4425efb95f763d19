"""From a workspace to a channel, and from there to a device."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from edge_targets.agent.home import Home, Settings, TrustedKeys
from edge_targets.agent.pulling import look
from edge_targets.agent.slots import Slots
from edge_targets.package import public_key, unpack
from edge_targets.runtime.errors import (
    DataError,
    EdgeError,
    IntegrityError,
    UnknownNameError,
    UsageError,
)
from edge_targets.runtime.events import QUIET, Event, Job
from toolkit import compression, following, journeys, publishing, shipping
from toolkit.recipe import Recipe
from toolkit.repositories import keys_folder
from toolkit.results.updates import Published
from toolkit.workspace import Workspace


@pytest.fixture(scope="module")
def packed(line: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A copy of the workspace with two packages that are served as `digits`."""
    root = tmp_path_factory.mktemp("packed") / "workspace"
    shutil.copytree(line.root, root)
    shelves = Workspace(root)
    recipe = Recipe.of_names("prune_weights")
    compression.compress(shelves, "m", recipe, None, "m-pruned", QUIET)
    for model, name in (("m", "first"), ("m-pruned", "second")):
        [artifact] = journeys.build(shelves, model, ("onnx",), None, QUIET).artifacts
        shipping.package(shelves, artifact.name, "simulator", name, "digits", QUIET)
    return shelves


@pytest.fixture
def shelves(packed: Workspace, tmp_path: Path) -> Workspace:
    shutil.copytree(packed.root, tmp_path / "workspace")
    return Workspace(tmp_path / "workspace")


@pytest.fixture
def channel(shelves: Workspace, tmp_path: Path) -> Workspace:
    publishing.channel_init(shelves, tmp_path / "public")
    return shelves


def publish(shelves: Workspace, package: str, job: Job = QUIET) -> Published:
    return publishing.publish(shelves, package, "stable", None, job, notes=f"The {package}.")


def device(shelves: Workspace, folder: Path) -> Home:
    home = Home(folder)
    folder.mkdir()
    Settings().save(folder)
    TrustedKeys((public_key(shipping.signing_key_of(shelves)),)).save(folder)
    shutil.copy(keys_folder(shelves) / "root.json", folder)
    return home


def test_a_published_package_comes_with_a_delta_from_the_version_before(
    channel: Workspace, tmp_path: Path, job: Job, events: list[Event]
) -> None:
    first = publish(channel, "first")
    second = publish(channel, "second", job)

    assert first.deltas == ()
    [delta] = second.deltas
    assert (delta.base, delta.share < 0.8) == (first.version, True)
    assert second.sequence > first.sequence
    assert {"compare with the version before", "publish"} <= {event.message for event in events}
    shown = publishing.channel_show(channel)
    assert [row.version for row in shown.releases] == [second.version, first.version]
    assert shown.releases[0].notes == "The second."
    assert [role.name for role in shown.roles] == [
        "root", "targets", "snapshot", "timestamp", "stable",
    ]  # fmt: skip


def test_a_device_takes_the_first_whole_and_the_second_by_its_delta(
    channel: Workspace, tmp_path: Path
) -> None:
    home = device(channel, tmp_path / "device")
    first = publish(channel, "first")
    found = look(home, tmp_path / "public", ())
    assert (found.version, found.base, found.error) == (first.version, "", "")
    slots = Slots(home.root / "models" / "digits")
    slots.folder.mkdir(parents=True)
    staged = home.root / "staged"
    unpack(Path(found.file), staged, TrustedKeys.load(home.root).keys)
    slots.commit(staged, first.version)

    second = publish(channel, "second")
    found = look(home, tmp_path / "public", ())

    assert (found.version, found.base) == (second.version, first.version)
    assert found.fetched_bytes == second.deltas[0].size_bytes


def test_the_same_version_is_not_published_twice_in_a_row(channel: Workspace) -> None:
    publish(channel, "first")

    with pytest.raises(DataError, match="is the newest of stable already"):
        publish(channel, "first")


def test_an_older_version_can_be_the_newest_again(channel: Workspace) -> None:
    first = publish(channel, "first")
    publish(channel, "second")

    again = publish(channel, "first")

    assert (again.version, again.sequence > first.sequence) == (first.version, True)


def test_a_withdrawn_version_leaves_the_one_before(channel: Workspace) -> None:
    first, second = publish(channel, "first"), publish(channel, "second")

    done = publishing.withdraw(channel, "stable", "digits", second.version)

    assert done.newest == first.version
    with pytest.raises(UnknownNameError):
        publishing.withdraw(channel, "stable", "digits", second.version)


def test_a_package_of_another_key_is_not_published(channel: Workspace) -> None:
    channel.key_file.unlink()

    with pytest.raises(IntegrityError, match="not trusted here"):
        publish(channel, "first")


def test_root_and_targets_can_lie_elsewhere(shelves: Workspace, tmp_path: Path) -> None:
    sticks = (tmp_path / "red", tmp_path / "green")
    done = publishing.channel_init(
        shelves, tmp_path / "public", ("stable", "beta"), sticks, keys=2, threshold=2
    )
    assert done.channels == ("beta", "stable")
    for folder in sticks:
        folder.rename(folder.with_suffix(".away"))

    publish(shelves, "first")
    publishing.channel_refresh(shelves)
    with pytest.raises(IntegrityError, match="2 of the old root keys must sign; 0 are here"):
        publishing.channel_rotate(shelves, "root")
    away = [folder.with_suffix(".away") for folder in sticks]
    rotated = publishing.channel_rotate(shelves, "timestamp", keys=away)

    assert (rotated.root_version, rotated.keys) == (2, 1)
    with pytest.raises(UnknownNameError):
        publishing.channel_rotate(shelves, "stabel")
    with pytest.raises(UsageError):
        publishing.channel_rotate(shelves, "stable", threshold=2)
    assert publishing.channel_rotate(shelves, "stable", 3, 2, keys=away).threshold == 2


def test_channels_are_added_and_removed(channel: Workspace) -> None:
    assert publishing.channel_add(channel, "beta").channels == ("beta", "stable")
    assert publishing.channel_remove(channel, "beta").channels == ("stable",)


def test_a_refresh_tells_what_it_signed_and_what_runs_out_first(channel: Workspace) -> None:
    done = publishing.channel_refresh(channel)

    assert (done.signed, done.role) == (("timestamp",), "timestamp")


def test_a_workspace_without_a_repository_says_so(shelves: Workspace, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="publishes nowhere yet"):
        publish(shelves, "first")
    publishing.channel_init(shelves, tmp_path / "public")
    with pytest.raises(DataError, match="publishes to"):
        publishing.channel_init(shelves, tmp_path / "other")


def test_a_beginning_that_was_killed_is_begun_again(shelves: Workspace, tmp_path: Path) -> None:
    publishing.channel_init(shelves, tmp_path / "public")
    (tmp_path / "public" / "metadata" / "timestamp.json").unlink()  # it is written last

    publishing.channel_init(shelves, tmp_path / "public")

    assert publish(shelves, "first").sequence == 2


def test_a_folder_of_somebody_elses_repository_is_not_taken(
    channel: Workspace, tmp_path: Path
) -> None:
    other = Workspace.create(tmp_path / "other")
    with pytest.raises(DataError, match="holds a repository already"):
        publishing.channel_init(other, tmp_path / "public")
    assert not keys_folder(other).exists()

    assert publishing.channel_init(other, tmp_path / "own").channels == ("stable",)


def test_a_folder_for_a_stick_holds_what_one_update_needs(
    channel: Workspace, tmp_path: Path
) -> None:
    publish(channel, "first")
    second = publish(channel, "second")
    home = device(channel, tmp_path / "device")

    done = following.stick(channel, tmp_path / "stick", "stable")

    assert len(list((tmp_path / "stick").rglob("*.sndl"))) == 1
    assert done.size_bytes < 2 * second.size_bytes
    assert look(home, tmp_path / "stick", ()).version == second.version
    with pytest.raises(DataError, match="holds nothing of the kind"):
        following.stick(channel, tmp_path / "other", "stable", model="cats")


def test_a_device_is_told_what_to_follow_and_whose_word_counts(
    channel: Workspace, tmp_path: Path
) -> None:
    folder = tmp_path / "device"
    folder.mkdir()
    facts = {"target": "simulator", "address": str(folder)}
    channel.put("devices", "desk", {}, facts, "device add")

    done = following.follow(
        channel, "desk", "http://127.0.0.1:9/updates", QUIET, bytes_per_s=5000, pull_s=60
    )

    settings = Settings.load(folder)
    assert (settings.repository, settings.channel) == (done.repository, "stable")
    assert (settings.bytes_per_s, settings.pull_s) == (5000, 60)
    root = (keys_folder(channel) / "root.json").read_bytes()
    assert (folder / "root.json").read_bytes() == root
    with pytest.raises(UnknownNameError):
        following.follow(channel, "desk", "http://127.0.0.1:9", QUIET, "stabel")
    ended = following.follow(channel, "desk", "", QUIET)
    assert Settings.load(folder).repository == ""
    assert (ended.pull_s, ended.note) == (None, "It looks for no updates from now on.")


@pytest.mark.parametrize(
    ("wishes", "told"),
    [
        ({"pull_s": 0.0}, "^--every cannot be 0.0"),
        ({"broker": "kitchen"}, "^--broker cannot be 'kitchen'"),
        ({"repository": "ftp://x"}, "^The repository cannot be 'ftp://x'"),
    ],
)
def test_what_no_device_would_take_is_refused_by_the_words_that_were_typed(
    channel: Workspace, tmp_path: Path, wishes: dict[str, Any], told: str
) -> None:
    facts = {"target": "simulator", "address": str(tmp_path / "desk")}
    channel.put("devices", "desk", {}, facts, "device add")
    words = {"repository": "http://127.0.0.1:9", **wishes}

    with pytest.raises(UsageError, match=told) as caught:
        following.follow(channel, "desk", job=QUIET, **words)

    assert caught.value.hint
    assert not (tmp_path / "desk").exists()


@pytest.mark.parametrize("name", ["workspace", ".", "file", "file/below"])
def test_a_folder_that_gives_keys_away_or_cannot_be_leaves_no_key_behind(
    shelves: Workspace, tmp_path: Path, name: str
) -> None:
    (tmp_path / "file").write_text("kept")

    with pytest.raises(EdgeError) as caught:
        publishing.channel_init(shelves, tmp_path / name)

    assert caught.value.hint
    assert not keys_folder(shelves).exists()
    assert (tmp_path / "file").read_text() == "kept"


def test_a_model_that_no_channel_holds_is_not_called_a_version(channel: Workspace) -> None:
    publish(channel, "first")

    with pytest.raises(UnknownNameError, match="no model in stable named 'cats'") as caught:
        publishing.withdraw(channel, "stable", "cats", "1")

    assert "digits" in caught.value.hint
