"""What the pointer leads to is always whole, and a way back is kept."""

import json
from pathlib import Path

import pytest

from edge_targets.agent.slots import (
    MOST_REFUSED,
    Pointer,
    Slots,
    clean,
    known,
    move_old_root,
    staging,
)
from edge_targets.package import public_key, unpack, verify_folder
from tests.edge_targets.conftest import Build
from tests.edge_targets.tiny import KEY

TRUSTED = (public_key(KEY),)


@pytest.fixture
def slots(tmp_path: Path) -> Slots:
    models = tmp_path / "models"
    models.mkdir()
    return Slots(models / "tiny")


def put(slots: Slots, package: Path) -> None:
    staged = staging(slots.folder.parent)
    manifest = unpack(package, staged, TRUSTED)
    slots.commit(staged, manifest.version)


def versions(slots: Slots) -> tuple[str, str]:
    """Of the active slot and of the fallback, every byte checked; empty for none."""
    active, fallback = (
        verify_folder(slot, TRUSTED).version if slot else ""
        for slot in (slots.active, slots.fallback)
    )
    return active, fallback


def lying(slots: Slots) -> list[str]:
    return sorted(path.name for path in slots.folder.iterdir())


def test_nothing_is_active_before_the_first_package(slots: Slots) -> None:
    assert slots.active is None
    assert slots.fallback is None
    assert slots.pointer == Pointer()


def test_a_version_falls_back_to_the_one_it_replaced(build: Build, slots: Slots) -> None:
    for version in ("1", "2", "3", "4"):
        put(slots, build(version))
        slots.confirm()

    assert versions(slots) == ("4", "3")
    assert len(lying(slots)) == 3  # two slots and the pointer: older ones are cleaned


def test_a_version_on_probation_gives_way_and_the_proven_one_stays_to_fall_back_to(
    build: Build, slots: Slots
) -> None:
    put(slots, build("1"))
    slots.confirm()
    put(slots, build("2"))

    put(slots, build("3"))

    assert versions(slots) == ("3", "1")
    assert slots.pointer.probation
    assert len(lying(slots)) == 3


def test_installing_what_a_version_on_probation_falls_back_to_is_going_back_to_it(
    build: Build, slots: Slots
) -> None:
    put(slots, build("1"))
    slots.confirm()
    put(slots, build("2"))

    put(slots, build("1"))

    assert versions(slots) == ("1", "")
    assert not slots.pointer.probation
    assert slots.pointer.refused == ("2",)
    assert len(lying(slots)) == 2


def test_a_version_that_is_installed_over_itself_keeps_its_way_back(
    build: Build, slots: Slots
) -> None:
    for version in ("1", "2", "2"):
        put(slots, build(version))
        slots.confirm()

    assert versions(slots) == ("2", "1")


def test_an_unproven_first_version_is_better_than_none_to_fall_back_to(
    build: Build, slots: Slots
) -> None:
    put(slots, build("1"))
    put(slots, build("2"))

    assert versions(slots) == ("2", "1")


def test_a_rollback_serves_the_one_before_and_refuses_the_other(build: Build, slots: Slots) -> None:
    put(slots, build("1"))
    slots.confirm()
    put(slots, build("2"))

    slots.roll_back("2")
    slots.clean()

    assert versions(slots) == ("1", "")
    assert slots.pointer.refused == ("2",)
    assert not slots.pointer.probation
    assert len(lying(slots)) == 2


def test_a_refused_version_that_is_installed_again_is_refused_no_more(
    build: Build, slots: Slots
) -> None:
    put(slots, build("1"))
    put(slots, build("2"))
    slots.roll_back("2")

    put(slots, build("2"))

    assert slots.pointer.refused == ()


def test_only_the_latest_refused_versions_are_remembered() -> None:
    pointer = Pointer()

    for number in range(2 * MOST_REFUSED):
        pointer = pointer.refusing(str(number))

    assert pointer.refused == tuple(str(n) for n in range(MOST_REFUSED, 2 * MOST_REFUSED))


def test_starts_are_counted_until_the_version_is_confirmed(build: Build, slots: Slots) -> None:
    put(slots, build("1"))

    assert [slots.count_start() for _ in range(3)] == [1, 2, 3]
    assert Slots(slots.folder).pointer.starts == 3
    slots.confirm()
    assert Slots(slots.folder).pointer == Pointer(slots.pointer.active)


def test_a_removed_model_leaves_nothing(build: Build, slots: Slots) -> None:
    put(slots, build("1"))

    slots.remove()

    assert not list(slots.folder.parent.iterdir())
    assert known(slots.folder.parent) == {}


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"c",
        b"../../etc",
        b"a\0",
        b"b",
        b"{}",
        b"[1]",
        b"\xff",
        b"[" * 100_000,
        json.dumps({"schema": 1, "active": "../.."}).encode(),
        json.dumps({"schema": 1, "active": ["a"]}).encode(),
        json.dumps({"schema": 9, "active": "a"}).encode(),
        json.dumps({"schema": 1, "active": "a", "starts": "many"}).encode(),
    ],
)
def test_a_pointer_to_nothing_is_no_pointer_and_the_slots_stay(
    build: Build, slots: Slots, text: bytes
) -> None:
    put(slots, build())

    slots.file.write_bytes(text)
    clean(slots.folder.parent)

    assert slots.active is None
    assert (slots.folder / "a" / "manifest.json").exists()


def test_a_root_of_an_older_version_is_moved_over_once(build: Build, tmp_path: Path) -> None:
    old, models = tmp_path / "slots", tmp_path / "models"
    models.mkdir()
    for name, version in (("a", "1"), ("b", "2")):
        unpack(build(version), old / name, TRUSTED)
    (old / "active").write_text("b\n")

    move_old_root(old, models)
    move_old_root(old, models)
    clean(models)

    assert not old.exists()
    [slots] = known(models).values()
    assert (slots.name, versions(slots)) == ("tiny", ("2", "1"))
    put(slots, build("3"))
    assert versions(slots) == ("3", "2")


def test_an_old_root_that_holds_nothing_to_serve_stays_where_it_is(tmp_path: Path) -> None:
    old, models = tmp_path / "slots", tmp_path / "models"
    models.mkdir()
    (old / "a").mkdir(parents=True)
    (old / "a" / "manifest.json").write_text("{}")

    move_old_root(old, models)

    assert old.exists()
    assert not list(models.iterdir())


def test_what_is_no_model_s_folder_is_left_alone(tmp_path: Path) -> None:
    for name in ("Tiny", "..", "lost+found", ".hidden"):
        (tmp_path / name).mkdir(exist_ok=True)

    clean(tmp_path)

    assert known(tmp_path) == {}
    assert (tmp_path / ".hidden").exists()
