"""A card for a device of a workspace: its keys, its settings and its first start are on it."""

import json
import subprocess
from pathlib import Path

import pytest

from edge_targets.flashing.first_boot import Wifi
from edge_targets.package import public_key
from edge_targets.runtime.errors import (
    DataError,
    DeviceError,
    EdgeError,
    UnsupportedError,
    UsageError,
)
from edge_targets.runtime.events import QUIET
from edge_targets.transport.hostkeys import FILE, HostKeys
from tests.edge_targets.cards import BOOKWORM, MEGABYTE, TRIXIE, pi_image
from toolkit.flashing import Wanted, flash, opened, refuse_idle
from toolkit.shipping import signing_key_of
from toolkit.workspace import Workspace

WANTED = Wanted("kitchen-1", "raspberry_pi_4", user="ada", wifi="home", country="DE")


@pytest.fixture
def shelves(tmp_path: Path) -> Workspace:
    return Workspace.create(tmp_path / "work")


def inside(card: Path, name: str) -> bytes:
    words = ["mtype", "-i", f"{card}@@{8 * MEGABYTE}", f"::{name}"]
    return subprocess.run(words, capture_output=True, check=True).stdout


@pytest.mark.parametrize(("system", "python"), [("bookworm", "3.11"), ("trixie", "3.13")])
def test_a_card_carries_all_that_makes_the_board_a_device_of_the_workspace(
    tmp_path: Path, shelves: Workspace, system: str, python: str
) -> None:
    image, card = tmp_path / "raspios.img", tmp_path / "card.img"
    image.write_bytes(
        pi_image({"bookworm": BOOKWORM, "trixie": TRIXIE}[system], tmp_path, megabytes=160)
    )

    known = HostKeys(shelves.key_file.parent / FILE)
    known.path.parent.mkdir(mode=0o700)
    for host in ("kitchen-1.local", "other.local"):  # of a card that was there before
        known.pin(host, 22, "ssh-ed25519 AAAA")

    try:
        done = flash(shelves, image, card, WANTED, QUIET, confirmed="", passphrase="let me in")
    except DeviceError as error:
        pytest.skip(f"the wheels cannot be had: {error}")

    assert done.system == system
    assert json.loads(inside(card, "sanderling/plan.json"))["python"] == python
    assert json.loads(inside(card, "sanderling/settings.json"))["device"] == "kitchen-1"
    trusted = inside(card, "sanderling/trusted_keys.json").decode()
    assert public_key(signing_key_of(shelves)) in trusted
    told = inside(card, {"bookworm": "firstrun.sh", "trixie": "user-data"}[system])
    assert b"ssh-ed25519 " in told
    network = told if system == "bookworm" else inside(card, "network-config")
    assert Wifi.joining("home", "let me in", "DE").key.encode() in network
    assert b"let me in" not in card.read_bytes()
    device = shelves.get("devices", "kitchen-1")
    assert device.facts["address"] == "ssh://ada@kitchen-1.local"
    assert not known.pinned("kitchen-1.local", 22)
    assert known.pinned("other.local", 22)


@pytest.mark.parametrize(
    ("wanted", "error"),
    [
        (Wanted("Kitchen!", "raspberry_pi_4"), EdgeError),
        (Wanted("my_kitchen", "raspberry_pi_4"), DataError),
        (Wanted("kitchen", "simulator"), UnsupportedError),
        (Wanted("kitchen", "raspberry_pi_9"), EdgeError),
        (Wanted("kitchen", "raspberry_pi_4", wifi="home"), UsageError),
        (Wanted("kitchen", "raspberry_pi_4", package="none"), EdgeError),
        (Wanted("kitchen", "raspberry_pi_4", user="root"), DataError),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_read_or_written(
    tmp_path: Path, shelves: Workspace, wanted: Wanted, error: type[EdgeError]
) -> None:
    with pytest.raises(error) as caught:
        flash(shelves, tmp_path / "none.img", tmp_path / "card", wanted, QUIET, confirmed="")

    assert caught.value.hint
    assert not (tmp_path / "card").exists()
    assert shelves.names("devices") == []


def test_a_device_that_is_another_one_is_not_forgotten_for_a_card(
    tmp_path: Path, shelves: Workspace
) -> None:
    facts = {"target": "simulator", "address": str(tmp_path / "desk")}
    shelves.put("devices", "desk", {}, facts, "device add", facts)

    with pytest.raises(DeviceError, match="desk is a device already") as caught:
        flash(
            shelves, tmp_path / "none.img", tmp_path / "card",
            Wanted("desk", "raspberry_pi_4"), QUIET, confirmed="",
        )  # fmt: skip

    assert "device remove desk" in caught.value.hint
    assert shelves.get("devices", "desk").facts == facts


def test_a_network_without_a_passphrase_is_told_to_be_open() -> None:
    assert opened("", "") == opened("home", "let me in") == ()
    assert "open network" in opened("home", "")[0]


def test_what_only_a_device_has_is_not_silently_left_off_a_plain_card() -> None:
    refuse_idle(package=None, wifi="")

    with pytest.raises(UsageError, match="--package, --wifi: ") as caught:
        refuse_idle(package="reader-1", wifi="home", user="")

    assert "--device" in caught.value.hint
