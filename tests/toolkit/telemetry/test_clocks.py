"""A sender's clock may be wrong: its windows are found where they belong all the same."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from edge_targets.runtime.contract import Record
from edge_targets.runtime.sketch import Sketch
from toolkit.telemetry.checks import moment
from toolkit.telemetry.clocks import on_our_clock
from toolkit.telemetry.store import Store

MakeRecord = Callable[..., Record]

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
MINUTE, YEAR = timedelta(minutes=1), timedelta(days=365)


def window(record: MakeRecord, ended: datetime, **fields: object) -> Record:
    """A minute long."""
    times = {"started": (ended - MINUTE).isoformat(), "ended": ended.isoformat()}
    return record(**times, **fields)


def test_a_right_clock_is_left_as_it_is(record: MakeRecord) -> None:
    week_ago = window(record, NOW - timedelta(days=7))

    [noted] = on_our_clock([week_ago], NOW - timedelta(seconds=2), NOW)

    assert (noted.started, noted.ended) == (week_ago.started, week_ago.ended)
    assert noted.extra == {"received": NOW.isoformat()}


@pytest.mark.parametrize("wrong", [10 * YEAR, YEAR, 6 * MINUTE, -6 * MINUTE, -YEAR, -56 * YEAR])
def test_what_a_wrong_clock_said_is_moved_by_what_it_is_wrong(
    record: MakeRecord, wrong: timedelta
) -> None:
    hour_ago = NOW - timedelta(hours=1)
    said = window(record, hour_ago + wrong)

    [moved] = on_our_clock([said], NOW + wrong, NOW)

    assert moment(moved.ended) == hour_ago
    assert moment(moved.started) == hour_ago - MINUTE
    assert moved.extra["clock_ahead_s"] == wrong.total_seconds()


@pytest.mark.parametrize("ended", [NOW + YEAR, NOW + 6 * MINUTE, datetime(1970, 1, 1, tzinfo=UTC)])
def test_a_time_that_cannot_be_is_when_the_record_came(record: MakeRecord, ended: datetime) -> None:
    # its sender does not say what time it is, or its clock was set meanwhile
    for sent in (None, NOW):
        [moved] = on_our_clock([window(record, ended)], sent, NOW)

        assert moment(moved.ended) == NOW
        assert moment(moved.started) <= NOW


def test_the_ends_of_the_calendar_are_times_too(record: MakeRecord) -> None:
    first = "0001-01-01T00:00:00+00:00"
    last = "9999-12-31T23:59:59+00:00"

    for sent in (first, last):
        moved = on_our_clock(
            [record(started=first, ended=last), record(started=last, ended=first)],
            moment(sent),
            NOW,
        )
        assert all(moment(one.ended) <= NOW for one in moved)


def test_a_sender_cannot_say_when_its_record_came(record: MakeRecord) -> None:
    [noted] = on_our_clock([window(record, NOW, extra={"received": "never"})], NOW, NOW)

    assert noted.extra["received"] == NOW.isoformat()


def test_a_visitor_from_the_future_spoils_no_window_of_drift(
    store: Store, record: MakeRecord
) -> None:
    finer = {"light": Sketch([0.25, 0.4, 0.5, 0.75])}
    ahead = window(record, NOW + YEAR - 2 * MINUTE, version="old", sketches=finer)
    right = window(record, NOW - MINUTE, version="new")
    store.append(on_our_clock([ahead], NOW + YEAR, NOW))
    store.append(on_our_clock([right], NOW, NOW))  # its clock has been set

    later = NOW + timedelta(days=2)

    # the version that it runs now counts, and yesterday's window is over tomorrow
    assert store.profiles("digits")["porch"].sketches.keys() == {"light", "label"}
    assert store.versions("digits", NOW - timedelta(hours=1)) == {
        ("porch", "old"),
        ("porch", "new"),
    }
    assert store.versions("digits", later - timedelta(days=1)) == set()
