"""Try an unpacked package in a process of its own: `python -m edge_targets.agent.trial FOLDER`.

A runtime that dies of an illegal instruction, or of memory, takes this process down and not the
agent that is serving. One JSON object comes out.
"""

import argparse
import json
import os
import sys
from pathlib import Path

from edge_targets.runtime.errors import EdgeError, IntegrityError
from edge_targets.runtime.predictor import Predictor


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m edge_targets.agent.trial", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args(words)
    # native libraries print to descriptor 1 as they like: keep the real one for our answer
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    answer: dict[str, float | str]
    try:
        answer = {"golden_difference": attempt(options.folder, options.threads)}
    except EdgeError as error:
        answer = {"error": str(error), "hint": error.hint, "kind": error.kind}
    with answers:
        json.dump(answer, answers)
    return "error" in answer


def attempt(folder: Path, threads: int) -> float:
    """The largest difference between the golden outputs and what the model answers here."""
    try:
        return Predictor(folder, threads=threads).replay()
    except EdgeError:
        raise
    except Exception as error:  # engines fail in ways of their own
        raise IntegrityError(
            f"The package does not run here: {type(error).__name__}: {error}",
            "Compare runtime versions with `sanderling doctor`, or build another format.",
        ) from error


if __name__ == "__main__":
    sys.exit(main())
