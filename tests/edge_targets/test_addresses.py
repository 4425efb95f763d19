"""An address that cannot be is refused before it is kept; a place that cannot be asked says so."""

import json
from pathlib import Path

import pytest

from edge_targets.bundling import INDEX
from edge_targets.catalog import targets
from edge_targets.places.answers import named, read_status
from edge_targets.places.target import Place
from edge_targets.runtime.errors import DataError, DeviceError, StorageError
from edge_targets.runtime.events import QUIET
from edge_targets.runtime.exchange import RefusedError
from tests.edge_targets.conftest import Build
from tests.edge_targets.test_transport import http, saying
from tests.rights import nobody

STATUS = {"state": "ready", "model": "tiny", "version": "1", "samples": 4, "pending": 2}


@pytest.mark.parametrize("name", targets.names())
@pytest.mark.parametrize(
    "address",
    [
        "", " ", "ftp://x", "http://", "http://192.0.2.1:99999", "http://a b", "http://a\x7fb",
        "http://user@host", "/etc/passwd", "/etc/passwd/device", "~nobody-of-this-name/x", "a\0b",
    ],
)  # fmt: skip
def test_what_cannot_be_an_address_is_refused_and_never_breaks_a_status(
    name: str, address: str
) -> None:
    target = targets[name]()

    with pytest.raises(DeviceError) as caught:
        target.check_address(address)

    assert caught.value.hint
    assert target.status(Place("x", address)).state in ("stopped", "unreachable", "empty")


def test_addresses_are_kept_as_they_can_be_used_from_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    for name in ("simulator", "browser"):
        assert targets[name]().check_address("./desk") == str(tmp_path / "desk")
    for name in ("simulator", "raspberry_pi_4"):
        url = "http://192.168.1.20:7734"
        assert targets[name]().check_address(url) == url
    with pytest.raises(DeviceError, match="not the address of a Raspberry Pi 4"):
        targets["raspberry_pi_4"]().check_address("./desk")


def test_a_user_and_a_host_are_no_folder_unless_the_path_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    for name in ("simulator", "browser"):
        with pytest.raises(DeviceError, match="is the address of a board"):
            targets[name]().check_address("pi@kitchen")
        assert targets[name]().check_address("./pi@kitchen") == str(tmp_path / "pi@kitchen")


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("ssh://pi@kitchen", "kitchen: its agent does not answer: it took too long."),
        ("http://192.0.2.1", "kitchen (http://127.0.0.1:5) does not answer: it took too long."),
    ],
)
def test_an_error_names_the_device_and_not_a_port_of_this_machine(address: str, said: str) -> None:
    with pytest.raises(DeviceError) as caught, named(Place("kitchen", address)):
        raise DeviceError("http://127.0.0.1:5 does not answer: it took too long.", "Is it on?")
    assert str(caught.value) == said

    with pytest.raises(RefusedError) as refused, named(Place("desk", "/tmp/desk")):
        raise RefusedError("http://127.0.0.1:5: There is no version.", "Deploy one.", 409)
    assert str(refused.value) == "desk: There is no version."
    assert (refused.value.hint, refused.value.status) == ("Deploy one.", 409)


def test_what_came_of_the_last_look_for_an_update_is_told() -> None:
    failed = {"state": "failed", "error": "Nobody answers.", "hint": "Is it on?"}

    looks = [read_status("u", {**STATUS, "last_look": one}).last_look for one in (None, 5, failed)]
    current = read_status("u", {**STATUS, "last_look": {"state": "current"}}).last_look

    assert looks == ["", "", "failed: Nobody answers. Is it on?"]
    assert current == "nothing newer"


def test_a_folder_that_a_bundle_may_not_replace_is_no_address_of_a_browser(tmp_path: Path) -> None:
    (tmp_path / INDEX).write_text("{}")

    with pytest.raises(StorageError, match="left alone"):
        targets["browser"]().check_address(str(tmp_path))

    assert targets["browser"]().status(Place("page", str(tmp_path))).state == "empty"


def test_a_folder_of_others_is_told_apart_from_a_device_that_is_stopped(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "device"
    folder.mkdir()
    place, browser = Place("desk", str(folder)), targets["browser"]()
    simulator = targets["simulator"]()

    with nobody():
        assert simulator.status(place).state == "unreachable"
        assert browser.status(place).state == "unreachable"
        for target in (simulator, browser):
            with pytest.raises((DeviceError, StorageError)) as caught:
                target.check_address(str(tmp_path / "new"))
            assert caught.value.hint
        for attempt in (simulator.stop, simulator.flush):
            with pytest.raises(DeviceError, match="cannot be looked into"):
                attempt(place)

    folder.rmdir()
    assert simulator.status(place).state == "stopped"
    assert browser.status(place).state == "empty"


@pytest.mark.parametrize("file", ["settings.json", "trusted_keys.json"])
def test_a_broken_file_of_a_device_is_named_with_its_path(
    tmp_path: Path, build: Build, place: Place, file: str
) -> None:
    path = Path(place.address) / file
    path.write_text("{")

    with pytest.raises(DataError, match=str(path)) as caught:
        targets["simulator"]().deploy(build(), place, QUIET)

    assert "delete" in caught.value.hint


def test_what_an_agent_does_not_know_is_not_called_zero() -> None:
    with saying(http(json.dumps({**STATUS, "pending": None}).encode())) as url:
        status = targets["simulator"]().status(Place("desk", url))

    assert (status.state, status.samples, status.pending) == ("ready", 4, None)


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"state": None},
        {**STATUS, "state": "fine"},
        {**STATUS, "state": ["ready"]},
        {**STATUS, "model": None},
        {**STATUS, "version": 3},
        {**STATUS, "samples": "many"},
        {**STATUS, "samples": True},
    ],
)
def test_another_server_is_not_taken_for_an_agent(answer: object) -> None:
    with saying(http(json.dumps(answer).encode())) as url:
        assert targets["raspberry_pi_4"]().status(Place("desk", url)).state == "unreachable"


def test_a_server_that_tells_no_count_has_flushed_nothing() -> None:
    with (
        saying(http(b'{"pending": null}')) as url,
        pytest.raises(DeviceError, match="not a Sanderling agent"),
    ):
        targets["raspberry_pi_4"]().flush(Place("desk", url))
