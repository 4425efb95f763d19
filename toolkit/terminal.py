"""Results and progress for a person at a terminal."""

import dataclasses
import re
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from edge_targets.runtime.events import Event
from toolkit.report import Interval, Result

if TYPE_CHECKING:
    from rich.console import Console

PROSE = {
    "summary",
    "warning",
    "reason",
    "done",
    "how",
    "recipe",
    "figures",
    "bound",
    "meaning",
    "mend",
    "note",
    "needed_for",
    "found",
}
PAPER = 120  # columns of a result that goes to a file or another program
WIDEST = 10_000  # columns: wider than any table
READABLE = 20  # columns of prose: narrower, it is one word a line
ROWS = 40  # of a table
SAMPLE = 12  # list members shown in one line


class Bar:
    """One line of progress on the error stream, so that results can be piped.

    Where that stream is no terminal, nothing but the addresses of servers.
    """

    def __init__(self, console: "Console") -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        self.console = console
        self.progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            console=console,
            transient=True,
        )
        self.task = self.progress.add_task("", total=None, visible=False)

    def __enter__(self) -> "Bar":
        if self.console.is_terminal:
            self.progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self.console.is_terminal:
            self.progress.stop()

    def listen(self, event: Event) -> None:
        if self.console.is_terminal:
            self.progress.update(
                self.task,
                description=event.message,
                completed=event.done,
                total=event.total or None,
                visible=True,
            )
        elif not event.total and "://" in event.message:
            self.console.print(event.message, soft_wrap=True)


def console(stream: IO[str], width: int | None = None) -> "Console":
    """A console that prints text as it is: a name is neither markup nor an emoji."""
    from rich.console import Console

    return Console(file=stream, width=width, emoji=False, markup=False, highlight=False)


def show(result: Result, console: "Console") -> None:
    """Fields as lines, lists of facts as tables, then what may come next."""
    fields = unfolded("", result)
    following, warnings = fields.pop("next"), fields.pop("warnings", ())
    notes = fields.pop("notes", ())
    whole = [line for name in getattr(result, "verbatim", ()) for line in fields.pop(name)]
    tables = {key: value for key, value in fields.items() if is_table(value)}
    lines = [
        line
        for key, value in fields.items()
        if key not in tables
        for line in flattened("" if key == "facts" else title(key), value)
    ]
    width = max((len(name) for name, _ in lines), default=0)
    for name, words in lines:
        console.print(f"{name:<{width}}  {words}", soft_wrap=True)
    for key, rows in tables.items():
        show_table(title(key), rows, console)
    for line in whole:
        console.print(line, soft_wrap=True)
    for note in notes:
        console.print(f"Note: {note}", soft_wrap=True)
    for warning in warnings:
        console.print(f"Warning: {warning}", style="yellow", soft_wrap=True)
    if not result.ok:
        console.print("A check did not hold.", style="bold red")
    if following:
        console.print("Next:", style="dim")
        for command in following:
            console.print(f"  {command.replace('sanderling', program(), 1)}", soft_wrap=True)


def unfolded(name: str, facts: Any) -> dict[str, Any]:
    """The fields of `facts`, and those of facts in them, under the names of both."""
    found: dict[str, Any] = {}
    for field in for_people(facts):
        key, value = f"{name}_{field}".lstrip("_"), getattr(facts, field)
        nested = dataclasses.is_dataclass(value) and not isinstance(value, Interval)
        if nested and key == "second":  # the two sides of a comparison
            found["models"] = (found["models"], value)
        elif nested and key == "first":
            found["models"] = value
        else:
            found |= unfolded(key, value) if nested else {key: value}
    return found


def for_people(facts: Any) -> list[str]:
    """The fields that a person reads; the others are for programs."""
    hidden: frozenset[str] = getattr(facts, "hidden", frozenset())
    return [field.name for field in dataclasses.fields(facts) if field.name not in hidden]


def show_table(name: str, rows: tuple[Any, ...], console: "Console") -> None:
    """A table; where the terminal is too narrow for it, a block a row: nothing is cut off."""
    from rich.measure import Measurement

    found = table(name, rows[:ROWS])
    needed = Measurement.get(console, console.options.update(width=WIDEST), found).minimum
    if needed <= console.width:
        console.print(found)
    else:
        show_blocks(name, rows[:ROWS], console)
    if len(rows) > ROWS:
        console.print(f"… and {len(rows) - ROWS} more; --json has all of them.", style="dim")


