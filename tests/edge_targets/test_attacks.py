"""Attacks on updates, each against a real web server: nothing forged, old or mixed is taken.

The names are those of the specification of The Update Framework, section 1.5.2.
"""

import hashlib
import json
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from edge_targets.package import pack
from edge_targets.updates.client import MAX_TARGETS
from edge_targets.updates.clock import Clock
from edge_targets.updates.edition import Lifetimes, Writer
from edge_targets.updates.fetching import Folder
from edge_targets.updates.repository import Repository
from edge_targets.updates.vault import Vault
from edge_targets.updates.web import Web
from tests.edge_targets.conftest import Build
from tests.edge_targets.following import IMPATIENT, TWICE, Following, following
from tests.edge_targets.tiny import STRANGER, manifest, members
from tests.edge_targets.webserver import (
    breaking_off,
    dribbling,
    dribbling_headers,
    endless,
    other,
    redirecting,
)


@pytest.fixture
def device(tmp_path: Path, build: Build) -> Iterator[Following]:
    """It has seen `v1`, and serves it."""
    with following(tmp_path, build) as device:
        device.publish("v1")
        device.installed("v1")
        assert device.look().state == "current"
        yield device


def saved(device: Following, name: str) -> Path:
    copy = device.folder / name
    shutil.copytree(device.repo.directory, copy)
    return copy


