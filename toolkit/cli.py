"""The command line: one command a verb of `toolkit.api`, for a person, a script or a program.

Exit codes: 0 good; 1 a problem of the user or a device; 2 wrong usage; 3 a check or a gate did
not hold; 130 cancelled.
"""

import contextlib
import functools
import inspect
import io
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
from pathlib import Path
from typing import IO, Any, NoReturn

from cyclopts import App, CycloptsError, Parameter

from edge_targets.runtime.errors import Cancelled, EdgeError, UsageError
from edge_targets.runtime.events import Event, Job
from toolkit import api
from toolkit.report import Result, plain
from toolkit.terminal import PAPER, Bar, console, show

GOOD, PROBLEM, USAGE, GATE, CANCELLED = 0, 1, 2, 3, 130
FLAGS = {"--json", "--driven"}
GROUPS = {
    "channel": "Updates over the air: the repository that devices follow.",
    "data": "Datasets.",
    "device": "Places a package can go to.",
    "token": "Pages of other sites that may send telemetry.",
}
HELP = "Takes a machine-learning model from a laptop to the edge and back."
EPILOGUE = (
    "Every command takes --workspace DIR (unless given, the nearest folder with sanderling.toml) "
    "and --json (one JSON object on standard output)."
)
OURS = {"toolkit", "edge_targets", "gui"}


def main(words: Sequence[str] | None = None) -> int:
    """Run one command; the exit code."""
    flags, rest = common(list(sys.argv[1:] if words is None else words))
    app = program()
    try:
        if "" in rest:
            raise UsageError("An argument is empty.", "Leave it out, or say what it is.")
        verb, bound, hidden = app.parse_args(rest, print_error=False, exit_on_error=False)
    except (CycloptsError, UsageError) as error:
        hint = getattr(error, "hint", "") or f"sanderling {known_verb(rest)}--help"
        return speaker(flags, channel()).fail(UsageError(str(error), hint))
    if not verb.__module__.startswith("toolkit.verbs."):  # --help and --version print by themselves
        return tell(lambda: verb(*bound.args, **bound.kwargs), as_json=bool(flags))
    return run(verb, bound.args, bound.kwargs, "job" in hidden, speaker(flags, channel()))


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
        command = flowing(getattr(api, name))
        if second:
            groups[first].command(command, name=second)
        else:
            app.command(command, name=first)
    return app


def flowing(verb: Callable[..., Any]) -> Callable[..., Any]:
    """The verb with its paragraphs in one line each: the terminal, not the source, breaks them."""

    @functools.wraps(verb)
    def same(*arguments: Any, **options: Any) -> Any:
        return verb(*arguments, **options)

    text = inspect.getdoc(verb) or ""
    same.__doc__ = re.sub(r"(?<=\S)\n(?=\S)|\n {8,}(?=\S)", " ", text)
    return same


def known_verb(words: Sequence[str]) -> str:
    """The verb that was typed, if it is one, with a space behind it."""
    verbs = {tuple(name.rstrip("_").split("_", 1)) for name in api.__all__}
    known = verbs | {verb[:1] for verb in verbs}
    typed = next((words[:size] for size in (2, 1) if tuple(words[:size]) in known), [])
    return "".join(f"{word} " for word in typed)


def release() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("sanderling")
    except PackageNotFoundError:
        return "not installed"


def tell(speak: Callable[[], object], as_json: bool) -> int:
    """Help or version: as it is, or as the text of one JSON object."""
    if not as_json:
        speak()
        return GOOD
    text = io.StringIO()
    with contextlib.redirect_stdout(text):
        speak()
    write(sys.stdout, {"ok": True, "text": text.getvalue()})
    return GOOD


class Speaker:
    """How a command talks to whoever typed or started it."""

    def listen(self, event: Event) -> None: ...

    def result(self, result: Any) -> None: ...

    def error(self, kind: str, message: str, hint: str) -> None: ...

    def fail(self, error: EdgeError) -> int:
        """Tell what failed; the exit code."""
        self.error(error.kind, str(error), error.hint)
        return USAGE if isinstance(error, UsageError) else PROBLEM

    def during(self, job: Job) -> Any:
        return nullcontext()


class Person(Speaker):
    """Tables for a person; errors and progress on the error stream."""

    def __init__(self, answer: IO[str]) -> None:
        self.answer = answer
        self.errors = console(sys.stderr)
        self.bar = Bar(self.errors)

    def during(self, job: Job) -> Any:
        return self.bar

    def listen(self, event: Event) -> None:
        self.bar.listen(event)

    def result(self, result: Any) -> None:
        if isinstance(result, Result):
            show(result, console(self.answer, None if self.answer.isatty() else PAPER))
        self.answer.flush()

    def error(self, kind: str, message: str, hint: str) -> None:
        self.errors.print(message.replace("\n", " "), style="red", soft_wrap=True)
        if hint:
            self.errors.print(hint.replace("\n", " "), soft_wrap=True)


