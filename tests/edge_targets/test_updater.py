"""What an installation refuses before it begins, and what a start does with what it finds."""

import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from edge_targets.agent import health
from edge_targets.agent.home import Home, TrustedKeys, child_environment
from edge_targets.agent.trial import attempt, in_child
from edge_targets.agent.updater import (
    DOUBTFUL_STARTS,
    MOST_STARTS,
    RefusedVersionError,
    Updater,
)
from edge_targets.package import pack, public_key, unpack
from edge_targets.runtime.errors import (
    DeviceError,
    IntegrityError,
    StorageError,
    UnknownNameError,
    UnsupportedError,
)
from tests.edge_targets.conftest import Build
from tests.edge_targets.tiny import KEY, manifest, members

TRUSTED = (public_key(KEY),)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    root = tmp_path / "device"
    root.mkdir()
    TrustedKeys(keys=TRUSTED).save(root)
    return Home(root)


@pytest.fixture
def updater(home: Home) -> Updater:
    """Tries packages in this very process, which is quick."""
    return Updater(home, attempt)


def restarted(home: Home) -> tuple[Updater, list[str]]:
    """An updater after a start, and what it serves then."""
    found = Updater(home, attempt)
    return found, [predictor.manifest.version for predictor in found.start()]


def installed(updater: Updater, package: Path) -> None:
    updater.install(package)
    updater.slots("tiny").confirm()


def test_packages_of_two_names_are_served_beside_each_other(
    build: Build, home: Home, updater: Updater
) -> None:
    updater.install(build("1"))
    updater.install(build("7", name="other"))
    updater.install(build("2"))

    after, versions = restarted(home)

    assert versions == ["7", "2"]
    assert after.slots("tiny").fallback
    assert after.slots("other").fallback is None
    after.remove("other")
    assert restarted(home)[1] == ["2"]
    with pytest.raises(UnknownNameError):
        after.slots("other")


def test_a_rollback_by_hand_is_durable_and_the_channel_does_not_bring_the_version_again(
    build: Build, home: Home, updater: Updater
) -> None:
    installed(updater, build("1"))
    installed(updater, build("2"))

    fallen = updater.roll_back("tiny", "by hand")

    assert fallen.predictor
    assert (fallen.predictor.manifest.version, fallen.manifest.version) == ("1", "2")
    after, versions = restarted(home)
    assert versions == ["1"]
    package = build("2")
    manifest = after.verified(package)
    with (
        pytest.raises(RefusedVersionError, match="rolled back"),
        after.prepared(package, manifest, asked=False),
    ):
        pass
    with after.prepared(package, manifest) as fresh:
        after.commit(fresh)
    assert restarted(home)[1] == ["2"]


def test_there_is_no_way_back_from_the_first_version(build: Build, updater: Updater) -> None:
    updater.install(build("1"))

    with pytest.raises(DeviceError, match="no version of tiny to go back to"):
        updater.roll_back("tiny", "by hand")

    assert updater.slots("tiny").active


def test_a_fallback_that_is_damaged_is_not_gone_back_to(build: Build, updater: Updater) -> None:
    installed(updater, build("1"))
    updater.install(build("2"))
    fallback = updater.slots("tiny").fallback
    assert fallback
    (fallback / "model.onnx").write_bytes(b"decay")

    with pytest.raises(IntegrityError, match="damaged"):
        updater.roll_back("tiny", "by hand")

    active = updater.slots("tiny").manifest(updater.slots("tiny").active)
    assert active
    assert active.version == "2"


def test_a_version_on_probation_that_starts_too_often_gives_way(
    build: Build, home: Home, updater: Updater
) -> None:
    installed(updater, build("1"))
    updater.install(build("2"))

    starts = [restarted(home) for _ in range(MOST_STARTS + 1)]

    assert [versions for _, versions in starts] == [["2"]] * MOST_STARTS + [["1"]]
    last = starts[-1][0]
    [fallen] = last.fallen
    assert (fallen.manifest.version, last.refused("tiny")) == ("2", ("2",))
    assert "started 4 times" in fallen.why
    assert restarted(home)[1] == ["1"]


