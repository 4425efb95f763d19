"""Tables: what their columns become, and what is said about those that cannot be used."""

import contextlib
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_targets.runtime.errors import DataError, EdgeError, UnknownNameError
from edge_targets.runtime.events import QUIET, Event, Job
from toolkit.data.sources import source_for
from toolkit.data.sources.base import Samples
from toolkit.data.sources.csv import Csv

WriteTable = Callable[..., Path]


def read(file: Path, target: str | None = "kind", **parameters: Any) -> Samples:
    return Csv(**parameters).read(str(file), target, QUIET)


def flowers(count: int = 12) -> str:
    """Two number columns, a category column and a class."""
    rows = [f"{i}.5,{i * 10},{'red' if i % 3 else 'blue'},{'ab'[i % 2]}\n" for i in range(count)]
    return "length,width,colour,kind\n" + "".join(rows)


def refused(file: Path, target: str | None = "kind", **parameters: Any) -> EdgeError:
    with pytest.raises(EdgeError) as caught:
        read(file, target, **parameters)
    assert caught.value.hint
    return caught.value


def test_columns_are_numbers_or_categories_by_what_is_in_them(table: WriteTable) -> None:
    samples = read(table(flowers()))

    assert [(c.name, c.type, c.values) for c in samples.facts.columns] == [
        ("length", "number", ()),
        ("width", "number", ()),
        ("colour", "category", ("blue", "red")),
    ]
    assert samples.inputs.dtype == np.float32
    assert samples.inputs[1].tolist() == [1.5, 10.0, 1.0]
    assert samples.facts.input.columns == ("length", "width", "colour")
    assert samples.facts.labels == ("a", "b")
    assert samples.targets[:3].tolist() == [0, 1, 0]


def test_reading_reports_to_the_end(table: WriteTable, job: Job, events: list[Event]) -> None:
    Csv().read(str(table(flowers())), "kind", job)

    assert events[-1].done == events[-1].total == 3


@pytest.mark.parametrize("gap", ["", " ", "NA", "n/a", "NaN", "null", "None", "?"])
def test_a_gap_is_not_a_number_whatever_it_is_written_as(table: WriteTable, gap: str) -> None:
    text = flowers() + f"{gap},7,{gap},a\n"

    samples = read(table(text))

    assert math.isnan(samples.inputs[-1, 0])
    assert math.isnan(samples.inputs[-1, 2])
    assert samples.inputs[-1, 1] == 7


def test_numeric_classes_are_ordered_by_value(table: WriteTable) -> None:
    rows = [["x", "kind"], *[[i, [10, 9, 2][i % 3]] for i in range(12)]]

    samples = read(table(rows))

    assert samples.facts.labels == ("2", "9", "10")
    assert samples.targets[:3].tolist() == [2, 1, 0]


def test_a_target_of_numbers_is_a_regression(table: WriteTable) -> None:
    rows = [["x", "price"], *[[i, i * 1.5] for i in range(12)]]

    samples = read(table(rows), "price")

    assert samples.facts.labels == ()
    assert samples.targets.dtype == np.float32
    assert samples.targets[3] == 4.5


def test_whole_numbers_are_classes_only_when_they_repeat(table: WriteTable) -> None:
    prices = [["x", "price"], *[[i, i * 100] for i in range(12)]]

    assert read(table(prices), "price").facts.labels == ()
    assert len(read(table(flowers(12)), "width", ignore=("kind",)).facts.labels) == 0


def test_many_whole_numbers_are_classes_when_the_user_says_so(table: WriteTable) -> None:
    rows = [["x", "kind"], *[[i, i % 30] for i in range(90)]]
    file = table(rows)

    assert read(file).facts.labels == ()
    assert len(read(file, categories=("kind",)).facts.labels) == 30


def test_a_byte_order_mark_quotes_and_windows_line_ends_are_read(table: WriteTable) -> None:
    text = '\ufeff"length, cm",kind\r\n' + '"1.5",a\r\n"2",b\r\n' * 4

    samples = read(table(text))

    assert samples.facts.input.columns == ("length, cm",)
    assert samples.inputs[:2, 0].tolist() == [1.5, 2.0]


def test_a_quoted_cell_may_hold_a_line_break(table: WriteTable) -> None:
    text = "x,word,kind\n" + '1,"two\nlines",a\n2,one,b\n' * 4

    assert read(table(text)).facts.columns[1].values == ("one", "two\nlines")


def test_a_tsv_file_is_cut_at_tabs(table: WriteTable) -> None:
    text = flowers().replace(",", "\t")

    samples = read(table(text, "table.tsv"))

    assert samples.inputs.shape == (12, 3)


def test_another_delimiter_can_be_named(table: WriteTable) -> None:
    text = flowers().replace(",", ";")

    assert read(table(text), delimiter=";").inputs.shape == (12, 3)


@pytest.mark.parametrize("delimiter", ['"', "\n", "ab"])
def test_what_cannot_stand_between_cells_is_no_delimiter(delimiter: str) -> None:
    with pytest.raises(ValueError, match="delimiter"):
        Csv(delimiter=delimiter)


def test_without_a_header_columns_are_numbered(table: WriteTable) -> None:
    text = flowers().split("\n", 1)[1]

    samples = read(table(text), "c3", header=False)

    assert samples.facts.input.columns == ("c0", "c1", "c2")
    assert len(samples.inputs) == 12


