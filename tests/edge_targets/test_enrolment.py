"""What a board is told to be, and what is packed for it."""

import hashlib
import json
import shutil
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from edge_targets.agent.access import SOCKET_MODE
from edge_targets.agent.home import Settings, TrustedKeys
from edge_targets.catalog import targets
from edge_targets.enrolment.installation import agent_words
from edge_targets.enrolment.payload import Board, agent_wheel, fill
from edge_targets.enrolment.plan import PORT, check_file, read_plan
from edge_targets.enrolment.probe import QUESTIONS, Found, check, read, suggest
from edge_targets.enrolment.service import Layout
from edge_targets.enrolment.unit import ACCOUNT, GROUPS, SERVICE, unit
from edge_targets.enrolment.wheels import AGENT, requirements
from edge_targets.places.known_good import ARM64, ARMV7
from edge_targets.runtime.errors import DataError, DeviceError, IntegrityError, UnsupportedError
from tests.edge_targets.payloads import PYTHON

PI_4 = Found(
    machine="aarch64",
    bits=64,
    model="Raspberry Pi 4 Model B Rev 1.4",
    system="Debian GNU/Linux 12 (bookworm)",
    python="3.11",
    libc="glibc 2.36",
    disk_bytes=20 << 30,
    memory_bytes=4 << 30,
    clock=1_795_000_000,
    is_root=True,
)
FACTS = {name: targets[name].facts for name in targets.names()}


@pytest.mark.parametrize(
    ("found", "name"),
    [
        (PI_4, "raspberry_pi_4"),
        (replace(PI_4, model="Raspberry Pi 400 Rev 1.1"), "raspberry_pi_4"),
        (replace(PI_4, model="Raspberry Pi Compute Module 4 Rev 1.0"), "raspberry_pi_4"),
        (replace(PI_4, model="Raspberry Pi 5 Model B Rev 1.0"), "raspberry_pi_5"),
        (replace(PI_4, model="Raspberry Pi 3 Model B Plus Rev 1.3"), "raspberry_pi_3"),
        (replace(PI_4, model="Raspberry Pi Zero 2 W Rev 1.0"), "raspberry_pi_zero_2w"),
        (replace(PI_4, model="Radxa ROCK 5B"), "linux_arm64"),
        (replace(PI_4, machine="x86_64", model=""), "linux_x86_64"),
        # a 64-bit kernel with the 32-bit system, as Raspberry Pi OS (32-bit) has on a Pi 4
        (replace(PI_4, bits=32), "linux_armv7"),
        (replace(PI_4, machine="armv7l", bits=32, model="Raspberry Pi 2 Model B"), "linux_armv7"),
    ],
)
def test_a_board_is_known_by_what_it_calls_itself(found: Found, name: str) -> None:
    assert suggest(found, FACTS) == name


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (replace(PI_4, machine="armv6l", bits=32, model="Raspberry Pi Zero W Rev 1.1"), "ARMv6"),
        (replace(PI_4, machine="armv6l", bits=32, model="Raspberry Pi Model B Rev 2"), "ARMv6"),
        (replace(PI_4, machine="riscv64", model="Milk-V"), "nothing that Sanderling knows"),
    ],
)
def test_what_runs_no_model_is_refused_and_why(found: Found, words: str) -> None:
    with pytest.raises(UnsupportedError, match=words) as caught:
        suggest(found, FACTS)

    assert caught.value.hint


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (replace(PI_4, bits=32), "runs programs for armv7l"),
        (replace(PI_4, machine="x86_64"), "runs programs for x86_64"),
        (replace(PI_4, machine="armv6l"), "ARMv6"),
        (replace(PI_4, python="3.9"), "python3 is 3.9"),
        (replace(PI_4, python=""), "not there"),
        (replace(PI_4, disk_bytes=100 << 20), "100 MB free"),
    ],
)
def test_a_board_that_cannot_be_that_target_is_refused(found: Found, words: str) -> None:
    with pytest.raises((UnsupportedError, DeviceError), match=words) as caught:
        check(found, "Raspberry Pi 4", ARM64)

    assert caught.value.hint


def test_a_board_that_can_is_taken() -> None:
    check(PI_4, "Raspberry Pi 4", ARM64)
    check(replace(PI_4, disk_bytes=0, environment="abc"), "Raspberry Pi 4", ARM64)


def test_any_linux_answers_the_questions() -> None:
    done = subprocess.run(
        ["sh", "-s", "--", sys.executable],
        input=QUESTIONS.encode(),
        capture_output=True,
        check=True,
    )

    found = read(done.stdout.decode(), "this machine")

    assert found.machine
    assert found.python == PYTHON
    assert found.bits == 64
    assert found.disk_bytes > 0
    assert found.memory_bytes > 0
    assert found.clock_is_set
    assert not done.stderr


@pytest.mark.parametrize("text", ["", "Windows\r\n", "machine=\n", "=\n"])
def test_what_answers_nothing_is_no_board(text: str) -> None:
    with pytest.raises(DeviceError, match="no Linux"):
        read(text, "there")


def test_strange_answers_are_taken_for_none() -> None:
    found = read("machine=aarch64\nbits=many\ndisk_kb=-\nthrottled=0x50005\nclock=\n", "there")

    assert (found.bits, found.disk_bytes, found.clock_is_set) == (0, 0, False)
    assert found.throttled == 0x50005


