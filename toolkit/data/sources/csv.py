"""Comma-separated values (RFC 4180): one row an item, one column the target."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from edge_targets.runtime.contract import TensorSpec
from edge_targets.runtime.errors import DataError, UnknownNameError
from edge_targets.runtime.events import Job
from toolkit.data.dataset import Column, Facts, told
from toolkit.data.sources.base import Samples, Source
from toolkit.data.table import Table, missing, number, read_table, spelling, whole

MOSTLY = 0.5  # a column is of numbers when more than this share of its cells are
CLASSES = 20  # an integer target with at most this many values names classes


class Csv(Source):
    """Columns are numbers or categories by what is in them; an empty cell is missing."""

    has_columns: ClassVar = True
    settled_by_like: ClassVar = frozenset({"categories", "ignore"})

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

    def read(
        self, location: str, target: str | None, job: Job, like: Facts | None = None
    ) -> Samples:
        job.step("read table", 0, 1)
        file = Path(location)
        tabs = file.suffix.lower() == ".tsv"
        table = read_table(file, self.delimiter or ("\t" if tabs else ","), self.header)
        facts = self._told(table, like, job) if like else self._guessed(table, target)
        values = [
            encoded(table, column, guessed=like is None)
            for column in job.track(facts.columns, "read columns")
        ]
        targets = self._targets(table, facts)
        return Samples(facts, np.stack(values, axis=1), targets, self._keys(table))

    def _told(self, table: Table, like: Facts, job: Job) -> Facts:
        """The facts of `like`, when the table has its columns."""
        if not like.columns:
            raise DataError(
                f"{table.file} is a table; {like.source} is not.",
                "Name a dataset that was read from a table.",
            )
        names = (like.target, *(column.name for column in like.columns))
        for name in names:
            if name not in table.header:
                raise DataError(
                    f"{table.file} has no column {name!r}; it has {told(table.header)}.",
                    f"Bring all columns of {like.source}; --set delimiter says how cells are "
                    "parted.",
                )
        self._known(table, self.split_column or like.target)
        if extra := set(table.header) - {*names, self.split_column}:
            left = [name for name in table.header if name in extra]
            job.step(f"leave out {told(left)}: not in {like.source}")
        return replace(like, source=str(table.file))

    def _guessed(self, table: Table, target: str | None) -> Facts:
        """What the table holds, by what is in its cells."""
        if target is None:
            raise DataError(
                f"{table.file} needs a target: the column to predict.",
                f"Name it with --target; the columns are {', '.join(table.header)}.",
            )
        self._known(table, target, *self.categories, *self.ignore, self.split_column or target)
        labels = self._labels(table, target)
        left_out = {target, self.split_column, *self.ignore}
        columns = tuple(self._type(table, name) for name in table.header if name not in left_out)
        if not columns:
            raise DataError(f"{table.file} has no column but the target.", "Add a feature column.")
        names = tuple(column.name for column in columns)
        spec = TensorSpec(
            "features", (-1, len(names)), meaning="one row of the table", columns=names
        )
        return Facts(str(table.file), spec, labels, target, columns)

    def _known(self, table: Table, *names: str) -> None:
        for name in names:
            if name not in table.header:
                raise UnknownNameError(f"column in {table.file}", name, table.header)

    def _labels(self, table: Table, target: str) -> tuple[str, ...]:
        """The classes; none when the target is a number to predict."""
        texts = [cell for _, cell in table.complete(target, "target")]
        spelled = spelling(texts)
        values = {spelled(text) for text in set(texts)}
        if len(values) < 2:
            raise DataError(
                f"{table.file}: the target {target!r} has one class only ({', '.join(values)}).",
                "Choose another target, or add rows of another class.",
            )
        few = len(values) <= min(CLASSES, len(texts) // 2)
        words = any(number(value) is None for value in values)
        if not (target in self.categories or words or (few and all(map(whole, values)))):
            return ()
        if len(values) > len(texts) // 2:
            raise DataError(
                f"{table.file}: almost every row has a target {target!r} of its own.",
                "Choose a column with few different values, or one of numbers.",
            )
        return tuple(sorted(values, key=lambda text: (number(text) or 0.0, text)))

    def _type(self, table: Table, name: str) -> Column:
        present = [cell for _, cell in table.cells(name) if not missing(cell)]
        numeric = sum(number(cell) is not None for cell in present)
        if name not in self.categories and numeric > MOSTLY * len(present):
            return Column(name, "number")
        spelled = spelling(present)
        return Column(name, "category", tuple(sorted({spelled(cell) for cell in set(present)})))

    def _targets(self, table: Table, facts: Facts) -> NDArray[Any]:
        table.complete(facts.target, "target")
        if not facts.labels:
            return encoded(table, Column(facts.target, "number"))
        return encoded(table, Column(facts.target, "category", facts.labels)).astype(np.int64)

    def _keys(self, table: Table) -> NDArray[Any] | None:
        if not self.split_column:
            return None
        if self.split == "time":
            return table.times(self.split_column)
        texts = [cell for _, cell in table.complete(self.split_column, "split column")]
        numbers = [number(text) for text in texts]
        return np.array(texts if None in numbers else numbers)


def encoded(table: Table, column: Column, guessed: bool = False) -> NDArray[np.float32]:
    """A column of the table as numbers; a category is its index, a gap not-a-number.

    Args:
        table: that has the column.
        column: its type and categories.
        guessed: the type comes from these very cells, so the user may know better.
    """
    spelled = spelling(column.values)
    index = {spelled(value): float(i) for i, value in enumerate(column.values)}

    def code(cell: str) -> float | None:
        if missing(cell):
            return math.nan
        return number(cell) if column.type == "number" else index.get(spelled(cell))

    cells = table.cells(column.name)
    found = {cell: code(cell) for cell in {cell for _, cell in cells}}
    for line, cell in cells:
        if found[cell] is None:
            raise misfit(f"{table.file}, line {line}: {cell!r} in", column, guessed)
    return np.array([found[cell] for _, cell in cells], np.float32)


def misfit(where: str, column: Column, guessed: bool) -> DataError:
    if column.type == "category":
        return DataError(
            f"{where} column {column.name!r} is none of {told(column.values)}.",
            "Correct the cell, or delete the row: the model has learned no other value.",
        )
    else_words = f" Or read them as words: --set categories={column.name}." if guessed else ""
    return DataError(
        f"{where} number column {column.name!r}.",
        f"Correct the cell, or empty it if the value is missing.{else_words}",
    )
