"""Killed, or without power, at any call that changes the disk: a whole model is served after it."""

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from edge_targets.agent.home import TrustedKeys
from edge_targets.package import public_key
from edge_targets.runtime.errors import EdgeError
from edge_targets.runtime.spool import Spool
from tests.edge_targets.conftest import Build
from tests.edge_targets.crashing import (
    RECORDS,
    kills,
    record,
    recorded,
    updater,
)
from tests.edge_targets.tiny import KEY
from tests.edge_targets.volatile import Call, cuts


@dataclass(frozen=True)
class Case:
    """A step, what was done before it, and which versions may be served after a crash in it."""

    step: str
    before: tuple[str, ...]
    old: str
    new: str

    @property
    def way_back(self) -> bool:
        """Whether another version is kept all the time, to go back to."""
        return self.step == "install" and {"1", "2"} <= set(self.before)


CASES = (
    Case("install", (), "", "3"),
    Case("install", ("1", "confirm"), "1", "3"),
    Case("install", ("1", "confirm", "2", "confirm"), "2", "3"),
    Case("install", ("1", "confirm", "2"), "2", "3"),
    Case("confirm", ("1", "confirm", "2"), "2", "2"),
    Case("start", ("1", "confirm", "2"), "2", "2"),
    Case("start", ("1", "confirm", "2", *["start"] * 3), "1", "1"),
    Case("roll_back", ("1", "confirm", "2"), "2", "1"),
    Case("remove", ("1", "confirm", "2"), "2", ""),
)


