"""Comma-separated values (RFC 4180): one row an item, one column the target."""

import csv
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from edge_targets.runtime.contract import TensorSpec
from edge_targets.runtime.errors import DataError, UnknownNameError
from edge_targets.runtime.events import Job
from toolkit.data.dataset import Column, Facts
from toolkit.data.sources.base import Samples, Source

MISSING = {"", "na", "n/a", "nan", "null", "none", "?"}
MOSTLY = 0.5  # a column is of numbers when more than this share of its cells are
CLASSES = 20  # an integer target with at most this many values names classes
LARGEST = float(np.finfo(np.float32).max)  # inputs are float32


@dataclass(frozen=True)
class Table:
    """The cells as they stand in the file."""

    file: Path
    header: tuple[str, ...]
    rows: tuple[tuple[int, Sequence[str]], ...]  # line number in the file, cells

    def cells(self, name: str) -> list[tuple[int, str]]:
        index = self.header.index(name)
        return [(line, row[index].strip()) for line, row in self.rows]


class Csv(Source):
    """Columns are numbers or categories by what is in them; an empty cell is missing."""

    delimiter: Annotated[
        str,
        Field(
            pattern=r'^[^"\r\n]?$',
            description="What stands between two cells; empty: a tab in .tsv files, else a comma.",
        ),
    ] = ""
    header: Annotated[
        bool, Field(description="Whether the first line has names; else columns are c0, c1 and on.")
    ] = True
    categories: Annotated[
        tuple[str, ...],
        Field(description="Columns to read as categories though they look numeric."),
    ] = ()
    ignore: Annotated[tuple[str, ...], Field(description="Columns to leave out.")] = ()

    @classmethod
    def accepts(cls, location: str) -> bool:
        return Path(location).suffix.lower() in {".csv", ".tsv", ".txt"}

    def read(self, location: str, target: str | None, job: Job) -> Samples:
        job.step("read table", 0, 1)
        table = self._table(Path(location))
        if target is None:
            raise DataError(
                f"{table.file} needs a target: the column to predict.",
                f"Name it with --target; the columns are {', '.join(table.header)}.",
            )
        for name in (target, *self.categories, *self.ignore, self.split_column or target):
            if name not in table.header:
                raise UnknownNameError(f"column in {table.file}", name, table.header)
        labels, targets = self._targets(table, target)
        left_out = {target, self.split_column, *self.ignore}
        columns, values = [], []
        for name in job.track([n for n in table.header if n not in left_out], "read columns"):
            column, numbers = self._column(table, name)
            columns.append(column)
            values.append(numbers)
        if not columns:
            raise DataError(f"{table.file} has no column but the target.", "Add a feature column.")
        names = tuple(column.name for column in columns)
        spec = TensorSpec(
            "features", (-1, len(names)), meaning="one row of the table", columns=names
        )
        facts = Facts(str(table.file), spec, labels, target, tuple(columns))
        return Samples(facts, np.stack(values, axis=1), targets, self._keys(table))

    def _table(self, file: Path) -> Table:
        try:
            with file.open(newline="", encoding="utf-8-sig") as stream:
                reader = csv.reader(stream, delimiter=self._between(file), strict=True)
                rows = [
                    (reader.line_num, row) for row in reader if any(cell.strip() for cell in row)
                ]
        except FileNotFoundError as error:
            raise DataError(f"{file} is not there.", "Check the path.") from error
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise DataError(
                f"{file} is not a readable table: {error}.", "Save it as CSV in UTF-8."
            ) from error
        if not rows:
            raise DataError(f"{file} is empty.", "Give a table with at least one row.")
        width = len(rows[0][1])
        header = tuple(cell.strip() for cell in rows[0][1]) if self.header else ()
        header = header or tuple(f"c{i}" for i in range(width))
        twice = [name for name, count in Counter(header).items() if count > 1]
        if twice:
            raise DataError(
                f"{file} names column {twice[0]!r} twice.",
                "Give every column its own name, or use --set header=false.",
            )
        rows = rows[1:] if self.header else rows
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
        return Table(file, header, tuple(rows))

    def _between(self, file: Path) -> str:
        return self.delimiter or ("\t" if file.suffix.lower() == ".tsv" else ",")

    def _targets(self, table: Table, target: str) -> tuple[tuple[str, ...], NDArray[Any]]:
        texts = complete(table, target, "target")
        values = sorted(set(texts))
        if len(values) < 2:
            raise DataError(
                f"{table.file}: the target {target!r} has one class only ({', '.join(values)}).",
                "Choose another target, or add rows of another class.",
            )
        numbers = [number(text) for text in texts]
        few = len(values) <= min(CLASSES, len(texts) // 2)
        whole = all(value is not None and value.is_integer() for value in numbers)
        named = target in self.categories or None in numbers or (whole and few)
        if not named:
            return (), np.array(numbers, np.float32)
        if len(values) > len(texts) // 2:
            raise DataError(
                f"{table.file}: almost every row has a target {target!r} of its own.",
                "Choose a column with few different values, or one of numbers.",
            )
        labels = sorted(values, key=lambda text: (number(text) or 0.0, text))
        index = {label: i for i, label in enumerate(labels)}
        return tuple(labels), np.array([index[text] for text in texts], np.int64)

    def _column(self, table: Table, name: str) -> tuple[Column, NDArray[np.float32]]:
        cells = table.cells(name)
        present = [(line, cell) for line, cell in cells if cell.lower() not in MISSING]
        numeric = sum(number(cell) is not None for _, cell in present)
        if name in self.categories or numeric <= MOSTLY * len(present):
            values = tuple(sorted({cell for _, cell in present}))
            index = {value: float(i) for i, value in enumerate(values)}
            codes = [index.get(cell, math.nan) for _, cell in cells]
            return Column(name, "category", values), np.array(codes, np.float32)
        for line, cell in present:
            if number(cell) is None:
                raise DataError(
                    f"{table.file}, line {line}: {cell!r} in number column {name!r}.",
                    "Correct the cell, empty it if the value is missing, or read the column as "
                    f"categories with --set categories={name}.",
                )
        found = [math.nan if cell.lower() in MISSING else number(cell) for _, cell in cells]
        return Column(name, "number"), np.array(found, np.float32)

    def _keys(self, table: Table) -> NDArray[Any] | None:
        if not self.split_column:
            return None
        texts = complete(table, self.split_column, "split column")
        numbers = [number(text) for text in texts]
        return np.array(texts if None in numbers else numbers)


def complete(table: Table, name: str, purpose: str) -> list[str]:
    """The cells of a column that may have no gaps."""
    cells = table.cells(name)
    for line, cell in cells:
        if cell.lower() in MISSING:
            raise DataError(
                f"{table.file}, line {line}: the {purpose} {name!r} is missing.",
                "Fill it in, or delete the row.",
            )
    return [cell for _, cell in cells]


def number(text: str) -> float | None:
    """The number that `text` is; None for words, and for what no float32 can hold."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if abs(value) <= LARGEST else None
