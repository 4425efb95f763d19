"""Drift from binned profiles against scipy's exact test on the raw values, in one run.

    python benchmarks/bench_drift.py [--values 200000] [--features 10] [--windows 500]

Compares the time of scoring, the agreement of the Kolmogorov-Smirnov distance over a range of
shifts, and the false alarms of whole reports on quiet traffic with the rate that was stated.
"""

import argparse
import time
from collections.abc import Callable

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy.stats import ks_2samp  # type: ignore[import-untyped]

from edge_targets.runtime.contract import Profile
from edge_targets.runtime.sketch import Sketch
from toolkit.drift import drift_tests
from toolkit.telemetry.reference import quantile_edges
from toolkit.watch import Fleet, watch

SHIFTS = (0.0, 0.05, 0.1, 0.2, 0.5, 1.0)  # in standard deviations
REPEATS = 5


def binned(values: np.ndarray, edges: list[float]) -> Sketch:
    """What `Sketch.add` counts, at numpy's speed."""
    counts = np.bincount(np.searchsorted(edges, values, side="right"), minlength=len(edges) + 1)
    low, high = float(values.min()), float(values.max())
    return Sketch(edges, counts.tolist(), 0, low, high, float(values.sum()), float(values @ values))


def best_ms(work: Callable[[], object]) -> float:
    """The fastest of some runs: the others were disturbed."""
    found = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        work()
        found.append((time.perf_counter() - start) * 1e3)
    return min(found)


def speed(values: int, features: int) -> tuple[float, float, float]:
    """Milliseconds for all features: counting, our tests on the counts, scipy's on the values."""
    generator = np.random.default_rng(0)
    reference, live = generator.normal(size=(2, features, values))
    edges = [quantile_edges(column) for column in reference]
    old = [binned(column, edge) for column, edge in zip(reference, edges, strict=True)]
    sides = list(zip(live, edges, strict=True))
    new = [binned(column, edge) for column, edge in sides]
    counting = best_ms(lambda: [binned(column, edge) for column, edge in sides])
    tests = [drift_tests[name]() for name in ("psi", "kolmogorov_smirnov")]
    pairs = list(zip(old, new, strict=True))
    ours = best_ms(lambda: [test.score(a, b) for test in tests for a, b in pairs])
    columns = list(zip(reference, live, strict=True))
    exact = best_ms(lambda: [ks_2samp(a, b, method="asymp") for a, b in columns])
    return counting, ours, exact


def agreement(values: int, bins: int) -> list[tuple[float, float, float]]:
    """Shift, distance from bins, exact distance."""
    generator = np.random.default_rng(1)
    reference = generator.normal(size=values)
    edges = quantile_edges(reference, bins)
    old = binned(reference, edges)
    test = drift_tests["kolmogorov_smirnov"]()
    rows = []
    for shift in SHIFTS:
        live = generator.normal(size=values) + shift
        exact = float(ks_2samp(reference, live, method="asymp").statistic)
        rows.append((shift, test.score(old, binned(live, edges)), exact))
    return rows


def false_alarms(windows: int, alpha: float, practical: bool) -> float:
    """The share of quiet reports (5 devices and the fleet, 4 features) that raise any alarm."""
    generator = np.random.default_rng(2)
    floor = {} if practical else {"practical": 0.0}
    tests = [drift_tests[name](**floor) for name in ("psi", "kolmogorov_smirnov")]
    alarms = 0
    for _ in range(windows):
        seen = generator.normal(size=(6, 4, 2000))
        edges = [quantile_edges(column) for column in generator.normal(size=(4, 1000))]
        reference = profile(seen[0], edges)
        live = {f"device{i}": profile(seen[i, :, :200], edges) for i in range(1, 6)}
        alarms += watch([Fleet("", reference, live)], tests, alpha).alarm
    return alarms / windows


def profile(columns: np.ndarray, edges: list[list[float]]) -> Profile:
    pairs = enumerate(zip(columns, edges, strict=True))
    return Profile(columns.shape[1], {f"x{i}": binned(column, edge) for i, (column, edge) in pairs})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--values", type=int, default=200_000, help="a feature and side")
    parser.add_argument("--features", type=int, default=10)
    parser.add_argument("--windows", type=int, default=500, help="quiet reports")
    options = parser.parse_args()
    console = Console()

    table = Table("what", "ours", "scipy, exact", "ratio", title="drift from bins")
    counting, ours, exact = speed(options.values, options.features)
    size = f"{options.features} features of {options.values:,} values"
    table.add_row(
        f"psi + ks against ks, {size}", f"{ours:.2f} ms", f"{exact:.1f} ms", f"{exact / ours:,.0f}x"
    )
    table.add_row(
        "the same, counting the live side included",
        f"{ours + counting:.1f} ms",
        f"{exact:.1f} ms",
        f"{exact / (ours + counting):,.1f}x",
    )
    for bins in (10, 20):
        for shift, from_bins, from_values in agreement(options.values, bins):
            table.add_row(
                f"ks distance, {bins} bins, shift {shift:g}",
                f"{from_bins:.4f}",
                f"{from_values:.4f}",
                f"{from_values - from_bins:+.4f}",
            )
    for alpha in (0.01, 0.05):
        for practical in (False, True):
            rate = false_alarms(options.windows, alpha, practical)
            floor = "as it is" if practical else "without practical minimum"
            table.add_row(
                f"false alarms in {options.windows} quiet reports, {floor}",
                f"{rate:.3f}",
                f"stated {alpha:g}",
                f"{rate / alpha:.2f}x",
            )
    console.print(table)


if __name__ == "__main__":
    main()