def test_a_proven_version_may_start_as_often_as_it_likes_when_it_runs(
    build: Build, home: Home, updater: Updater
) -> None:
    installed(updater, build("1"))

    for _ in range(DOUBTFUL_STARTS + 3):
        assert restarted(home)[1] == ["1"]


def test_a_version_that_ends_us_again_and_again_is_tried_in_a_child_first(
    build: Build, home: Home, updater: Updater
) -> None:
    installed(updater, build("1"))
    tried = []

    def dies(folder: Path, threads: int) -> dict[str, float]:
        tried.append(folder)
        raise IntegrityError("It died of SIGSEGV.", "")

    for _ in range(DOUBTFUL_STARTS):
        assert restarted(home)[1] == ["1"]
    found = Updater(home, dies)

    assert found.start() == []  # the agent can be reached, and given another package
    assert len(tried) == 1
    assert found.fallen[0].predictor is None


def test_a_damaged_slot_gives_way_and_its_version_may_come_again(
    build: Build, home: Home, updater: Updater
) -> None:
    installed(updater, build("1"))
    installed(updater, build("2"))
    active = updater.slots("tiny").active
    assert active
    (active / "model.onnx").write_bytes(b"decay")

    after, versions = restarted(home)

    assert versions == ["1"]
    assert after.refused("tiny") == ()
    assert "damaged" in after.fallen[0].why


