"""The installer in a folder that stands for a board: whatever goes wrong, the old one serves on."""

import fcntl
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edge_targets.agent.home import Settings
from edge_targets.enrolment import start
from edge_targets.enrolment.board import check_board
from edge_targets.enrolment.environment import Environments, unpack_wheel
from edge_targets.enrolment.payload import Board
from edge_targets.package import pack, public_key
from edge_targets.runtime.errors import IntegrityError
from edge_targets.transport import post_json
from tests.edge_targets.payloads import PYTHON, FolderBoard, folder_board, plan_of
from tests.edge_targets.tiny import KEY, STRANGER, answers, manifest, members, wait_until

DIES = "import os, signal; os.kill(os.getpid(), signal.{})"
STUCK = "import sys\nif __name__ == '__main__': sys.exit(3)"


def wheel(folder: Path, name: str, members: dict[str, str]) -> Path:
    path = folder / f"{name}-1-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for member, text in members.items():
            archive.writestr(member, text)
    return path


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FolderBoard]:
    folder = tmp_path_factory.mktemp("install")
    pack(manifest("1"), members(), KEY, folder / "tiny.sndl")
    package = (folder / "tiny.sndl").read_bytes()
    with folder_board(folder / "board") as board:
        _, last = board.install(board.payload("first", extras={"package.sndl": package}))
        assert last["result"]["models"] == {"tiny": "1"}, last
        yield board


@pytest.fixture
def board(installed: FolderBoard) -> FolderBoard:
    """A board that serves version 1 of the tiny model from the environment of `first`."""
    first = plan_of(installed.folder / "first").environment
    if Environments(installed.software).linked("current") != first:
        installed.install(installed.folder / "first")
    return installed


def pid(board: FolderBoard) -> int:
    return int(json.loads((board.home / "agent.json").read_text())["pid"])


def told_to(board: FolderBoard) -> dict[str, bytes]:
    """What the agent's folder says of who it is and whom it believes."""
    names = ("settings.json", "trusted_keys.json", "root.json")
    paths = [board.home / name for name in names if (board.home / name).exists()]
    return {path.name: path.read_bytes() for path in paths}


def serves(board: FolderBoard, environment: str) -> bool:
    link = (board.software / "current").readlink()
    return link == Path("environments") / environment and answers(board.url)


def test_every_step_can_be_done_again_and_a_newer_environment_takes_over(
    board: FolderBoard, tmp_path: Path
) -> None:
    first, before = plan_of(board.folder / "first"), pid(board)
    newer = board.payload("newer", [wheel(tmp_path, "extra", {"extra.py": ""})])

    again, same = board.install(board.folder / "first")
    same_pid = pid(board)
    _, changed = board.install(newer)
    second = plan_of(newer)
    third = board.payload("third", [wheel(tmp_path, "more", {"more.py": ""})])
    board.install(third)

    assert same["result"]["changed"] is False
    assert same_pid == before
    assert "switch" not in [line.get("step") for line in again]
    assert changed["result"]["changed"] is True
    # the model that is served was tried in the new environment before the switch
    assert changed["result"]["tried"]["tiny"] < 1e-5
    assert serves(board, plan_of(third).environment)
    kept = {path.name for path in (board.software / "environments").iterdir()}
    assert kept == {plan_of(third).environment, second.environment}
    assert first.environment not in kept
    assert (board.software / "previous").readlink().name == second.environment


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (DIES.format("SIGILL"), "died of SIGILL"),
        (DIES.format("SIGKILL"), "died of SIGKILL"),  # as the kernel ends who takes all memory
        ("import nowhere", "cannot be imported"),
    ],
)
def test_what_does_not_run_here_is_never_switched_to(
    board: FolderBoard, tmp_path: Path, code: str, words: str
) -> None:
    before, first = pid(board), plan_of(board.folder / "first").environment
    bad = board.payload("bad", [wheel(tmp_path, "numpy", {"numpy/__init__.py": code})])

    _, last = board.install(bad)

    assert words in last["error"]
    assert last["hint"]
    assert serves(board, first)
    assert pid(board) == before
    assert not Environments(board.software).complete(plan_of(bad).environment)


