"""Damaged files of every kind, read under limits, as `benchmarks/bench_hostile.py` reads 10,000."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("kind", ["onnx", "tflite", "sklearn", "xgboost", "lightgbm"])
def test_no_damaged_file_breaks_hangs_or_bloats_its_reader(kind: str) -> None:
    words = ["-m", "benchmarks.bench_hostile", "60", "--kind", kind, "--seed", "1", "--json"]

    done = subprocess.run(
        [sys.executable, *words], cwd=ROOT, capture_output=True, text=True, check=True
    )

    found = json.loads(done.stdout.splitlines()[-1])
    assert sum(found["kinds"][kind].values()) == 60
    assert found["kinds"][kind]["refused"] > 0
    assert found["ended"] == {}
    assert found["most_bytes"] < 1 << 30
