"""The drift report: per device and feature, with a false alarm rate that is kept."""

from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from edge_targets.runtime.contract import Profile
from edge_targets.runtime.errors import RecipeError
from edge_targets.runtime.sketch import Sketch
from toolkit.drift import DriftTest
from toolkit.drift.psi import Psi
from toolkit.report import plain
from toolkit.telemetry.reference import quantile_edges
from toolkit.watch import ALPHA, MIN_SAMPLES, Drift, Fleet
from toolkit.watch import watch as watch_fleets


def profiles(
    shift: float = 0.0, samples: int = 300, seed: int = 0, edges: list[float] | None = None
) -> Profile:
    """Two features: a normal one that may be shifted, and one of three classes."""
    generator = np.random.default_rng(seed)
    edges = edges or quantile_edges(np.random.default_rng(99).normal(size=2000))
    light, label = Sketch(edges), Sketch([0.5, 1.5])
    light.add((generator.normal(size=samples) + shift).tolist())
    label.add(generator.integers(0, 3, samples).astype(float).tolist())
    return Profile(samples, {"light": light, "label": label})


REFERENCE = profiles(samples=2000, seed=1)


def watch(
    reference: Profile,
    live: Mapping[str, Profile],
    tests: Sequence[DriftTest] = (),
    alpha: float = ALPHA,
    min_samples: int = MIN_SAMPLES,
    model: str = "",
) -> Drift:
    """A report on one version."""
    return watch_fleets([Fleet("1", reference, live)], tests, alpha, min_samples, model)


def test_quiet_devices_raise_no_alarm() -> None:
    report = watch(REFERENCE, {"a": profiles(seed=2), "b": profiles(seed=3)}, model="digits")

    assert report.ok
    assert not report.alarm
    assert len(report.rows) == report.comparisons == 3 * 2 * 2
    assert [row.device for row in report.rows[::4]] == ["a", "b", "fleet"]
    assert {row.test for row in report.rows} == {"psi", "kolmogorov_smirnov"}


def test_only_the_drifting_feature_of_the_drifting_device_raises_an_alarm() -> None:
    report = watch(REFERENCE, {"a": profiles(seed=2), "b": profiles(shift=1.5, seed=3)})

    alarms = {(row.device, row.feature) for row in report.rows if row.alarm}
    assert not report.ok
    assert alarms - {("fleet", "light")} == {("b", "light")}
    assert all(row.score is not None and row.threshold is not None for row in report.rows)


def test_two_drifting_devices_in_a_hundred_vanish_in_the_fleet_but_not_here() -> None:
    live = {f"d{i:02d}": profiles(1.0 if i in (17, 71) else 0.0, seed=i) for i in range(100)}

    report = watch(REFERENCE, live)

    assert {row.device for row in report.rows if row.alarm} == {"d17", "d71"}


def test_a_device_that_drifts_on_an_older_version_is_found_and_alpha_is_shared() -> None:
    quiet = {"a": profiles(seed=2), "b": profiles(seed=3)}
    old, new = {"c": profiles(shift=1.5, seed=4)}, Fleet("2", REFERENCE, quiet)

    alone = watch_fleets([new])
    report = watch_fleets([new, Fleet("1", REFERENCE, old)])

    assert not alone.alarm
    assert report.alarm
    assert {(row.device, row.version) for row in report.rows if row.alarm} == {("c", "1")}
    assert report.comparisons == len(report.rows) == alone.comparisons + 2 * 2
    assert report.note == ""
    # a threshold rises with the comparisons that share alpha: those of all versions
    pairs = [
        (r.threshold or 0, s.threshold or 0) for r, s in zip(report.rows, alone.rows, strict=False)
    ]
    assert all(shared >= single for shared, single in pairs)
    assert any(shared > single for shared, single in pairs)


def test_one_device_alone_is_no_fleet() -> None:
    report = watch(REFERENCE, {"a": profiles(seed=2)})

    assert {row.device for row in report.rows} == {"a"}


