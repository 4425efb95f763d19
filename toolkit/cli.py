"""The command line: one command a verb of `toolkit.api`, for a person, a script or a program.

Exit codes: 0 good; 1 a problem of the user or a device; 2 wrong usage; 3 a check or a gate did
not hold; 130 cancelled.
"""

import json
import os
import re
import signal
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import IO, Any, NoReturn

from cyclopts import App, CycloptsError, Parameter

from edge_targets.runtime.errors import Cancelled, EdgeError
from edge_targets.runtime.events import Event, Job
from toolkit import api
from toolkit.report import Result, plain
from toolkit.terminal import PAPER, Bar, show

GOOD, PROBLEM, USAGE, GATE, CANCELLED = 0, 1, 2, 3, 130
FLAGS = {"--json", "--driven"}
GROUPS = {"data": "Datasets.", "device": "Places a package can go to."}
HELP = "Takes a machine-learning model from a laptop to the edge and back."
EPILOGUE = (
    "Every command takes --workspace DIR (unless given, the nearest folder with sanderling.toml) "
    "and --json (one JSON object on standard output)."
)


def main(words: Sequence[str] | None = None) -> int:
    """Run one command; the exit code."""
    flags, rest = common(list(sys.argv[1:] if words is None else words))
    answer = channel() if flags else sys.stdout
    speaker: Speaker = Driven(answer) if "--driven" in flags else Plain(answer, "--json" in flags)
    try:
        verb, bound, hidden = program().parse_args(rest, print_error=False, exit_on_error=False)
    except CycloptsError as error:
        speaker.fail(
            "usage", str(error), f"sanderling {' '.join(rest[:1])} --help".replace("  ", " ")
        )
        return USAGE
    if verb.__module__ != api.__name__:  # --help and --version print by themselves
        verb(*bound.args, **bound.kwargs)
        return GOOD
    return run(verb, bound.args, bound.kwargs, "job" in hidden, speaker)


def common(words: list[str]) -> tuple[set[str], list[str]]:
    """The flags of every command, which may stand anywhere before a lone `--`, and the rest.

    `--workspace DIR` is moved to the end, where its command takes it.
    """
    end = words.index("--") if "--" in words else len(words)
    before, after = words[:end], words[end:]
    flags = {word for word in before if word in FLAGS}
    before = [word for word in before if word not in FLAGS]
    if before[:1] == ["--workspace"] and len(before) > 2:
        before = before[2:] + before[:2]
    elif before and before[0].startswith("--workspace="):
        before = before[1:] + before[:1]
    return flags, before + after


def program() -> App:
    """The commands, made from the verbs' signatures and docstrings."""
    options = Parameter(parse=re.compile("^(?!job$)"), negative=())
    app = App(
        "sanderling",
        help=HELP,
        help_format="plaintext",
        help_epilogue=EPILOGUE,
        version=release,
        default_parameter=options,
    )
    groups = {name: App(name, help=text) for name, text in GROUPS.items()}
    for group in groups.values():
        app.command(group)
    for name in api.__all__:
        first, _, second = name.rstrip("_").partition("_")
        if second:
            groups[first].command(getattr(api, name), name=second)
        else:
            app.command(getattr(api, name), name=first)
    return app


def release() -> str:
    try:
        return version("sanderling")
    except PackageNotFoundError:
        return "not installed"


class Speaker:
    """How a command talks to whoever typed or started it."""

    def listen(self, event: Event) -> None: ...

    def result(self, result: Any) -> None: ...

    def fail(self, kind: str, message: str, hint: str) -> None: ...

    def during(self, job: Job) -> Any:
        return nullcontext()


