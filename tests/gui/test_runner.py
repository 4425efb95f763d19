"""The runner against a real child that behaves, misbehaves, and is stopped."""

import json

import pytest
from pytestqt.qtbot import QtBot

from edge_targets.runtime.events import Event
from gui import runner as module
from gui.runner import Outcome, Problem, Runner, read_line, stop_all


def test_progress_is_told_in_order_and_then_the_result(qtbot: QtBot, runner: Runner) -> None:
    events: list[Event] = []
    runner.progressed.connect(events.append)

    with qtbot.waitSignal(runner.finished) as done:
        runner.start(["train", "digits", "--name", "m"])

    assert events == [Event(f"step {n}", n, 2) for n in range(3)]
    assert done.args[0]["name"] == "m"
    assert not runner.running


def test_a_gate_that_did_not_hold_still_delivers_its_result(qtbot: QtBot, runner: Runner) -> None:
    with qtbot.waitSignal(runner.finished) as done:
        runner.start(["gate"])

    assert done.args == [{"ok": False}]


def test_an_error_brings_its_message_and_its_hint(qtbot: QtBot, runner: Runner) -> None:
    with qtbot.waitSignal(runner.failed) as failed:
        runner.start(["fail"])

    assert failed.args == ["It is torn.", "Mend it."]


def test_cancel_stops_the_child_and_is_no_failure(qtbot: QtBot, runner: Runner) -> None:
    with qtbot.waitSignal(runner.progressed):
        runner.start(["wait"])

    with qtbot.assertNotEmitted(runner.failed), qtbot.waitSignal(runner.cancelled):
        runner.cancel()

    assert not runner.running


def test_a_child_that_does_not_listen_is_killed_after_the_grace_period(
    qtbot: QtBot, runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "GRACE_MS", 100)
    with qtbot.waitSignal(runner.progressed):
        runner.start(["stubborn"])

    with qtbot.waitSignal(runner.cancelled):
        runner.cancel()

    assert not runner.running


def test_a_crash_ends_the_job_and_is_told_without_a_traceback(qtbot: QtBot, runner: Runner) -> None:
    with qtbot.waitSignal(runner.failed) as failed:
        runner.start(["crash"])

    message, hint = failed.args
    assert "crashed" in message
    assert "terminal" in hint
    assert "Traceback" not in message + hint


def test_a_child_that_says_nothing_is_a_failure_with_its_exit_code(
    qtbot: QtBot, runner: Runner
) -> None:
    with qtbot.waitSignal(runner.failed) as failed:
        runner.start(["mute"])

    assert "exit code 2" in failed.args[0]


def test_lines_that_are_not_of_the_protocol_are_passed_over(qtbot: QtBot, runner: Runner) -> None:
    events: list[Event] = []
    runner.progressed.connect(events.append)

    with qtbot.waitSignal(runner.finished) as done:
        runner.start(["garbage"])

    assert events == [Event("after all", 1, 2)]
    assert done.args == [{"ok": True}]


def test_a_program_that_is_not_there_is_told(qtbot: QtBot) -> None:
    runner = Runner(["/nowhere/at/all"])

    with qtbot.waitSignal(runner.failed) as failed:
        runner.start(["list"])

    assert "/nowhere/at/all" in failed.args[0]


def test_a_runner_does_one_thing_at_a_time_and_can_be_used_again(
    qtbot: QtBot, runner: Runner
) -> None:
    with qtbot.waitSignal(runner.progressed):
        runner.start(["wait"])
    with pytest.raises(RuntimeError, match="busy"):
        runner.start(["list"])
    with qtbot.waitSignal(runner.cancelled):
        runner.cancel()

    with qtbot.waitSignal(runner.finished) as done:
        runner.start(["list"])

    assert done.args[0]["items"]


def test_stopping_all_leaves_no_child_behind(qtbot: QtBot, runner: Runner) -> None:
    with qtbot.waitSignal(runner.progressed):
        runner.start(["wait"])

    stop_all([runner])

    assert not runner.running


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ({"message": "m", "done": 1, "total": 2}, Event("m", 1, 2)),
        ({"message": "m"}, Event("m")),
        ({"result": {"ok": True}}, Outcome({"ok": True})),
        ({"error": {"kind": "k", "message": "m", "hint": None}}, Problem("m")),
        ({"message": "m", "done": "x"}, None),
        ({"message": "m", "extra": 1}, Event("m")),
        ({"result": 3}, None),
        ({"result": None}, Outcome({})),
        ({"error": "words"}, None),
        ([], None),
    ],
)
def test_a_line_is_read_or_is_nothing(line: object, said: object) -> None:
    assert read_line(json.dumps(line).encode()) == said
