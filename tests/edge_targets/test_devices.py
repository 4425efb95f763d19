"""Life of a device: packages come, faulty ones are refused, kills and outages are survived."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edge_targets.agent.home import Home, Settings, TrustedKeys, child_environment
from edge_targets.catalog import targets
from edge_targets.catalog.raspberry_pi_4 import RaspberryPi4
from edge_targets.catalog.simulator import Simulator
from edge_targets.package import pack, public_key
from edge_targets.places.target import Place
from edge_targets.runtime.errors import (
    Cancelled,
    DataError,
    DeviceError,
    IntegrityError,
    UnsupportedError,
)
from edge_targets.runtime.events import Event, Job
from edge_targets.transport import get_json, post_json, put_package
from tests.edge_targets.conftest import Build
from tests.edge_targets.tiny import (
    KEY,
    STRANGER,
    answers,
    free_port,
    home_of,
    infer_body,
    manifest,
    members,
    wait_until,
)


def test_a_package_is_deployed_replaced_and_the_device_stopped(build: Build, place: Place) -> None:
    simulator, events = Simulator(), list[Event]()

    first = simulator.deploy(build("1"), place, Job(events.append))
    assert answers(first.url)
    second = simulator.deploy(build("2", scale=3.0), place, Job())

    assert second.url == first.url
    assert (first.version, second.version) == ("1", "2")
    assert second.golden_difference < 1e-5
    assert answers(second.url, scale=3.0)
    assert {"start device", "send package"} <= {event.message for event in events}
    status = simulator.status(place)
    assert (status.state, status.model, status.version, status.samples) == ("ready", "tiny", "2", 4)
    assert status.pending == 1  # the window of the first version
    simulator.stop(place)
    assert simulator.status(place).state == "stopped"
    simulator.stop(place)


def test_a_stopped_device_comes_back_with_its_package(build: Build, place: Place) -> None:
    Simulator().deploy(build("1"), place, Job())
    Simulator().stop(place)

    url = Simulator().ready(place, Job())

    assert answers(url)


def test_a_device_that_was_killed_comes_back_with_its_package(build: Build, place: Place) -> None:
    Simulator().deploy(build("1"), place, Job())
    running = home_of(place).running()
    assert running
    os.kill(running.pid, signal.SIGKILL)
    wait_until(lambda: not home_of(place).running())

    assert Simulator().status(place).state == "stopped"
    assert answers(Simulator().ready(place, Job()))


def test_other_golden_answers_are_refused_and_the_old_model_stays(
    build: Build, place: Place
) -> None:
    url = Simulator().deploy(build("1"), place, Job()).url

    with pytest.raises(IntegrityError, match="off here") as caught:
        Simulator().deploy(build("2", scale=3.0, off=0.01), place, Job())

    assert caught.value.hint
    assert answers(url)
    assert Simulator().status(place).version == "1"
    assert sorted(path.name for path in (home_of(place).models / "tiny").iterdir()) == [
        "a",
        "active",
    ]
    assert not list(home_of(place).incoming.iterdir())


def test_a_model_that_does_not_load_is_refused_and_the_old_model_stays(
    tmp_path: Path, build: Build, place: Place
) -> None:
    url = Simulator().deploy(build("1"), place, Job()).url
    half = members()["model.onnx"][:60]
    file = tmp_path / "half.sndl"
    pack(manifest("2"), {**members(), "model.onnx": half}, KEY, file)

    with pytest.raises(IntegrityError, match="cannot load"):
        Simulator().deploy(file, place, Job())

    assert answers(url)


def test_a_package_without_golden_answers_is_refused(
    tmp_path: Path, build: Build, place: Place
) -> None:
    url = Simulator().deploy(build("1"), place, Job()).url
    found = members()
    del found["golden.json"]
    pack(manifest("2"), found, KEY, tmp_path / "bare.sndl")

    with pytest.raises(IntegrityError, match="does not run here"):
        Simulator().deploy(tmp_path / "bare.sndl", place, Job())

    assert answers(url)


def test_the_device_itself_refuses_strangers_and_flipped_bytes(
    tmp_path: Path, build: Build, place: Place
) -> None:
    url = Simulator().deploy(build("1"), place, Job()).url
    stranger, flipped = tmp_path / "stranger.sndl", tmp_path / "flipped.sndl"
    pack(manifest("2"), members(), STRANGER, stranger)
    data = bytearray(build("3").read_bytes())
    data[len(data) // 2] ^= 1
    flipped.write_bytes(data)

    for file, words in ((stranger, "not trusted"), (flipped, "not as it was packed")):
        with pytest.raises(IntegrityError, match=words) as caught:
            put_package(f"{url}/v1/package", file)
        assert caught.value.hint

    assert answers(url)


def test_a_key_that_is_trusted_later_is_taken_without_a_restart(
    tmp_path: Path, build: Build, place: Place
) -> None:
    first = Simulator().deploy(build("1"), place, Job())
    file = tmp_path / "stranger.sndl"
    pack(manifest("2"), members(), STRANGER, file)
    both = replace(place, trusted=(public_key(KEY), public_key(STRANGER)))

    second = Simulator().deploy(file, both, Job())

    assert (second.url, second.version) == (first.url, "2")
    assert set(TrustedKeys.load(Path(place.address)).keys) == set(both.trusted)


def test_a_damaged_active_package_gives_way_to_the_one_before(build: Build, place: Place) -> None:
    Simulator().deploy(build("1"), place, Job())
    Simulator().deploy(build("2", scale=3.0), place, Job())
    Simulator().stop(place)
    model = home_of(place).models / "tiny/b/model.onnx"
    model.write_bytes(model.read_bytes()[:-1])

    url = Simulator().ready(place, Job())

    assert answers(url)
    assert "b cannot be served" in home_of(place).log.read_text()


def test_cancelling_an_upload_leaves_the_old_model(build: Build, place: Place) -> None:
    url = Simulator().deploy(build("1"), place, Job()).url

    def stop(event: Event) -> None:
        if event.message == "send package" and event.done == 0:
            raise Cancelled("now")

    with pytest.raises(Cancelled):
        Simulator().deploy(build("2", scale=3.0), place, Job(stop))

    assert answers(url)
    wait_until(lambda: not list(home_of(place).incoming.iterdir()))
    assert Simulator().deploy(build("2", scale=3.0), place, Job()).version == "2"


def test_a_kill_in_the_middle_of_an_installation_leaves_a_device_that_works(
    build: Build, place: Place
) -> None:
    simulator = Simulator()
    simulator.deploy(build("1"), place, Job())
    package = build("2", scale=3.0)
    moments: list[Callable[[Home], Any]] = [
        lambda home: list(home.incoming.iterdir()),
        lambda home: list(home.models.glob("*incoming*")),
        lambda home: list(home.models.glob("*incoming*/model.onnx")),
        lambda home: (home.models / "tiny/b").exists(),
    ]

    for reached in moments:
        home = home_of(place)
        url = simulator.ready(place, Job())
        running = home.running()
        assert running
        sender = threading.Thread(target=attempt, args=(url, package))
        sender.start()
        # a busy machine may be past a moment before we look: then the kill comes after it
        while not reached(home) and sender.is_alive():
            time.sleep(0.005)
        os.kill(running.pid, signal.SIGKILL)
        sender.join()
        wait_until(lambda home=home: not home.running())  # type: ignore[misc]

        url = simulator.ready(place, Job())

        version = simulator.status(place).version
        assert version in ("1", "2")
        assert answers(url, scale=1.0 if version == "1" else 3.0)
        assert not list(home.models.glob("*incoming*"))
    assert simulator.deploy(build("3"), place, Job()).version == "3"


def attempt(url: str, package: Path) -> None:
    with suppress(DeviceError):  # it was killed
        put_package(f"{url}/v1/package", package)


def test_two_installations_at_once_end_in_one_of_them_and_a_clear_message(
    build: Build, place: Place
) -> None:
    url = Simulator().deploy(build("1"), place, Job()).url
    packages = {version: build(version, scale=float(version)) for version in ("2", "3")}
    taken: list[str] = []
    refused: list[DeviceError] = []
    together = threading.Barrier(len(packages))

    def send(version: str) -> None:
        together.wait()
        try:
            taken.append(str(put_package(f"{url}/v1/package", packages[version])["version"]))
        except DeviceError as error:
            refused.append(error)

    senders = [threading.Thread(target=send, args=(version,)) for version in packages]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()

    assert taken
    assert len(taken) + len(refused) == 2
    assert all(error.hint for error in refused)
    version = Simulator().status(place).version
    assert version in taken
    assert answers(url, scale=float(version))


def test_only_one_agent_runs_in_a_folder(build: Build, place: Place) -> None:
    url = Simulator().deploy(build("1"), place, Job()).url

    second = subprocess.run(
        [sys.executable, "-m", "edge_targets.agent", "--root", place.address],
        env=child_environment(),
        capture_output=True,
        text=True,
        check=False,
    )

    assert second.returncode == 1
    assert "Another agent runs" in second.stderr
    assert answers(url)


@pytest.mark.parametrize(
    ("host", "port"), [("", "0"), ("é..x", "0"), ("127.0.0.1", "-1"), ("127.0.0.1", "65536")]
)
def test_an_agent_that_cannot_listen_says_so_in_two_lines(
    tmp_path: Path, host: str, port: str
) -> None:
    words = ["--root", str(tmp_path / "device"), "--host", host, "--port", port]

    ended = subprocess.run(
        [sys.executable, "-m", "edge_targets.agent", *words],
        env=child_environment(),
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.returncode == 1
    assert len(ended.stderr.splitlines()) == 2, ended.stderr


def test_a_device_whose_folder_goes_away_ends(build: Build, place: Place) -> None:
    Simulator().deploy(build("1"), place, Job())
    running = home_of(place).running()
    assert running

    shutil.rmtree(place.address)

    wait_until(lambda: not answering(running.url))
    assert not Path(place.address).exists()


def answering(url: str) -> bool:
    try:
        return bool(get_json(f"{url}/v2/health/live"))
    except DeviceError:
        return False


def test_a_device_that_nobody_answers_for_is_an_error_of_two_lines(build: Build) -> None:
    place = Place("far", f"http://127.0.0.1:{free_port()}", "", (public_key(KEY),))

    for target in (RaspberryPi4(), Simulator()):
        assert target.status(place).state == "unreachable"
        with pytest.raises(DeviceError, match="does not answer") as caught:
            target.deploy(build(), place, Job())
        assert caught.value.hint
        with pytest.raises(DeviceError, match="does not answer"):
            target.flush(place)
        with pytest.raises(DeviceError, match="does not answer"):
            target.stop(place)


def test_an_agent_on_the_network_is_reached_by_its_address(build: Build, place: Place) -> None:
    url = Simulator().deploy(build("1"), place, Job()).url
    remote = replace(place, address=url)
    assert answers(url)

    deployed = RaspberryPi4().deploy(build("2", scale=3.0), remote, Job())

    assert deployed.version == "2"
    assert RaspberryPi4().status(remote).state == "ready"
    assert RaspberryPi4().flush(remote) == 1
    RaspberryPi4().stop(remote)
    wait_until(lambda: RaspberryPi4().status(remote).state == "unreachable")


def test_a_board_without_an_address_says_how_to_start_its_agent(build: Build) -> None:
    with pytest.raises(DeviceError, match="not the address of a Raspberry Pi 4") as caught:
        RaspberryPi4().deploy(build(), Place("pi", "pi@kitchen", "", (public_key(KEY),)), Job())

    assert "edge_targets.agent" in caught.value.hint


def test_a_device_without_a_model_says_so(place: Place) -> None:
    url = Simulator().ready(place, Job())

    assert Simulator().status(place).state == "empty"
    with pytest.raises(DeviceError, match="serves no model yet"):
        post_json(f"{url}/v2/models/tiny/infer", infer_body())
    with pytest.raises(DeviceError, match="503"):
        get_json(f"{url}/v2/health/ready")


def test_a_target_refuses_what_it_cannot_hold_or_run() -> None:
    for name in ("simulator", "raspberry_pi_4"):
        target = targets[name]()
        target.fits(manifest(), 1 << 20)
        with pytest.raises(UnsupportedError, match="cannot run"):
            target.fits(replace(manifest(), format="coreml"), 1)
        with pytest.raises(UnsupportedError, match="has room for"):
            target.fits(manifest(), target.facts.flash_bytes)


@pytest.mark.parametrize(
    "text",
    [
        '{"collector": "file:///etc/passwd"}',
        '{"window_s": 0}',
        '{"window_s": "long"}',
        '{"device": "../x"}',
        '{"threads": 0}',
        '{"threads": true}',
    ],
)
def test_settings_that_cannot_be_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "settings.json").write_text(text)

    with pytest.raises(DataError, match=r"settings\.json"):
        Settings.load(tmp_path)


def test_settings_a_newer_program_wrote_survive(tmp_path: Path) -> None:
    (tmp_path / "settings.json").write_text('{"device": "pi", "colour": "blue"}')

    replace(Settings.load(tmp_path), device="pi-2").save(tmp_path)

    assert Settings.load(tmp_path).extra == {"colour": "blue"}
    assert Settings.load(tmp_path).device == "pi-2"


def test_an_agent_that_cannot_start_says_why(build: Build, place: Place) -> None:
    (Path(place.address) / "models").write_text("in the way")

    with pytest.raises(DeviceError, match=r"did not start: .*models could not be") as caught:
        Simulator().deploy(build(), place, Job())

    assert "agent.log" in caught.value.hint


def test_a_runtime_that_dies_in_the_trial_takes_nobody_along(build: Build, place: Place) -> None:
    url = Simulator().deploy(build("1"), place, Job()).url
    running = home_of(place).running()
    assert running
    threads = Path(f"/proc/{running.pid}/task")
    done = threading.Event()

    def strike() -> None:
        while not done.is_set():
            for child in " ".join(
                (one / "children").read_text() for one in threads.iterdir()
            ).split():
                os.kill(int(child), signal.SIGILL)
            time.sleep(0.005)

    striker = threading.Thread(target=strike)
    striker.start()
    try:
        with pytest.raises(IntegrityError, match="died of SIGILL"):
            Simulator().deploy(build("2", scale=3.0), place, Job())
    finally:
        done.set()
        striker.join()

    assert answers(url)
    assert Simulator().deploy(build("2", scale=3.0), place, Job()).version == "2"
