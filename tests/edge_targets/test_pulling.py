"""A device finds what its channel has for it, fetches as little as it can, and checks all of it."""

import json
import ssl
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from edge_targets.agent.home import Home, Settings, child_environment
from edge_targets.agent.puller import FIRST_WAIT_S, LONGEST_WAIT_S, Puller
from edge_targets.agent.pulling import Found, is_set
from edge_targets.agent.slots import Slots
from edge_targets.catalog.simulator import Simulator
from edge_targets.package import MANIFEST, SIGNATURE
from edge_targets.package.repacked import Repacked
from edge_targets.places.target import Place
from edge_targets.runtime.errors import DeviceError, EdgeError, IntegrityError, UnknownNameError
from edge_targets.runtime.events import Job
from edge_targets.transport import post_json
from edge_targets.updates.clock import Clock, Seen
from edge_targets.updates.edition import Lifetimes
from edge_targets.updates.repository import Repository
from edge_targets.updates.web import Pace, Web
from tests.edge_targets.conftest import Build
from tests.edge_targets.following import TWICE, Following, following
from tests.edge_targets.mosquitto import certificate
from tests.edge_targets.tiny import answers, wait_until
from tests.edge_targets.webserver import breaking_off

LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


@pytest.fixture
def device(tmp_path: Path, build: Build) -> Iterator[Following]:
    with following(tmp_path, build) as device:
        yield device


def test_a_device_without_a_model_takes_the_newest(device: Following) -> None:
    device.publish("v1")
    device.publish("v2")

    found = device.look()

    assert (found.state, found.model, found.version, found.base) == ("found", "tiny", "v2", "")
    assert found.fetched_bytes == Path(found.file).stat().st_size


def test_nothing_is_fetched_of_what_is_served(device: Following) -> None:
    device.publish("v1")
    device.installed("v1")

    assert device.look().state == "current"
    assert device.server.asked_for(".sndl") == 0


def test_a_delta_is_fetched_where_the_served_version_is_its_base(device: Following) -> None:
    device.publish("v1")
    device.publish("v2", base="v1")
    device.installed("v1")

    found = device.look()

    assert (found.version, found.base) == ("v2", "v1")
    assert device.server.asked_for(".sndl") == 0
    assert found.fetched_bytes < Path(found.file).stat().st_size / 2
    assert not list((device.home.root / "updates" / "partial").iterdir())


def test_a_delta_that_does_not_apply_is_made_up_for_by_the_whole(device: Following) -> None:
    device.publish("v1")
    device.publish("v2", base="v1")
    device.installed("v1")
    model = device.home.root / "models" / "tiny" / "a" / "card.md"
    model.write_bytes(b"# tinx\n")

    found = device.look()

    assert (found.version, found.base) == ("v2", "")


def test_other_models_than_those_it_serves_are_not_fetched(device: Following) -> None:
    device.publish("v1")
    device.installed("v1")
    device.publish("v7", name="other")

    assert device.look().state == "current"


def test_a_withdrawn_version_gives_way_to_the_newest_that_is_left(device: Following) -> None:
    device.publish("v1")
    device.publish("v2")
    device.installed("v2")
    assert device.look().state == "current"

    device.repo.withdraw("stable", "simulator", "tiny", "v2")

    assert device.look().version == "v1"


def test_a_version_that_was_rolled_back_is_not_fetched_again(device: Following) -> None:
    device.publish("v1")
    device.publish("v2")
    device.installed("v1")
    device.installed("v2")
    Slots(device.home.root / "models" / "tiny").roll_back("v2")

    assert device.look().state == "current"
    device.publish("v3")
    assert device.look().version == "v3"
    assert device.look(skip=[("tiny", "v3")]).state == "current"