def named(case: Case) -> str:
    return "-".join((*case.before, case.step))


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory where there is one: nobody pulls the plug, so syncs need no disk."""
    try:
        folder = Path(tempfile.mkdtemp(prefix="crashing-", dir="/dev/shm"))
    except OSError:
        yield tmp_path
        return
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`crashing.c`, built."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler")
    made = tmp_path_factory.mktemp("crashing") / "crashing.so"
    source = Path(__file__).with_name("crashing.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", made, source], check=True)
    return made


@pytest.fixture
def prepare(disk: Path, build: Build) -> Callable[[Case], Path]:
    """Makes the root folder in which a case begins."""

    def made(case: Case) -> Path:
        root = disk / "device"
        root.mkdir()
        TrustedKeys(keys=(public_key(KEY),)).save(root)
        at_work = updater(root)
        for word in case.before:
            if word == "confirm":
                at_work.slots("tiny").confirm()
            elif word == "start":
                at_work.slots("tiny").count_start()
            else:
                at_work.install(build(word, scale=float(word)))
        return root

    return made


def served(root: Path) -> str:
    """The version that is served after a start, as it answers its golden inputs; empty for none."""
    found = updater(root).start()
    assert len(found) <= 1
    for predictor in found:
        predictor.replay()
    return found[0].manifest.version if found else ""


def has_fallback(root: Path) -> bool:
    at_work = updater(root)
    try:
        slots = at_work.slots("tiny")
        return bool(at_work.loaded(slots, slots.fallback))
    except EdgeError:
        return False


def is_clean(root: Path) -> bool:
    """Whether nothing is left of what was interrupted."""
    slots = list(root.glob("models/*/?"))
    return (
        len(slots) <= 2 and not list(root.glob("models/.*")) and not list(root.glob("models/*/.*"))
    )


@pytest.mark.parametrize("case", [CASES[3], CASES[7]], ids=named)
def test_a_kill_at_every_call_leaves_the_old_or_the_new(
    case: Case,
    prepare: Callable[[Case], Path],
    build: Build,
    disk: Path,
    library: Path,
) -> None:
    root, package = prepare(case), build("3", scale=3.0)

    found = []
    for after in kills(library, case.step, root, disk / "kills", package):
        found.append(served(after))
        assert is_clean(after)
        assert has_fallback(after) or not case.way_back

    assert set(found[:-1]) <= {case.old, case.new}
    assert found[-1] == case.new
    # once it is there it stays
    first = found.index(case.new)
    assert set(found[first:]) == {case.new}
    assert updater(after).install(package).predictor.manifest.version == "3"
    assert len(found) > 3


@pytest.mark.parametrize("case", CASES, ids=named)
def test_a_power_cut_at_every_call_leaves_the_old_or_the_new(
    case: Case,
    prepare: Callable[[Case], Path],
    build: Build,
    disk: Path,
    library: Path,
) -> None:
    root, package = prepare(case), build("3", scale=3.0)
    calls = recorded(library, case.step, root, disk / "calls", package)

    for done, after in cuts(root, calls, disk / "cuts"):
        found = served(after)
        assert found in {case.old, case.new}
        assert has_fallback(after) or not case.way_back
        # what was acknowledged is there
        assert done < len(calls) or found == case.new

    assert any(call.op == "sync" for call in calls)


def without_syncs(calls: list[Call]) -> list[Call]:
    return [call for call in calls if call.op != "sync"]


def pointer_first(calls: list[Call]) -> list[Call]:
    """The flip before what it leads to."""
    flips = [call for call in calls if ".active." in call.path or call.other.endswith("/active")]
    return [*flips, *(call for call in calls if call not in flips)]


@pytest.mark.parametrize("spoil", [without_syncs, pointer_first])
def test_the_cut_shows_what_goes_wrong_without_syncs_or_in_another_order(
    spoil: Callable[[list[Call]], list[Call]],
    prepare: Callable[[Case], Path],
    build: Build,
    disk: Path,
    library: Path,
) -> None:
    case = CASES[1]
    root, package = prepare(case), build("3", scale=3.0)
    calls = spoil(recorded(library, case.step, root, disk / "calls", package))

    lost = 0
    for done, after in cuts(root, calls, disk / "cuts"):
        pointer = updater(after).slots("tiny")
        whole = pointer.active is not None and (pointer.active / "model.onnx").exists()
        lost += not whole or (done == len(calls) and served(after) != case.new)

    assert lost


def waiting(root: Path) -> list[str]:
    spool = Spool(root / "spool.db")
    try:
        assert spool.set_aside is None
        return [one.id for one in spool.batch(100, 1 << 20)]
    finally:
        spool.close()


def spooled(root: Path) -> Path:
    root.mkdir()
    spool = Spool(root / "spool.db")
    spool.add(record(100))
    spool.close()
    return root


def test_no_acknowledged_record_is_lost_in_a_kill(disk: Path, library: Path) -> None:
    root = spooled(disk / "device")

    found = [waiting(after) for after in kills(library, "spool", root, disk / "kills", disk)]

    everything = ["100", *map(str, range(RECORDS))]
    for ids in found:
        assert ids[0] == "100"
        assert ids[1:] in (everything[1 : len(ids)], everything[3 : len(ids) + 2])
    assert found[-1] == ["100", *map(str, range(2, RECORDS))]


def test_no_acknowledged_record_is_lost_in_a_power_cut(
    disk: Path,
    library: Path,
) -> None:
    root = spooled(disk / "device")
    calls = recorded(library, "spool", root, disk / "calls", disk)

    assert not losses(root, calls, disk / "cuts")
    assert losses(root, without_syncs(calls), disk / "more cuts")


def losses(root: Path, calls: list[Call], out: Path) -> int:
    """How many of the states a cut can leave lack a record that was acknowledged before."""
    lost = 0
    for done, after in cuts(root, calls, out):
        words = [call.path for call in calls[:done] if call.op == "mark"]
        needed = {"100", *(word.removeprefix("added ") for word in words if "added" in word)}
        if "forgetting" in words:
            needed -= {"0", "1"}
        try:
            lost += not needed <= set(waiting(after))
        except AssertionError:  # it was set aside as damaged
            lost += 1
    return lost
