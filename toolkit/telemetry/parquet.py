"""Records as Parquet: a row a record and feature, a folder a day, parts that never change."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from edge_targets.runtime.contract import Record
from edge_targets.runtime.durable import replace_file
from toolkit.telemetry.checks import finite, moment
from toolkit.telemetry.durable import make_folder


def schema() -> Any:
    """Columns of a part. Times are in UTC, without a zone: DuckDB needs an extension for zones."""
    import pyarrow as pa

    counts, edges = pa.list_(pa.int64()), pa.list_(pa.float64())
    return pa.schema(
        [
            ("id", pa.string()),
            ("device", pa.string()),
            ("model", pa.string()),
            ("version", pa.string()),
            ("layout", pa.string()),  # digest of all features and edges: equal ones can be merged
            ("started", pa.timestamp("us")),
            ("ended", pa.timestamp("us")),
            ("samples", pa.int64()),
            ("latency_edges", edges),
            ("latency_counts", counts),
            ("latency_total", pa.float64()),
            ("extra", pa.string()),  # what has no column: feedback, fields of newer devices; JSON
            ("feature", pa.string()),  # null in the one row of a record without features
            ("edges", edges),
            ("counts", counts),
            ("nulls", pa.int64()),
            ("minimum", pa.float64()),
            ("maximum", pa.float64()),
            ("total", pa.float64()),
            ("squares", pa.float64()),
        ]
    )


def table(records: Iterable[Record]) -> Any:
    """The rows of some records as an Arrow table."""
    import pyarrow as pa

    rows = [row for record in records for row in _rows(record)]
    return pa.Table.from_pylist(rows, schema=schema())


def _rows(record: Record) -> Iterable[dict[str, Any]]:
    common = {
        "id": record.id,
        "device": record.device,
        "model": record.model,
        "version": record.version,
        "layout": _layout(record),
        "started": moment(record.started).replace(tzinfo=None),
        "ended": moment(record.ended).replace(tzinfo=None),
        "samples": record.samples,
        "latency_edges": list(record.latency_ms.edges),
        "latency_counts": record.latency_ms.counts,
        "latency_total": record.latency_ms.total,
        "extra": json.dumps({**_said(record), **record.extra}, sort_keys=True),
    }
    if not record.sketches:
        yield common
    for feature, sketch in record.sketches.items():
        yield {
            **common,
            "feature": feature,
            "edges": list(sketch.edges),
            "counts": sketch.counts,
            "nulls": sketch.nulls,
            "minimum": finite(sketch.minimum),
            "maximum": finite(sketch.maximum),
            "total": sketch.total,
            "squares": sketch.squares,
        }


def _said(record: Record) -> dict[str, Any]:
    return {"confusions": record.confusions} if record.confusions else {}


def _layout(record: Record) -> str:
    edges = {name: list(sketch.edges) for name, sketch in record.sketches.items()}
    return hashlib.sha256(json.dumps(edges, sort_keys=True).encode()).hexdigest()[:16]


def day_of(record: Record) -> date:
    return moment(record.ended).date()


def write_part(folder: Path, day: date, records: Sequence[Record]) -> Path:
    """Write one part durably. Its name comes from the ids in it: writing twice is writing once."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    ids = "\n".join(sorted(record.id for record in records))
    digest = hashlib.sha256(ids.encode()).hexdigest()[:24]
    path = folder / f"day={day.isoformat()}" / f"part-{digest}.parquet"
    buffer = pa.BufferOutputStream()
    pq.write_table(table(records), buffer, compression="zstd")
    make_folder(path.parent)
    replace_file(path, buffer.getvalue().to_pybytes())
    return path


def parts(folder: Path) -> list[Path]:
    return sorted(folder.glob("day=*/part-*.parquet"))


def not_before(files: Iterable[Path], day: date) -> list[Path]:
    """Those parts that may hold records of `day` or later; folder names sort as days do."""
    return [path for path in files if path.parent.name >= f"day={day.isoformat()}"]


def clear_leftovers(folder: Path) -> None:
    """Remove what a killed writer left half-written; only while no other one compacts."""
    for path in folder.glob("day=*/.part-*"):
        path.unlink(missing_ok=True)


def utc(moment_without_zone: datetime) -> str:
    """A time column's value as ISO 8601."""
    return moment_without_zone.replace(tzinfo=UTC).isoformat()
