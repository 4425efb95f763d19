"""Whose clock a record's times are by: a sender's may be wrong, ours orders them all.

A sender that says what time it is (`sent`) is compared with ours, and its times are moved by the
difference. One that does not is believed, but for times that cannot be: after now, or before there
was anything to send. What it said can be told again: `received` and `clock_ahead_s` lie beside it.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from edge_targets.runtime.contract import Record
from toolkit.telemetry.checks import moment

CLOSE = timedelta(minutes=5)  # a slow network and an ordinary clock together stay below
FIRST = datetime(2025, 1, 1, tzinfo=UTC)  # no program that sends records is older


def on_our_clock(
    records: Sequence[Record], sent: datetime | None, now: datetime | None = None
) -> list[Record]:
    """The same records with times by our clock, and when they came.

    Args:
        records: of one message.
        sent: what time it was for the sender when it sent them.
        now: our time.
    """
    received = now or datetime.now(UTC)
    ahead = sent - received if sent else timedelta()
    if abs(ahead) < CLOSE:
        ahead = timedelta()
    return [_moved(record, ahead, received) for record in records]


def _moved(record: Record, ahead: timedelta, received: datetime) -> Record:
    noted: dict[str, object] = {"received": received.isoformat()}
    ended = _possible(moment(record.ended), ahead, received)
    started = min(_possible(moment(record.started), ahead, received), ended)
    if abs(moment(record.ended) - ended) < CLOSE:
        return replace(record, extra={**record.extra, **noted})
    noted["clock_ahead_s"] = round((moment(record.ended) - ended).total_seconds())
    return replace(
        record,
        started=started.isoformat(),
        ended=ended.isoformat(),
        extra={**record.extra, **noted},
    )


def _possible(said: datetime, ahead: timedelta, received: datetime) -> datetime:
    try:
        when = said - ahead
    except OverflowError:  # the first or the last hours of the calendar
        return received
    return when if FIRST <= when <= received + CLOSE else received
