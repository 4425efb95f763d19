"""Devices of a workspace, and what is told about drift on them."""

import io
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from edge_targets.runtime.contract import Profile, Record
from edge_targets.runtime.errors import (
    DeviceError,
    EdgeError,
    RecipeError,
    StorageError,
    UnknownNameError,
    UsageError,
)
from edge_targets.runtime.events import QUIET
from edge_targets.runtime.sketch import Sketch
from toolkit import api, devices, shipping
from toolkit.telemetry.store import Store
from toolkit.watch import Drift
from toolkit.workspace import Entry, Workspace

EDGES = [-1.0, 0.0, 1.0]
Report = Callable[..., None]


def seen(shift: float = 0.0, samples: int = 400, seed: int = 0) -> Sketch:
    sketch = Sketch(EDGES)
    sketch.add((np.random.default_rng(seed).normal(size=samples) + shift).tolist())
    return sketch


def model(shelves: Workspace, name: str, verb: str, *parents: Entry) -> Entry:
    return shelves.put("models", name, {}, {}, verb, {}, parents)


def packed(
    shelves: Workspace, made: Entry, version: str, name: str = "", served: str = "digits"
) -> Entry:
    """A package with a reference profile; of its other members `watch` wants none."""
    name = name or f"{made.name}-{version}"
    artifact = shelves.put("artifacts", f"{name}.onnx", {}, {}, "build", {}, (made,))
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("profile.json", Profile(4000, {"light": seen(0, 4000, 1)}).dump())
    facts = {"target": "simulator", "served_as": served, "version": version}
    files = {f"{name}.sndl": file.getvalue()}
    return shelves.put("packages", name, files, facts, "package", {}, (artifact,))


@pytest.fixture
def report(workspace: Workspace) -> Report:
    """What a device sends; `version` and `shift` say what it runs and how far it has drifted."""

    def send(
        device: str, version: str, shift: float = 0.0, samples: int = 400, **facts: str
    ) -> None:
        ended = facts.pop("ended", datetime.now(UTC).isoformat())
        sketches = {"light": seen(shift, samples, len(device) + len(version))}
        record = Record(
            f"{device}-{version}", device, facts.get("served", "digits"), version, ended, ended,
            samples, sketches, Sketch([1.0]),
        )  # fmt: skip
        Store(workspace.telemetry).append([record])

    return send


def watch(shelves: Workspace, name: str, hours: float = 24, alpha: float = 0.01) -> Drift:
    return shipping.watch(shelves, name, hours, alpha, QUIET)


def test_a_device_that_drifts_on_an_older_version_is_seen(
    workspace: Workspace, report: Report
) -> None:
    reader = model(workspace, "reader", "train")
    for version in ("1", "2"):
        packed(workspace, reader, version)
    report("porch", "2")
    report("yard", "1", shift=2)

    found = watch(workspace, "reader")

    assert {(row.device, row.version, row.alarm) for row in found.rows} == {
        ("porch", "2", False),
        ("yard", "1", True),
    }
    assert not found.ok
    assert found.model == "digits"
    assert found.comparisons == len(found.rows)


def test_what_visitors_said_of_the_answers_is_told_in_a_line(
    workspace: Workspace, report: Report
) -> None:
    packed(workspace, model(workspace, "reader", "train"), "1")
    report("browser-1", "1")
    quiet = watch(workspace, "reader")
    now = datetime.now(UTC).isoformat()
    said = Record(
        "said", "browser-1", "digits", "1", now, now, 0, {}, Sketch([1.0]), {"7": {"1": 3}}
    )
    Store(workspace.telemetry).append([said])

    found = watch(workspace, "reader")

    assert quiet.feedback == ""
    assert found.feedback == ("1 visitor said 3 of 400 answers were wrong: 7 is 1 (3 times).")


def test_a_name_means_the_model_and_what_was_compressed_from_it_but_not_its_successor(
    workspace: Workspace,
) -> None:
    reader = model(workspace, "reader", "train")
    small = model(workspace, "small", "compress", reader)
    again = model(workspace, "again", "retrain", small)
    packed(workspace, reader, "1", served="first")
    packed(workspace, small, "2")
    packed(workspace, model(workspace, "again-small", "compress", again), "3")

    packages = shipping.packages_by_version(workspace)

    found = {
        name: {version for _, version in shipping.those_named(workspace, packages, name)}
        for name in ("reader", "small", "again", "digits", "small-2", "first")
    }

    assert found == {
        "reader": {"1", "2"},
        "small": {"2"},
        "again": {"3"},
        "digits": {"2", "3"},
        "small-2": {"2"},
        "first": {"1"},
    }
    with pytest.raises(UnknownNameError, match="'redaer'"):
        shipping.those_named(workspace, packages, "redaer")


