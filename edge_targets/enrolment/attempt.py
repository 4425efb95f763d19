"""Try an environment on the board, in a process of its own: `python -m …attempt`.

Imports what the agent needs, then answers the golden inputs of what is served already and of what
shall be. An illegal instruction, or memory that ends, takes this process down and no other. One
JSON object comes out.
"""

import argparse
import importlib
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from edge_targets.agent import slots, trial
from edge_targets.agent.home import Home, TrustedKeys
from edge_targets.package import unpack
from edge_targets.runtime.errors import EdgeError, IntegrityError

AGENT = ("edge_targets.agent.__main__", "edge_targets.agent.keeper")
MOST = 1000  # of 1000: the first that the kernel ends when memory does


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m edge_targets.enrolment.attempt")
    parser.add_argument("--import", dest="modules", action="append", default=[])
    parser.add_argument("--home", type=Path, help="root folder of an agent whose models are tried")
    parser.add_argument("--package", type=Path, help="a package that is tried as well")
    parser.add_argument("--trusted", type=Path, help="folder with the keys it must be signed by")
    options = parser.parse_args(words)
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(str(MOST))
    # native libraries print to descriptor 1 as they like: keep the real one for our answer
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    answer: dict[str, object]
    try:
        for name in (*AGENT, *options.modules):
            importing(name)
        answer = {"models": dict(replayed(options.home)) if options.home else {}}
        if options.package:
            answer |= attempted(options.package, options.trusted)
    except EdgeError as error:
        answer = {"error": str(error), "hint": error.hint}
    answer["modules"] = [
        file
        for module in list(sys.modules.values())
        if (file := getattr(module, "__file__", None)) and file.endswith(".py")
    ]
    with answers:
        json.dump(answer, answers)
    return "error" in answer


def importing(name: str) -> None:
    try:
        importlib.import_module(name)
    except Exception as error:  # whatever a native library's loader says
        raise IntegrityError(
            f"{name} cannot be imported on this board: {type(error).__name__}: {error}",
            "What ran before goes on. Does the board have the system that its target names?",
        ) from error


def replayed(home: Path) -> Iterator[tuple[str, float]]:
    """Each model that is served, with the largest difference of its golden outputs here."""
    for name, known in slots.known(Home(home).models).items():
        if active := known.active:
            yield name, trial.attempt(active, 1)["golden_difference"]


def attempted(package: Path, trusted: Path) -> dict[str, object]:
    with tempfile.TemporaryDirectory() as folder:
        unpacked = Path(folder) / "package"
        manifest = unpack(package, unpacked, TrustedKeys.load(trusted).keys)
        difference = trial.attempt(unpacked, 1)["golden_difference"]
    facts = {"name": manifest.name, "version": manifest.version, "golden_difference": difference}
    return {"package": facts}


if __name__ == "__main__":
    sys.exit(main())