def test_a_download_that_broke_off_goes_on_where_it_stopped(device: Following) -> None:
    stored = device.publish("v1")
    device.server.tricks[".sndl"] = breaking_off(stored.size // 3)

    device.refuses()
    [part] = (device.home.root / "updates" / "partial").iterdir()
    there = part.stat().st_size
    device.server.tricks.clear()
    found = device.look()

    assert there == stored.size // 3 * 2  # two attempts
    assert found.fetched_bytes == stored.size - there
    assert device.server.asked[-1][1] == f"bytes={there}-"


def test_a_damaged_part_of_a_download_is_begun_again(device: Following) -> None:
    stored = device.publish("v1")
    part = device.home.root / "updates" / "partial" / stored.sha256
    part.parent.mkdir(parents=True)
    part.write_bytes(bytes(stored.size // 2))

    assert device.look().version == "v1"


def test_a_device_follows_its_own_channel(device: Following) -> None:
    device.repo.add_channel("beta")
    device.publish("v1")
    device.publish("v2", channel="beta")

    assert device.look().version == "v1"
    settings = Settings.load(device.home.root)
    replace(settings, channel="beta").save(device.home.root)
    assert device.look().version == "v2"
    replace(settings, channel="gone").save(device.home.root)
    with pytest.raises(UnknownNameError, match="no channel named 'gone'"):
        device.look()


def test_a_device_for_another_target_finds_nothing(device: Following) -> None:
    device.publish("v1")
    settings = Settings.load(device.home.root)
    replace(settings, target="raspberry_pi_4").save(device.home.root)

    assert device.look().state == "current"


def test_a_device_that_slept_through_rotations_of_every_key_follows(device: Following) -> None:
    device.publish("v1")
    for role in ("root", "timestamp", "snapshot", "targets", "stable", "root"):
        device.repo.rotate(role)

    assert device.look().version == "v1"


def test_a_device_without_a_root_says_so(device: Following) -> None:
    (device.home.root / "root.json").unlink()

    with pytest.raises(DeviceError, match="Nothing says whose updates"):
        device.look()


def test_a_tuf_library_of_another_build_is_told_and_not_guessed_at(
    device: Following, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr("tuf.ngclient.Updater._persist_file")

    with pytest.raises(DeviceError, match=r"tuf [67]\S* is built otherwise") as caught:
        device.look()

    assert "tuf>=6,<8" in caught.value.hint


def test_two_looks_do_not_get_into_each_others_way(device: Following) -> None:
    device.publish("v1")
    look_now = device.look

    def during(handler: object, data: bytes) -> None:
        said.append(device.refuses())
        raise OSError

    said: list[str] = []
    device.server.tricks["timestamp.json"] = during
    with pytest.raises(DeviceError):
        look_now()
    assert "looking for updates already" in said[0]


def test_a_slow_line_is_not_filled(device: Following) -> None:
    device.publish("v1")
    limits = replace(TWICE, bytes_per_s=100_000)
    slept = []

    class Counted(Pace):
        def took(self, size: int) -> None:
            assert size <= 25_000
            super().took(size)
            slept.append(self.bytes / limits.bytes_per_s)

    pace = Counted("x", limits)
    for _ in range(3):
        pace.took(5000)

    assert pace.chunk == 25_000
    elapsed = slept[-1]  # took does not return before so many seconds
    assert elapsed == pytest.approx(0.15)
    assert device.look(limits=limits, source=Web(device.server.url, limits)).version == "v1"


# --- a device without a clock


def at(now: datetime, uptime_s: float = 0.0, boot: str = "b") -> Clock:
    return Clock(now, uptime_s, boot)


def test_a_device_whose_clock_stands_in_1970_updates(device: Following) -> None:
    device.publish("v1")

    assert device.look(clock=at(LONG_AGO)).version == "v1"


def test_without_a_clock_an_old_state_is_refused_after_its_time_has_been_spent_awake(
    device: Following,
) -> None:
    device.publish("v1")
    device.installed("v1")
    assert device.look(clock=at(LONG_AGO, 10)).state == "current"  # it sees what time it is

    def after(days: float, boot: str) -> Clock:
        return at(LONG_AGO, 10 + days * 86_400, boot)

    assert device.look(clock=after(13, "b")).state == "current"
    assert "out of date" in device.refuses(clock=after(15, "b"))
    # a restart does not give the attacker the time back that had been counted
    assert "out of date" in device.refuses(clock=after(2, "another boot"))


def test_the_pinned_root_is_a_floor_for_a_device_that_has_seen_nothing(
    tmp_path: Path, build: Build
) -> None:
    past = datetime.now(UTC) - timedelta(days=100)
    with following(tmp_path, build, now=lambda: past) as device:
        device.publish("v1")
        assert device.look(clock=at(past)).version == "v1"
    (tmp_path / "fresh").mkdir()
    with following(tmp_path / "fresh", build) as fresh:
        # signed long before the root that the device was given: it cannot be the newest
        old = Repository(fresh.repo.directory, fresh.repo.vault, now=lambda: past)
        old.refresh()
        assert "out of date" in fresh.refuses(clock=at(LONG_AGO))


def test_a_floor_from_a_stolen_key_falls_with_that_key(device: Following) -> None:
    device.publish("v1")
    later = datetime.now(UTC) + timedelta(days=10)
    lifetimes = Lifetimes(timestamp=timedelta(days=300))
    thief = Repository(device.repo.directory, device.repo.vault, lifetimes, now=lambda: later)
    thief.refresh()
    assert device.look(clock=at(LONG_AGO)).version == "v1"

    short = Lifetimes(timestamp=timedelta(days=5))
    repo = Repository(device.repo.directory, device.repo.vault, short)
    repo.refresh()
    assert "out of date" in device.refuses(clock=at(LONG_AGO))
    repo.rotate("timestamp")

    assert device.look(clock=at(LONG_AGO)).version == "v1"


def test_a_calendar_behind_what_was_seen_is_not_set() -> None:
    now = datetime.now(UTC)
    seen = Seen(time=(now + timedelta(days=1)).isoformat(), boot="b", uptime_s=5)

    assert is_set(at(now), Seen())
    assert not is_set(at(LONG_AGO), Seen())
    assert not is_set(at(now, 5), seen)
    assert is_set(at(now + timedelta(hours=24), 5), seen)


# --- the child, and the thread that has it look


def test_one_look_is_a_process_that_prints_one_line(device: Following) -> None:
    device.publish("v1")
    words = [sys.executable, "-P", "-m", "edge_targets.agent.pulling"]
    words += ["--root", str(device.home.root)]

    done = subprocess.run(words, capture_output=True, env=child_environment(), check=True)

    [line] = done.stdout.splitlines()
    found = Found.parse(line)
    assert (found.state, found.version) == ("found", "v1")
    assert Path(found.file).exists()
    (device.home.root / "root.json").write_bytes(b"{}")
    failed = subprocess.run(words, capture_output=True, env=child_environment(), check=False)
    assert failed.returncode == 1
    assert json.loads(failed.stdout)["state"] == "failed"
    assert "no repository that can be used" in json.loads(failed.stdout)["error"]


def test_the_puller_installs_what_is_found_until_nothing_is(device: Following) -> None:
    device.publish("v1")
    installed = []

    def install(file: Path) -> None:
        installed.append(file.name)
        device.installed("v1")

    puller = Puller(device.home, install)
    found = puller.look()

    assert (len(installed), found.state) == (1, "current")
    assert not list(device.home.incoming.iterdir())


def test_what_cannot_be_installed_is_not_tried_for_ever(device: Following) -> None:
    device.publish("v1")
    device.publish("v2")
    tried = []

    def install(file: Path) -> None:
        tried.append(file.name)
        raise IntegrityError("It answers differently here.")

    puller = Puller(device.home, install)
    assert puller.look().state == "current"

    assert len(tried) == 2
    assert puller.skipped == [("tiny", "v2"), ("tiny", "v1")]


def test_the_puller_looks_when_it_is_woken_and_ends_when_told(device: Following) -> None:
    device.publish("v1")
    device.installed("v1")
    puller = Puller(device.home, lambda file: None)
    puller.start()

    puller.wake()
    wait_until(lambda: puller.last is not None)
    puller.stop()

    assert puller.last == Found("current")
    assert not puller.is_alive()


def test_looks_are_spread_and_failures_make_them_rarer(device: Following) -> None:
    puller = Puller(device.home, lambda file: None)
    pauses = {}

    for puller.failures in (0, 1, 3, 30):
        pauses[puller.failures] = [puller.pause_s(7200) for _ in range(50)]

    assert all(len(set(several)) > 1 for several in pauses.values())
    assert 0.9 * 7200 <= min(pauses[0]) <= max(pauses[0]) <= 1.1 * 7200
    assert max(pauses[1]) <= FIRST_WAIT_S < min(pauses[3])
    assert max(pauses[30]) <= LONGEST_WAIT_S


def test_a_server_that_is_gone_is_a_failure_and_no_crash(device: Following) -> None:
    settings = Settings.load(device.home.root)
    replace(settings, repository="http://127.0.0.1:9").save(device.home.root)
    puller = Puller(device.home, lambda file: None)

    found = puller.look()

    assert (found.state, puller.failures) == ("failed", 1)
    assert "does not answer" in found.error


# --- the base of a delta


def test_an_unpacked_package_reads_like_its_file(device: Following) -> None:
    device.publish("v1")
    device.installed("v1")
    whole = device.files["v1"].read_bytes()

    base = Repacked(device.home.root / "models" / "tiny" / "a", (MANIFEST, SIGNATURE))

    assert base.size == len(whole)
    for at_, length in ((0, len(whole)), (0, 1), (100, 1000), (len(whole) - 5, 50)):
        assert base.read(at_, length) == whole[at_ : at_ + length]
    with pytest.raises(EdgeError, match="incomplete"):
        Repacked(device.home.root, (MANIFEST, SIGNATURE))


def test_an_agent_that_is_nudged_serves_what_was_published(device: Following, place: Place) -> None:
    device.publish("v1")
    url = Simulator().deploy(device.files["v1"], place, Job()).url
    Simulator().stop(place)
    home = Home(Path(place.address))
    (home.root / "root.json").write_bytes((device.home.root / "root.json").read_bytes())
    replace(Settings.load(home.root), repository=device.server.url, pull_s=86_400).save(home.root)
    device.publish("v2", base="v1")

    url = Simulator().ready(place, Job())
    post_json(f"{url}/v1/pull")

    wait_until(lambda: Simulator().status(place).version == "v2")
    assert device.server.asked_for(".sndd") == 1
    assert answers(url, 1.1)


CHILD = """
import sys
from edge_targets.runtime.errors import DeviceError
from edge_targets.updates.fetching import Limits, read_bytes
from edge_targets.updates.web import Web
for checks in (True, False):
    try:
        text = read_bytes(Web(sys.argv[1], Limits(), checks), "metadata/timestamp.json", 20_000)
        print("taken" if text else "")
    except DeviceError as error:
        print(error)
"""


def test_a_clock_in_1970_does_not_lock_a_device_out_of_https(
    device: Following, tmp_path: Path
) -> None:
    """What such a clock sees: a certificate that is not valid yet. The files are signed anyhow."""
    soon = datetime.now(UTC) + timedelta(days=100)
    authority = certificate(tmp_path, start=soon, end=soon + timedelta(days=1))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority, tmp_path / "key.pem")
    server = device.server.server
    assert server
    server.socket = context.wrap_socket(server.socket, server_side=True)
    url = device.server.url.replace("http:", "https:")
    environment = {**child_environment(), "SSL_CERT_FILE": authority}

    words = [sys.executable, "-c", CHILD, url]
    done = subprocess.run(words, capture_output=True, text=True, env=environment, check=True)

    refused, taken = done.stdout.splitlines()
    assert "certificate is not yet valid" in refused
    assert taken == "taken"