@pytest.mark.parametrize("spoil", ["empty", "gone", "half"])
def test_a_lost_pointer_does_not_lose_the_model(
    build: Build, home: Home, updater: Updater, spoil: str
) -> None:
    installed(updater, build("1"))
    file = updater.slots("tiny").file
    text = file.read_bytes()
    if spoil == "gone":
        file.unlink()
    else:
        file.write_bytes(b"" if spoil == "empty" else text[: len(text) // 2])

    assert restarted(home)[1] == ["1"]
    assert Updater(home, attempt).slots("tiny").active


def test_one_model_that_is_lost_does_not_keep_the_others_away(
    build: Build, home: Home, updater: Updater
) -> None:
    updater.install(build("1"))
    updater.install(build("7", name="other"))
    shutil.rmtree(home.models / "other" / "a")

    assert restarted(home)[1] == ["1"]


def test_a_folder_that_holds_another_model_is_not_served_under_its_name(
    build: Build, home: Home, updater: Updater
) -> None:
    updater.install(build("1"))
    (home.models / "tiny").rename(home.models / "other")

    assert restarted(home)[1] == []


def test_a_half_installed_slot_is_cleaned(build: Build, home: Home, updater: Updater) -> None:
    installed(updater, build("1"))
    half = home.models / "tiny" / "b"
    half.mkdir()
    (half / "manifest.json").write_text("{")
    (home.models / ".incoming-1234").mkdir()
    (home.models / ".old-1234").mkdir()

    after, versions = restarted(home)

    assert versions == ["1"]
    assert not half.exists()
    assert [path.name for path in home.models.iterdir()] == ["tiny"]
    installed(after, build("2"))


def test_an_installation_that_the_disk_has_no_room_for_says_how_much_it_needs(
    build: Build, updater: Updater, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "KEPT_DISK", 1 << 60)
    monkeypatch.setattr(health, "KEPT_SHARE", 2.0)

    with pytest.raises(StorageError, match=r"tiny 1 needs [\d.]+ MB on the disk; [\d.]+ MB are"):
        updater.install(build("1"))

    assert not list(updater.models.iterdir())


def test_an_installation_that_memory_has_no_room_for_says_how_much_it_needs(
    build: Build, updater: Updater, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    little = tmp_path / "meminfo"
    little.write_text("MemTotal: 524288 kB\nMemAvailable: 12000 kB\n")
    monkeypatch.setattr(health, "MEMORY", little)

    with pytest.raises(DeviceError, match=r"needs [\d.]+ MB of memory; 12.3 MB are available"):
        updater.install(build("1"))


def test_a_format_that_does_not_run_here_is_refused(build: Build, updater: Updater) -> None:
    with pytest.raises(UnsupportedError, match="coreml"):
        updater.install(build("1", format="coreml"))


# ---- the trial: whatever a runtime does there, this process lives


def spoiling(tmp_path: Path, code: str) -> dict[str, str]:
    """The environment of a child whose onnxruntime does `code` when it is imported."""
    fake = tmp_path / "site"
    fake.mkdir()
    (fake / "onnxruntime.py").write_text(code)
    environment = child_environment()
    return {**environment, "PYTHONPATH": f"{fake}{os.pathsep}{environment['PYTHONPATH']}"}


def unpacked(tmp_path: Path) -> Path:
    folder, file = tmp_path / "unpacked", tmp_path / "tiny.sndl"
    pack(manifest(), members(), KEY, file)
    unpack(file, folder, TRUSTED)
    return folder


def spoilt(tmp_path: Path, code: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An unpacked package, tried by a child whose onnxruntime does `code`."""
    environment = spoiling(tmp_path, code)
    monkeypatch.setattr("edge_targets.agent.trial.child_environment", lambda: environment)
    return unpacked(tmp_path)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGILL)", "processor does not have"),
        ("import ctypes; ctypes.string_at(0)", "died of SIGSEGV"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "memory ran out"),
        ("x = [bytes(1 << 24) for _ in range(10_000)]", "more memory than this device has"),
        ("import os; os._exit(3)", "could not be tried"),
        ("raise ImportError('no such symbol')", "no such symbol"),
        ("import os; os.write(1, b'garbage'); print('{}')", "does not run here"),
    ],
)
def test_a_runtime_that_misbehaves_ends_in_a_clear_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, words: str
) -> None:
    monkeypatch.setattr("edge_targets.agent.trial.available_memory", lambda: 600 << 20)
    folder = spoilt(tmp_path, code, monkeypatch)

    with pytest.raises(IntegrityError, match=words) as caught:
        in_child(folder, 1)

    assert caught.value.hint


@pytest.mark.parametrize("code", ["import time; time.sleep(60)", "while True: pass"])
def test_a_runtime_that_comes_to_no_end_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    monkeypatch.setattr("edge_targets.agent.trial.TRIAL_S", 2.0)
    folder = spoilt(tmp_path, code, monkeypatch)

    with pytest.raises(IntegrityError, match="did not answer in 2 s"):
        in_child(folder, 1)


def test_a_trial_gives_way_and_is_limited(tmp_path: Path) -> None:
    words = (
        "import os, resource\n"
        "from edge_targets.agent.trial import limit\n"
        "before = os.nice(0)\n"
        "limit(300 << 20)\n"
        "print(os.nice(0) - before, resource.getrlimit(resource.RLIMIT_DATA)[0],"
        " resource.getrlimit(resource.RLIMIT_CORE)[0], open('/proc/self/oom_score_adj').read())"
    )

    done = subprocess.run(
        [sys.executable, "-c", words],
        env=child_environment(),
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.split() == ["10", str(300 << 20), "0", "1000"]
    assert resource.getrlimit(resource.RLIMIT_DATA)[0] != 300 << 20


def test_a_trial_tells_what_the_model_took(build: Build, tmp_path: Path) -> None:
    unpack(build("1"), tmp_path / "unpacked", TRUSTED)

    found = in_child(tmp_path / "unpacked", 1)

    assert found["memory_bytes"] > 1 << 20  # a runtime is more than that
    assert found["golden_difference"] < 1e-5


def test_an_agent_that_is_killed_does_not_leave_its_trial_behind(tmp_path: Path) -> None:
    environment = spoiling(tmp_path, "import time; time.sleep(60)")
    code = (
        "import os\nfrom pathlib import Path\nfrom edge_targets.agent import trial\n"
        "trial.child_environment = lambda: os.environ\n"
        f"trial.in_child(Path({str(unpacked(tmp_path))!r}), 1)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], env=environment)
    children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children")
    for _ in range(600):
        if found := children.read_text().split():
            break
        threading.Event().wait(0.05)

    parent.send_signal(signal.SIGKILL)
    parent.wait()

    for _ in range(600):
        if not is_alive(int(found[0])):
            break
        threading.Event().wait(0.05)
    else:
        pytest.fail("the trial lives on")


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except OSError:
        return False
