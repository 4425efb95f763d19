"""What a channel holds is signed by whom it says, and a reader never meets half of it."""

import json
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from edge_targets.runtime.errors import (
    DataError,
    DeviceError,
    IntegrityError,
    RecipeError,
    UnknownNameError,
)
from edge_targets.updates.edition import Lifetimes
from edge_targets.updates.names import release_of
from edge_targets.updates.records import RoleKeys
from edge_targets.updates.repository import Repository
from edge_targets.updates.vault import Vault
from tests.edge_targets.channels import accepts, content, release, repository

ROLES = ("root", "targets", "snapshot", "timestamp")


@pytest.fixture
def repo(tmp_path: Path) -> Repository:
    repo = repository(tmp_path)
    repo.create()
    return repo


def publish(repo: Repository, tmp_path: Path, version: str, channel: str = "stable") -> str:
    return repo.publish(channel, content(tmp_path / version), release(version)).path


def test_another_client_of_the_standard_takes_what_was_published(
    repo: Repository, tmp_path: Path
) -> None:
    root = repo.vault.pinned.read_bytes()

    path = publish(repo, tmp_path, "v1")

    assert path == "stable/simulator/tiny/v1.sndl"
    assert accepts(repo, tmp_path / "client", path, root)
    assert not accepts(repo, tmp_path / "client", "stable/simulator/tiny/v2.sndl", root)


def test_the_newest_has_the_largest_sequence_and_no_number_comes_twice(
    repo: Repository, tmp_path: Path
) -> None:
    for version in ("v1", "v2"):
        publish(repo, tmp_path, version)
    taken = repo.find("stable", "simulator", "tiny", "v2").release.sequence

    repo.withdraw("stable", "simulator", "tiny", "v2")
    publish(repo, tmp_path, "v3")

    found = [stored.release for stored in repo.releases("stable")]
    assert [one.version for one in found] == ["v3", "v1"]
    assert found[0].sequence > taken


def test_what_is_said_of_a_release_travels_signed(repo: Repository, tmp_path: Path) -> None:
    facts = release("v1", notes="More gestures.")

    repo.publish("stable", content(tmp_path / "v1"), facts)

    [stored] = repo.releases("stable")
    assert (stored.release.notes, stored.release.format) == ("More gestures.", "onnx")
    assert stored.file.stat().st_size == stored.size


def test_withdrawing_takes_the_deltas_along(repo: Repository, tmp_path: Path) -> None:
    publish(repo, tmp_path, "v1")
    deltas = {"v1": content(tmp_path / "delta", 50)}
    repo.publish("stable", content(tmp_path / "v2"), release("v2"), deltas)
    assert len(repo.releases("stable")) == 3

    repo.withdraw("stable", "simulator", "tiny", "v1")

    assert [stored.release.version for stored in repo.releases("stable")] == ["v2"]
    with pytest.raises(UnknownNameError):
        repo.withdraw("stable", "simulator", "tiny", "v1")


@pytest.mark.parametrize("role", [*ROLES, "stable"])
def test_after_a_rotation_old_devices_follow_and_the_old_key_counts_for_nothing(
    repo: Repository, tmp_path: Path, role: str
) -> None:
    root = repo.vault.pinned.read_bytes()
    path = publish(repo, tmp_path, "v1")
    assert accepts(repo, tmp_path / "old", path, root)
    stolen = tmp_path / "stolen"
    shutil.copytree(repo.vault.online, stolen)

    repo.rotate(role)
    newer = publish(repo, tmp_path, "v2")

    assert accepts(repo, tmp_path / "old", newer, root)
    assert accepts(repo, tmp_path / "new", newer, repo.vault.pinned.read_bytes())
    thief = Repository(repo.directory, Vault(stolen))
    assert [state.name for state in thief.states() if not state.here] == [role]


def test_roots_are_followed_one_by_one(repo: Repository, tmp_path: Path) -> None:
    root = repo.vault.pinned.read_bytes()
    for _ in range(3):
        repo.rotate("timestamp")
    path = publish(repo, tmp_path, "v1")

    assert accepts(repo, tmp_path / "client", path, root)
    repo.metadata.joinpath("2.root.json").unlink()
    assert not accepts(repo, tmp_path / "late", path, root)