def test_no_device_is_no_alarm() -> None:
    report = watch(REFERENCE, {})

    assert report.ok
    assert report.rows == ()
    assert report.comparisons == 0


def test_a_device_with_too_few_samples_is_listed_and_not_scored() -> None:
    few, empty = profiles(shift=5, samples=20, seed=2), REFERENCE.empty()

    report = watch(REFERENCE, {"few": few, "empty": empty}, min_samples=50)

    assert report.ok
    assert report.comparisons == 0
    assert {row.note for row in report.rows} == {"too few samples"}
    assert {(row.score, row.threshold, row.alarm) for row in report.rows} == {(None, None, False)}
    assert {row.samples for row in report.rows} == {20, 0}
    assert report.note == "Nothing was compared: too few samples."


def test_values_without_reference_or_with_other_edges_say_so() -> None:
    unread = profiles(seed=2)
    other = profiles(seed=2, edges=[0.0])
    blind = Profile(300, {"label": unread.sketches["label"]})

    notes = [watch(REFERENCE, {"a": live}).rows[0].note for live in (other, blind)]
    empty = watch(REFERENCE.empty(), {"a": unread}).rows[0].note

    assert notes == ["counted with other edges than the reference", "no values"]
    assert empty == "no values in the reference"
    assert watch(REFERENCE, {"a": unread, "b": other}).rows[-1].samples == 300


def test_a_sensor_that_fails_raises_an_alarm_and_shows_its_nulls() -> None:
    failing = profiles(seed=2)
    failing.sketches["light"].nulls = 300

    report = watch(REFERENCE, {"a": failing})

    assert {row.feature for row in report.rows if row.alarm} == {"light"}
    assert report.rows[0].nulls == pytest.approx(0.5)


def test_many_values_of_one_item_count_as_one() -> None:
    # each item gives ten equal values: sixty items are no more than sixty
    def pixels(items: int, seed: int) -> Profile:
        values = np.random.default_rng(seed).normal(size=items).repeat(10)
        sketch = Sketch(quantile_edges(np.random.default_rng(99).normal(size=2000)))
        sketch.add(values.tolist())
        return Profile(items, {"pixel": sketch})

    reference = pixels(2000, 1)
    sensitive = Psi(practical=0)

    reports = [watch(reference, {"a": pixels(60, i)}, [sensitive], 0.01, 50) for i in range(2, 52)]

    assert sum(report.alarm for report in reports) <= 2


def test_whole_reports_on_quiet_traffic_keep_the_stated_rate() -> None:
    alpha, number = 0.05, 500
    tests = [Psi(practical=0)]

    alarms = 0
    for seed in range(number):
        live = {name: quick(seed, k) for k, name in enumerate("abcd", start=1)}
        alarms += watch(quick(seed, 0, 3000), live, tests, alpha).alarm

    # the bound of Bonferroni, and three standard errors of a share of 0.05 among 500
    assert alarms / number <= alpha + 0.03


def quick(seed: int, stream: int, samples: int = 200) -> Profile:
    """Ten equal bins and three classes, drawn as counts."""
    generator = np.random.default_rng([seed, stream])
    light = Sketch(
        [i / 10 for i in range(1, 10)], generator.multinomial(samples, [0.1] * 10).tolist()
    )
    label = Sketch([0.5, 1.5], generator.multinomial(samples, [1 / 3] * 3).tolist())
    return Profile(samples, {"light": light, "label": label})


def test_the_report_reads_as_json() -> None:
    found = plain(watch(REFERENCE, {"a": profiles(shift=2, seed=2)}, model="digits"))

    assert found["ok"] is False
    assert found["alarm"] is True
    assert found["model"] == "digits"
    assert found["rows"][0].keys() >= {
        "device", "version", "feature", "test", "score", "threshold", "alarm", "samples", "nulls",
        "note"
    }  # fmt: skip


def test_an_alpha_that_is_no_chance_is_refused() -> None:
    with pytest.raises(RecipeError, match="between 0 and 1"):
        watch(REFERENCE, {}, alpha=1)
