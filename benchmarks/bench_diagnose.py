"""Planted faults: is the guilty layer named first, and does the repair bring back what was lost?

    python benchmarks/bench_diagnose.py [--seeds 3]

Also: a recipe that ruins one class is refused by the gate.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import numpy_helper
from rich.console import Console
from rich.table import Table

from benchmarks.common import trained
from edge_targets.runtime.events import QUIET, Job
from toolkit import compression, shelf
from toolkit.data import Dataset
from toolkit.data.sampling import thinned
from toolkit.data.sources import sources
from toolkit.diagnosis import diagnose
from toolkit.diagnosis.values import answers
from toolkit.evaluation.gate import Gate
from toolkit.model import Model
from toolkit.networks import Network
from toolkit.networks.ds_cnn import DsCnn
from toolkit.networks.small_cnn import SmallCnn
from toolkit.onnx_graph import graph_of, parse, written
from toolkit.passes import Pass
from toolkit.passes.fold_batch_norm import FoldBatchNorm
from toolkit.passes.quantize_int8 import QuantizeInt8
from toolkit.recipe import Recipe
from toolkit.results import Diagnosed
from toolkit.workspace import Workspace

GATE = Gate(max_drop=0.02)
CNN = SmallCnn(channels=(8, 16), hidden=96)
SEPARABLE = DsCnn(channels=96, blocks=2, halvings=0)
EPOCHS = 8
HUGE = 1000  # times the largest weight
SPREAD = 10_000  # between the narrowest channel and the widest
RARE = 3  # values of a unit in all calibration items that are let through, enlarged
RUINED = 3  # the class

Arrays = dict[str, NDArray[Any]]
Plant = Callable[[Model, str, str], Model]


@dataclass(frozen=True)
class Fault:
    """What is planted, where, and how the model is quantized then.

    Attributes:
        layer: the guilty one; `following` reads it.
        guilty: layers that are a right answer: a value between two is the fault of both.
    """

    kind: str
    plant: Plant
    network: Network
    layer: str
    following: str
    guilty: tuple[str, ...]
    per_channel: bool


@dataclass(frozen=True)
class Row:
    fault: Fault
    seed: int
    rank: int
    found: Diagnosed
    seconds: float


def changed(model: Model, change: Callable[[Arrays], None]) -> Model:
    graph = parse(model.graph)
    arrays = {t.name: numpy_helper.to_array(t).copy() for t in graph.graph.initializer}
    change(arrays)
    for tensor in graph.graph.initializer:
        tensor.CopyFrom(numpy_helper.from_array(arrays[tensor.name], tensor.name))
    return model.with_graph(written(graph))


def bias_of(arrays: Arrays, layer: str) -> str:
    return next(n for n in (f"{layer}.bias", f"{layer}.weight_bias") if n in arrays)


def columns(arrays: Arrays, layer: str, channels: int) -> NDArray[Any]:
    """The weights of a layer as (outputs, input channels, rest): a view."""
    weight = arrays[f"{layer}.weight"]
    return weight.reshape(len(weight), min(channels, weight.shape[1]), -1)


def outlier_weights(model: Model, layer: str, following: str) -> Model:
    """A unit with huge weights that its ReLU never lets through, and that nobody reads."""

    def change(arrays: Arrays) -> None:
        weight = arrays[f"{layer}.weight"]
        weight[0] = -HUGE * np.abs(weight).max()
        arrays[bias_of(arrays, layer)][0] = -HUGE
        columns(arrays, following, len(weight))[:, 0] = 0

    return changed(model, change)


def outlier_in_every_channel(model: Model, layer: str, following: str) -> Model:
    """`following` has huge weights for an input that is always zero: no scale escapes them."""

    def change(arrays: Arrays) -> None:
        weight = arrays[f"{layer}.weight"]
        weight[0] = 0
        arrays[bias_of(arrays, layer)][0] = -1
        taken = columns(arrays, following, len(weight))
        taken[:, 0] = HUGE * np.abs(taken).max()

    return changed(model, change)


def outlier_activations(model: Model, layer: str, following: str) -> Model:
    """A unit that is silent but for a handful of values, which are huge, and that nobody reads."""
    assert model.data
    [node] = [n for n in parse(model.graph).graph.node if f"{layer}.weight" in n.input]
    items = thinned(model.data.part("train")[0], QuantizeInt8().samples)
    given = answers(model.graph, node.output[0], model.signature.inputs[0], items, QUIET)
    values = np.sort(given[:, 0].reshape(-1))
    threshold = (values[-RARE] + values[-RARE - 1]) / 2
    factor = HUGE * float(given.std()) / max(float(values[-1] - threshold), 1e-3)

    def change(arrays: Arrays) -> None:
        weight, bias = arrays[f"{layer}.weight"], arrays[bias_of(arrays, layer)]
        bias[0] = factor * (bias[0] - threshold)
        weight[0] *= factor
        columns(arrays, following, len(weight))[:, 0] = 0

    return changed(model, change)


def unequal_channels(model: Model, layer: str, following: str) -> Model:
    """Channels scaled up and down, and back in the next layer: the answers stay the same."""

    def change(arrays: Arrays) -> None:
        weight = arrays[f"{layer}.weight"]
        count = len(weight)
        shuffled = np.random.default_rng(0).permutation(np.linspace(-0.5, 0.5, count))
        factors = np.exp(shuffled * np.log(SPREAD)).astype(np.float32)
        weight *= factors.reshape(-1, *[1] * (weight.ndim - 1))
        arrays[bias_of(arrays, layer)] *= factors
        columns(arrays, following, count)[:] /= factors[:, None]

    return changed(model, change)


FAULTS = (
    Fault("outlier weights", outlier_weights, CNN, "1.0", "1.3", ("1.0",), False),
    Fault("outlier weights", outlier_weights, CNN, "1.3", "1.8", ("1.3",), False),
    Fault("outlier weights", outlier_weights, CNN, "1.8", "1.11", ("1.8",), False),
    Fault("... in every channel", outlier_in_every_channel, CNN, "1.0", "1.3", ("1.3",), True),
    Fault("... in every channel", outlier_in_every_channel, CNN, "1.8", "1.11", ("1.11",), True),
    Fault("outlier activations", outlier_activations, CNN, "1.0", "1.3", ("1.0", "1.3"), True),
    Fault("outlier activations", outlier_activations, CNN, "1.3", "1.8", ("1.3", "1.8"), True),
    Fault("unequal channels", unequal_channels, CNN, "1.3", "1.8", ("1.3", "1.8"), True),
    Fault("unequal channels", unequal_channels, CNN, "1.8", "1.11", ("1.8", "1.11"), True),
    Fault("unequal, depthwise", unequal_channels, SEPARABLE, "1.3", "1.6", ("1.3", "1.6"), True),
    Fault("unequal, depthwise", unequal_channels, SEPARABLE, "1.3", "1.6", ("1.3", "1.6"), False),
)


def folded(network: Network, data: Dataset, seed: int) -> Model:
    """As a graph with batch norm inside its layers, so that weights can be planted in them."""
    model = trained(network, data, epochs=EPOCHS, seed=seed)
    return FoldBatchNorm().apply(model.with_graph(graph_of(model, QUIET)), QUIET)


def tried(shelves: Workspace, fault: Fault, model: Model, seed: int) -> Row:
    source = (shelves.get("datasets", "digits"),)
    planted = fault.plant(model, fault.layer, fault.following)
    shelf.save_model(shelves, "m", planted, "train", {}, source, source)
    recipe = Recipe((QuantizeInt8(per_channel=fault.per_channel),))
    start = time.perf_counter()
    found = diagnose(shelves, "m", "digits", recipe, GATE, True, None, None, (), QUIET)
    seconds = time.perf_counter() - start
    layers = [row.layer for row in found.layers]
    return Row(fault, seed, 1 + min(layers.index(name) for name in fault.guilty), found, seconds)


def ways(found: Diagnosed) -> str:
    kept = [f"{step.layer}: {step.how}" for step in found.repairs if step.kept]
    return ", ".join(kept) or "nothing"


def show_faults(rows: list[Row], console: Console) -> None:
    table = Table(title="Planted faults, quality on unseen test items", title_justify="left")
    for name in ("fault", "layer", "scales a", "seed", "rank", "named first"):
        table.add_column(name)
    for name in ("float", "int8", "repaired", "recovered", "smaller", "s"):
        table.add_column(name, justify="right")
    table.add_column("what was kept")
    for row in rows:
        found = row.found
        mended = found.mended or found.after
        size = found.size_mended or found.size_after
        table.add_row(
            row.fault.kind, row.fault.layer, "channel" if row.fault.per_channel else "tensor",
            str(row.seed), str(row.rank), found.layers[0].layer,
            f"{found.before.value:.4f}", f"{found.after.value:.4f}", f"{mended.value:.4f}",
            "-" if found.recovered is None else f"{found.recovered:.1%}",
            f"{found.size_before / size:.2f}×", f"{row.seconds:.1f}", ways(found),
        )  # fmt: skip
    console.print(table)
    harmed = [row for row in rows if row.found.before.value - row.found.after.value > GATE.max_drop]
    back = [row.found.recovered or 0.0 for row in harmed]
    small = [r.found.size_before / r.found.size_mended for r in harmed if r.found.size_mended]
    console.print(
        f"Of {len(harmed)} faults that cost more than {GATE.max_drop:.0%}: "
        f"{sum(row.rank == 1 for row in harmed)} named first; at least 90 % recovered in "
        f"{sum(share >= 0.9 for share in back)} (least {min(back):.1%}); "
        f"{sum(ratio >= 3 for ratio in small)} at least 3 times smaller."
    )


class RuinOneClass(Pass):
    """Never answers one of the classes: what an average over all items hides."""

    def apply(self, model: Model, job: Job) -> Model:
        def change(arrays: Arrays) -> None:
            arrays["1.11.weight"][RUINED] = 0
            arrays["1.11.bias"][RUINED] = -30

        return changed(model, change)


def show_ruined(shelves: Workspace, model: Model, console: Console) -> None:
    source = (shelves.get("datasets", "digits"),)
    shelf.save_model(shelves, "healthy", model, "train", {}, source, source)
    table = Table(title=f"A recipe that ruins class {RUINED}", title_justify="left")
    for name in ("recipe", "may lose", "loses", "kept", "reason"):
        table.add_column(name)
    for title, step in (("quantize_int8", QuantizeInt8()), ("ruin one class", RuinOneClass())):
        for allowed in (GATE.max_drop, 0.2):  # the average alone would pass the second
            found = compression.compress(
                shelves, "healthy", Recipe((step,)), "digits", "x", QUIET, Gate(max_drop=allowed)
            )
            assert found.gate
            table.add_row(
                title, f"{allowed:.0%}", f"{found.gate.drop:.2%}",
                "yes" if found.kept else "refused", found.gate.reason,
            )  # fmt: skip
    console.print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    chosen = parser.parse_args()
    console = Console(width=200)
    data = sources["digits"]().dataset("digits", "digits", None, QUIET)
    models: Mapping[tuple[str, int], Model] = {
        (repr(network), seed): folded(network, data, seed)
        for network in (CNN, SEPARABLE)
        for seed in range(chosen.seeds)
    }
    with tempfile.TemporaryDirectory() as folder:
        shelves = Workspace.create(Path(folder) / "workspace")
        shelf.save_dataset(shelves, data, "data add", {})
        rows = [
            tried(shelves, fault, models[repr(fault.network), seed], seed)
            for fault in FAULTS
            for seed in range(chosen.seeds)
        ]
        show_faults(rows, console)
        show_ruined(shelves, models[repr(CNN), 0], console)


if __name__ == "__main__":
    main()
