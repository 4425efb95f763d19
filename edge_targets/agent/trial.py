"""Try an unpacked package in a process of its own: `python -m edge_targets.agent.trial FOLDER`.

A runtime that dies of an illegal instruction, or of memory, takes this process down and not the
agent that is serving. Its memory and its processor time are limited, it gives way to what is
served, and the kernel takes it first when memory runs out. One JSON object comes out.

With `--runs` single predictions are timed as well.
"""

import argparse
import ctypes
import itertools
import json
import logging
import os
import resource
import signal
import statistics
import subprocess
import sys
import time
from array import array
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from edge_targets.agent.gauges import energy, gauged
from edge_targets.agent.health import available_memory, megabytes
from edge_targets.agent.home import child_environment
from edge_targets.runtime.contract import Tensor
from edge_targets.runtime.errors import EdgeError, IntegrityError
from edge_targets.runtime.predictor import Predictor

log = logging.getLogger(__name__)

TRIAL_S = 120.0  # loading and a handful of predictions take seconds on the slowest board
PR_SET_PDEATHSIG = 1  # prctl(2): the trial ends with the agent
NICE = 10  # the served model goes first
KEPT_BYTES = 24 << 20  # of memory, for everybody else while a trial runs
FIGURES = (
    "golden_difference", "memory_bytes", "p50_ms", "p90_ms", "p99_ms", "runs",
    "rss_bytes", "temperature_before_c", "temperature_c", "throttled", "energy_mj",
)  # fmt: skip
HINT = "Compare runtime versions with `sanderling doctor`, or build another format."
SMALLER = "Make the model smaller, for example with quantize_int8."
DEATHS = {
    signal.SIGILL: "an instruction that this processor does not have",
    signal.SIGKILL: "most often because memory ran out",
    signal.SIGXCPU: "for it came to no end",
}

WARM_UP = 5  # predictions that fill caches and are not counted
LONGEST_S = 20.0  # of timing, however slow the model is


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m edge_targets.agent.trial", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--runs", type=int, default=0)
    parser.add_argument("--memory", type=int, default=0, help="bytes it may take; 0: any number")
    parser.add_argument("--parent", type=int, default=0, help="process to end with")
    options = parser.parse_args(words)
    if options.parent:
        end_with(options.parent)
    limit(options.memory)
    # native libraries print to descriptor 1 as they like: keep the real one for our answer
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    answer: dict[str, float | str]
    try:
        answer = dict(attempt(options.folder, options.threads, options.runs))
    except EdgeError as error:
        answer = {"error": str(error), "hint": error.hint, "kind": error.kind}
    with answers:
        json.dump(answer, answers)
    return "error" in answer


def end_with(parent: int) -> None:
    """Have the kernel end this process when its parent ends, however that does."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it has ended already
        raise SystemExit(1)


def limit(memory: int) -> None:
    """Keep this process from taking the board along.

    RLIMIT_DATA and not RLIMIT_AS: runtimes reserve far more addresses than they use.
    """
    os.nice(NICE)
    seconds = int(TRIAL_S)
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if memory:
        resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    with suppress(OSError):  # the kernel ends this process before any other
        Path("/proc/self/oom_score_adj").write_text("1000")


def in_child(folder: Path, threads: int, runs: int = 0) -> dict[str, float]:
    """Replay the golden inputs in a child process, and time `runs` predictions there.

    The largest difference is in `golden_difference`, what the model took in `memory_bytes`; the
    times are in milliseconds.

    Raises:
        IntegrityError: it answers differently, or died, or came to no end.
    """
    memory = max(0, available_memory() - KEPT_BYTES)
    words = [sys.executable, "-P", "-m", "edge_targets.agent.trial", str(folder)]
    words += ["--threads", str(threads), "--runs", str(runs), "--memory", str(memory)]
    words += ["--parent", str(os.getpid())]
    try:
        done = subprocess.run(
            words,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=TRIAL_S,
            env=child_environment(),
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise IntegrityError(f"The package did not answer in {TRIAL_S:.0f} s.", HINT) from error
    answer = _answer(done.stdout)
    if "error" in answer:
        raise IntegrityError(str(answer["error"]), str(answer.get("hint", HINT)))
    if done.returncode < 0:
        death = signal.Signals(-done.returncode)
        why = f": {DEATHS[death]}" if death in DEATHS else ""
        raise IntegrityError(
            f"The package's runtime died of {death.name} on this device{why}. "
            f"It might take {megabytes(memory)} MB.",
            HINT,
        )
    if "golden_difference" not in answer:
        log.error("trial: %s", done.stderr[-2000:].decode(errors="replace"))
        raise IntegrityError("The package could not be tried on this device.", HINT)
    return {name: float(answer[name]) for name in FIGURES if name in answer}


def _answer(output: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(output)
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}


def attempt(folder: Path, threads: int, runs: int = 0) -> dict[str, float]:
    """The largest difference between the golden outputs and what the model answers here.

    And how much memory that took; how long one prediction does, when `runs` are asked for.
    """
    before = peak_memory()
    try:
        predictor = Predictor(folder, threads=threads)
        found = {"golden_difference": predictor.replay(), "memory_bytes": peak_memory() - before}
        return {**found, **timed(predictor, runs)} if runs else found
    except EdgeError:
        raise
    except MemoryError as error:
        raise IntegrityError(
            "The package needs more memory than this device has.", SMALLER
        ) from error
    except Exception as error:  # engines fail in ways of their own
        raise IntegrityError(
            f"The package does not run here: {type(error).__name__}: {error}",
            "Compare runtime versions with `sanderling doctor`, or build another format.",
        ) from error


def peak_memory() -> int:
    """Bytes that this process had in memory at most; 0 where the system does not tell.

    Not getrusage(2): there a child begins with its parent's peak.
    """
    with suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/self/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM:")).split()[1]) * 1024
    return 0


def timed(predictor: Predictor, runs: int) -> dict[str, float]:
    """Milliseconds of one item at a time, the golden inputs in turn, and what that did here."""
    items = itertools.cycle(list(single_items(predictor.golden.inputs)))
    durations: list[float] = []
    figures: dict[str, float] = {}
    begun = time.perf_counter()
    with gauged(figures):
        for _ in range(WARM_UP + runs):
            feeds, start = next(items), time.perf_counter()
            predictor.engine.run(feeds)
            end = time.perf_counter()
            durations.append(end - start)
            if len(durations) > WARM_UP and end - begun > LONGEST_S:
                break
    counted = sorted(durations[WARM_UP:])
    for name, share in (("p90_ms", 0.9), ("p99_ms", 0.99)):
        figures[name] = counted[min(len(counted) - 1, round(share * len(counted)))] * 1e3
    if (spent := energy(lambda: predictor.engine.run(next(items)))) is not None:
        figures["energy_mj"] = spent
    return {"p50_ms": statistics.median(counted) * 1e3, "runs": len(counted), **figures}


def single_items(inputs: Mapping[str, Tensor]) -> Iterator[dict[str, Tensor]]:
    """Each item of a batch as a batch of its own."""
    count = next(iter(inputs.values())).shape[0]
    # arrays: a list would be turned into one in every prediction, which would be timed too
    values = {name: array("d", given.data) for name, given in inputs.items()}
    for item in range(count):
        yield {
            name: Tensor((1, *given.shape[1:]), values[name][item * size : (item + 1) * size])
            for name, given in inputs.items()
            for size in [len(given.data) // count]
        }


if __name__ == "__main__":
    sys.exit(main())
