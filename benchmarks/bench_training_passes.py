"""What the passes that train are worth: each against the same without it, seed by seed.

    python benchmarks/bench_training_passes.py [--seeds 8] [--labels 200] [--noise 5]

(a) A student that is ten times smaller than its teacher, taught with and without the teacher's
answers: the same start, the same items, the same epochs. The teacher has seen the whole training
part; the student gets `--labels` items of it. Digits are too easy to show anything, so noise is
laid over them.
(b) Weights in 4 bits and activations in 8: trained with the rounding, and quantized without.
(c) The mean of weights along the way against the end of the same number of epochs.

p is of an exact sign-flip test on the paired differences (two-sided): with 5 seeds it cannot be
below 0.0625, with 6 below 0.0313, with 8 below 0.0078. t is of the paired t-test.
"""

import argparse
import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.common import accuracy, trained
from edge_targets.runtime.events import QUIET
from toolkit.data.dataset import PARTS, Dataset
from toolkit.data.sampling import thinned
from toolkit.data.sources.digits import Digits
from toolkit.inference import Runner
from toolkit.model import Model
from toolkit.networks.small_cnn import SmallCnn
from toolkit.onnx_graph import graph_of
from toolkit.passes.average_weights import AverageWeights
from toolkit.passes.distill import Distill
from toolkit.passes.qat import Qat
from toolkit.quantization.calibrate import ranges_for
from toolkit.quantization.fold import prepared
from toolkit.quantization.observe import observe
from toolkit.quantization.plan import LayerPlan, plan_for
from toolkit.quantization.qdq import quantize_graph
from toolkit.training import Settings, fit

LARGE = SmallCnn(channels=(16, 32, 64), hidden=64)
SMALL = SmallCnn(channels=(4, 8), hidden=16)  # where 4 bits hurt: a large network forgives them
WIDTH = 0.3  # of every layer: a tenth of the weights
WAYS: dict[str, dict[str, Any]] = {
    "targets": {"alpha": 0.0},
    "answers": {},
    "answers and attention": {"hints": "attention"},
}
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Pair:
    """Accuracies with and without, one a seed."""

    what: str
    without: list[float]
    with_it: list[float]

    def row(self) -> str:
        with_it, without = np.array(self.with_it), np.array(self.without)
        gains = with_it - without
        return (
            f"| {self.what} | {without.mean():.4f} | {with_it.mean():.4f} | {gains.mean():+.4f} "
            f"| {(gains > 0).sum()} / {(gains < 0).sum()} of {len(gains)} "
            f"| {sign_flip(gains):.4f} | {t_test(gains):.4f} |"
        )


def sign_flip(gains: Floats) -> float:
    """The share of all sign patterns whose mean gain is at least as far from 0."""
    signs = np.array(list(itertools.product((1, -1), repeat=len(gains))))
    means = np.abs((signs * gains).mean(axis=1))
    return float((means >= abs(gains.mean()) - 1e-12).mean())


def t_test(gains: Floats) -> float:
    from scipy.stats import ttest_1samp  # type: ignore[import-untyped]

    return float(ttest_1samp(gains, 0).pvalue) if gains.std() else 1.0


def compiled_accuracy(model: Model, data: Dataset) -> float:
    """On the test part, as the engine of devices computes it, which is exact in int8."""
    inputs, targets = data.part("test")
    answers = Runner.of_model(model, QUIET).first_output(inputs, QUIET)
    return float((answers.argmax(axis=1) == targets).mean())


def few(data: Dataset, count: int, seed: int) -> Dataset:
    """With `count` items to train on; what it is judged by stays."""
    train = np.flatnonzero(data.split == PARTS.index("train"))
    kept = np.random.default_rng(seed).permutation(train)[:count]
    chosen = np.sort(np.concatenate([kept, np.flatnonzero(data.split != PARTS.index("train"))]))
    return replace(
        data,
        inputs=data.inputs[chosen],
        targets=data.targets[chosen],
        split=data.split[chosen],
    )


def distillation(data: Dataset, seeds: range, labels: int, epochs: int, all_epochs: int) -> None:
    teacher = trained(LARGE, data, epochs=30)
    small = LARGE.scaled(WIDTH)
    size = trained(small, few(data, 10, 0), epochs=1).parameters
    print(
        f"teacher: {teacher.parameters:,} parameters, accuracy {accuracy(teacher, data):.4f}; "
        f"student: {size:,} parameters\n"
    )
    head("student of a tenth of the size", "targets alone", "with the teacher")
    whole = data.count("train")
    for count, rounds, ways in ((labels, epochs, WAYS), (whole, all_epochs, list(WAYS)[:2])):
        accuracies: dict[str, list[float]] = {}
        for seed in seeds:
            known = teacher.with_data(few(data, count, seed))
            for name in ways:
                step = Distill(width=WIDTH, epochs=rounds, seed=seed)
                step = step.model_copy(update=WAYS[name])
                student = step.apply(known, QUIET)
                accuracies.setdefault(name, []).append(accuracy(student, data))
        alone = accuracies.pop("targets")
        for name, found in accuracies.items():
            print(Pair(f"{count:,} items, {name}", alone, found).row(), flush=True)


