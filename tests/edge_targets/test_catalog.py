"""Boards: what is known of each, and which versions are known to run there."""

import subprocess
import sys

import pytest

from edge_targets.catalog import targets
from edge_targets.places.facts import Runtime, manylinux
from edge_targets.places.known_good import PINS
from edge_targets.places.rates import FLOAT, INT8, Macs, Rates, Work, usual_speed
from edge_targets.runtime.engines import engines

BOARDS = [name for name in targets.names() if targets[name].facts.boards]


@pytest.mark.parametrize("name", BOARDS)
def test_a_board_says_all_that_is_asked_of_one(name: str) -> None:
    target = targets[name]
    facts, runtime = target.facts, target.runtime

    assert facts.cores == 4
    assert facts.clock_hz > facts.instructions_per_s / 2 > 0
    assert "asimd" in facts.features
    assert facts.qemu_cpu == facts.cpu
    assert 0 < (facts.soft_c or 0) < (facts.throttle_c or 0) < 100
    assert runtime.pythons == ("3.11", "3.13")  # Bookworm and Trixie
    assert runtime.machine == "aarch64"


def test_only_the_pi_5_has_the_dot_product() -> None:
    assert [name for name in BOARDS if "asimddp" in targets[name].facts.features] == [
        "raspberry_pi_5"
    ]


@pytest.mark.parametrize("name", targets.names())
def test_the_runtime_of_every_format_is_pinned(name: str) -> None:
    target = targets[name]
    if not target.runtime.pins:
        return  # nothing is installed there
    packages = {engines[form].package.replace("_", "-") for form in target.formats}
    if name == "linux_armv7":
        packages = {"tflite-runtime"}

    assert packages <= set(target.runtime.pins)


def test_armv7_runs_tflite_alone_with_debians_numpy() -> None:
    target = targets["linux_armv7"]

    assert target.formats == ("tflite",)
    assert "numpy" not in target.runtime.pins
    assert "python3-numpy" in target.runtime.system


def test_requirements_are_pinned_where_a_version_is_known_to_run() -> None:
    runtime = Runtime(pins={"numpy": "2.4.6"})

    assert runtime.requirements("numpy", "psutil") == ("numpy==2.4.6", "psutil")
    assert PINS["onnxruntime"] != "1.21.0"  # died of an illegal instruction on a Raspberry Pi 4


def test_tags_go_from_the_newest_glibc_to_the_oldest() -> None:
    tags = manylinux("aarch64", 28)

    assert tags[0] == "manylinux_2_28_aarch64"
    assert tags[-3:] == ("manylinux_2_17_aarch64", "manylinux2014_aarch64", "linux_aarch64")


def work(number_type: str, size: float = 1.0) -> Work:
    macs = Macs(1e6 * size, 2e6 * size, 3e5 * size)
    return Work(
        Macs() if number_type == INT8 else macs, macs if number_type == INT8 else Macs(),
        1e5 * size, 1e6 * size, 10,
    )  # fmt: skip


@pytest.mark.parametrize("number_type", [FLOAT, INT8])
def test_the_usual_shares_explain_the_one_time_that_is_known(number_type: str) -> None:
    speeds = {
        (kind, 1): usual_speed(number_type, work(number_type), 0.01) for kind in (FLOAT, INT8)
    }
    rates = Rates(speeds, {"onnx": 1.5}, 2.0, "one time")

    assert rates.seconds(work(number_type), "tflite", 1) == pytest.approx(0.01)
    assert rates.seconds(work(number_type), "onnx", 1) == pytest.approx(0.015)
    assert rates.seconds(work(number_type, 2), "tflite", 1) > 0.015


def test_nothing_of_ours_lets_onnxruntime_report_to_its_maker() -> None:
    code = (
        "import os, edge_targets, onnxruntime; print(len(os.listdir('/proc/self/task')), "
        "os.environ['ORT_DISABLE_TELEMETRY'])"
    )
    environment = {"PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}

    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )

    assert done.stdout.split() == ["1", "1"]  # its thread that sends has not been started
