"""Try an unpacked package in a process of its own: `python -m edge_targets.agent.trial FOLDER`.

A runtime that dies of an illegal instruction, or of memory, takes this process down and not the
agent that is serving. One JSON object comes out.

With `--runs` single predictions are timed as well.
"""

import argparse
import itertools
import json
import os
import statistics
import sys
import time
from array import array
from collections.abc import Iterator, Mapping
from pathlib import Path

from edge_targets.runtime.contract import Tensor
from edge_targets.runtime.errors import EdgeError, IntegrityError
from edge_targets.runtime.predictor import Predictor

WARM_UP = 5  # predictions that fill caches and are not counted
LONGEST_S = 20.0  # of timing, however slow the model is


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m edge_targets.agent.trial", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--runs", type=int, default=0)
    options = parser.parse_args(words)
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


def attempt(folder: Path, threads: int, runs: int = 0) -> dict[str, float]:
    """The largest difference between the golden outputs and what the model answers here.

    And how long one prediction takes, when `runs` of them are asked for.
    """
    try:
        predictor = Predictor(folder, threads=threads)
        found = {"golden_difference": predictor.replay()}
        return {**found, **timed(predictor, runs)} if runs else found
    except EdgeError:
        raise
    except Exception as error:  # engines fail in ways of their own
        raise IntegrityError(
            f"The package does not run here: {type(error).__name__}: {error}",
            "Compare runtime versions with `sanderling doctor`, or build another format.",
        ) from error


def timed(predictor: Predictor, runs: int) -> dict[str, float]:
    """Milliseconds of one item at a time, the golden inputs in turn."""
    items = itertools.cycle(list(single_items(predictor.golden.inputs)))
    durations: list[float] = []
    begun = time.perf_counter()
    for _ in range(WARM_UP + runs):
        feeds, start = next(items), time.perf_counter()
        predictor.engine.run(feeds)
        end = time.perf_counter()
        durations.append(end - start)
        if len(durations) > WARM_UP and end - begun > LONGEST_S:
            break
    counted = sorted(durations[WARM_UP:])
    slow = counted[min(len(counted) - 1, round(0.9 * len(counted)))]
    return {
        "p50_ms": statistics.median(counted) * 1e3,
        "p90_ms": slow * 1e3,
        "runs": len(counted),
    }


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
