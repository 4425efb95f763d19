"""The main job, whole: real training, a real device process, a real browser, real drift."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from toolkit.doctor import chromium


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("demo") / "line"
    done = subprocess.run(
        [sys.executable, "-m", "toolkit", "demo", str(folder), "--json"],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    found = json.loads(done.stdout)
    assert isinstance(found, dict)
    return found


def figures(demo: dict[str, Any], stage: str) -> dict[str, Any]:
    [found] = [one["figures"] for one in demo["stages"] if one["name"] == stage]
    assert isinstance(found, dict)
    return found


def test_the_demo_is_good(demo: dict[str, Any]) -> None:
    assert demo["ok"] is True
    assert all(stage["passed"] for stage in demo["stages"])
    assert len(demo["next"]) == 2


def test_its_figures_make_sense(demo: dict[str, Any]) -> None:
    floats = figures(demo, "train a small CNN")["accuracy"]["value"]
    int8 = figures(demo, "compress it to int8")["accuracy after"]["value"]

    assert floats >= 0.97
    assert int8 >= floats - 0.01
    assert {row["artifact"] for row in demo["artifacts"]} == {
        "digits.onnx", "digits.tflite", "digits-int8.onnx", "digits-int8.tflite",
    }  # fmt: skip
    for row in demo["artifacts"]:
        assert row["same_label_as_float"] >= 0.995
        assert row["accuracy"] >= floats - 0.01
        assert 0 < row["p50_ms"] <= row["p99_ms"]


def test_the_alarm_is_raised_by_shifted_traffic_only(demo: dict[str, Any]) -> None:
    seen = [(row["traffic"], row["model"], row["alarm"]) for row in demo["drift"]]

    assert seen == [
        ("normal", "device-1", False),
        ("turned and noisy", "device-1", True),
        ("turned and noisy", "device-2", False),
    ]


def test_the_new_model_is_better_where_it_should_be_and_nowhere_worse(
    demo: dict[str, Any],
) -> None:
    today, before = demo["comparisons"]

    assert today["data"] == "field"
    assert today["low"] > 0
    assert before["data"] == "digits"
    assert before["low"] > -0.02


@pytest.mark.skipif(not chromium(), reason="there is no Chromium on this machine")
def test_the_browser_gives_the_same_labels(demo: dict[str, Any]) -> None:
    assert figures(demo, "open in a browser")["same labels as here"] == 1


def test_no_device_process_is_left_running(demo: dict[str, Any]) -> None:
    root = str(Path(demo["workspace"]) / "device")
    words = [
        (Path("/proc") / pid / "cmdline").read_bytes().split(b"\0")
        for pid in os.listdir("/proc")  # noqa: PTH208 - names are wanted
        if pid.isdigit() and (Path("/proc") / pid / "cmdline").exists()
    ]

    assert not [line for line in words if root.encode() in line]
