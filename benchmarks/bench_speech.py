"""Spoken digits: a DS-CNN with its spectrogram in the graph, as it is, in int8, and pruned.

    python benchmarks/bench_speech.py [--epochs 12] [--test-below 5] [--seed 0] [--unheard]

Trains on the data set's own split (index 0 to 4 of each speaker and digit is the test part) and
compares files in both formats, on the same items and in one run; with --unheard, on speakers that
were not learned from instead. The recordings are looked for beside the repository, in
`shared/data/spoken_digits`.
"""

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.common import SHARED, trained
from edge_targets.runtime.events import QUIET
from toolkit.data import Dataset
from toolkit.data.sources.audio_folder import AudioFolder
from toolkit.evaluation.gate import drop_bounds
from toolkit.evaluation.metrics import wilson
from toolkit.formats import formats
from toolkit.inference import Runner, side_by_side
from toolkit.model import Model
from toolkit.networks.ds_cnn import DsCnn
from toolkit.onnx_graph import graph_of
from toolkit.passes import Pass
from toolkit.passes.prune_channels import PruneChannels
from toolkit.passes.quantize_int8 import QuantizeInt8

DATA = SHARED / "spoken_digits"
NETWORK = DsCnn(channels=384, stem=64, blocks=4, halvings=3)
RECIPES: dict[str, tuple[Pass, ...]] = {
    "int8": (QuantizeInt8(),),
    # XNNPACK is slow where an int8 convolution has a single input channel
    "int8, first layer weights only": (QuantizeInt8(layers=("1.0=weights",)),),
    "half the channels, int8": (PruneChannels(ratio=0.5, epochs=8), QuantizeInt8()),
}
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Found:
    """A file, and which test items it answers right."""

    recipe: str
    format: str
    size: int
    right: NDArray[np.bool_]
    runner: Runner


def files_of(recipe: str, model: Model, data: Dataset) -> list[Found]:
    """The model in every format; also for a model that a search has found."""
    graph = graph_of(model, QUIET)
    inputs, targets = data.part("test")
    found = []
    for name in formats.names():
        file = formats[name]().build(graph, model.signature, QUIET).data
        runner = Runner(file, name, model.signature)
        right = runner.first_output(inputs, QUIET).argmax(axis=1) == targets
        found.append(Found(recipe, name, len(file), right, runner))
    return found


def table(rows: Sequence[Found], inputs: NDArray[np.float32]) -> None:
    """Every file beside the first one of its format, which is the float model."""
    print(
        "| model | format | accuracy [95 %] | drop (surely below) | bytes | smaller | ms | faster |"
    )
    print("|---|---|---|---|---|---|---|---|")
    latencies = side_by_side([row.runner for row in rows], inputs, QUIET)
    for row, ms in zip(rows, latencies, strict=True):
        place = next(i for i, other in enumerate(rows) if other.format == row.format)
        first, first_ms = rows[place], latencies[place]
        share = wilson(int(row.right.sum()), len(row.right))
        bounds = drop_bounds(first.right, row.right, CONFIDENCE)
        drop = "" if row is first else f"{bounds.drop:+.1%} ({bounds.high:.1%})"
        print(
            f"| {row.recipe} | {row.format} | {share.value:.1%} [{share.low:.1%}, {share.high:.1%}]"
            f" | {drop} | {row.size:,} | {first.size / row.size:.2f}x"
            f" | {ms:.3f} | {first_ms / ms:.2f}x |"
        )


def by_speaker(rows: Sequence[Found], groups: NDArray[np.str_]) -> None:
    speakers = sorted(set(groups.tolist()))
    print("| model | format | " + " | ".join(speakers) + " |")
    print("|---|---|" + "---|" * len(speakers))
    for row in rows:
        shares = [f"{row.right[groups == speaker].mean():.1%}" for speaker in speakers]
        print(f"| {row.recipe} | {row.format} | " + " | ".join(shares) + " |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument(
        "--test-below", type=int, default=5, help="index; 5 is the data set's own split"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--unheard", action="store_true", help="test on a speaker of its own")
    options = parser.parse_args()
    if not DATA.is_dir():
        print(f"skipped: the recordings are not here ({'/'.join(DATA.parts[-3:])})")
        return
    source = (
        AudioFolder(split="group", seed=options.seed)
        if options.unheard
        else AudioFolder(test_below=options.test_below, seed=options.seed)
    )
    data = source.dataset("spoken", str(DATA), None, QUIET)
    start = time.process_time()
    model = trained(NETWORK, data, epochs=options.epochs, seed=options.seed)
    seconds = time.process_time() - start
    print(f"{model.parameters:,} parameters, trained in {seconds:.0f} s of one core\n")
    rows = files_of("float", model, data)
    for recipe, steps in RECIPES.items():
        smaller = model
        for step in steps:
            smaller = step.apply(smaller, QUIET)
        rows += files_of(recipe, smaller, data)
    table(rows, data.part("test")[0])
    print()
    if data.groups is not None:
        by_speaker(rows, data.groups[data.split == 2])


if __name__ == "__main__":
    main()