def four_bits(data: Dataset, seeds: range, epochs: int) -> None:
    head("weights in 4 bits, activations in 8", "quantized after", "trained with it")
    pairs: dict[bool, tuple[list[float], list[float]]] = {True: ([], []), False: ([], [])}
    floats, further = [], []
    for seed in seeds:
        model = trained(SMALL, data, epochs=15, seed=seed)
        floats.append(accuracy(model, data))
        # as many epochs more in floats: is it the rounding that helps, or the training?
        more = Settings(epochs=epochs, patience=epochs, learning_rate=1e-3, seed=seed)
        trained_on = fit(model, more, QUIET).model
        graph, later = (prepared(graph_of(each, QUIET)) for each in (model, trained_on))
        further.append(compiled_accuracy(afterwards(model, later, per_channel=True), data))
        for per_channel, (after, during) in pairs.items():
            after.append(compiled_accuracy(afterwards(model, graph, per_channel), data))
            step = Qat(bits=4, per_channel=per_channel, epochs=epochs, seed=seed)
            during.append(compiled_accuracy(step.apply(model, QUIET), data))
    for per_channel, (after, during) in pairs.items():
        name = "a scale a channel" if per_channel else "a scale a tensor"
        print(Pair(name, after, during).row())
    name = f"a scale a channel, {epochs} epochs more in floats first"
    print(Pair(name, further, pairs[True][1]).row())
    print(f"\nin floats: {np.mean(floats):.4f}", flush=True)


def afterwards(model: Model, graph: bytes, per_channel: bool) -> Model:
    """Post-training: the same plan and writer; ranges seen, scales of the least squared error."""
    base = LayerPlan(weights=4, per_channel=per_channel)
    plan = plan_for(graph, base)
    items = thinned(model.need_data("Calibration").part("train")[0], 256)
    ranges = ranges_for(graph, observe(graph, items, QUIET), plan, base)
    return model.with_graph(quantize_graph(graph, plan, ranges))


def averaging(data: Dataset, seeds: range, epochs: int) -> None:
    head("mean of the weights on the way", "fine-tuned", "averaged")
    ways: list[tuple[str, Callable[[int], AverageWeights]]] = [
        ("step size 1e-3", lambda seed: AverageWeights(epochs=epochs, seed=seed)),
        (
            "cycles of 3 epochs, step size 3e-3",
            lambda seed: AverageWeights(epochs=epochs, cycle=3, learning_rate=3e-3, seed=seed),
        ),
    ]
    found: list[tuple[list[float], list[float]]] = [([], []) for _ in ways]
    for seed in seeds:
        model = trained(SMALL, data, epochs=15, seed=seed)
        for (_, made), (plain, mean) in zip(ways, found, strict=True):
            step = made(seed)
            settings = Settings(
                epochs=epochs, patience=epochs, learning_rate=step.learning_rate, seed=seed
            )
            plain.append(accuracy(fit(model, settings, QUIET).model, data))
            mean.append(accuracy(step.apply(model, QUIET), data))
    for (name, _), (plain, mean) in zip(ways, found, strict=True):
        print(Pair(name, plain, mean).row(), flush=True)


def head(what: str, without: str, with_it: str) -> None:
    print(f"\n| {what} | {without} | {with_it} | gain | better / worse | p (sign flips) | p (t) |")
    print("|---|---|---|---|---|---|---|")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=8)
    # the setting of (a) was chosen by looking at seeds 0 to 3
    parser.add_argument("--first", type=int, default=100, help="the first seed")
    parser.add_argument("--labels", type=int, default=200, help="items a student may learn from")
    parser.add_argument("--noise", type=float, default=5.0, help="over digits, in 0-16")
    parser.add_argument("--only", choices=("distill", "qat", "average"))
    options = parser.parse_args()
    seeds = range(options.first, options.first + options.seeds)
    data = Digits(noise=options.noise).dataset("digits", "digits", None, QUIET)
    print(f"digits with noise {options.noise:g} (of 16), seeds {seeds[0]}-{seeds[-1]}\n")
    if options.only in {None, "distill"}:
        distillation(data, seeds, options.labels, epochs=60, all_epochs=15)
    if options.only in {None, "qat"}:
        four_bits(data, seeds, epochs=10)
    if options.only in {None, "average"}:
        averaging(data, seeds, epochs=12)


if __name__ == "__main__":
    main()