def show_blocks(name: str, rows: tuple[Any, ...], console: "Console") -> None:
    console.print(f"\n{name}", style="bold")
    for row in rows:
        for index, (key, value) in enumerate(columns_of(row).items()):
            if value not in ("", None, ()):
                mark = "- " if not index else "  "
                console.print(f"{mark}{title(key)}: {cell(key, value)}", soft_wrap=True)


def program() -> str:
    """What the user must type for this program: its name, or its path when that is not found."""
    if shutil.which("sanderling"):
        return "sanderling"
    called = Path(sys.argv[0])
    return str(called) if called.name == "sanderling" else f"{sys.executable} -m toolkit"


def flattened(name: str, value: Any) -> list[tuple[str, str]]:
    """A field as lines; facts that hold facts get a line each."""
    if isinstance(value, Mapping) and (
        not name or any(isinstance(v, Mapping | list) for v in value.values())
    ):
        inside = ((f"{name} {title(key)}".strip(), inner) for key, inner in value.items())
        return [line for path, inner in inside for line in flattened(path, inner)]
    if isinstance(value, list) and any(isinstance(v, Mapping) for v in value):
        return [line for inner in value for line in flattened(name, inner)]
    return [(name, text(value))] if value not in ((), [], {}, "", None) else []


def is_table(value: Any) -> bool:
    rows = isinstance(value, tuple) and len(value) > 0
    return rows and all(dataclasses.is_dataclass(row) for row in value)


def table(name: str, rows: tuple[Any, ...]) -> Any:
    from rich import box
    from rich.table import Table

    found = Table(title=name, title_justify="left", box=box.SIMPLE_HEAD, title_style="bold")
    facts = [columns_of(row) for row in rows]
    # a column in which nothing stands says nothing
    columns = [key for key in facts[0] if any(fact[key] not in ("", None, ()) for fact in facts)]
    for column in columns:
        width = max(len(cell(column, fact[column])) for fact in facts)
        numeric = all(isinstance(fact[column], int | float | Pair | None) for fact in facts)
        found.add_column(
            title(column),
            justify="right" if numeric else "left",
            overflow="fold",
            no_wrap=column not in PROSE,
            # what does not wrap would be cut off
            min_width=min(READABLE, width) if column in PROSE else max(width, len(title(column))),
        )
    for fact in facts:
        found.add_row(*(cell(column, fact[column]) for column in columns))
    return found


@dataclasses.dataclass(frozen=True)
class Pair:
    """Two figures of one thing."""

    first: float
    second: float
    between: str


ENDS = {"_before": "_after", "_low": "_high", "_first": "_second"}


def columns_of(row: Any) -> dict[str, Any]:
    """The fields of a row; `x_before` and `x_after`, `x_low` and `x_high` are one column."""
    found: dict[str, Any] = {}
    for field in for_people(row):
        start = next((end for end in ENDS if end in field), "")
        other = field.replace(start, ENDS[start]) if start else ""
        short = re.sub("_(before|after|low|high|first|second)", "", field)
        if other and hasattr(row, other):
            between = " … " if start == "_low" else " → "
            found[short] = Pair(getattr(row, field), getattr(row, other), between)
        elif short not in found:
            found[field] = getattr(row, field)
    return found


def title(field: str) -> str:
    return field.replace("_", " ")


def cell(column: str, value: Any) -> Any:
    from rich.text import Text

    if column in {"passed", "alarm"} and isinstance(value, bool):
        good = value == (column == "passed")
        return Text("yes" if value else "no", style="green" if good else "bold red")
    if column in {"digest", "sha256"}:
        return Text(str(value)[:12])
    if column == "created":
        return Text(str(value)[:19].replace("T", " "))
    return Text(text(value))


def text(value: Any) -> str:
    """A value in a few words."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Pair):
        both = [text(each) for each in (value.first, value.second)]
        return value.between.join(word for word in dict.fromkeys(both) if word)
    if isinstance(value, Interval):
        # R² can be below 0, where a dash would look like another minus
        between = "-" if value.low >= 0 else " to "
        return f"{value.value:.4f} ({value.low:.3f}{between}{value.high:.3f})"
    if isinstance(value, Mapping):
        known = {
            key: text(inner) for key, inner in value.items() if inner not in (None, "", [], ())
        }
        return ", ".join(f"{title(key)} {words}" for key, words in known.items())
    if isinstance(value, tuple | list):
        shown = ", ".join(text(inner) for inner in value[:SAMPLE])
        return shown + (f" … ({len(value)})" if len(value) > SAMPLE else "")
    return str(value)