def test_columns_can_be_ignored_and_numbers_taken_for_categories(table: WriteTable) -> None:
    rows = [
        ["x", "room", "note", "kind"],
        *[[i, i % 3, "free text", "ab"[i % 2]] for i in range(9)],
    ]

    samples = read(table(rows), categories=("room",), ignore=("note",))

    assert [(c.name, c.type) for c in samples.facts.columns] == [
        ("x", "number"),
        ("room", "category"),
    ]


def test_a_split_column_is_no_input(table: WriteTable) -> None:
    rows = [["day", "x", "kind"], *[[i, i, "ab"[i % 2]] for i in range(20)]]
    source = Csv(split="time", split_column="day")

    data = source.dataset("d", str(table(rows)), "kind", QUIET)

    assert data.facts.input.columns == ("x",)
    assert data.part("test")[0][:, 0].min() > data.part("train")[0][:, 0].max()


def test_an_empty_row_is_skipped(table: WriteTable) -> None:
    assert len(read(table(flowers() + "\n,,,\n")).inputs) == 12


def test_no_target_is_refused_with_the_columns_to_choose_from(table: WriteTable) -> None:
    error = refused(table(flowers()), None)

    assert "needs a target" in str(error)
    assert "length, width, colour, kind" in error.hint


def test_a_target_that_is_not_there_is_refused_with_the_nearest(table: WriteTable) -> None:
    error = refused(table(flowers()), "knid")

    assert isinstance(error, UnknownNameError)
    assert "table.csv" in str(error)
    assert error.hint == "Did you mean 'kind'?"


@pytest.mark.parametrize("field", ["categories", "ignore"])
def test_any_other_column_that_is_not_there_is_refused(table: WriteTable, field: str) -> None:
    parameters: dict[str, Any] = {field: ("colr",)}

    assert "'colr'" in str(refused(table(flowers()), **parameters))


def test_one_class_only_is_refused(table: WriteTable) -> None:
    error = refused(table([["x", "kind"], *[[i, "cat"] for i in range(9)]]))

    assert "one class only (cat)" in str(error)


def test_a_text_of_its_own_in_every_row_is_no_class(table: WriteTable) -> None:
    error = refused(table([["x", "kind"], *[[i, f"name {i}"] for i in range(9)]]))

    assert "almost every row" in str(error)


def test_text_in_a_number_column_is_refused_with_its_line(table: WriteTable) -> None:
    error = refused(table(flowers() + "long,7,red,a\n"))

    assert "line 14" in str(error)
    assert "'long' in number column 'length'" in str(error)
    assert "categories=length" in error.hint


@pytest.mark.parametrize("cell", ["1e39", "-1e300", "inf", "-Infinity"])
def test_a_number_that_no_input_can_hold_is_refused(table: WriteTable, cell: str) -> None:
    assert repr(cell) in str(refused(table(flowers() + f"{cell},7,red,a\n")))


def test_a_ragged_row_is_refused_with_its_line(table: WriteTable) -> None:
    error = refused(table(flowers() + "1,2,red\n"))

    assert "line 14: 3 cells where the first line has 4" in str(error)


def test_a_header_name_that_stands_twice_is_refused(table: WriteTable) -> None:
    error = refused(table("x,x,kind\n1,2,a\n1,2,b\n"))

    assert "column 'x' twice" in str(error)
    assert "header=false" in error.hint


def test_a_gap_in_the_target_is_refused_with_its_line(table: WriteTable) -> None:
    assert "line 14: the target 'kind' is missing" in str(refused(table(flowers() + "1,2,red,\n")))


def test_a_gap_in_the_split_column_is_refused_with_its_line(table: WriteTable) -> None:
    error = refused(table(flowers() + ",2,red,a\n"), split="time", split_column="length")

    assert "line 14: the split column 'length' is missing" in str(error)


@pytest.mark.parametrize("text", ["", "\n\n", " , \n"])
def test_an_empty_file_is_refused(table: WriteTable, text: str) -> None:
    assert "is empty" in str(refused(table(text)))


def test_a_header_alone_is_refused(table: WriteTable) -> None:
    error = refused(table("x,kind\n"))

    assert "no rows" in str(error)
    assert "header=false" in error.hint


def test_a_table_of_nothing_but_the_target_is_refused(table: WriteTable) -> None:
    assert "no column but the target" in str(refused(table("kind\na\nb\na\nb\n")))


def test_another_encoding_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "latin.csv"
    file.write_bytes("größe,kind\n1,a\n".encode("latin-1"))

    assert "UTF-8" in refused(file).hint


def test_an_open_quote_is_refused(table: WriteTable) -> None:
    assert "not a readable table" in str(refused(table('x,kind\n"1,a\n')))


def test_a_folder_with_a_tables_name_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "x.csv"
    folder.mkdir()

    assert source_for(str(folder)) == "csv"
    assert isinstance(refused(folder), DataError)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    assert "is not there" in str(refused(tmp_path / "none.csv"))


def test_what_no_source_reads_is_refused() -> None:
    with pytest.raises(DataError) as caught:
        source_for("nothing-like-this")

    assert "digits" in caught.value.hint


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(text=st.text(st.sampled_from('01.,\n"abé; \t-e'), max_size=80) | st.text(max_size=40))
def test_any_text_gives_items_or_two_clear_lines(tmp_path: Path, text: str) -> None:
    file = tmp_path / "any.csv"
    file.write_bytes(text.encode("utf-8", "surrogatepass"))

    with contextlib.suppress(EdgeError):
        samples = Csv(header=False).read(str(file), "c0", QUIET)

        assert len(samples.inputs) == len(samples.targets) > 0
