"""A new version is kept when it proves itself, and gives way by itself when it does not."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_targets.agent import health, probation, served, slots
from edge_targets.agent.agent import Agent
from edge_targets.agent.home import Home, Settings, TrustedKeys
from edge_targets.agent.probation import Probation
from edge_targets.agent.served import EmptyError, Live, in_time
from edge_targets.agent.trial import attempt
from edge_targets.package import pack, public_key, unpack
from edge_targets.runtime.contract import Golden, Tensor
from edge_targets.runtime.errors import DeviceError, StorageError, UnknownNameError
from edge_targets.runtime.predictor import Predictor
from tests.edge_targets.conftest import Build
from tests.edge_targets.tiny import (
    INPUTS,
    KEY,
    SIGNATURE,
    expected,
    manifest,
    members,
    wait_until,
)

FOR_EVER = 3600.0


@pytest.fixture
def home(tmp_path: Path) -> Home:
    root = tmp_path / "device"
    root.mkdir()
    TrustedKeys(keys=(public_key(KEY),)).save(root)
    Settings(window_s=3600, probation_s=FOR_EVER).save(root)
    return Home(root)


def working(home: Home, probation_s: float = FOR_EVER) -> Agent:
    """An agent that tries packages in this very process, which is quick."""
    settings = replace(Settings.load(home.root), probation_s=probation_s)
    settings.save(home.root)
    agent = Agent(home)
    agent.updater.attempt = attempt
    agent.start()
    return agent


@pytest.fixture
def agent(home: Home) -> Iterator[Agent]:
    """Whose versions stay on probation."""
    agent = working(home)
    yield agent
    agent.close()


@pytest.fixture
def quick(home: Home) -> Iterator[Agent]:
    """Whose versions are confirmed at once."""
    agent = working(home, 0.0)
    yield agent
    agent.close()


def install(agent: Agent, package: Path) -> None:
    with agent.installing:
        agent.install(package)


def ask(agent: Agent, rows: Any = INPUTS) -> tuple[str, np.ndarray]:
    """The version that answered, and what it said."""
    values = np.asarray(rows, np.float32)
    found = agent.predict("tiny", None, {"x": Tensor(values.shape, values.ravel())})
    return found.manifest.version, np.reshape(found.outputs["probabilities"].data, (-1, 2))


def one(agent: Agent) -> dict[str, Any]:
    """What the status says of the only model."""
    [model] = agent.status()["models"]
    assert isinstance(model, dict)
    return model


def last(agent: Agent) -> dict[str, Any]:
    found = agent.status()["last_update"]
    assert isinstance(found, dict)
    return found


def fragile(tmp_path: Path, version: str) -> Path:
    """A model that answers its golden inputs, and fails at any item whose first value is 9."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    table = numpy_helper.from_array(np.array([[0.25, 0.75]] * 4, np.float32), "table")
    graph = helper.make_graph(
        [
            helper.make_node("Abs", ["x"], ["positive"]),
            helper.make_node("Cast", ["positive"], ["whole"], to=TensorProto.INT64),
            helper.make_node("Slice", ["whole", "zero", "one", "one"], ["first"]),
            helper.make_node("Squeeze", ["first", "one"], ["index"]),
            helper.make_node("Gather", ["table", "index"], ["probabilities"], axis=0),
        ],
        "fragile",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", 2])],
        [
            table,
            numpy_helper.from_array(np.array([0], np.int64), "zero"),
            numpy_helper.from_array(np.array([1], np.int64), "one"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(model)
    golden = Golden(
        {"x": Tensor((2, 3), INPUTS.ravel().tolist())},
        {"probabilities": Tensor((2, 2), [0.25, 0.75] * 2)},
    )
    files = {
        **members(),
        "model.onnx": model.SerializeToString(),
        "golden.json": golden.dump().encode(),
    }
    file = tmp_path / f"fragile-{version}.sndl"
    pack(replace(manifest(version), signature=SIGNATURE), files, KEY, file)
    return file


def fail(agent: Agent) -> None:
    with pytest.raises(Exception, match=r"out of data bounds|indices"):
        ask(agent, [[9.0, 0.0, 0.0]])


def test_a_version_that_stays_healthy_is_kept(build: Build, quick: Agent) -> None:
    install(quick, build("1"))
    wait_until(lambda: last(quick)["result"] == "confirmed")

    install(quick, build("2", scale=3.0))
    wait_until(lambda: last(quick) | {"at": ""} == confirmed("2"))

    assert one(quick)["probation"] is None
    assert one(quick)["previous"] == "1"
    assert not quick.updater.slots("tiny").pointer.probation


def confirmed(version: str) -> dict[str, Any]:
    wanted = {"result": "confirmed", "model": "tiny", "version": version, "why": ""}
    return {"schema": 1, "at": "", **wanted}


def test_until_then_the_status_says_how_long_it_takes(build: Build, agent: Agent) -> None:
    install(agent, build("1"))

    assert 0 < one(agent)["probation"]["left_s"] <= FOR_EVER
    assert last(agent)["result"] == "installed"


def test_a_version_whose_requests_fail_gives_way(
    build: Build, agent: Agent, tmp_path: Path
) -> None:
    install(agent, build("1"))
    install(agent, fragile(tmp_path, "2"))
    assert ask(agent)[0] == "2"

    fail(agent)

    wait_until(lambda: ask(agent)[0] == "1")
    wait_until(lambda: last(agent)["result"] == "rolled_back")
    assert last(agent)["version"] == "2"
    assert "requests failed" in last(agent)["why"]
    assert one(agent)["refused"] == ["2"]
    assert np.allclose(ask(agent)[1], expected(INPUTS), atol=1e-5)


def test_a_version_that_fails_no_more_than_the_one_before_stays(
    agent: Agent, tmp_path: Path
) -> None:
    install(agent, fragile(tmp_path, "1"))
    fail(agent)
    install(agent, fragile(tmp_path, "2"))
    ask(agent)
    fail(agent)

    agent.warden.look()

    assert ask(agent)[0] == "2"


def test_a_proven_version_is_not_rolled_back_for_failing_requests(
    build: Build, quick: Agent, tmp_path: Path
) -> None:
    install(quick, build("1"))
    install(quick, fragile(tmp_path, "2"))
    wait_until(lambda: last(quick)["result"] == "confirmed" and last(quick)["version"] == "2")

    fail(quick)
    quick.warden.look()

    assert ask(quick)[0] == "2"


def test_without_a_version_before_a_sick_one_is_better_than_none(
    agent: Agent, tmp_path: Path
) -> None:
    install(agent, fragile(tmp_path, "1"))

    fail(agent)

    wait_until(lambda: last(agent)["result"] == "unhealthy")
    assert ask(agent)[0] == "1"


def test_requests_that_do_not_fit_are_no_fault_of_the_version(build: Build, agent: Agent) -> None:
    install(agent, build("1"))
    install(agent, build("2"))

    for _ in range(3):
        with pytest.raises(Exception, match="takes"):
            ask(agent, [[1.0]])
    agent.warden.look()

    assert ask(agent)[0] == "2"


def test_a_rollback_by_hand_serves_the_one_before(build: Build, agent: Agent) -> None:
    install(agent, build("1"))
    install(agent, build("2", scale=3.0))

    found = agent.rollback()

    assert (found.name, found.version, found.refused) == ("tiny", "1", "2")
    assert ask(agent)[0] == "1"
    assert one(agent)["probation"] is None
    assert last(agent)["why"] == "by hand"
    with pytest.raises(DeviceError, match="no version of tiny to go back to"):
        agent.rollback("tiny")


def test_installing_the_version_before_is_a_rollback_too(build: Build, agent: Agent) -> None:
    install(agent, build("1"))
    install(agent, build("2", scale=3.0))

    install(agent, build("1"))

    assert ask(agent)[0] == "1"
    assert one(agent) | {"format": ""} == {
        "name": "tiny", "version": "1", "format": "",
        "probation": None, "previous": "", "refused": ["2"],
    }  # fmt: skip
    with pytest.raises(DeviceError, match="no version of tiny to go back to"):
        agent.rollback("tiny")


def test_which_model_must_be_said_when_there_are_several(build: Build, agent: Agent) -> None:
    with pytest.raises(EmptyError):
        agent.rollback()
    install(agent, build("1"))
    install(agent, build("7", name="other"))

    with pytest.raises(DeviceError, match="serves 2 models") as caught:
        agent.rollback()
    with pytest.raises(UnknownNameError):
        agent.rollback("else")

    assert caught.value.hint == "Say which: other, tiny."


def test_a_model_that_is_removed_is_served_no_more(build: Build, agent: Agent) -> None:
    install(agent, build("1"))
    install(agent, build("7", name="other"))

    agent.remove("other")

    assert [found.name for found in agent.models()] == ["tiny"]
    assert last(agent)["result"] == "removed"
    assert not (agent.home.models / "other").exists()
    with pytest.raises(UnknownNameError):
        agent.remove("other")
    agent.remove("tiny")
    assert agent.status()["state"] == "empty"


def test_what_the_channel_brings_again_is_refused_and_told(build: Build, agent: Agent) -> None:
    install(agent, build("1"))
    install(agent, build("2"))
    agent.rollback()

    with pytest.raises(DeviceError, match="was rolled back on this device"):
        agent._install_pulled(build("2"))

    assert ask(agent)[0] == "1"
    assert last(agent)["result"] == "failed"
    assert "rolled back" in last(agent)["why"]
    install(agent, build("2"))  # somebody asks for it
    assert ask(agent)[0] == "2"


def test_a_look_for_updates_that_fails_is_told_and_nothing_changes(
    build: Build, agent: Agent
) -> None:
    install(agent, build("1"))
    settings = replace(Settings.load(agent.home.root), repository="http://127.0.0.1:1/")
    settings.save(agent.home.root)
    assert agent.status()["last_look"] is None

    agent.pull()

    wait_until(lambda: agent.status()["last_look"])
    assert agent.status()["last_look"]["state"] == "failed"
    assert agent.status()["last_look"]["error"]
    assert ask(agent)[0] == "1"


def test_a_sick_version_gives_way_even_when_the_disk_takes_nothing(
    build: Build, agent: Agent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(agent, build("1"))
    install(agent, fragile(tmp_path, "2"))

    def refuses(path: Path, data: bytes) -> None:
        raise StorageError(f"{path} could not be written: no space left.", "Free some.")

    monkeypatch.setattr(slots, "replace_file", refuses)
    fail(agent)

    wait_until(lambda: ask(agent)[0] == "1")
    monkeypatch.undo()
    assert agent.updater.slots("tiny").pointer.probation  # the next start decides again


def test_no_request_is_lost_while_versions_are_swapped(build: Build, agent: Agent) -> None:
    scales = {"1": 1.0, "2": 3.0, "3": 0.5, "4": 2.0}
    install(agent, build("1"))
    seen: set[str] = set()
    wrong: list[str] = []
    done = threading.Event()

    def load() -> None:
        while not done.is_set():
            version, answer = ask(agent)
            seen.add(version)
            if not np.allclose(answer, expected(INPUTS, scales[version]), atol=1e-5):
                wrong.append(version)

    askers = [threading.Thread(target=load) for _ in range(3)]
    for asker in askers:
        asker.start()
    for version in ("2", "3", "4"):
        install(agent, build(version, scale=scales[version]))
        wait_until(lambda version=version: version in seen)  # type: ignore[misc]
    agent.rollback()
    wait_until(lambda: ask(agent)[0] == "1")  # 2 and 3 were never confirmed
    done.set()
    for asker in askers:
        asker.join()

    assert not wrong
    assert seen == set(scales)


def test_a_version_that_hangs_does_not_hold_up_its_successor(
    build: Build, agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(served, "DRAIN_S", 0.05)
    install(agent, build("1"))

    with agent.served.find("tiny").predictor.lock:  # as when the engine never returns
        install(agent, build("2"))
        assert ask(agent)[0] == "2"
        agent.rollback()
        assert ask(agent)[0] == "1"


def test_what_is_served_already_is_not_installed_again(build: Build, agent: Agent) -> None:
    install(agent, build("1"))
    install(agent, build("2"))
    before = agent.updater.slots("tiny").pointer

    install(agent, build("2"))

    assert agent.updater.slots("tiny").pointer == before
    assert one(agent)["previous"] == "1"


def test_what_is_served_and_damaged_on_the_disk_is_installed_again(
    build: Build, agent: Agent
) -> None:
    install(agent, build("1"))
    active = agent.updater.slots("tiny").active
    assert active
    (active / "card.md").write_text("decay")

    install(agent, build("1"))

    assert agent.updater.is_active(agent.updater.verified(build("1")))


def test_a_probation_goes_on_after_a_restart(build: Build, home: Home) -> None:
    before = working(home)
    install(before, build("1"))
    install(before, build("2"))
    before.close()

    after = working(home, 0.0)

    wait_until(lambda: after.status()["models"][0]["probation"] is None)
    wait_until(lambda: last(after)["result"] == "confirmed")
    assert after.updater.slots("tiny").pointer.starts == 0
    after.close()


def test_a_crash_loop_is_told_after_the_start_that_ended_it(build: Build, home: Home) -> None:
    before = working(home)
    install(before, build("1"))
    install(before, build("2"))
    before.close()
    for _ in range(3):
        before.updater.slots("tiny").count_start()

    after = working(home)

    assert ask(after)[0] == "1"
    assert last(after)["result"] == "rolled_back"
    assert "started 4 times" in last(after)["why"]
    after.close()
    again = working(home)
    assert last(again)["result"] == "rolled_back"  # it is told after the next start too
    again.close()


# ---- what counts as sick


@pytest.fixture
def live(build: Build, tmp_path: Path) -> Live:
    unpack(build("1"), tmp_path / "unpacked", (public_key(KEY),))
    return Live(Predictor(tmp_path / "unpacked"))


def test_other_golden_answers_in_the_live_process_are_a_fault(build: Build, tmp_path: Path) -> None:
    unpack(build("2", off=0.5), tmp_path / "off", (public_key(KEY),))

    fault = Probation(Live(Predictor(tmp_path / "off")), 60).fault({}, 80)

    assert fault.startswith("golden inputs: tiny answers its golden inputs")


def test_golden_inputs_that_are_not_answered_are_a_fault(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probation, "ANSWER_S", 0.05)

    with live.predictor.lock:  # as when a request hangs in the engine
        fault = Probation(live, 60).fault({}, 80)

    assert fault == "golden inputs: no answer in 0 s"


@pytest.mark.parametrize(
    ("before", "now", "fault"),
    [
        ({"temperature_c": 60.0}, {"temperature_c": 84.0}, ""),
        ({"temperature_c": 60.0}, {"temperature_c": 86.0}, "the device became 86 °C hot"),
        ({"temperature_c": 88.0}, {"temperature_c": 90.0}, ""),  # it was hot before
        ({}, {"temperature_c": 90.0}, ""),  # nobody knows: there was a restart
        ({"memory_available_bytes": 9e7}, {"memory_available_bytes": 2e7}, ""),
        ({"memory_available_bytes": 9e7}, {"memory_available_bytes": 4e6}, "memory runs out"),
        ({"memory_available_bytes": 4e6}, {"memory_available_bytes": 3e6}, ""),
    ],
)
def test_what_the_device_suffers_from_since_the_flip_is_a_fault(
    live: Live, before: dict[str, float], now: dict[str, float], fault: str
) -> None:
    found = Probation(live, 60, before=before).fault(now, 80)

    assert found.startswith(fault)
    assert bool(found) == bool(fault)


def test_a_fault_of_somebody_else_s_code_is_told_by_its_name() -> None:
    assert in_time(lambda: 1 / 0, 10) == "ZeroDivisionError: division by zero"


# ---- heat


def test_a_hot_device_lowers_its_load_until_it_is_cooler(
    build: Build, agent: Agent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sensor = tmp_path / "temp"
    monkeypatch.setattr(health, "THERMAL", sensor)
    install(agent, build("1"))
    felt = []

    for degrees in (70, 81, 79, 76):
        sensor.write_text(f"{degrees}000\n")
        agent.warden.look()
        assert ask(agent)[0] == "1"
        felt.append((agent.status()["health"]["temperature_c"], agent.status()["hot"]))

    assert felt == [(70.0, False), (81.0, True), (79.0, True), (76.0, False)]


def test_a_hot_device_takes_one_request_at_a_time(build: Build, agent: Agent) -> None:
    install(agent, build("1"))
    agent.warden.hot = True

    with agent.cooling:
        waiting = threading.Thread(target=ask, args=(agent,))
        waiting.start()
        waiting.join(0.2)
        assert waiting.is_alive()

    waiting.join()