def test_a_version_that_was_not_asked_about_is_not_called_unknown(
    workspace: Workspace, report: Report
) -> None:
    reader = model(workspace, "reader", "train")
    packed(workspace, reader, "1")
    packed(workspace, model(workspace, "other", "train"), "2")
    report("porch", "1")
    report("yard", "2")

    found = watch(workspace, "reader")

    assert {row.device for row in found.rows} == {"porch"}
    assert "yard" not in found.note


def test_a_device_whose_package_lost_its_name_to_another_is_still_seen(
    workspace: Workspace, report: Report
) -> None:
    reader = model(workspace, "reader", "train")
    old = packed(workspace, reader, "1", name="pack")
    facts = {"target": "simulator", "address": "/nowhere"}
    workspace.put("devices", "yard", {}, facts, "deploy", {}, (old,))
    packed(workspace, reader, "2", name="pack")
    report("yard", "1", shift=2)

    found = watch(workspace, "pack")

    assert {(row.device, row.version) for row in found.rows if row.alarm} == {("yard", "1")}


def test_devices_on_a_version_that_nobody_knows_here_are_named(
    workspace: Workspace, report: Report
) -> None:
    packed(workspace, model(workspace, "reader", "train"), "1")
    report("porch", "1")
    report("yard", "elsewhere")

    found = watch(workspace, "reader")

    assert {row.device for row in found.rows} == {"porch"}
    assert found.note.endswith("not compared: yard.")


def test_silence_is_no_good_news(workspace: Workspace, report: Report) -> None:
    packed(workspace, model(workspace, "reader", "train"), "1")
    report("porch", "1", ended=(datetime.now(UTC) - timedelta(hours=3)).isoformat())
    report("other", "1", served="else")

    with pytest.raises(DeviceError, match=r"No device has reported on reader in the last 2 hours"):
        watch(workspace, "reader", hours=2)

    assert watch(workspace, "reader", hours=4).ok


def test_too_few_items_raise_no_alarm_and_the_report_says_so(
    workspace: Workspace, report: Report
) -> None:
    packed(workspace, model(workspace, "reader", "train"), "1")
    report("porch", "1", shift=5, samples=3)

    found = watch(workspace, "reader")

    assert found.ok
    assert found.note == "Nothing was compared: too few samples."
    assert {row.samples for row in found.rows} == {3}


@pytest.mark.parametrize(
    ("hours", "alpha"),
    [
        *((hours, 0.01) for hours in (0, -1, 1e9, np.nan, np.inf)),
        *((24, alpha) for alpha in (0, 1, -1, np.nan)),
    ],
)
def test_times_and_chances_that_cannot_be_are_refused(
    workspace: Workspace, hours: float, alpha: float
) -> None:
    packed(workspace, model(workspace, "reader", "train"), "1")

    with pytest.raises(RecipeError) as caught:
        watch(workspace, "reader", hours, alpha)

    assert caught.value.hint


@pytest.mark.parametrize(
    ("target", "address"),
    [("raspberry_pi_4", "./folder"), ("simulator", "/etc/passwd"), ("simulator", "ftp://x")],
)
def test_a_device_with_an_address_that_cannot_be_is_not_kept(
    workspace: Workspace, target: str, address: str
) -> None:
    with pytest.raises(DeviceError):
        devices.add(workspace, "pi", address, target, "", QUIET)

    assert api.device_list(workspace=workspace.root).devices == ()


def test_a_name_and_an_address_are_of_one_device(workspace: Workspace, tmp_path: Path) -> None:
    devices.add(workspace, "desk", str(tmp_path / "desk"), "simulator", "", QUIET)

    for name, folder in (("desk", "other"), ("table", "desk")):
        with pytest.raises(DeviceError, match="desk is a device already") as caught:
            devices.add(workspace, name, str(tmp_path / folder), "simulator", "", QUIET)
        assert "device remove desk" in caught.value.hint

    assert workspace.names("devices") == ["desk"]