def test_an_agent_that_does_not_answer_after_the_switch_gives_way_to_the_one_before(
    board: FolderBoard, tmp_path: Path
) -> None:
    first = plan_of(board.folder / "first").environment
    said = told_to(board)
    stuck = wheel(tmp_path, "stuck", {"edge_targets/agent/__main__.py": STUCK})
    # its file is laid over the agent's own: wheels are unpacked by name
    bad = board.payload(
        "bad", [stuck], {"root.json": b"{}"}, device="other", trusted=[public_key(STRANGER)]
    )
    lines, last = board.install(bad)

    assert told_to(board) == said
    assert "The one before serves again" in last["error"], last
    assert "switch back" in [line.get("step") for line in lines]
    assert serves(board, first)
    assert not (board.home / start.NOTE).exists()


def test_a_package_that_answers_otherwise_here_changes_nothing(
    board: FolderBoard, tmp_path: Path
) -> None:
    first = plan_of(board.folder / "first").environment
    for name, packed, words in (
        ("off", members(off=0.1), "off here"),
        ("stranger", members(), "not trusted"),
    ):
        pack(manifest("2"), packed, STRANGER if name == "stranger" else KEY, tmp_path / name)
        extra = [wheel(tmp_path, name, {f"{name}.py": ""})]
        payload = board.payload(name, extra, {"package.sndl": (tmp_path / name).read_bytes()})

        _, last = board.install(payload)

        assert words in last["error"]
        assert serves(board, first)


@pytest.mark.parametrize("step", ["unpack", "try the environment", "switch", "wait for the agent"])
def test_a_kill_at_any_step_leaves_an_agent_and_the_next_run_ends_it(
    board: FolderBoard, tmp_path: Path, step: str
) -> None:
    newer = board.payload("newer", [wheel(tmp_path, "extra", {"extra.py": ""})])
    words = [sys.executable, str(newer / "install.py"), "--root", str(board.root), "--json"]
    child = subprocess.Popen(
        [*words, "--service", "keeper"], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert child.stdout
    with child.stdout:
        for line in child.stdout:
            if json.loads(line).get("step") == step:
                break
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()

    if step in ("unpack", "try the environment"):
        assert answers(board.url)
    _, last = board.install(newer)

    assert "result" in last, last
    assert serves(board, plan_of(newer).environment)


def test_nobody_listening_is_no_reason_to_stop(board: FolderBoard, tmp_path: Path) -> None:
    newer = board.payload("newer", [wheel(tmp_path, "extra", {"extra.py": ""})])
    words = [sys.executable, str(newer / "install.py"), "--root", str(board.root), "--json"]
    child = subprocess.Popen([*words, "--service", "keeper"], stdout=subprocess.PIPE)
    assert child.stdout
    child.stdout.readline()
    child.stdout.close()  # the connection is lost

    assert child.wait(120) == 0
    assert serves(board, plan_of(newer).environment)


def test_two_at_once_end_with_one_told_so(board: FolderBoard) -> None:
    with (board.software / "install.lock").open("rb+") as held:
        fcntl.flock(held, fcntl.LOCK_EX)

        _, last = board.install(board.folder / "first")

    assert "Another installation runs" in last["error"]
    assert answers(board.url)


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (Board(PYTHON, "riscv64"), "is for riscv64"),
        (Board("3.9", platform.machine()), "is for Python 3.9"),
    ],
)
def test_a_payload_for_another_board_is_refused(tmp_path: Path, other: Board, words: str) -> None:
    with folder_board(tmp_path / "board") as board:
        _, last = board.install(board.payload(board=other))

        assert words in last["error"]
        assert last["hint"]
        assert not (board.software / "current").exists()


def test_a_damaged_payload_is_refused(tmp_path: Path) -> None:
    with folder_board(tmp_path / "board") as board:
        payload = board.payload()
        for name, words in (("settings.json", "not as it was packed"), ("plan.json", "not JSON")):
            good = (payload / name).read_bytes()
            (payload / name).write_bytes(good[:-3])
            if name == "settings.json":
                _, last = board.install(payload)
                assert words in last["error"]
            else:
                done = subprocess.run(
                    [sys.executable, str(payload / "install.py"), "--root", str(board.root)],
                    capture_output=True, text=True, check=False,
                )  # fmt: skip
                assert done.returncode == 1
                assert "is no payload" in done.stderr
            (payload / name).write_bytes(good)
        plan = json.loads((payload / "plan.json").read_text())
        plan["files"]["../../escape"] = plan["files"]["settings.json"]
        (payload / "plan.json").write_text(json.dumps(plan))

        assert "cannot be a file" in board.install(payload)[1]["error"]