class Plain(Speaker):
    """For a person; or, with `as_json`, one object for a script."""

    def __init__(self, answer: IO[str], as_json: bool) -> None:
        from rich.console import Console

        self.answer, self.as_json = answer, as_json
        self.errors = Console(stderr=True)
        self.bar: Bar | None = None

    def during(self, job: Job) -> Any:
        if self.as_json:
            return nullcontext()
        self.bar = Bar(self.errors)
        return self.bar

    def listen(self, event: Event) -> None:
        if self.bar:
            self.bar.listen(event)

    def result(self, result: Any) -> None:
        from rich.console import Console

        if self.as_json:
            write(self.answer, plain(result) if result is not None else {"ok": True})
        elif isinstance(result, Result):
            width = None if self.answer.isatty() else PAPER
            show(result, Console(file=self.answer, width=width))

    def fail(self, kind: str, message: str, hint: str) -> None:
        if self.as_json:
            write(self.answer, {"error": {"kind": kind, "message": message, "hint": hint}})
            return
        self.errors.print(message, style="red", highlight=False, markup=False, soft_wrap=True)
        if hint:
            self.errors.print(hint, highlight=False, markup=False, soft_wrap=True)


class Driven(Speaker):
    """For a driving program: every event, then the result or the error, one JSON line each."""

    def __init__(self, answer: IO[str]) -> None:
        self.answer = answer

    def during(self, job: Job) -> Any:
        threading.Thread(target=job.obey, args=(sys.stdin,), daemon=True).start()
        return nullcontext()

    def listen(self, event: Event) -> None:
        write(self.answer, {"message": event.message, "done": event.done, "total": event.total})

    def result(self, result: Any) -> None:
        write(self.answer, {"result": plain(result)})

    def fail(self, kind: str, message: str, hint: str) -> None:
        write(self.answer, {"error": {"kind": kind, "message": message, "hint": hint}})


def write(stream: IO[str], data: dict[str, Any]) -> None:
    stream.write(json.dumps(data, ensure_ascii=False) + "\n")
    stream.flush()


def channel() -> IO[str]:
    """The original standard output, kept for answers alone.

    Whatever else prints, C++ libraries included, goes to the error stream and breaks no JSON.
    """
    kept = os.fdopen(os.dup(1), "w", encoding="utf-8")
    sys.stdout.flush()
    os.dup2(2, 1)
    return kept


def run(
    verb: Callable[..., Any],
    arguments: tuple[Any, ...],
    options: dict[str, Any],
    takes_job: bool,
    speaker: Speaker,
) -> int:
    job = Job(speaker.listen)
    before = signal.signal(signal.SIGTERM, stop)
    try:
        with speaker.during(job):
            result = verb(*arguments, **options, **({"job": job} if takes_job else {}))
    except (Cancelled, KeyboardInterrupt):
        speaker.fail("cancelled", "Stopped.", "Nothing was left half-written.")
        return CANCELLED
    except EdgeError as error:
        speaker.fail(error.kind, str(error), error.hint)
        return PROBLEM
    except ModuleNotFoundError as error:
        if error.name and error.name.split(".")[0] in {"toolkit", "edge_targets", "gui"}:
            return surprised(speaker)
        speaker.fail(
            "missing_package",
            f"The package {error.name} is not installed.",
            "`sanderling doctor` names the command that installs it.",
        )
        return PROBLEM
    except Exception:  # noqa: BLE001 - the last line of defence: a log, not a traceback
        return surprised(speaker)
    finally:
        signal.signal(signal.SIGTERM, before)
    speaker.result(result)
    return GOOD if result is None or result.ok else GATE


def stop(number: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt


def surprised(speaker: Speaker) -> int:
    """Our own bug: the traceback goes to a file, one line to the user."""
    moment = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    with tempfile.NamedTemporaryFile(
        "w", prefix=f"sanderling-{moment}-", suffix=".log", delete=False
    ) as log:
        traceback.print_exc(file=log)
    error = sys.exc_info()[1]
    speaker.fail(
        "internal",
        f"Sanderling failed where it should not have: {type(error).__name__}: {error}",
        f"Please report it with the file {Path(log.name)}.",
    )
    return PROBLEM
