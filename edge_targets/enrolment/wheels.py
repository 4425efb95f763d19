"""The packages of a board that has no pip and no network: fetched here, for its processor.

pip resolves for another machine when it is told the platform tags and the Python there
(PEP 425, PEP 600). What was fetched is kept, so that the second board needs no network here either.
"""

import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edge_targets.runtime.durable import storing
from edge_targets.runtime.errors import DeviceError, UnsupportedError
from edge_targets.runtime.events import Job

if TYPE_CHECKING:
    from edge_targets.places.facts import Runtime

AGENT = ("cryptography", "zstandard", "bsdiff4", "tuf", "paho-mqtt", "numpy")
# what runs a format, the better first; a board has that of which a version is pinned
ENGINES = {"onnx": ("onnxruntime",), "tflite": ("ai-edge-litert", "tflite-runtime")}
PYTHON = re.compile(r"3\.\d{1,2}")
TIMEOUT_S = 1800  # 60 MB over a slow line
LOOK_S = 0.1


def requirements(runtime: "Runtime", formats: Sequence[str]) -> tuple[str, ...]:
    """What the agent and the engines of these formats need, as pip takes it.

    Raises:
        UnsupportedError: nothing that runs a format is known there.
    """
    packages = list(AGENT)
    for name in formats:
        engine = next((one for one in ENGINES.get(name, ()) if one in runtime.pins), None)
        if engine is None:
            raise UnsupportedError(
                f"Nothing that runs {name!r} is known for {runtime.machine}.",
                "Choose another format, or another target.",
            )
        packages.append(engine)
    there = {package.removeprefix("python3-") for package in runtime.system}
    if there:  # without numpy's wheel there is none of bsdiff4 either: deltas go without it
        packages = [package for package in packages if package not in there | {"bsdiff4"}]
    return runtime.requirements(*packages)


def fetch_wheels(
    runtime: "Runtime", python: str, formats: Sequence[str], cache: Path, job: Job
) -> tuple[Path, ...]:
    """The wheels, from the cache when these very ones were fetched before.

    Raises:
        DeviceError: pip cannot get them.
        UnsupportedError: that Python, or a format, is not known to work there.
    """
    if python not in runtime.pythons or not PYTHON.fullmatch(python):
        raise UnsupportedError(
            f"Python {python} is not known to work there.",
            f"Use a system with Python {' or '.join(runtime.pythons)}: Raspberry Pi OS Bookworm "
            "has 3.11, Trixie 3.13.",
        )
    wanted = requirements(runtime, formats)
    # Debian's own packages have dependencies that pip cannot see
    options = ("--no-deps",) if runtime.system else ()
    identity = "\n".join([python, *runtime.platforms, *options, *sorted(wanted)])
    name = f"{python}-{runtime.machine}-{hashlib.sha256(identity.encode()).hexdigest()[:12]}"
    kept = cache / name
    job.step("fetch wheels")
    if not kept.is_dir():
        with storing(cache):
            cache.mkdir(parents=True, exist_ok=True)
            half = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=cache))
        try:
            download([*options, *wanted], python, runtime.platforms, half, job)
            with storing(kept):
                if not kept.is_dir():  # somebody else may have been quicker
                    half.rename(kept)
        finally:
            shutil.rmtree(half, ignore_errors=True)
    return tuple(sorted(kept.glob("*.whl")))


def download(
    wanted: Sequence[str], python: str, platforms: Sequence[str], folder: Path, job: Job
) -> None:
    abi = "cp" + python.replace(".", "")
    words = [
        sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check",
        "--only-binary=:all:", "--implementation=cp", f"--python-version={python}",
        f"--abi={abi}", "--abi=abi3", "--abi=none",
        *[f"--platform={platform}" for platform in platforms],
        "--dest", str(folder), *wanted,
    ]  # fmt: skip
    with tempfile.TemporaryFile() as said:
        child = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=said, stderr=said)
        until = time.monotonic() + TIMEOUT_S
        try:
            while child.poll() is None and time.monotonic() < until:
                job.step("fetch wheels", len(list(folder.glob("*.whl"))))
                time.sleep(LOOK_S)
        finally:
            if child.poll() is None:
                child.kill()
                child.wait()
        said.seek(0)
        text = said.read().decode(errors="replace")
    if child.returncode:
        errors = [line for line in text.splitlines() if line.startswith("ERROR")] or [text.strip()]
        raise DeviceError(
            f"The packages for Python {python} on {platforms[-1].removeprefix('linux_')} could not "
            f"be fetched: {errors[-1][-300:]}",
            "Check the network here, and that this Python has pip (python -m ensurepip). The board "
            "itself needs none.",
        )
