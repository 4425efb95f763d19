"""How often the quality gate passes a model that it should not: exactly, and by simulation.

    python benchmarks/bench_gate.py [--comparisons 1000]

The true drop equals what the gate allows, so every pass is a false one; at most 5 % may be.
"""

import argparse
from math import lgamma

import numpy as np
from numpy.typing import NDArray

from toolkit.evaluation.gate import CORRECTION, Gate, drop_bounds, ruled_out

QUANTILE = 1.6448536269514722  # of the normal distribution, 95 %
ITEMS = (30, 60, 100, 200, 359, 718, 1797, 3000)
DROPS = (0.005, 0.01, 0.02, 0.05)
WON = (0.0, 0.001, 0.003, 0.01, 0.03, 0.1)  # share of items that only the smaller model gets right
TAIL = 9  # standard deviations: what is left out has less than 1e-15 of the chance


def exact(items: int, drop: float, won: float) -> float:
    """The chance of a false pass: every outcome with its probability."""
    spread = (items * (won + drop)) ** 0.5
    most = int(items * (won + drop) + TAIL * spread + 12)
    chance = 0.0
    for lost_count in range(min(most, items) + 1):
        for won_count in range(min(most, items - lost_count) + 1):
            if won_count and not won:
                break
            if ruled_out(drop, lost_count, won_count, items, QUANTILE):
                chance += float(np.exp(log_chance(items, lost_count, won_count, drop, won)))
            elif won_count >= most:
                break
    return chance


def log_chance(items: int, lost: int, won: int, drop: float, share: float) -> float:
    rest = items - lost - won
    ways = lgamma(items + 1) - lgamma(lost + 1) - lgamma(won + 1) - lgamma(rest + 1)
    gained = won * np.log(share) if won else 0.0
    return float(ways + lost * np.log(share + drop) + gained + rest * np.log1p(-2 * share - drop))


def simulated(items: int, drop: float, won: float, comparisons: int) -> float:
    rng = np.random.default_rng(0)
    gate = Gate(max_drop=drop)
    passed = 0
    for _ in range(comparisons):
        kind = rng.random(items)
        lost: NDArray[np.bool_] = kind < won + drop
        gained: NDArray[np.bool_] = kind > 1 - won
        before, after = ~gained, ~lost
        passed += drop_bounds(before, after, gate.confidence).high <= gate.max_drop
    return passed / comparisons


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--comparisons", type=int, default=1000)
    options = parser.parse_args()
    print("| unseen items | drop = allowed | false passes, exact: worst of six | simulated |")
    print("|---|---|---|---|")
    worst = 0.0
    for items in ITEMS:
        for drop in DROPS:
            rates = {won: exact(items, drop, won) for won in WON if items * won < 100}
            won = max(rates, key=lambda share: rates[share])
            worst = max(worst, rates[won])
            found = simulated(items, drop, won, options.comparisons)
            print(f"| {items:,} | {100 * drop:g} points | {rates[won]:.4f} | {found:.3f} |")
    print(f"\nThe worst exact rate is {worst:.4f} (0.05 is allowed; correction {CORRECTION}).")


if __name__ == "__main__":
    main()