class Script(Speaker):
    """One JSON object and nothing else."""

    def __init__(self, answer: IO[str]) -> None:
        self.answer = answer

    def result(self, result: Any) -> None:
        write(self.answer, plain(result) if result is not None else {"ok": True})

    def error(self, kind: str, message: str, hint: str) -> None:
        write(self.answer, {"error": {"kind": kind, "message": message, "hint": hint}})


class Driven(Script):
    """For a driving program: every event, then the result or the error, one JSON line each."""

    def during(self, job: Job) -> Any:
        threading.Thread(target=job.obey, args=(sys.stdin,), daemon=True).start()
        return nullcontext()

    def listen(self, event: Event) -> None:
        told = {"message": event.message, "done": event.done, "total": event.total}
        write(self.answer, told | ({"facts": plain(event.facts)} if event.facts else {}))

    def result(self, result: Any) -> None:
        write(self.answer, {"result": plain(result)})


def speaker(flags: set[str], answer: IO[str]) -> Speaker:
    if "--driven" in flags:
        return Driven(answer)
    return Script(answer) if "--json" in flags else Person(answer)


def write(stream: IO[str], data: dict[str, Any]) -> None:
    # ASCII: a file name need not be text, and a terminal need not be UTF-8
    stream.write(json.dumps(data) + "\n")
    stream.flush()


def channel() -> IO[str]:
    """The original standard output, kept for answers alone.

    Whatever else prints, C++ libraries included, goes to the error stream and breaks no JSON.
    """
    try:
        kept = os.fdopen(os.dup(1), "w", encoding="utf-8", errors="backslashreplace")
    except OSError:  # whoever started us wants no answer and has closed it
        return Path(os.devnull).open("w", encoding="utf-8")
    with contextlib.suppress(OSError):
        os.dup2(2, 1)
    return kept


def run(
    verb: Callable[..., Any],
    arguments: tuple[Any, ...],
    options: dict[str, Any],
    takes_job: bool,
    talk: Speaker,
) -> int:
    job = Job(talk.listen)

    def stop(number: int, frame: object) -> NoReturn:
        job.cancel()  # some libraries turn the exception below into one of their own
        raise KeyboardInterrupt

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        try:
            with talk.during(job):
                result = verb(*arguments, **options, **({"job": job} if takes_job else {}))
            talk.result(result)
            return GOOD if result is None or result.ok else GATE
        except (Cancelled, KeyboardInterrupt):
            return cancelled(talk)
        except BrokenPipeError:
            return GOOD  # whoever read our answer has had enough of it
        except Exception as error:  # noqa: BLE001 - the border: see `told`
            return cancelled(talk) if job.cancelled else talk.fail(told(error))
    except OSError:
        return PROBLEM  # not even the error could be told
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def cancelled(talk: Speaker) -> int:
    talk.error("cancelled", "Stopped.", "What was there before is unharmed.")
    return CANCELLED


def told(error: Exception) -> EdgeError:
    """Any error as one that a user can act on; our own bugs leave a log."""
    if isinstance(error, EdgeError):
        return error
    if isinstance(error, ModuleNotFoundError) and (error.name or "").split(".")[0] not in OURS:
        return MissingPackageError(
            f"The package {error.name} is not installed.",
            "`sanderling doctor` names the command that installs it.",
        )
    if isinstance(error, OSError):
        place = f"{error.filename}: " if error.filename else ""
        return SystemRefusalError(
            f"{place}{error.strerror or error}.",
            "Check that it is there, that you may use it, and that the disk has room.",
        )
    if isinstance(error, MemoryError):
        return MemoryShortageError(
            "There is not enough memory for this.", "Take a smaller model or less data."
        )
    return InternalError(*logged(error))


class MissingPackageError(EdgeError):
    """A package that an extra brings is not there."""


class SystemRefusalError(EdgeError):
    """The operating system did not allow something that no other error describes."""


class MemoryShortageError(EdgeError):
    """The machine is too small."""


class InternalError(EdgeError):
    """Our own bug."""


def logged(error: Exception) -> tuple[str, str]:
    """What failed in one line, and the file that has the rest."""
    moment = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    with tempfile.NamedTemporaryFile(
        "w", prefix=f"sanderling-{moment}-", suffix=".log", delete=False
    ) as log:
        traceback.print_exception(error, file=log)
    first = str(error).strip().split("\n")[0][:300]
    return (
        f"Sanderling failed where it should not have: {type(error).__name__}: {first}",
        f"Please report it with the file {log.name}.",
    )
