"""Tables of text cells: reading them from a file, and what a cell stands for."""

import csv
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_targets.runtime.errors import DataError

MISSING = {"", "na", "n/a", "nan", "null", "none", "?"}
LARGEST = float(np.finfo(np.float32).max)  # inputs are float32
EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - a time without a zone is counted from one without


@dataclass(frozen=True)
class Table:
    """The cells as they stand in the file."""

    file: Path
    header: tuple[str, ...]
    rows: tuple[tuple[int, Sequence[str]], ...]  # line number in the file, cells

    def cells(self, name: str) -> list[tuple[int, str]]:
        index = self.header.index(name)
        return [(line, row[index].strip()) for line, row in self.rows]

    def complete(self, name: str, purpose: str) -> list[tuple[int, str]]:
        """The cells of a column that may have no gaps."""
        cells = self.cells(name)
        for line, cell in cells:
            if missing(cell):
                raise DataError(
                    f"{self.file}, line {line}: the {purpose} {name!r} is missing.",
                    "Fill it in, or delete the row.",
                )
        return cells

    def times(self, name: str) -> NDArray[Any]:
        """A column of numbers or of ISO 8601 dates, as numbers that grow with time."""
        cells = self.complete(name, "split column")
        numbers = [number(cell) for _, cell in cells]
        if None not in numbers:
            return np.array(numbers)
        moments = [moment(cell) for _, cell in cells]
        wrong = [
            (value is not None, line, cell)  # what is no number either is told first
            for (line, cell), value, found in zip(cells, numbers, moments, strict=True)
            if found is None
        ]
        if wrong:
            _, line, cell = min(wrong)
            raise DataError(
                f"{self.file}, line {line}: {cell!r} in the split column {name!r} is no date.",
                "Write dates as 2026-11-21 or 2026-11-21T18:30, or use numbers, in every row.",
            )
        found = [value for value in moments if value is not None]
        zoned = found[0].tzinfo is not None
        for (line, cell), value in zip(cells, found, strict=True):
            if (value.tzinfo is not None) != zoned:
                raise DataError(
                    f"{self.file}, line {line}: {cell!r} in the split column {name!r} has "
                    f"{'no' if zoned else 'a'} time zone, unlike the first row.",
                    "Write every time with its zone (2026-11-21T18:30+01:00), or none.",
                )
        epoch = EPOCH.replace(tzinfo=UTC) if zoned else EPOCH
        return np.array([(value - epoch) // timedelta(microseconds=1) for value in found])


def read_table(file: Path, delimiter: str, header: bool) -> Table:
    """The table in `file`; without a header, columns are c0, c1 and on."""
    try:
        if not file.exists():
            raise DataError(f"{file} is not there.", "Check the path.")
        if not file.is_file():  # to read a pipe would wait for ever
            raise DataError(f"{file} is not a regular file.", "Save the table as a file.")
        with file.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.reader(stream, delimiter=delimiter, strict=True)
            rows = [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(
            f"{file} is not a readable table: {error}.", "Save it as CSV in UTF-8."
        ) from error
    if not rows:
        raise DataError(f"{file} is empty.", "Give a table with at least one row.")
    width = len(rows[0][1])
    names = tuple(cell.strip() for cell in rows[0][1]) if header else ()
    names = names or tuple(f"c{i}" for i in range(width))
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise DataError(
            f"{file} names column {twice[0]!r} twice.",
            "Give every column its own name, or use --set header=false.",
        )
    rows = rows[1:] if header else rows
    if not rows:
        raise DataError(
            f"{file} has a first line and no rows.",
            "Add rows, or use --set header=false when the first line is one.",
        )
    for line, row in rows:
        if len(row) != width:
            raise DataError(
                f"{file}, line {line}: {len(row)} cells where the first line has {width}.",
                "Quote cells that contain the delimiter, or complete the row.",
            )
    return Table(file, names, tuple(rows))


def missing(text: str) -> bool:
    return text.lower() in MISSING


def number(text: str) -> float | None:
    """The number that `text` is; None for words, and for what no float32 can hold."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if abs(value) <= LARGEST else None


def whole(text: str) -> bool:
    value = number(text)
    return value is not None and value.is_integer()


def spelling(values: Iterable[str]) -> Callable[[str], str]:
    """How equal values become one text: among whole numbers, 01 and 1.0 are 1."""
    return plainest if all(whole(value) for value in values) else str


def plainest(text: str) -> str:
    """A whole number without zeros in front and decimals; any other text as it is."""
    if not whole(text):
        return text
    try:
        return str(int(text))  # exact, where a float has 53 bits
    except ValueError:
        return str(int(float(text)))


def moment(text: str) -> datetime | None:
    """The time that `text` is by ISO 8601; None for any other way to write one."""
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None
