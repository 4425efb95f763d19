"""The command line is a contract: other programs rely on what it prints and exits with."""

import io
import json
import math
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge_targets.runtime.events import Event
from toolkit import api, terminal
from toolkit.cli import Driven, flowing, known_verb, told
from toolkit.describe import listing
from toolkit.report import Interval
from toolkit.terminal import console, show
from toolkit.workspace import Workspace

PROGRAM = [sys.executable, "-m", "toolkit"]
PATIENCE_S = 60  # how long a child may take before the test gives it up as hanging


def sanderling(*words: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PROGRAM, *words],
        cwd=folder,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=PATIENCE_S,
        check=False,
    )


def lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.strip()]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Workspace.create(tmp_path / "work").root


@pytest.fixture(scope="module")
def with_digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace that tests read and train in, each under its own names."""
    root = Workspace.create(tmp_path_factory.mktemp("digits") / "work").root
    api.data_add("digits", name="digits", workspace=root)
    return root


def test_every_verb_has_a_command_with_help() -> None:
    for verb in api.__all__:
        words = verb.rstrip("_").split("_", 1)

        shown = sanderling(*words, "--help")

        assert shown.returncode == 0, verb
        assert "Usage: sanderling" in shown.stdout
        assert "--workspace" in shown.stdout


def test_paragraphs_of_help_are_broken_by_the_terminal_alone() -> None:
    def wide(words: str) -> None:
        """Do something.

        A paragraph that the source
        breaks.

        Args:
            words: which begin on one line, and
                go on.
        """

    assert flowing(wide).__doc__ == (
        "Do something.\n\nA paragraph that the source breaks.\n\n"
        "Args:\n    words: which begin on one line, and go on."
    )


def test_a_mistake_names_the_help_of_its_own_command() -> None:
    assert known_verb(["channel", "rotate", "--keys"]) == "channel rotate "
    assert known_verb(["device", "nothing"]) == "device "
    assert known_verb(["build", "add"]) == "build "
    assert known_verb(["nothing"]) == ""


def test_counting_takes_no_words_that_would_change_nothing(folder: Path) -> None:
    for words in (("--threads", "3"), ("--data", "digits"), ("--max-instructions", "-5")):
        done = sanderling("measure", "m", "--target", "raspberry_pi_4", *words, folder=folder)

        assert done.returncode == 2, words
        assert len(lines(done.stderr)) == 2


def test_json_is_one_object_and_nothing_else(folder: Path) -> None:
    done = sanderling("data", "add", "digits", "--name", "d", "--json", folder=folder)

    found = json.loads(done.stdout)
    assert done.returncode == 0
    assert found["ok"] is True
    assert found["rows"] == 1797
    assert found["split"] == {"train": 1079, "validation": 359, "test": 359}


def test_json_of_a_failure_names_kind_message_and_hint(folder: Path) -> None:
    done = sanderling("data", "show", "nothing", "--json", folder=folder)

    error = json.loads(done.stdout)["error"]
    assert done.returncode == 1
    assert error["kind"] == "unknown_name"
    assert "nothing" in error["message"]
    assert error["hint"]


def test_a_library_that_prints_does_not_break_json(with_digits: Path) -> None:
    words = ("--set", "epochs=1", "--set", "channels=4", "--set", "hidden=8")

    done = sanderling("train", "digits", "--name", "json", *words, "--json", folder=with_digits)

    assert json.loads(done.stdout)["name"] == "json"


@pytest.mark.parametrize(
    "words",
    [
        ["data", "show", "nothing"],
        ["data", "add", "nowhere.csv", "--name", "x"],
        ["data", "add", "digits", "--name", "../x"],
        ["data", "add", "digits", "--name", "x", "--set", "noise=many"],
        ["train", "nothing", "--name", "x"],
        ["train", "nothing", "--network", "mpl", "--name", "x"],
        ["import", "nowhere.onnx", "--name", "x"],
        ["compress", "nothing", "--passes", "quantize_int9", "--name", "x"],
        ["build", "nothing"],
        ["measure", "nothing", "--data", "nothing"],
        ["package", "nothing", "--target", "simulator"],
        ["deploy", "nothing", "nothing"],
        ["device", "add", "pi", "/tmp/x", "--target", "raspberry_pie"],
        ["bundle", "nothing", "page"],
        ["serve", "nothing"],
        ["watch", "nothing"],
        ["retrain", "nothing", "--data", "nothing", "--name", "x"],
        ["list", "nothing"],
        ["show", "nothing"],
        ["flash", "nothing.img", "disk"],
    ],
)
def test_a_mistake_gets_two_clear_lines_and_exit_1(words: list[str], folder: Path) -> None:
    before = sorted(folder.rglob("*"))

    done = sanderling(*words, folder=folder)

    assert done.returncode == 1
    assert done.stdout == ""
    assert len(lines(done.stderr)) == 2, done.stderr
    assert "Traceback" not in done.stderr
    written = set(folder.rglob("*")) - set(before)
    assert not [path for path in written if path.is_file()], "something half-done was left"


def test_no_workspace_says_how_to_make_one(tmp_path: Path) -> None:
    done = sanderling("list", folder=tmp_path)

    assert done.returncode == 1
    assert "sanderling init" in done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["trian"],
        ["train"],
        ["train", "d", "--nam", "x"],
        ["list", "a", "b"],
        ["show", ""],
        ["compress", "m", "--name", "x"],
        ["compress", "m", "--passes", "qat", "--name", "x", "--slice", "site"],
        ["compress", "m", "--passes", "qat", "--name", "x", "--confidence", "99%"],
        ["compress", "m", "--passes", "qat", "--name", "x", "--max-drop", "1"],
        ["diagnose", "m", "--data", "d", "--confidence", "100%"],
        ["diagnose", "m", "--data", "d", "--confidence", "10%"],
        ["package", "m", "--target", "simulator", "--slice", "group"],
        ["gui", "--theme", "pink"],
    ],
)
def test_wrong_usage_exits_with_2(words: list[str], folder: Path) -> None:
    assert sanderling(*words, folder=folder).returncode == 2
    told = json.loads(sanderling(*words, "--json", folder=folder).stdout)

    assert told["error"]["kind"] == "usage"


def test_a_window_that_cannot_open_is_a_failure(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QT_QPA_PLATFORM", "no-such-platform")

    done = sanderling("gui", folder=folder)

    assert done.returncode == 1
    assert lines(done.stderr)[-2].startswith("The window ended with code")


def test_help_and_version_are_json_when_asked_for() -> None:
    for words in (["--help"], ["train", "--help"], ["--version"]):
        assert json.loads(sanderling(*words, "--json").stdout)["text"].strip()


def test_an_answer_that_cannot_be_written_is_no_traceback(with_digits: Path) -> None:
    for redirection in (">/dev/full", ">&-", "| true"):
        done = subprocess.run(
            ["bash", "-c", f"{' '.join(PROGRAM)} list --workspace {with_digits} {redirection}"],
            capture_output=True,
            text=True,
            check=False,
        )

        assert "Traceback" not in done.stderr
        assert len(lines(done.stderr)) in (0, 2)


def test_nothing_is_cut_off_on_a_narrow_terminal(with_digits: Path) -> None:
    entry = Workspace(with_digits).get("datasets", "digits")
    result = listing("datasets", with_digits)
    for width in (20, 40, 80, 120):
        text = io.StringIO()

        show(result, console(text, width))

        for word in ("digits,", "1x8x8,", "10", "classes", entry.digest[:12]):
            assert word in text.getvalue()


def test_families_may_have_spaces_between_them(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    monkeypatch.setattr("toolkit.search.search", lambda *given: asked.append(given[3]))

    api.search("m", data="d", families="qat, quantize_int8", workspace=folder)

    assert asked[0].families == ("qat", "quantize_int8")


def test_an_interval_below_zero_has_no_second_dash() -> None:
    assert terminal.text(Interval(0.9, 0.85, 0.95)) == "0.9000 (0.850-0.950)"
    assert terminal.text(Interval(-0.5, -0.75, 0.25)) == "-0.5000 (-0.750 to 0.250)"


def test_names_are_printed_as_they_are(folder: Path) -> None:
    done = sanderling("data", "add", "[red]a:smile:b.csv", "--name", "x", folder=folder)

    assert "[red]a:smile:b.csv" in done.stderr


def test_what_can_be_chosen_tells_its_parameters(folder: Path) -> None:
    found = json.loads(sanderling("show", "passes/quantize_int8", "--json", folder=folder).stdout)

    assert {"per_channel", "samples", "calibration"} <= {field["name"] for field in found["fields"]}
    assert all(field["meaning"] for field in found["fields"])


def test_a_name_that_two_kinds_share_must_be_told_apart(with_digits: Path) -> None:
    few = ["epochs=1", "channels=2", "hidden=2"]
    api.train("digits", name="digits", set=few, workspace=with_digits)

    done = sanderling("show", "digits", folder=with_digits)

    assert lines(done.stderr) == [
        "'digits' names a dataset and a model.",
        "Say datasets/digits or models/digits.",
    ]


def test_a_damaged_thing_is_listed_as_damaged(tmp_path: Path) -> None:
    root = Workspace.create(tmp_path / "work").root
    api.data_add("digits", name="digits", workspace=root)
    entry = Workspace(root).get("datasets", "digits")
    (root / "entries" / f"{entry.digest}.json").unlink()

    done = sanderling("list", "--json", folder=root)

    [item] = json.loads(done.stdout)["items"]
    assert done.returncode == 0
    assert item["name"] == "digits"
    assert "damaged" in item["summary"]


def test_a_typing_slip_in_a_verb_says_what_was_meant(folder: Path) -> None:
    assert 'Did you mean "train"' in sanderling("trian", folder=folder).stderr


def test_the_workspace_is_found_above_and_by_name(with_digits: Path, tmp_path: Path) -> None:
    inner = with_digits / "deep" / "down"
    inner.mkdir(parents=True)

    above = sanderling("list", "datasets", "--json", folder=inner)
    after = sanderling(
        "list", "datasets", "--json", "--workspace", str(with_digits), folder=tmp_path
    )
    ahead = sanderling(
        "--workspace", str(with_digits), "list", "datasets", "--json", folder=tmp_path
    )

    found = [json.loads(done.stdout)["items"] for done in (above, after, ahead)]
    assert found[0] == found[1] == found[2]
    assert [item["name"] for item in found[0]] == ["digits"]


def test_a_full_disk_is_told_and_harms_nothing(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("a small tmpfs to fill cannot be mounted by this user")
    try:
        assert sanderling("init", str(disk / "work")).returncode == 0
        full = sanderling("data", "add", "digits", "--name", "d", folder=disk / "work")
        after = sanderling("list", "--json", folder=disk / "work")
    finally:
        subprocess.run(["umount", str(disk)], check=True)

    assert full.returncode == 1
    assert len(lines(full.stderr)) == 2
    assert "space" in full.stderr.lower()
    assert json.loads(after.stdout)["items"] == []


class Driver:
    """A program that drives the command line through pipes, as the window does."""

    def __init__(self, *words: str, folder: Path) -> None:
        self.child = subprocess.Popen(
            [*PROGRAM, "--driven", *words],
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def messages(self) -> Iterator[dict[str, Any]]:
        assert self.child.stdout
        for line in self.child.stdout:
            yield json.loads(line)

    def tell(self, text: str) -> None:
        assert self.child.stdin
        self.child.stdin.write(text)
        self.child.stdin.flush()

    def end(self) -> int:
        try:
            self.child.communicate(timeout=PATIENCE_S)
        finally:
            self.child.kill()
        return self.child.returncode


def test_driven_speaks_events_and_then_the_result(folder: Path) -> None:
    driver = Driver("data", "add", "digits", "--name", "d", folder=folder)

    *events, last = driver.messages()

    assert driver.end() == 0
    assert all(set(event) == {"message", "done", "total"} for event in events)
    assert last["result"]["name"] == "d"


def test_driven_hands_on_what_an_event_has_found() -> None:
    stream = io.StringIO()

    Driven(stream).listen(Event("search", 1, 2, {"candidate": {"drop": math.nan, "fits": True}}))
    Driven(stream).listen(Event("search", 2, 2))

    found, plain_event = (json.loads(line) for line in stream.getvalue().splitlines())
    assert found["facts"] == {"candidate": {"drop": None, "fits": True}}
    assert "facts" not in plain_event


@pytest.mark.parametrize("how", ["word", "end of input", "interrupt", "terminate"])
def test_a_driven_job_stops_when_it_is_told_to(how: str, with_digits: Path) -> None:
    name = how.replace(" ", "-")
    words = ("train", "digits", "--name", name, "--set", "epochs=5000", "--set", "patience=5000")
    driver = Driver(*words, folder=with_digits)
    messages = driver.messages()
    next(message for message in messages if "epoch" in message.get("message", ""))

    if how == "word":
        driver.tell("cancel\n")
    elif how == "end of input":
        assert driver.child.stdin
        driver.child.stdin.close()
        driver.child.stdin = None
    else:
        driver.child.send_signal(signal.SIGINT if how == "interrupt" else signal.SIGTERM)
    last = list(messages)[-1]

    assert driver.end() == 130
    assert last["error"]["kind"] == "cancelled"
    assert name not in Workspace(with_digits).names("models")


def test_ctrl_c_at_any_moment_leaves_a_workspace_that_works(folder: Path) -> None:
    words = [*PROGRAM, "data", "add", "digits", "--name", "d"]
    for delay_s in (0.0, 0.05, 0.2, 0.4, 0.7):
        child = subprocess.Popen(words, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        time.sleep(delay_s)
        child.send_signal(signal.SIGINT)
        child.communicate(timeout=PATIENCE_S)

        listed = sanderling("list", "--json", folder=folder)

        assert listed.returncode == 0
        for item in json.loads(listed.stdout)["items"]:
            assert sanderling("data", "show", item["name"], folder=folder).returncode == 0
    assert not [path for path in folder.rglob("*") if path.name.startswith(".names")]


def test_damage_no_code_of_ours_leaves_is_no_traceback_either(folder: Path) -> None:
    (folder / "names").write_text("")

    done = sanderling("data", "add", "digits", "--name", "d", folder=folder)

    assert done.returncode == 1
    assert len(lines(done.stderr)) == 2


def test_our_own_bug_is_one_line_and_a_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    found = told(ZeroDivisionError("three\nlines\nof text"))

    [log] = tmp_path.iterdir()
    assert found.kind == "internal"
    assert "three" in str(found)
    assert "\n" not in str(found)
    assert str(log) in found.hint
    assert "ZeroDivisionError" in log.read_text()