def test_two_of_three_keys_in_different_places_sign(tmp_path: Path) -> None:
    folders = tuple(tmp_path / name for name in ("red", "green", "blue"))
    vault = Vault(tmp_path / "keys", folders)
    repo = Repository(tmp_path / "public", vault)
    repo.create(roles={"root": RoleKeys(3, 2), "targets": RoleKeys(3, 2)})

    with_one = Repository(repo.directory, Vault(vault.online, folders[:1]))
    with_two = Repository(repo.directory, Vault(vault.online, folders[1:]))

    publish(Repository(repo.directory, Vault(vault.online)), tmp_path, "v1")  # needs none of them
    with pytest.raises(IntegrityError, match="root keys must sign"):
        with_one.rotate("root")
    with_two.rotate("root")
    with_two.add_channel("beta")
    assert with_two.channels() == ("beta", "stable")
    [root] = [state for state in with_two.states() if state.name == "root"]
    assert (root.version, root.keys, root.threshold, root.here) == (2, 3, 2, 3)


def test_a_key_behind_a_passphrase_needs_it(tmp_path: Path) -> None:
    def vault(secret: bytes) -> Vault:
        return Vault(tmp_path / "keys", (tmp_path / "stick",), lambda path: secret)

    Repository(tmp_path / "public", vault(b"open sesame")).create()

    assert all(b"ENCRYPTED" in key.read_bytes() for key in (tmp_path / "stick").iterdir())
    assert not [key for key in (tmp_path / "keys").glob("*.pem") if key.name.startswith("root")]
    with pytest.raises(IntegrityError, match="wrong passphrase"):
        Repository(tmp_path / "public", vault(b"barley")).rotate("root")
    forgetful = Repository(tmp_path / "public", Vault(tmp_path / "keys", (tmp_path / "stick",)))
    assert [state.here for state in forgetful.states()] == [1, 1, 1, 1, 1]  # nobody is asked
    forgetful.refresh()
    Repository(tmp_path / "public", vault(b"open sesame")).rotate("root")


def test_keys_are_for_their_owner_alone(repo: Repository) -> None:
    keys = list(repo.vault.online.glob("*.pem"))
    assert len(keys) == 5
    assert all(key.stat().st_mode & 0o077 == 0 for key in keys)

    for key in keys:
        key.chmod(0o644)

    with pytest.raises(IntegrityError, match="can be read by others"):
        repo.refresh()


def test_refreshing_signs_what_ages_and_nothing_else(tmp_path: Path) -> None:
    start = datetime.now(UTC)
    repo = repository(tmp_path)
    repo.create()

    def signed_after(days: int) -> tuple[str, ...]:
        later = start + timedelta(days=days)
        return Repository(repo.directory, repo.vault, now=lambda: later).refresh()

    assert signed_after(1) == ("timestamp",)
    assert signed_after(20) == ("snapshot", "timestamp")
    assert signed_after(200) == ("snapshot", "stable", "targets", "timestamp")
    assert signed_after(500) == ("root", "snapshot", "stable", "targets", "timestamp")
    [root] = [state for state in repo.states() if state.name == "root"]
    assert (root.version, root.expires > start + timedelta(days=1200)) == (2, True)


def test_a_refresh_removes_what_nobody_is_led_to_any_more(repo: Repository, tmp_path: Path) -> None:
    publish(repo, tmp_path, "v1")
    publish(repo, tmp_path, "v2")
    root = repo.vault.pinned.read_bytes()
    withdrawn = repo.find("stable", "simulator", "tiny", "v1").file
    repo.withdraw("stable", "simulator", "tiny", "v1")
    later = datetime.now(UTC) + timedelta(days=40)

    repo.refresh()
    assert withdrawn.exists()
    repo = Repository(repo.directory, repo.vault, now=lambda: later)
    repo.refresh()

    assert not withdrawn.exists()
    left = sorted(file.name for file in repo.metadata.iterdir())
    assert len(left) == 5
    assert accepts(repo, tmp_path / "client", repo.releases("stable")[0].path, root)


CHILD = """
import os, sys
from pathlib import Path
from tests.edge_targets.channels import repository, release
folder, stop = Path(sys.argv[1]), int(sys.argv[2])
seen = 0
def count(event, args):
    global seen
    if event in ("os.rename", "os.mkdir", "open", "tempfile.mkstemp"):
        if str(args[0]).startswith(str(folder)):
            seen += 1
            if seen == stop:
                os._exit(9)
sys.addaudithook(count)
repository(folder).publish("stable", folder / "v2", release("v2"))
print(seen)
"""


