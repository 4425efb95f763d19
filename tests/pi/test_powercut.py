"""A device that loses power at any moment has its model, whole, and every acknowledged record.

`make test-powercut` runs 200 cuts (CUTS=… for another number, SEED=… for other moments); the
ordinary run takes a sample.
"""

import json
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge_targets.runtime.errors import DeviceError, UnsupportedError
from edge_targets.runtime.events import QUIET
from tests.pi.account import Account
from tests.pi.machine import missing
from tests.pi.powercut import Device, build, lives
from tests.pi.powernbd import SECTOR, VolatileDisk

SAMPLE = 12  # cuts in the ordinary run: half a minute
CUTS = int(os.environ.get("CUTS", SAMPLE))
SEED = int(os.environ.get("SEED", "1"))
MOST_CONTROLS = 20  # lives without fsync; the first or second is harmed


@pytest.fixture(scope="module")
def device(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Device]:
    if lacking := missing():
        pytest.skip(f"no machine whose power can fail: {', '.join(lacking)} is not here")
    try:
        yield build(tmp_path_factory.mktemp("cut"), QUIET)
    except (DeviceError, UnsupportedError) as error:
        pytest.skip(f"no machine whose power can fail: {error}")


def test_no_power_cut_harms_the_model_or_loses_a_record(device: Device) -> None:
    account = lives(device, CUTS, SEED)

    assert account.faults == [], f"SEED={SEED}: {account}"
    assert account.cuts == CUTS
    assert account.done["install"] > 0
    assert account.done["record"] > 0


def test_the_same_cuts_do_harm_where_nothing_is_synced(device: Device) -> None:
    """Or the test above would prove nothing: the disk must be seen to forget."""
    account = lives(device, MOST_CONTROLS, SEED, sync=False, until_harmed=True)

    assert account.faults, account


# ------------------------------------------------------------------------------- the account


def served(version: str | None, **more: Any) -> dict[str, Any]:
    pointer: dict[str, Any] = {"fallback": None, "probation": False, "starts": 0, "refused": []}
    known = {"tiny": version} if version else {}
    return {"served": known, "wrong": [], "pointers": dict.fromkeys(known, pointer), **more}


def told(*said: dict[str, Any]) -> Account:
    account = Account()
    for one in said:
        account.hear("@" + json.dumps(one))
    return account


INSTALL = {"step": "install", "name": "tiny", "version": "2"}
FIRST = {"event": "state", "spool": [], **served(None)}
BEGUN = {"event": "begin", **INSTALL}
ENDED = {"event": "end", **INSTALL, **served("2")}
KEPT = {"event": "end", "step": "record", "ids": ["r"]}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((FIRST, BEGUN), served(None)),
        ((FIRST, BEGUN), served("2")),
        ((FIRST, BEGUN, ENDED), served("2")),
        ((FIRST, KEPT), served(None, spool=["r"])),
    ],
)
def test_the_account_takes_old_or_new(before: tuple[dict[str, Any], ...], after: Any) -> None:
    assert told(*before, {"event": "state", "spool": [], **after}).faults == []


@pytest.mark.parametrize(
    ("before", "after", "fault"),
    [
        ((FIRST, BEGUN, ENDED), served(None), "None is served"),
        ((FIRST, BEGUN), served("3"), "3 is served"),
        ((FIRST, BEGUN, ENDED), served("2", wrong=["tiny"]), "another version"),
        ((FIRST, KEPT), served(None), "1 acknowledged records are gone"),
    ],
)
def test_the_account_sees_what_is_lost(
    before: tuple[dict[str, Any], ...], after: Any, fault: str
) -> None:
    [found] = told(*before, {"event": "state", "spool": [], **after}).faults

    assert fault in found


# ---------------------------------------------------------------------------------- the disk


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[VolatileDisk]:
    image = tmp_path / "disk"
    image.write_bytes(bytes(64 * SECTOR))
    disk = VolatileDisk(image)
    yield disk
    disk.close()


def test_the_disk_keeps_what_was_flushed(disk: VolatileDisk) -> None:
    disk.write(0, b"a" * 8 * SECTOR)
    disk.flush()

    lost = disk.cut(random.Random(1))

    assert lost == 0
    assert disk.read(0, 8 * SECTOR) == b"a" * 8 * SECTOR


def test_the_disk_keeps_what_was_written_through_and_nothing_beside_it(disk: VolatileDisk) -> None:
    never = random.Random(1)
    never.random = lambda: 0.0  # type: ignore[method-assign]  # no sector is lucky
    disk.write(0, b"a" * SECTOR)
    disk.write(SECTOR, b"b" * SECTOR, lasting=True)

    lost = disk.cut(never)

    assert lost == 1
    assert disk.read(0, 2 * SECTOR) == bytes(SECTOR) + b"b" * SECTOR


def test_the_disk_shows_what_it_has_not_kept_yet_and_forgets_a_part(disk: VolatileDisk) -> None:
    written = b"".join(bytes([number]) * SECTOR for number in range(1, 65))
    disk.write(0, written)
    before = disk.read(0, len(written))

    lost = disk.cut(random.Random(3))
    after = disk.read(0, len(written))

    assert before == written
    assert 0 < lost < 64
    sectors = [after[start : start + SECTOR] for start in range(0, len(after), SECTOR)]
    kept = [sector != bytes(SECTOR) for sector in sectors]
    assert kept.count(False) == lost
    assert kept != sorted(kept)  # in no order
