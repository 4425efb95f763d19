"""Read files of strangers in a process of its own, with limits on memory and time.

What a damaged or hostile file does to a parser (a crash in C++, a size of a hundred gigabytes, a
loop without end) then ends that process and nothing else.
"""

import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

from edge_targets.runtime.durable import storing
from edge_targets.runtime.errors import (
    DataError,
    EdgeError,
    IntegrityError,
    RecipeError,
    StorageError,
    UnsupportedError,
    first_line,
)
from edge_targets.runtime.events import Event, Job
from toolkit import alone
from toolkit.importers import Found, Given, Source, importers, recognised
from toolkit.model import Model

POLL_S = 0.1  # how soon a cancelled job stops its child
SHARE = 16  # bytes of memory for each byte of the file, on top of an importer's own limit
MOST_ANSWER = 64 << 20  # bytes of facts; the weights are in a file beside them
ERRORS = {
    error.__name__: error
    for error in (DataError, IntegrityError, RecipeError, StorageError, UnsupportedError)
}


def import_model(path: Path, given: Given, job: Job) -> Found:
    """Read a model file, recognised by its content and not by its name.

    Raises:
        IntegrityError: the file is damaged; also where reading it broke the reader.
        UnsupportedError: names what cannot be taken over, and what to do.
    """
    source = Source.of(path)
    name = recognised(source)
    if given.network and not importers[name].takes_network:
        raise UnsupportedError(
            f"--network {given.network}: {path} brings its own ({importers[name].title}).",
            "Leave --network out; it is for files that hold nothing but weights.",
        )
    with tempfile.TemporaryDirectory() as folder:
        return _read(name, source, given, Path(folder), job)


def _read(name: str, source: Source, given: Given, folder: Path, job: Job) -> Found:
    kind = importers[name]
    words = {"importer": name, "path": str(source.path.absolute()), **asdict(given)}
    most = kind.memory_bytes + SHARE * kind.weight_bytes(source)
    limits = {"memory_bytes": most, "time_s": kind.time_s}
    said = folder / "said.txt"
    with said.open("wb") as errors:
        child = subprocess.Popen(
            [sys.executable, "-m", "toolkit.guarded", str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env={**os.environ, "PYTHONWARNINGS": "ignore", "OMP_NUM_THREADS": "1"},
        )
    try:
        _send(child, {**words, **limits})
        _follow(child, kind.time_s, source, job)
        code = child.wait()
    finally:
        child.kill()
        child.wait()
        for stream in (child.stdin, child.stdout):
            if stream:
                stream.close()
    if code:
        raise broken(source, code)
    return _found(folder, job)


def _send(child: "subprocess.Popen[bytes]", words: dict[str, Any]) -> None:
    assert child.stdin
    child.stdin.write(json.dumps(words).encode() + b"\n")
    child.stdin.flush()


def _follow(child: "subprocess.Popen[bytes]", time_s: float, source: Source, job: Job) -> None:
    """Pass on what the child says until it has said all; stop it when the job is stopped."""
    lines: queue.Queue[bytes] = queue.Queue()
    assert child.stdout
    threading.Thread(target=_listen, args=(child.stdout, lines), daemon=True).start()
    end, last = time.monotonic() + time_s, Event("import")
    while True:
        try:
            line = lines.get(timeout=POLL_S)
        except queue.Empty:
            if job.cancelled:
                job.step(last.message, last.done, last.total)
            if time.monotonic() > end:
                raise IntegrityError(
                    f"{source.path} was not read after {time_s:.0f} seconds.",
                    "It may be damaged, or made to keep readers busy: export it again.",
                ) from None
            continue
        if not line:
            return
        last = Event.from_json(line.decode())
        job.step(last.message, last.done, last.total)


def _listen(stream: IO[bytes], lines: "queue.Queue[bytes]") -> None:
    for line in stream:
        lines.put(line)
    lines.put(b"")


def broken(source: Source, code: int) -> IntegrityError:
    """What is said when the reader itself ended, by a signal or out of memory."""
    what = f"signal {-code}" if code < 0 else f"code {code}"
    return IntegrityError(
        f"{source.path} broke the program that reads it ({what}).",
        "It is damaged, or larger than this machine can read: copy or export it again.",
    )


def _found(folder: Path, job: Job) -> Found:
    """What the child has left: a refusal, or a model."""
    answer = folder / "answer.json"
    if answer.stat().st_size > MOST_ANSWER:
        raise IntegrityError("The file describes itself at too great length.", "Export it again.")
    facts = json.loads(answer.read_text())
    if "missing" in facts:  # the command line knows which command installs it
        raise ModuleNotFoundError(facts["message"], name=facts["missing"])
    if "error" in facts:
        raise ERRORS.get(facts["error"], EdgeError)(facts["message"], facts["hint"])
    model = Model.from_facts(facts["model"], (folder / "stored").read_bytes(), None)
    notes, warnings = tuple(facts["notes"]), tuple(facts["warnings"])
    return Found(model, facts["layout"], facts["opset"], facts["metadata"], notes, warnings)


# ------------------------------------------------------------------------------- the child


def main() -> None:
    """Read one file; leave the answer in the folder that is named on the command line."""
    words = json.loads(sys.stdin.readline())
    alone.begin()
    limit(words["memory_bytes"], words["time_s"])
    events = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what libraries print is no event
    job = Job(lambda event: print(event.to_json(), file=events))
    answer(words, Path(sys.argv[1]), job)


def answer(words: dict[str, Any], folder: Path, job: Job) -> None:
    """Read the file that `words` name, and leave in `folder` what was found, or why not."""
    shapes = {name: tuple(shape) for name, shape in words["shapes"].items()}
    given = Given(words["trust"], shapes, words["network"], tuple(words["words"]))
    try:
        found = importers[words["importer"]]().read(Source.of(Path(words["path"])), given, job)
        _, stored = found.model.stored()
        with storing(folder / "stored"):
            (folder / "stored").write_bytes(stored)
        facts: dict[str, Any] = {
            "model": found.model.facts(),
            "layout": found.layout,
            "opset": found.opset,
            "metadata": dict(found.metadata),
            "notes": list(found.notes),
            "warnings": list(found.warnings),
        }
    except ModuleNotFoundError as error:
        facts = {"missing": error.name or "", "message": str(error)}
    except EdgeError as error:
        (folder / "stored").unlink(missing_ok=True)  # on a full disk, the answer needs its room
        facts = {"error": type(error).__name__, "message": str(error), "hint": error.hint}
    except (MemoryError, RecursionError) as error:
        facts = {
            "error": IntegrityError.__name__,
            "message": f"{words['path']} asks for more memory than a model of its size needs: "
            f"{first_line(error)}.",
            "hint": "It is damaged, or made to break readers: copy or export it again.",
        }
    (folder / "answer.json").write_text(json.dumps(facts))


def limit(memory_bytes: int, time_s: float) -> None:
    """Bound what this process may take, where the system knows such bounds."""
    try:
        import resource
    except ImportError:  # Windows: the parent's clock remains
        return
    seconds = int(time_s) + 1
    for what, most in (
        (resource.RLIMIT_DATA, memory_bytes),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.getrlimit(what)
        bound = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(what, (bound, hard))


if __name__ == "__main__":
    main()
