"""Tables: what their columns become, and what is said about those that cannot be used."""

import contextlib
import math
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
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

ZONES = (timezone(timedelta(hours=2)), timezone(timedelta(hours=-4)))  # Berlin, Boston in June


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


def dated(days: list[Any]) -> list[list[object]]:
    return [["day", "x", "kind"], *[[day, i, "ab"[i % 2]] for i, day in enumerate(days)]]


@pytest.mark.parametrize(
    "days",
    [
        [f"2026-{month:02}-01" for month in range(1, 13)],
        [f"2026{month:02}01" for month in range(1, 13)],
        ["20260101", *[f"2026-{month:02}-01" for month in range(2, 13)]],
        [
            datetime(2026, 6, 1, hour, tzinfo=UTC).astimezone(ZONES[hour % 2]).isoformat()
            for hour in range(12)
        ],
        [-3, 2.5, 10, 1e3, 5000, 6000, 7000, 8000, 9000, 10000],
    ],
)
def test_the_latest_rows_are_the_test_however_times_are_written(
    table: WriteTable, days: list[Any]
) -> None:
    source = Csv(split="time", split_column="day")

    data = source.dataset("d", str(table(dated(days))), "kind", QUIET)

    assert data.split.tolist() == sorted(data.split)


@pytest.mark.parametrize("cell", ["21.11.2026", "11/21/2026", "Nov 21", "2026-21-11", "2026-11"])
def test_a_time_that_does_not_sort_as_it_is_written_is_refused(
    table: WriteTable, cell: str
) -> None:
    days = [f"2026-01-{day:02}" for day in range(1, 12)]

    error = refused(table(dated([*days, cell])), split="time", split_column="day")

    assert f"table.csv, line 13: {cell!r} in the split column 'day' is no date" in str(error)
    assert "2026-11-21" in error.hint


def test_the_word_among_numbers_of_time_is_named(table: WriteTable) -> None:
    error = refused(table(dated([1, 2, "late", 4])), split="time", split_column="day")

    assert "line 4: 'late'" in str(error)


def test_numbers_and_dates_are_not_put_in_one_order(table: WriteTable) -> None:
    error = refused(
        table(dated(["2026-01-01", "17", *["2026-01-02"] * 4])), split="time", split_column="day"
    )

    assert "line 3: '17'" in str(error)


@pytest.mark.parametrize("first", ["", "+01:00"])
def test_times_with_and_without_a_zone_are_not_put_in_one_order(
    table: WriteTable, first: str
) -> None:
    other = "" if first else "Z"
    days = [f"2026-01-01T10:00{first}", *[f"2026-01-01T11:00{other}"] * 4]

    error = refused(table(dated(days)), split="time", split_column="day")

    assert "line 3" in str(error)
    assert "zone" in str(error)


def test_a_split_column_without_a_split_by_it_is_refused(table: WriteTable) -> None:
    source = Csv(split_column="length")

    with pytest.raises(DataError, match="'length'") as caught:
        source.dataset("d", str(table(flowers())), "kind", QUIET)

    assert "split=group" in caught.value.hint


def test_a_whole_number_is_one_class_however_it_is_written(table: WriteTable) -> None:
    written = ["1", "1.0", "01", "2", "2.0", "+2"]
    rows = [["x", "kind"], *[[i, written[i % 6]] for i in range(24)]]

    samples = read(table(rows))

    assert samples.facts.labels == ("1", "2")
    assert samples.targets[:6].tolist() == [0, 0, 0, 1, 1, 1]


def test_words_that_look_like_numbers_stay_as_they_are_among_words(table: WriteTable) -> None:
    rows = [["x", "kind"], *[[i, ["01", "1", "x"][i % 3]] for i in range(24)]]

    assert set(read(table(rows)).facts.labels) == {"01", "1", "x"}


def test_numbers_too_long_for_a_float_stay_apart(table: WriteTable) -> None:
    long = ["90071992547409921", "90071992547409922"]
    rows = [["x", "kind"], *[[i, long[i % 2]] for i in range(24)]]

    assert read(table(rows)).facts.labels == tuple(long)


def test_a_number_read_as_a_category_is_one_however_it_is_written(table: WriteTable) -> None:
    rows = [["room", "kind"], *[[["1", "1.0", "2"][i % 3], "ab"[i % 2]] for i in range(12)]]

    samples = read(table(rows), categories=("room",))

    assert samples.facts.columns[0].values == ("1", "2")
    assert samples.inputs[:3, 0].tolist() == [0, 0, 1]


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


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.csv"
    os.mkfifo(pipe)

    assert "not a regular file" in str(refused(pipe))


def test_a_name_that_no_file_system_takes_is_refused(tmp_path: Path) -> None:
    assert "too long" in str(refused(tmp_path / f"{'a' * 300}.csv"))


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    assert "is not there" in str(refused(tmp_path / "none.csv"))


@pytest.mark.parametrize("location", ["nothing-like-this", "a" * 5000])
def test_what_no_source_reads_is_refused(location: str) -> None:
    with pytest.raises(DataError) as caught:
        source_for(location)

    assert caught.value.hint


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(st.sampled_from('01.,\n"abé; \t-e'), max_size=80) | st.text(max_size=40))
def test_any_text_gives_items_or_two_clear_lines(tmp_path: Path, text: str) -> None:
    file = tmp_path / "any.csv"
    file.write_bytes(text.encode("utf-8", "surrogatepass"))

    with contextlib.suppress(EdgeError):
        samples = Csv(header=False).read(str(file), "c0", QUIET)

        assert len(samples.inputs) == len(samples.targets) > 0