@pytest.mark.parametrize("name", ["../escape.py", "/etc/escape.py", "a/../../escape.py", "..\\x"])
def test_a_wheel_that_leads_outside_is_refused(tmp_path: Path, name: str) -> None:
    site = tmp_path / "deep/site"

    with pytest.raises(IntegrityError, match="holds"):
        unpack_wheel(wheel(tmp_path, "bad", {name: ""}), site)

    assert not list(tmp_path.rglob("*escape*"))


def test_a_wheel_lies_there_as_pip_would_lay_it(tmp_path: Path) -> None:
    made = wheel(
        tmp_path,
        "good",
        {"a.py": "1", "good-1.data/platlib/b/c.py": "2", "good-1.data/scripts/tool": "3"},
    )

    unpack_wheel(made, tmp_path / "site")

    found = {
        path.relative_to(tmp_path / "site").as_posix() for path in tmp_path.rglob("site/**/*.py")
    }
    assert found == {"a.py", "b/c.py"}
    assert not list((tmp_path / "site").rglob("tool"))
    (tmp_path / "bad-1-py3-none-any.whl").write_bytes(made.read_bytes()[:50])
    with pytest.raises(IntegrityError):
        unpack_wheel(tmp_path / "bad-1-py3-none-any.whl", tmp_path / "other")


def test_a_half_environment_is_made_anew(tmp_path: Path) -> None:
    with folder_board(tmp_path / "board") as board:
        payload = board.payload()
        plan = plan_of(payload)
        environments = Environments(board.software)
        half = environments.path(plan.environment)
        (half / "site").mkdir(parents=True)
        (half / "site/old.py").touch()

        board.install(payload, service="none")

        assert environments.linked("current") == plan.environment
        assert not (half / "site/old.py").exists()


@contextmanager
def mounted(folder: Path, *words: str) -> Iterator[None]:
    if os.geteuid() != 0:
        pytest.skip("only root can mount")
    done = subprocess.run(["mount", *words, str(folder)], check=False, capture_output=True)
    if done.returncode:
        pytest.skip(f"this machine mounts nothing: {done.stderr.decode().strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def test_a_read_only_disk_is_told_and_the_old_one_serves(
    board: FolderBoard, tmp_path: Path
) -> None:
    first = plan_of(board.folder / "first").environment
    newer = board.payload("read-only", [wheel(tmp_path, "extra", {"extra.py": ""})])

    with mounted(board.software, "--bind", str(board.software)):
        subprocess.run(["mount", "-o", "remount,bind,ro", board.software], check=True)
        _, last = board.install(newer)

    assert "read-only" in last["hint"].lower(), last
    assert serves(board, first)


def test_a_full_disk_is_told_before_and_leaves_nothing_half(tmp_path: Path) -> None:
    with folder_board(tmp_path / "board") as board:
        payload = board.payload()
        plan = json.loads((payload / "plan.json").read_text())
        board.software.mkdir(parents=True)

        # said beforehand, and when the plan does not know
        for unpacked, words in ((1 << 50, "MB free"), (0, "MB free"), (-(1 << 40), "MB free")):
            (payload / "plan.json").write_text(json.dumps({**plan, "unpacked_bytes": unpacked}))
            with mounted(board.software, "-t", "tmpfs", "-o", "size=1m", "tmpfs"):
                _, last = board.install(payload, service="none")
                left = list((board.software / "environments").iterdir())
            assert words in last["error"], last
            assert "df -h" in last["hint"]
            assert not left


def test_a_disk_that_fills_meanwhile_leaves_nothing_half(tmp_path: Path) -> None:
    folder = tmp_path / "site"
    folder.mkdir()
    made = wheel(tmp_path, "large", {"large.py": "#" * (2 << 20)})

    with (
        mounted(folder, "-t", "tmpfs", "-o", "size=1m", "tmpfs"),
        pytest.raises(OSError, match="No space left"),
    ):
        unpack_wheel(made, folder)


def test_a_clock_that_was_never_set_is_told_and_nothing_more(tmp_path: Path) -> None:
    said: list[tuple[str, str]] = []
    with folder_board(tmp_path / "board") as board:
        plan = plan_of(board.payload())

    check_board(plan, lambda step, note: said.append((step, note)), 3600.0)

    assert said == [("clock", said[0][1])]
    assert "1970-01-01" in said[0][1]