def test_a_publisher_killed_at_any_step_leaves_the_old_or_the_new(
    repo: Repository, tmp_path: Path
) -> None:
    root = repo.vault.pinned.read_bytes()
    old = publish(repo, tmp_path, "v1")
    content(tmp_path / "v2")
    new = old.replace("v1", "v2")
    saved = tmp_path / "saved"
    shutil.copytree(repo.directory, saved)
    outcomes = set()
    stop = 0

    while True:
        stop += 3  # every third step: a process each
        shutil.rmtree(repo.directory)
        shutil.copytree(saved, repo.directory)
        words = [sys.executable, "-c", CHILD, str(tmp_path), str(stop)]
        killed = subprocess.run(words, cwd=Path(__file__).parents[2], check=False, timeout=60)
        outcomes.add(accepts(repo, tmp_path / f"client{stop}", new, root))
        assert accepts(repo, tmp_path / f"client{stop}", old, root)
        if killed.returncode != 9:
            break
        publish(repo, tmp_path, "v3")  # the next one mends
        assert accepts(repo, tmp_path / f"client{stop}", old.replace("v1", "v3"), root)

    assert stop > 20
    assert outcomes == {False, True}


def test_two_do_not_publish_at_once(repo: Repository, tmp_path: Path) -> None:
    with repo.vault.alone(), pytest.raises(DeviceError, match="being published"):
        publish(repo, tmp_path, "v1")


def test_what_somebody_changed_in_the_folder_is_not_signed_over(
    repo: Repository, tmp_path: Path
) -> None:
    publish(repo, tmp_path, "v1")
    file = repo.metadata / "2.stable.json"
    data = json.loads(file.read_bytes())
    data["signed"]["targets"]["stable/simulator/tiny/v1.sndl"]["length"] = 7
    file.write_text(json.dumps(data))

    with pytest.raises(IntegrityError, match="is not as it was published"):
        repo.refresh()


def test_channels_come_and_go_and_come_back(repo: Repository, tmp_path: Path) -> None:
    root = repo.vault.pinned.read_bytes()
    repo.add_channel("beta")
    path = publish(repo, tmp_path, "v1", "beta")
    assert accepts(repo, tmp_path / "client", path, root)
    version = [state.version for state in repo.states() if state.name == "beta"]

    repo.remove_channel("beta")
    assert not accepts(repo, tmp_path / "client", path, root)
    assert repo.channels() == ("stable",)
    repo.add_channel("beta")
    newer = publish(repo, tmp_path, "v2", "beta")

    assert accepts(repo, tmp_path / "client", newer, root)
    assert [s.version for s in repo.states() if s.name == "beta"] > version
    with pytest.raises(DataError):
        repo.add_channel("beta")
    with pytest.raises(UnknownNameError):
        publish(repo, tmp_path, "v3", "nightly")


@pytest.mark.parametrize(
    "name", ["root", "timestamp", "../up", "a/b", "", "Big", "1.root", "x" * 99]
)
def test_a_channel_has_a_plain_name(repo: Repository, name: str) -> None:
    with pytest.raises(RecipeError):
        repo.add_channel(name)


@pytest.mark.parametrize("word", ["..", "a/b", "", "-x", "A", "a b", "a%2f", "x" * 101])
def test_a_release_has_plain_words(repo: Repository, tmp_path: Path, word: str) -> None:
    file = content(tmp_path / "file")

    for facts in (release(word), release("v1", model=word), release("v1", target=word)):
        with pytest.raises(IntegrityError):
            repo.publish("stable", file, facts)
    assert repo.releases("stable") == ()


def test_what_is_said_must_fit_its_path() -> None:
    said = release("v1").to_json()

    assert release_of("stable/simulator/tiny/v1.sndl", said, "stable")
    assert release_of("stable/simulator/tiny/v2.sndl", said, "stable") is None
    assert release_of("beta/simulator/tiny/v1.sndl", said, "stable") is None
    damaged: object
    for damaged in (None, [], {"model": 3}, {**said, "sequence": "x"}, {**said, "notes": 5}):
        assert release_of("stable/simulator/tiny/v1.sndl", damaged, "stable") is None


def test_a_repository_is_not_made_over_another(repo: Repository) -> None:
    with pytest.raises(DataError, match="holds a repository"):
        repo.create()


def test_lifetimes_are_kept(tmp_path: Path) -> None:
    repo = repository(tmp_path, lifetimes=Lifetimes(timestamp=timedelta(days=3)))
    repo.create()

    [stamp] = [state for state in repo.states() if state.name == "timestamp"]
    assert timedelta(days=2) < stamp.expires - datetime.now(UTC) <= timedelta(days=3)
    assert [folder.name for folder in repo.directory.iterdir()] == ["metadata"]