def test_what_a_target_is_known_to_run_is_pinned() -> None:
    wanted = requirements(ARM64, ("onnx", "tflite"))
    small = requirements(ARMV7, ("tflite",))

    assert {one.partition("==")[0] for one in wanted} >= {*AGENT, "onnxruntime", "ai-edge-litert"}
    assert f"onnxruntime=={ARM64.pins['onnxruntime']}" in wanted
    assert f"tflite-runtime=={ARMV7.pins['tflite-runtime']}" in small
    assert "numpy" not in small  # Debian's own
    with pytest.raises(UnsupportedError, match="Nothing that runs 'onnx'"):
        requirements(ARMV7, ("onnx",))


def test_the_agents_wheel_is_the_same_each_time_and_holds_no_pages(tmp_path: Path) -> None:
    first = agent_wheel("1")

    (tmp_path / "agent.whl").write_bytes(first)
    names = zipfile.ZipFile(tmp_path / "agent.whl").namelist()

    assert agent_wheel("1") == first
    assert "edge_targets/agent/__main__.py" in names
    assert "edge_targets/enrolment/installer.py" in names
    assert not [name for name in names if "_web" in name or "__pycache__" in name]


def test_the_installer_needs_nothing_but_the_standard_library(tmp_path: Path) -> None:
    (tmp_path / "agent.whl").write_bytes(agent_wheel("1"))
    # -S: no site-packages, as on a board where nothing is installed yet
    words = "import sys; sys.path.insert(0, sys.argv[1]); import edge_targets.enrolment.installer"

    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", words, str(tmp_path / "agent.whl")],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr


def test_a_payload_names_all_that_is_in_it(tmp_path: Path) -> None:
    board = Board("3.11", "aarch64", cores=4)
    settings = Settings(device="kitchen", target="raspberry_pi_4")
    made = [
        fill(tmp_path / name, (), board, settings, ("key",), {"root.json": b"{}"})
        for name in ("a", "b")
    ]

    plan = read_plan(tmp_path / "a")

    assert plan == made[0] == made[1]
    there = {p.relative_to(tmp_path / "a").as_posix() for p in (tmp_path / "a").rglob("*.*")}
    assert there == {*plan.files, "plan.json"}
    for name, fact in plan.files.items():
        data = check_file(tmp_path / "a", name, fact).read_bytes()
        assert (hashlib.sha256(data).hexdigest(), len(data)) == (fact.sha256, fact.size)
    assert Settings.load(tmp_path / "a").device == "kitchen"
    assert TrustedKeys.load(tmp_path / "a").keys == ("key",)
    with pytest.raises(IntegrityError, match=r"plan\.json"):
        check_file(tmp_path / "a", "plan.json", plan.files["root.json"])
    with pytest.raises(DataError, match=r"plan\.json"):
        read_plan(tmp_path)
    other = fill(tmp_path / "c", (), replace(board, python="3.13"), settings, (), {})
    assert other.environment != plan.environment


def test_systemd_takes_the_unit_and_finds_it_tight(tmp_path: Path) -> None:
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd-analyze is not installed")
    (tmp_path / SERVICE).write_text(unit(4))

    def analyze(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["systemd-analyze", *words], cwd=tmp_path, capture_output=True, text=True, check=False
        )

    verified = analyze("verify", f"./{SERVICE}")
    # 0 is tight, 10 is open; a unit that says nothing has 9.6
    security = analyze("security", "--offline=true", "--threshold=25", "--no-pager", f"./{SERVICE}")

    assert verified.returncode == 0, verified.stderr
    assert SERVICE not in verified.stderr
    if "unrecognized option" not in security.stderr:
        assert security.returncode == 0, security.stdout[-300:]
    for wanted in (
        "User=sanderling", "NoNewPrivileges=yes", "ProtectSystem=strict", "PrivateTmp=yes",
        "MemoryMax=", "CPUQuota=350%", "WatchdogSec=", "Type=notify", "Restart=always",
    ):  # fmt: skip
        assert wanted in unit(4)


def test_the_unit_makes_the_folder_of_the_socket_and_the_agent_s_group_may_use_it() -> None:
    system = Layout(Path("/"))
    words = agent_words(system, PORT)
    socket = Path(words[words.index("--socket") + 1])

    lines = unit(4).splitlines()

    assert socket.parent == system.run
    assert f"RuntimeDirectory={socket.parent.name}" in lines
    assert f"Group={ACCOUNT}" in lines
    assert not [line for line in lines if line.startswith("RuntimeDirectoryMode=")]  # 0755
    assert SOCKET_MODE & 0o060 == 0o060
    assert "video" in GROUPS  # vcgencmd asks the firmware through /dev/vcio, which is theirs
    assert "DeviceAllow=/dev/vcio rw" in lines


def test_the_plan_says_what_is_imported_before_a_switch(tmp_path: Path) -> None:
    wheels = []
    for name in ("numpy", "onnxruntime", "unknown"):
        wheels.append(tmp_path / f"{name}-1-py3-none-any.whl")
        with zipfile.ZipFile(wheels[-1], "w") as archive:
            archive.writestr(f"{name}.py", "x" * 1000)

    plan = fill(tmp_path / "p", wheels, Board("3.11", "aarch64"), Settings(), (), {})

    assert plan.imports == ("numpy", "onnxruntime")
    assert plan.unpacked_bytes > 3000
    assert json.loads((tmp_path / "p/plan.json").read_text())["schema"] == 1