def test_settings_of_the_board_stay_and_can_be_changed(board: FolderBoard) -> None:
    def configure(**settings: object) -> dict[str, object]:
        given = json.dumps({"settings": settings, "root": "e30="})
        return board.install(board.folder / "first", "--configure", given=given)[1]

    before = pid(board)
    assert "result" in configure(window_s=7, collector="http://127.0.0.1:9")
    after = pid(board)
    for settings, words in (
        ({"window_s": -1}, "cannot be -1"),
        ({"windows": 1}, "no setting named 'windows'"),
    ):
        assert words in str(configure(**settings)["error"])
    board.install(board.folder / "first")

    known = Settings.load(board.home)
    assert (known.window_s, known.collector, known.device) == (7, "http://127.0.0.1:9", "pi-folder")
    assert (board.home / "root.json").read_bytes() == b"{}"
    assert before != after
    assert pid(board) == after
    assert answers(board.url)


def test_the_agent_is_stopped_and_started_and_comes_back_by_itself(board: FolderBoard) -> None:
    first = board.folder / "first"
    _, last = board.install(first, "--stop")
    stopped = last["result"]
    board.install(first, "--start")
    before = pid(board)
    os.kill(before, signal.SIGKILL)
    wait_until(lambda: (board.home / "agent.json").exists() and pid(board) != before)

    assert stopped == {"running": False}
    wait_until(lambda: board.status()["state"] == "ready")


def test_what_a_caller_s_umask_hides_the_agent_s_user_can_read_all_the_same(
    tmp_path: Path,
) -> None:
    with folder_board(tmp_path / "board") as board:
        _, last = board.install(board.payload(), umask=0o077)
        board.install(board.folder / "payload", "--stop")
        shutil.rmtree(board.root / "run")
        # as /etc/rc.local of a system with a strict umask would
        started = subprocess.Popen([board.software / "start"], umask=0o077)
        wait_until(lambda: (board.root / "run/sanderling/keeper.pid").exists())
        board.install(board.folder / "payload", "--stop")
        started.wait(60)

        assert "result" in last, last
        software = [board.software, *board.software.rglob("*"), board.root / "run/sanderling"]
        hidden = [path for path in software if path.name != "install.lock" and closed(path)]
        assert not hidden


def closed(path: Path) -> bool:
    """Whether others than its owner cannot look at it."""
    wanted = 0o055 if path.is_dir() else 0o044
    return path.lstat().st_mode & wanted != wanted


def test_nothing_of_ours_stays(tmp_path: Path) -> None:
    with folder_board(tmp_path / "board") as board:
        (board.root / "etc").mkdir()
        (board.root / "etc/rc.local").write_text("#!/bin/sh\necho mine\nexit 0\n")
        payload = board.payload()
        board.install(payload)
        during = (board.root / "etc/rc.local").read_text().splitlines()

        _, last = board.install(payload, "--uninstall")

        assert last["result"] == {"removed": True}
        assert during[2].startswith("# Sanderling")
        assert during[-1] == "exit 0"
        left = [path for path in board.root.rglob("*") if path.is_file()]
        assert left == [board.root / "etc/rc.local"]
        assert left[0].read_text() == "#!/bin/sh\necho mine\nexit 0\n"


def test_an_environment_that_never_became_healthy_is_given_up_at_the_fourth_start(
    tmp_path: Path,
) -> None:
    software, home = tmp_path / "software", tmp_path / "home"
    home.mkdir()
    environments = Environments(software)
    for name, link in (("old", "previous"), ("new", "current")):
        environments.path(name).mkdir(parents=True)
        environments.seal(name)
        environments.flip(link, name)
    note = home / start.NOTE

    unnoted = start.choose(software, home).name
    note.write_text(json.dumps({"environment": "new", "starts": 0}))
    noted = [start.choose(software, home).name for _ in range(5)]
    shutil.rmtree(environments.path("old"))
    alone = start.choose(software, home).name
    note.write_text("{")
    damaged = start.choose(software, home).name

    assert unnoted == "new"
    assert noted == ["new", "new", "new", "old", "old"]
    assert alone == damaged == "new"


def test_the_installed_board_stops_when_asked_over_http(board: FolderBoard) -> None:
    post_json(f"{board.url}/v1/stop")

    wait_until(lambda: not (board.home / "agent.json").exists())
    board.install(board.folder / "first")
    assert answers(board.url)
