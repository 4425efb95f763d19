"""What one prediction costs a board's processor, in instructions, without the board.

The board's own runtime runs under QEMU's user emulation of its core, and a plugin (insncount.c)
counts what is executed between two marks. Nothing is timed, so the machine and its load do not
matter: the same model, core and runtime give the same numbers. What a processor makes of an
instruction is not modelled, nor are caches, nor more than one thread. Cores with the same
instructions (Cortex-A53 and A72) count alike in ONNX Runtime; LiteRT chooses by the core.
"""

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from edge_targets.emulation import guest
from edge_targets.emulation.sysroot import default_cache, sysroot
from edge_targets.emulation.userland import QEMU, python
from edge_targets.emulation.wheels import site_of
from edge_targets.runtime.durable import replace_file, storing
from edge_targets.runtime.errors import DeviceError, IntegrityError, UnsupportedError
from edge_targets.runtime.events import QUIET, Job

SOURCE = Path(__file__).with_name("insncount.c")
PACKAGES = {"onnx": "onnxruntime", "tflite": "ai-edge-litert"}  # of the runtime of a format
TIMEOUT_S = 3600  # a large network, a hundred times slower than on this machine
RUNS = 5  # of the whole program, at most: one prediction in fifty is disturbed, and counted again
# of addresses that are the program's alone, 64 GiB: QEMU chooses among them alike in every run,
# whatever the kernel makes of QEMU's own (address space layout randomization)
MEMORY = "0x1000000000"
UNSEEN = ("-U", "LD_PRELOAD")  # what is preloaded into QEMU is none of the program's


@dataclass(frozen=True)
class Instructions:
    """Of one prediction, after the first ones have warmed it up; by kind, each counted once.

    Attributes:
        integer: arithmetic, addresses and comparisons.
        branch: jumps, calls and returns.
        memory: loads and stores, of vectors too.
        vector: floating point and SIMD that is none of the next two.
        multiply: multiplication and addition of whole vectors.
        dot: dot products of int8, four multiplications in each of four lanes.
        cpu: the core, as QEMU names it.
        runtime: name and version.
    """

    integer: int
    branch: int
    memory: int
    vector: int
    multiply: int
    dot: int
    cpu: str
    runtime: str

    @property
    def total(self) -> int:
        return sum(self.kinds.values())

    @property
    def kinds(self) -> Mapping[str, int]:
        return {name: getattr(self, name) for name in KINDS}


KINDS = tuple(field.name for field in fields(Instructions) if field.name not in {"cpu", "runtime"})


def missing() -> list[str]:
    """Programs that counting needs and this machine lacks."""
    return [name for name in (QEMU, "gcc") if shutil.which(name) is None]


def count(
    model: Path,
    format_name: str,
    cpu: str,
    requirements: Sequence[str],
    platforms: Sequence[str],
    job: Job = QUIET,
    suite: str = "bookworm",
    kept: Path | None = None,
    anew: bool = False,
) -> Instructions:
    """The instructions of one prediction of a batch of one on one thread; kept once counted.

    Args:
        format_name: `onnx` or `tflite`.
        cpu: `cortex-a53`, `cortex-a72` or `cortex-a76`.
        requirements: of pip, pinned: numpy and the format's runtime.
        platforms: pip's tags of the board.
        suite: of Debian, which decides the Python.
        kept: the cache; `default_cache()` unless given.
        anew: count whatever is known already.

    Raises:
        UnsupportedError: the format has no runtime there, or this machine lacks a program.
        IntegrityError: the model does not run there.
        DeviceError: the board's packages could not be had.
    """
    if format_name not in PACKAGES:
        raise UnsupportedError(
            f"Instructions of {format_name!r} cannot be counted.",
            f"Build one of: {', '.join(PACKAGES)}.",
        )
    folder = kept or default_cache()
    told = [str(requirements), cpu, suite, format_name, digest(model), digest(SOURCE), GUEST]
    answer = folder / "instructions" / f"{hashlib.sha256(' '.join(told).encode()).hexdigest()}.json"
    if not anew and (known := read(answer)):
        return known
    if lacking := missing():
        raise UnsupportedError(
            f"Instructions cannot be counted: this machine lacks {', '.join(lacking)}.",
            "Debian: sudo apt-get install qemu-user gcc.",
        )
    plugin = compiled(folder / "emulation")
    board = sysroot(suite, job, cache=kept)
    site = site_of(requirements, board.python_version, platforms, job, kept)
    job.step(f"count instructions on {cpu}")
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        (work / "model").symlink_to(model.resolve())
        lines = work / "counts"
        options = ["-seed", "1", "-R", MEMORY, "-plugin", f"{plugin},out={lines}", *UNSEEN]
        # names are relative: the program sees where it is, and longer words take longer
        words = python(board, [guest.__file__, format_name, "model"], [site], cpu, {}, options)
        runs: list[list[Instructions]] = []
        while len(runs) < RUNS and len(agreed(runs)) < guest.RUNS:
            runtime = run(words, work, plugin, model.name)
            runs.append(counted(lines, cpu, runtime))
        found = min(agreed(runs) or runs[-1], key=lambda one: one.total)
    with storing(answer):
        answer.parent.mkdir(parents=True, exist_ok=True)
    replace_file(answer, json.dumps(asdict(found)).encode())
    return found


def digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


GUEST = digest(Path(guest.__file__))


def read(answer: Path) -> Instructions | None:
    """What was counted before; None where that is not known."""
    try:
        return Instructions(**json.loads(answer.read_bytes()))
    except (OSError, ValueError, TypeError):
        return None


def run(words: Sequence[str], folder: Path, plugin: Path, name: str) -> str:
    """Predict under the emulator, which writes the counts; the runtime's name and version."""
    emulator, *rest = words
    try:
        done = subprocess.run(
            [shutil.which(emulator) or emulator, *rest],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            # ours would lie in the program's memory
            env={"LANG": "C.UTF-8", "LD_PRELOAD": str(plugin)},
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise IntegrityError(
            f"{name} came to no end in the emulator.", "Count a smaller model."
        ) from error
    said = done.stderr.strip()
    if "plugin" in said and done.returncode:
        raise UnsupportedError(
            f"This QEMU does not take our plugin: {said.splitlines()[0]}",
            "Debian 12's qemu-user (7.2) does; one that is linked statically takes none.",
        )
    if done.returncode:
        last = said.splitlines()[-1] if said else f"it ended with {done.returncode}"
        raise IntegrityError(
            f"{name} does not run in the emulator: {last}",
            "Build the model again, or another format.",
        )
    return str(json.loads(done.stdout.splitlines()[-1])["runtime"])


def counted(lines: Path, cpu: str, runtime: str) -> list[Instructions]:
    """Of the predictions that were marked, in their order."""
    found: list[Any] = []
    if lines.is_file():
        found = [json.loads(line) for line in lines.read_text().splitlines()]
    if len(found) != guest.RUNS:
        raise DeviceError(
            "The emulator counted nothing.", "Is this qemu-aarch64 one that takes plugins?"
        )
    return [Instructions(**one, cpu=cpu, runtime=runtime) for one in found]


def agreed(runs: Sequence[Sequence[Instructions]]) -> list[Instructions]:
    """Of each prediction what two runs counted alike; none of one that was disturbed too often."""
    most = [Counter(same).most_common(1)[0] for same in zip(*runs, strict=True)]
    return [count for count, times in most if times > 1]


def compiled(folder: Path) -> Path:
    """The plugin as a library of this machine, made on first use."""
    library = folder / f"insncount-{digest(SOURCE)[:12]}.so"
    if library.is_file():
        return library
    half = library.with_suffix(f".{os.getpid()}")
    with storing(library):
        folder.mkdir(parents=True, exist_ok=True)
    words = ["gcc", "-O2", "-shared", "-fPIC", "-o", str(half), str(SOURCE)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UnsupportedError(
            f"The counting plugin could not be compiled: {done.stderr.strip()[-300:]}",
            "Debian: sudo apt-get install gcc libc6-dev.",
        )
    half.rename(library)
    return library
