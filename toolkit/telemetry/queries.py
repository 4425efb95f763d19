"""Questions to the telemetry, asked of Parquet and journal together through DuckDB."""

import glob
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from edge_targets.runtime.contract import Profile, Record, confusions
from edge_targets.runtime.errors import IntegrityError
from edge_targets.runtime.sketch import Sketch
from toolkit.telemetry.feedback import Feedback, together
from toolkit.telemetry.parquet import not_before, parts, table, utc

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

ROWS = """
create temp view rows as
select * from late_parts
union all select * from journal where id not in (select id from every_part)
"""

CHOSEN = """
create temp table chosen as
with windows as (
    select distinct id, device, version, layout, ended, samples from rows
    where model = $model
        and ($version is null or version = $version)
        and ($since is null or ended >= $since)
),
newest as (  -- only windows with the same edges add up: those like the device's newest one
    select device, arg_max({'version': version, 'layout': layout}, (ended, id)) as latest
    from windows group by device
)
select windows.* from windows join newest using (device)
where version = latest.version and layout = latest.layout
qualify $last is null
    or row_number() over (partition by device order by ended desc, id desc) <= $last
"""

MERGED = """
with kept as (
    select device, feature, edges, counts, nulls, minimum, maximum, total, squares
    from rows where feature is not null and id in (select id from chosen)
),
bins as (
    select device, feature, generate_subscripts(counts, 1) as bin, unnest(counts) as n from kept
),
sums as (select device, feature, bin, sum(n)::bigint as n from bins group by all),
counted as (select device, feature, list(n order by bin) as counts from sums group by all),
moments as (
    select device, feature, any_value(edges) as edges, sum(nulls)::bigint as nulls,
        min(minimum) as minimum, max(maximum) as maximum,
        sum(total) as total, sum(squares) as squares
    from kept group by all
)
select device, feature, edges, counts, nulls, minimum, maximum, total, squares
from moments join counted using (device, feature) order by device, feature
"""

VERSIONS = """
select distinct device, version from rows
where model = $model and ($since is null or ended >= $since)
"""

FEEDBACK = """
with windows as (
    select distinct id, device, samples, extra from rows
    where model = $model and ($since is null or ended >= $since)
)
select device, samples, extra from windows
where device in (select device from windows where contains(extra, '"confusions"'))
"""

WINDOWS = """
select distinct id, device, version, ended, samples,
    latency_total / nullif(list_sum(latency_counts), 0) as latency_ms
from rows where model = $model order by ended, id
"""


@dataclass(frozen=True)
class Window:
    """One record as a point in time: what a plot needs.

    Attributes:
        ended: ISO 8601, UTC.
        samples: items predicted.
        latency_ms: mean of the window's predictions; None when none was timed.
    """

    device: str
    version: str
    ended: str
    samples: int
    latency_ms: float | None


@contextmanager
def opened(
    folder: Path, journal: Sequence[Record], since: datetime | None = None
) -> Iterator["DuckDBPyConnection"]:
    """A connection with the view `rows`: every record once, wherever it lies.

    `journal` must have been read before this call: a record moves from the journal to the
    Parquet files and is in both for a moment, never in neither.
    """
    with connected() as connection:
        connection.register("journal", table(journal))
        files = parts(folder)
        _view(connection, "every_part", files)
        _view(connection, "late_parts", not_before(files, _day(since)))
        connection.execute(ROWS)
        yield connection


@contextmanager
def connected() -> Iterator["DuckDBPyConnection"]:
    """DuckDB in memory, which fetches no extensions and leaves no files."""
    import duckdb

    connection = duckdb.connect(
        ":memory:",
        config={"autoinstall_known_extensions": False, "autoload_known_extensions": False},
    )
    try:
        connection.execute("set temp_directory = ''")
        connection.execute("set lock_configuration = true")
        yield connection
    except (duckdb.IOException, duckdb.InvalidInputException) as error:
        raise IntegrityError(
            f"The telemetry cannot be read: {str(error).splitlines()[0]}",
            "Check who may read that file. If it is damaged, move it out of the folder.",
        ) from error
    finally:
        connection.close()


def ids_in_parts(folder: Path, ids: Iterable[str]) -> set[str]:
    """Which of these ids the Parquet files hold already."""
    with connected() as connection:
        _view(connection, "every_part", parts(folder))
        found = connection.execute(
            "select distinct id from every_part where id in (select unnest($ids))",
            {"ids": list(ids)},
        )
        return {row[0] for row in found.fetchall()}


def _view(connection: "DuckDBPyConnection", name: str, files: Sequence[Path]) -> None:
    if not files:
        connection.register(name, table([]))
        return
    # DuckDB takes every name for a pattern, and a workspace may lie in "photos [2026]"
    patterns = [glob.escape(str(path.resolve())) for path in files]
    connection.read_parquet(patterns, hive_partitioning=False).create_view(name)


def _day(since: datetime | None) -> date:
    return since.astimezone(UTC).date() if since else date.min


def _instant(since: datetime | None) -> datetime | None:
    """As the columns hold times: in UTC, without a zone."""
    return since.astimezone(UTC).replace(tzinfo=None) if since else None


def count(connection: "DuckDBPyConnection") -> int:
    [[number]] = connection.execute("select count(distinct id) from rows").fetchall()
    return int(number)


def devices(connection: "DuckDBPyConnection", model: str) -> list[str]:
    rows = connection.execute(
        "select distinct device from rows where model = $model order by device", {"model": model}
    )
    return [row[0] for row in rows.fetchall()]


def versions(
    connection: "DuckDBPyConnection", model: str, since: datetime | None
) -> set[tuple[str, str]]:
    rows = connection.execute(VERSIONS, {"model": model, "since": _instant(since)})
    return {(device, version) for device, version in rows.fetchall()}


def windows(connection: "DuckDBPyConnection", model: str) -> list[Window]:
    rows = connection.execute(WINDOWS, {"model": model}).fetchall()
    return [
        Window(device, version, utc(ended), samples, latency)
        for _, device, version, ended, samples, latency in rows
    ]


def feedback(connection: "DuckDBPyConnection", model: str, since: datetime | None) -> Feedback:
    rows = connection.execute(FEEDBACK, {"model": model, "since": _instant(since)}).fetchall()
    said = (json.loads(extra).get("confusions", {}) for _, _, extra in rows)
    return Feedback(
        visitors=len({device for device, _, _ in rows}),
        answers=sum(samples for _, samples, _ in rows),
        confusions=together(confusions(one) for one in said),
    )


def profiles(
    connection: "DuckDBPyConnection",
    model: str,
    version: str | None,
    since: datetime | None,
    last: int | None,
) -> dict[str, Profile]:
    parameters = {"model": model, "version": version, "since": _instant(since), "last": last}
    connection.execute(CHOSEN, parameters)
    totals = connection.execute(
        "select device, sum(samples)::bigint from chosen group by device order by device"
    ).fetchall()
    sketches: dict[str, dict[str, Sketch]] = {device: {} for device, _ in totals}
    for device, feature, edges, counts, nulls, low, high, total, squares in connection.execute(
        MERGED
    ).fetchall():
        moments = {"nulls": nulls, "minimum": low, "maximum": high}
        sums = {"total": total, "squares": squares}
        sketches[device][feature] = Sketch.from_json(
            {"edges": edges, "counts": counts, **moments, **sums}
        )
    return {device: Profile(samples, sketches[device]) for device, samples in totals}