def edited(file: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change what is signed, and leave the signature."""
    data = json.loads(file.read_bytes())
    change(data["signed"])
    file.write_bytes(json.dumps(data).encode())


def newest(device: Following, role: str) -> Path:
    files = device.repo.metadata.glob(f"*.{role}.json")
    return max(files, key=lambda file: int(file.name.partition(".")[0]))


# --- old states


def test_rollback_to_an_older_state_is_refused(device: Following) -> None:
    old = saved(device, "old")
    device.publish("v2")
    assert device.look().version == "v2"

    device.server.folder = old

    assert "older state than this device has seen" in device.refuses()


def test_rollback_of_one_role_is_refused(device: Following) -> None:
    old = saved(device, "old")
    device.publish("v2")
    device.look()
    device.publish("v3")
    shutil.copy(old / "metadata" / "2.stable.json", newest(device, "stable"))

    assert "mixes states, or was changed" in device.refuses()


def test_a_state_that_is_frozen_is_refused_when_its_time_is_over(device: Following) -> None:
    frozen = saved(device, "frozen")
    device.publish("v2")
    device.server.folder = frozen
    assert device.look().state == "current"  # it cannot know yet

    later = Clock(datetime.now(UTC) + timedelta(days=15))

    assert "out of date" in device.refuses(clock=later)


def test_an_expired_role_is_refused(tmp_path: Path, build: Build) -> None:
    for role in ("timestamp", "snapshot", "targets", "channel", "root"):
        folder = tmp_path / role
        folder.mkdir()
        lifetimes = Lifetimes(**{role: timedelta(seconds=-1)})
        with following(folder, build, lifetimes=lifetimes) as device:
            device.publish("v1")
            assert "out of date" in device.refuses()


def test_mix_and_match_of_two_states_is_refused(device: Following) -> None:
    old = saved(device, "old")
    device.publish("v2")
    version = json.loads((old / "metadata" / "timestamp.json").read_bytes())
    number = version["signed"]["meta"]["snapshot.json"]["version"]
    for name, mixed in (("snapshot", f"{number}.snapshot.json"), ("stable", "2.stable.json")):
        target = newest(device, name)
        kept = target.read_bytes()
        shutil.copy(old / "metadata" / mixed, target)

        assert "mixes states" in device.refuses()
        target.write_bytes(kept)

    assert device.look().version == "v2"


# --- what was changed on its way


@pytest.mark.parametrize("role", ["timestamp", "snapshot", "targets", "stable"])
def test_metadata_that_was_changed_is_refused(device: Following, role: str) -> None:
    device.publish("v2")
    device.repo.add_channel("beta")  # so that all of them are new to the device
    file = device.repo.metadata / "timestamp.json" if role == "timestamp" else newest(device, role)

    edited(file, lambda signed: signed.update(expires="2999-01-01T00:00:00Z"))

    assert device.refuses()


def test_a_root_that_does_not_follow_is_refused(device: Following, tmp_path: Path) -> None:
    stranger = Repository(tmp_path / "strange", Vault(tmp_path / "strange-keys"))
    stranger.create()
    stranger.rotate("root")
    shutil.copy(stranger.metadata / "2.root.json", device.repo.metadata / "2.root.json")

    assert "not signed by the keys this device believes" in device.refuses()


def test_somebody_elses_repository_is_refused(device: Following, tmp_path: Path) -> None:
    stranger = Repository(tmp_path / "strange", Vault(tmp_path / "strange-keys"))
    stranger.create()
    device.server.folder = stranger.directory

    assert "not signed by the keys" in device.refuses()


def test_a_package_that_was_changed_is_refused(device: Following) -> None:
    stored = device.publish("v2")
    data = bytearray(stored.file.read_bytes())
    data[len(data) // 2] ^= 1
    stored.file.write_bytes(data)

    assert "is not what was signed" in device.refuses()
    assert not list((device.home.root / "updates" / "partial").iterdir())


def test_a_package_of_the_wrong_length_is_refused(device: Following) -> None:
    stored = device.publish("v2")
    whole = stored.file.read_bytes()

    stored.file.write_bytes(whole[:-1])
    assert "did not send all" in device.refuses()
    stored.file.write_bytes(whole + b"x")
    assert "it was cut off" in device.refuses()
    stored.file.write_bytes(whole)
    assert device.look().version == "v2"


def test_a_delta_that_was_changed_is_made_up_for_by_the_whole(device: Following) -> None:
    device.publish("v2", base="v1")
    [delta] = [one for one in device.repo.releases("stable") if one.release.base]
    delta.file.write_bytes(bytes(delta.size))

    found = device.look()

    assert (found.version, found.base) == ("v2", "")


def test_a_delta_to_something_else_is_made_up_for_by_the_whole(device: Following) -> None:
    device.publish("v2", base="v1")
    wrong = {"v1": device.folder / "v1-v2.sndd"}
    file, release = device.files["v2"], device.repo.find("stable", "simulator", "tiny", "v2")
    again = device.build("v3", 9.0)
    device.files["v3"] = again
    device.repo.publish("stable", again, replace(release.release, version="v3"), wrong)

    found = device.look()

    assert (found.version, found.base, file.exists()) == ("v3", "", True)


# --- a server that wastes a device's disk, time or memory


@pytest.mark.parametrize("ending", ["timestamp.json", ".snapshot.json", ".root.json", ".sndl"])
def test_endless_data_is_cut_off(device: Following, ending: str) -> None:
    device.publish("v2")
    device.server.tricks[ending] = endless

    said = device.refuses()

    assert "it was cut off" in said
    assert sum(file.stat().st_size for file in device.home.root.rglob("*.*")) < 1 << 20


@pytest.mark.parametrize("trick", [dribbling, dribbling_headers])
@pytest.mark.parametrize("ending", ["timestamp.json", ".sndl"])
def test_slow_retrieval_is_ended(device: Following, ending: str, trick: Any) -> None:
    device.publish("v2")
    device.server.tricks[ending] = trick
    device.limits = IMPATIENT

    said = device.refuses()

    assert "bytes a second" in said or "does not answer" in said
    assert device.server.asked_for(".sndl") == (2 if ending == ".sndl" else 0)  # tried again


def test_a_server_that_says_nothing_is_given_up(device: Following) -> None:
    device.publish("v2")
    silence = threading.Event()
    device.server.tricks[".sndl"] = lambda handler, data: silence.wait(20)  # type: ignore[assignment]
    limits = replace(TWICE, timeout_s=2.0, attempts=1)

    said = device.refuses(limits=limits, source=Web(device.server.url, limits))
    silence.set()

    assert "does not answer" in said


def test_a_server_that_always_breaks_off_is_given_up(device: Following) -> None:
    device.publish("v2")
    device.server.tricks[".sndl"] = breaking_off(0)

    assert "broke off" in device.refuses()


def test_a_download_that_does_not_fit_the_disk_is_not_begun(device: Following) -> None:
    stored = device.publish("v2")
    free = shutil.disk_usage(device.folder).free

    def claim(signed: dict[str, Any]) -> None:
        signed["targets"][stored.path]["length"] = free

    resigned(device, claim)

    said = device.refuses()
    assert "the most" in said or "at most" in said or "Free some space" in said
    assert device.server.asked_for(".sndl") == 0


def test_redirects_are_not_followed(device: Following) -> None:
    device.publish("v2")
    for ending in ("timestamp.json", ".sndl"):
        device.server.tricks = {ending: redirecting}
        before = device.server.asked_for(ending)

        assert "sends elsewhere" in device.refuses()
        assert device.server.asked_for(ending) - before <= TWICE.attempts


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"[" * 100_000,
        b'{"signed": {}, "signatures": []}',
        b"\xff\xfe",
        b"<html>",
        b"9" * 9999,
    ],
)
def test_what_is_no_metadata_is_refused(device: Following, content: bytes) -> None:
    device.publish("v2")
    for ending in ("timestamp.json", ".snapshot.json", ".stable.json"):
        device.server.tricks = {ending: other(content)}

        assert device.refuses()
    device.server.tricks = {}
    assert device.look().version == "v2"


# --- what a stolen key can and cannot do


def thief_of(device: Following, *roles: str) -> Repository:
    """Somebody who has the keys of these roles, and the web server."""
    keys = device.folder / f"stolen-{'-'.join(roles)}"
    keys.mkdir()
    for file in device.repo.vault.online.glob("*.pem"):
        if file.name.rpartition("-")[0] in roles:
            shutil.copy(file, keys)
    shutil.copy(device.repo.vault.pinned, keys)
    return Repository(device.repo.directory, Vault(keys))


def resigned(
    device: Following, change: Callable[[dict[str, Any]], object], role: str = "stable"
) -> None:
    """Whoever has all online keys, and another program, signs whatever they like."""
    from tuf.api.metadata import Metadata, Targets

    repo = device.repo
    with repo._changing() as edition:
        data = edition.channels[role].to_dict()
        change(data["signed"])
        edition.channels[role] = Metadata[Targets].from_dict(data)
        edition.changed.add(role)
        Writer(repo.metadata, repo.vault, repo.lifetimes, repo.now()).write(edition)


ONLINE = ("snapshot", "timestamp", "stable")


def test_a_channels_key_alone_publishes_nothing(device: Following) -> None:
    thief = thief_of(device, "stable")

    with pytest.raises(Exception, match="needs 1 of its 1 keys"):
        thief.publish("stable", device.files["v1"], device.repo.releases("stable")[0].release)

    assert device.look().state == "current"


def test_after_a_theft_a_new_root_takes_the_old_keys_their_word(device: Following) -> None:
    thief = thief_of(device, *ONLINE, "targets")
    for role in (*ONLINE, "targets"):
        device.repo.rotate(role)
    device.publish("v2")
    honest = saved(device, "honest")

    # the thief goes on from the state they know, and far ahead
    for file in thief.metadata.glob("*.json"):
        if file.name != "1.root.json":
            file.unlink()
    stolen_root = json.loads((honest / "metadata" / "1.root.json").read_bytes())
    assert stolen_root["signed"]["version"] == 1
    forge(device, thief)
    said = device.refuses()
    assert "not signed by the keys" in said or "no repository" in said

    device.server.folder = honest
    assert device.look().version == "v2"


def forge(device: Following, thief: Repository) -> None:
    """A whole state signed with the keys of the first root, and the roots as they are public."""
    from tuf.api.metadata import Metadata, MetaFile, Root, Snapshot, Targets, Timestamp

    for public in (device.folder / "honest" / "metadata").glob("*.root.json"):
        shutil.copy(public, thief.metadata)
    first = Metadata[Root].from_bytes((thief.metadata / "1.root.json").read_bytes())
    soon = datetime.now(UTC).replace(microsecond=0) + timedelta(days=9)
    made: list[tuple[str, Any]] = [
        ("9.targets.json", Metadata(Targets(version=9, expires=soon))),
        (
            "9.snapshot.json",
            Metadata(Snapshot(9, expires=soon, meta={"targets.json": MetaFile(9)})),
        ),
        ("timestamp.json", Metadata(Timestamp(9, expires=soon, snapshot_meta=MetaFile(9)))),
    ]
    for name, metadata in made:
        role = name.removeprefix("9.").removesuffix(".json")
        keyids = first.signed.get_delegated_role(role).keyids
        for signer in thief.vault.signers(role, [first.signed.get_key(k) for k in keyids]):
            metadata.sign(signer)
        assert metadata.signatures
        (thief.metadata / name).write_bytes(metadata.to_bytes())


def test_versions_that_a_thief_ran_up_do_not_lock_devices_out(device: Following) -> None:
    lifetimes = Lifetimes(timestamp=timedelta(days=3000))
    thief = Repository(device.repo.directory, device.repo.vault, lifetimes)
    honest = saved(device, "honest")
    for _ in range(5):
        thief.refresh()
    device.look()
    shutil.rmtree(device.repo.directory)
    honest.rename(device.repo.directory)
    device.repo.refresh()
    assert "older state" in device.refuses()

    device.repo.rotate("timestamp")
    device.publish("v2")

    assert device.look().version == "v2"


def test_a_channel_cannot_speak_for_another(device: Following) -> None:
    device.repo.add_channel("beta")
    stored = device.publish("v2", channel="beta")

    def claim(signed: dict[str, Any]) -> None:
        entry = signed["targets"].pop(stored.path)
        signed["targets"][stored.path.replace("beta", "stable", 1)] = entry

    resigned(device, claim, "beta")

    assert device.look().state == "current"


def test_extraneous_targets_are_passed_over(device: Following) -> None:
    stored = device.publish("v2")

    def claim(signed: dict[str, Any]) -> None:
        entry = signed["targets"][stored.path]
        for path in (
            "../../etc/passwd",
            "stable/../x/y/z.sndl",
            "/abs",
            "stable/simulator/tiny/v3",
        ):
            signed["targets"][path] = dict(entry)
        signed["targets"]["stable/simulator/tiny/v9.sndl"] = {**entry, "custom": None}
        signed["targets"]["stable/simulator/tiny/v8.sndl"] = dict(entry)  # its facts say v2

    resigned(device, claim)

    assert device.look().version == "v2"
    assert {path for path, _ in device.server.asked if path.endswith("sndl")} == {
        f"/targets/stable/simulator/tiny/{stored.sha256}.v2.sndl"
    }


@pytest.mark.parametrize(
    "word", ["..", "../../../x", "a/../../b", "A", "v 1", "", "x" * 300, "a\0b"]
)
def test_names_that_lead_elsewhere_are_passed_over(device: Following, word: str) -> None:
    stored = device.publish("v2")

    def claim(signed: dict[str, Any]) -> None:
        entry = signed["targets"].pop(stored.path)
        for name in ("model", "version", "base"):
            custom = {**entry["custom"], name: word}
            path = f"stable/simulator/{custom['model']}/{custom['version']}.sndl"
            signed["targets"][path] = {**entry, "custom": custom}

    resigned(device, claim)
    outside = {file for file in device.folder.rglob("*") if device.home.root not in file.parents}

    found = device.look()

    assert (found.state, found.version) in {("current", ""), ("found", "v2")}
    after = {file for file in device.folder.rglob("*") if device.home.root not in file.parents}
    assert outside == after


def test_a_package_for_another_target_is_refused(device: Following) -> None:
    device.publish("v2", target="raspberry_pi_4")

    assert "gives tiny v2 for raspberry_pi_4 out as tiny v2 for simulator" in device.refuses()


def test_a_package_under_another_name_or_version_is_refused(device: Following) -> None:
    device.publish("v2")
    [stored] = [one for one in device.repo.releases("stable") if one.release.version == "v2"]
    file = device.files["v1"]

    device.repo.publish("stable", file, replace(stored.release, version="v9"))

    assert "out as tiny v9" in device.refuses()


def test_a_package_that_no_trusted_maker_signed_is_refused(device: Following) -> None:
    """Whoever has the keys of the whole repository still needs one that signs packages."""
    file = device.folder / "strange.sndl"
    pack(manifest("v2"), members(), STRANGER, file)
    [stored] = device.repo.releases("stable")

    device.repo.publish("stable", file, replace(stored.release, version="v2"))

    assert "which is not trusted here" in device.refuses()


def test_huge_metadata_is_refused_even_when_it_is_signed(device: Following) -> None:
    stored = device.publish("v2")

    def claim(signed: dict[str, Any]) -> None:
        signed["targets"][stored.path]["custom"]["padding"] = "x" * MAX_TARGETS

    resigned(device, claim)

    assert "it was cut off" in device.refuses()


# --- a stick that is no stick


def test_what_is_named_like_a_file_may_be_a_pipe(device: Following) -> None:
    stick = saved(device, "stick")
    (stick / "metadata" / "timestamp.json").unlink()
    os.mkfifo(stick / "metadata" / "timestamp.json")

    assert "is no file" in device.refuses(source=Folder(stick))


def test_a_link_on_a_stick_is_not_followed(device: Following) -> None:
    stick = saved(device, "stick")
    timestamp = stick / "metadata" / "timestamp.json"
    secret = timestamp.rename(device.folder / "elsewhere.json")
    timestamp.symlink_to(secret)

    assert "has no metadata/timestamp.json" in device.refuses(source=Folder(stick))


def test_the_metadata_a_device_keeps_is_that_of_the_newest_state(device: Following) -> None:
    """What it compares with must outlive anything refused in between."""
    device.publish("v2")
    kept = device.home.root / "updates" / "metadata"
    before = {file.name: digest(file) for file in kept.glob("*.json")}
    device.server.tricks["timestamp.json"] = other(b"{}")

    device.refuses()

    assert {file.name: digest(file) for file in kept.glob("*.json")} == before


def digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