def test_a_device_that_is_added_again_keeps_what_is_known_of_it(
    workspace: Workspace, tmp_path: Path
) -> None:
    words = ("desk", str(tmp_path / "desk"), "simulator", "", QUIET)
    devices.add(workspace, *words)
    package = packed(workspace, model(workspace, "reader", "train"), "1")
    known = {**workspace.get("devices", "desk").facts, "package": package.name}
    workspace.put("devices", "desk", {}, known, "deploy", {}, (package,))

    again = devices.add(workspace, *words)

    assert again.next == ("sanderling deploy PACKAGE desk",)
    assert workspace.get("devices", "desk").facts["package"] == package.name
    assert workspace.get("devices", "desk").parents == (package.digest,)


def test_of_one_file_packed_for_two_targets_a_device_has_its_own(workspace: Workspace) -> None:
    package = packed(workspace, model(workspace, "reader", "train"), "1", "its-own")
    other = {**package.facts, "target": "raspberry_pi_5"}
    workspace.put("packages", "another", {}, other, "package", {}, (package,))
    facts = {"target": "simulator", "address": "desk"}
    desk = workspace.put("devices", "desk", {}, facts, "device add", facts)

    found = devices.package_of(workspace, desk, "digits", "1")

    assert found
    assert found.name == "its-own"
    assert devices.package_of(workspace, desk, "digits", "2") is None


@pytest.mark.parametrize(
    ("address", "said"),
    [("kitchen", "--target"), ("ssh://kitchen", "user and host"), ("http://kitchen", "--target")],
)
def test_an_address_that_tells_no_board_says_what_is_missing(
    tmp_path: Path, address: str, said: str
) -> None:
    with pytest.raises(UsageError) as caught:
        devices.told_target(address, tmp_path, "", QUIET)

    assert said in caught.value.hint
    with pytest.raises(UsageError, match="alone is no device"):
        devices.name_of(address)


def test_a_shell_that_does_not_open_is_told(workspace: Workspace) -> None:
    facts = {"target": "raspberry_pi_4", "address": "ssh://pi@127.0.0.1:1"}
    workspace.put("devices", "pi", {}, facts, "device add", facts)

    with pytest.raises(EdgeError, match=r"no shell on pi|not installed") as caught:
        devices.shell(workspace, "pi")

    assert caught.value.hint


def test_what_no_device_runs_is_refused_before_it_is_asked(
    workspace: Workspace, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="0 threads"):
        devices.bench(workspace, "desk", "pack", 0, QUIET)
    with pytest.raises(UsageError, match="0 lines"):
        devices.logs(workspace, "desk", 0)


def test_one_bad_device_breaks_no_list_and_can_be_removed(
    workspace: Workspace, tmp_path: Path
) -> None:
    devices.add(workspace, "desk", str(tmp_path / "desk"), "simulator", "", QUIET)
    facts = {"target": "raspberry_pi_4", "address": "pi@kitchen"}  # of an earlier version
    bad = workspace.put("devices", "bad", {}, facts, "device add", facts)

    states = {one.name: one.state for one in api.device_list(workspace=workspace.root).devices}
    devices.remove(workspace, "bad", False, QUIET)

    assert states == {"bad": "unreachable", "desk": "stopped"}
    assert workspace.names("devices") == ["desk"]
    assert workspace.entry(bad.digest) == bad
    with pytest.raises(UnknownNameError):
        devices.remove(workspace, "bad", False, QUIET)


def test_a_device_is_asked_without_a_key_and_none_is_made(
    workspace: Workspace, tmp_path: Path
) -> None:
    added = devices.add(workspace, "desk", str(tmp_path / "desk"), "simulator", "", QUIET)

    assert (added.state, added.pending) == ("stopped", None)
    assert devices.stop(workspace, "desk").state == "stopped"
    assert not workspace.key_file.parent.exists()


def test_a_key_that_cannot_be_made_stops_a_deployment_and_nothing_else(
    workspace: Workspace, tmp_path: Path
) -> None:
    workspace.key_file.parent.write_text("a file where the folder belongs")
    packed(workspace, model(workspace, "reader", "train"), "1", name="pack")
    devices.add(workspace, "desk", str(tmp_path / "desk"), "simulator", "", QUIET)

    with pytest.raises(StorageError) as caught:
        shipping.deploy(workspace, "pack", "desk", QUIET)

    assert caught.value.hint
    assert devices.status(workspace, "desk").state == "stopped"
