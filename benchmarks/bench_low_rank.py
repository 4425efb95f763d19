"""What structure brings: low rank on an over-wide MLP, and the pruning families on digits.

    python benchmarks/bench_low_rank.py [--seeds 5]

Every seed trains its own float model; each pass is judged against the one it was made from, on
the same unseen items. The wide MLP reads hand gestures where ../shared/data is there, and the
digits otherwise. Sizes, multiplications and times are of the first seed's ONNX files, timed in
turn on one thread.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence

import numpy as np
from scipy.stats import t as student  # type: ignore[import-untyped]

from benchmarks.common import SHARED, accuracy, trained
from edge_targets.runtime.events import QUIET
from toolkit.anatomy import total_macs, zipped
from toolkit.data import Dataset
from toolkit.data.sources.csv import Csv
from toolkit.data.sources.digits import Digits
from toolkit.inference import Runner, side_by_side
from toolkit.networks import Network
from toolkit.networks.mlp import Mlp
from toolkit.networks.small_cnn import SmallCnn
from toolkit.onnx_graph import graph_of
from toolkit.passes import Pass
from toolkit.passes.cluster_weights import ClusterWeights
from toolkit.passes.low_rank import LowRank
from toolkit.passes.prune_channels import PruneChannels
from toolkit.passes.prune_weights import PruneWeights

GESTURES = SHARED / "hand_gesture" / "keypoint.csv"

WIDE: dict[str, Sequence[Pass]] = {
    "low_rank energy=0.9": [LowRank()],
    "low_rank energy=0.9 epochs=2": [LowRank(epochs=2)],
    "low_rank energy=0.7": [LowRank(energy=0.7)],
    "low_rank energy=0.7 epochs=2": [LowRank(energy=0.7, epochs=2)],
    "low_rank budget=0.1 epochs=4": [LowRank(budget=0.1, epochs=4)],
}
PRUNED: dict[str, Sequence[Pass]] = {
    "prune_channels magnitude": [PruneChannels(epochs=6)],
    "prune_channels taylor": [PruneChannels(epochs=6, importance="taylor")],
    "prune_channels batch_norm": [PruneChannels(epochs=6, importance="batch_norm")],
    "prune_channels rounds=3": [PruneChannels(epochs=6, rounds=3)],
    "prune_weights 80 %": [PruneWeights(sparsity=0.8, epochs=3)],
    "prune_weights 80 % global": [PruneWeights(sparsity=0.8, scope="global", epochs=3)],
    "prune_weights 2:4": [PruneWeights(pattern="2:4", epochs=3)],
    "cluster_weights 16": [ClusterWeights()],
    "prune 80 % global, cluster 16": [
        PruneWeights(sparsity=0.8, scope="global", epochs=3),
        ClusterWeights(),
    ],
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    seeds = parser.parse_args().seeds
    digits = Digits().dataset("digits", "digits", None, QUIET)
    wide = Mlp(hidden=(1024, 1024))
    compare(f"mlp 1024x1024 on {gestures(digits).name}", gestures(digits), wide, 6, WIDE, seeds)
    rows = compare("small_cnn on digits", digits, SmallCnn(), 8, PRUNED, seeds)
    for name in ("prune_weights 80 % global", "cluster_weights 16"):
        time, saved = rows[name]
        print(f"{name}: the time is {time:.2f} of what it was; the zip is {saved:.0%} smaller.")
    return 0


def gestures(otherwise: Dataset) -> Dataset:
    if not GESTURES.is_file():
        print("../shared/data/hand_gesture is not here: the digits stand in.\n")
        return otherwise
    return Csv(header=False).dataset("gestures", str(GESTURES), "c0", QUIET)


def compare(
    title: str,
    data: Dataset,
    network: Network,
    epochs: int,
    ways: Mapping[str, Sequence[Pass]],
    seeds: int,
) -> dict[str, tuple[float, float]]:
    """Print the table; of each way the time, float = 1, and the share that the zip is smaller."""
    inputs, _ = data.part("test")
    correct: dict[str, list[float]] = {}
    graphs: dict[str, bytes] = {}
    for seed in range(seeds):
        model = trained(network, data, epochs=epochs, seed=seed)
        for name, steps in {"float": (), **ways}.items():
            found = model
            for step in steps:
                found = step.apply(found, QUIET)
            if seed == 0:
                graphs[name] = graph_of(found, QUIET)
            correct.setdefault(name, []).append(accuracy(found, data))
    runners = [Runner(graph, "onnx", data.signature()) for graph in graphs.values()]
    times = dict(zip(graphs, side_by_side(runners, inputs, QUIET), strict=True))
    print(f"## {title}, {seeds} seeds, {len(inputs)} unseen items\n")
    print("| pass | accuracy | points against float (95 %) | bytes | zip | MACs | time |")
    print("|---|---|---|---|---|---|---|")
    found_rows = {}
    for name, graph in graphs.items():
        time = times[name] / times["float"]
        print(
            f"| {name} | {np.mean(correct[name]):.4f} "
            f"| {paired(correct[name], correct['float'])} "
            f"| {share(len(graph), len(graphs['float']))} "
            f"| {share(zipped(graph), zipped(graphs['float']))} "
            f"| {share(total_macs(graph), total_macs(graphs['float']))} | {time:.2f} |"
        )
        found_rows[name] = time, 1 - zipped(graph) / zipped(graphs["float"])
    print()
    return found_rows


def paired(new: Sequence[float], old: Sequence[float]) -> str:
    """The mean difference over the seeds, with Student's interval."""
    gaps = 100 * (np.array(new) - np.array(old))
    if not gaps.any() or len(gaps) < 2:
        return f"{gaps.mean():+.2f}"
    half = student.ppf(0.975, len(gaps) - 1) * gaps.std(ddof=1) / len(gaps) ** 0.5
    return f"{gaps.mean():+.2f} ({gaps.mean() - half:+.2f} to {gaps.mean() + half:+.2f})"


def share(new: int, old: int) -> str:
    return f"{new:,} ({old / new:.1f}×)"


if __name__ == "__main__":
    sys.exit(main())
