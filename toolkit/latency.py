"""How long one prediction takes: measured here, measured on a device, or estimated for a target.

Whoever searches asks a `Clock`; where its figure comes from is part of the answer, and so is how
far an estimate may be off.
"""

import math
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edge_targets.catalog import Target, targets
from edge_targets.package import SigningKey, public_key
from edge_targets.places.rates import Macs, Rates, Work
from edge_targets.places.target import Bench, Place
from edge_targets.runtime.contract import Signature
from edge_targets.runtime.errors import DeviceError, RecipeError, UnsupportedError
from edge_targets.runtime.events import Job
from toolkit.anatomy import macs_of, shapes_of, weighted_nodes
from toolkit.data.dataset import Dataset
from toolkit.inference import Runner, side_by_side
from toolkit.onnx_graph import parse
from toolkit.packaging import Contents, write_package
from toolkit.shipping import place_of, signing_key_of
from toolkit.workspace import Workspace

RUNS = 100  # of a round: a trial is compared with others that were timed at other moments
# what engines fold into the operator before, or do once when they load the file
FOLDED = {
    "BatchNormalization", "Cast", "Clip", "Constant", "DequantizeLinear", "Dropout", "Flatten",
    "Identity", "QuantizeLinear", "Relu", "Reshape", "Squeeze", "Unsqueeze",
}  # fmt: skip
COSTS = ("auto", "estimated", "instructions")
INTEGER = {"ConvInteger", "MatMulInteger", "QLinearConv", "QLinearMatMul"}


@dataclass(frozen=True)
class Finished:
    """A compiled file.

    Attributes:
        graph: the ONNX model it was compiled from.
        data: the file.
        quantized: whether it computes in int8.
    """

    graph: bytes
    data: bytes
    format: str
    quantized: bool
    signature: Signature


@dataclass(frozen=True)
class Timing:
    """Milliseconds of one prediction, and where they come from.

    `off` is how many times slower or faster the truth is at most, in four of five cases; 1 for
    what was measured.
    """

    latency_ms: float
    source: str
    off: float = 1.0

    @property
    def low_ms(self) -> float:
        return self.latency_ms / self.off

    @property
    def high_ms(self) -> float:
        return self.latency_ms * self.off


class Clock(Protocol):
    """Tells how long a file takes."""

    def __call__(self, file: Finished, threads: int, job: Job) -> Timing: ...


@dataclass(frozen=True)
class Here:
    """Measured on this machine, one item at a time."""

    inputs: NDArray[np.float32]

    def __call__(self, file: Finished, threads: int, job: Job) -> Timing:
        runner = Runner(file.data, file.format, file.signature, threads)
        [median_ms] = side_by_side((runner,), self.inputs, job, RUNS)
        return Timing(median_ms, "measured here")


@dataclass(frozen=True)
class OnDevice:
    """Measured by a device's agent, in a process of its own beside the model that it serves."""

    target_name: str
    target: Target
    place: Place
    key: SigningKey
    world: Dataset

    def __call__(self, file: Finished, threads: int, job: Job) -> Timing:
        return Timing(self.bench(file, threads, job).p50_ms, f"measured on {self.place.name}")

    def bench(self, file: Finished, threads: int, job: Job) -> Bench:
        """All that the device tells of the file's predictions."""
        contents = Contents(
            "bench", file.format, file.data, file.signature, self.target_name, file.quantized,
            lineage="", card="Packed to be timed, not to be served.\n",
        )  # fmt: skip
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "bench.sndl"
            write_package(contents, self.world, self.key, path, job)
            return self.target.bench(path, self.place, threads, job)


@dataclass(frozen=True)
class Estimated:
    """Worked out from rates: a board's own where it was probed, else its class's; see `predict`.

    `probed` are those of the board, by format.
    """

    target: Target
    probed: Mapping[str, Rates] = field(default_factory=dict)

    def __call__(self, file: Finished, threads: int, job: Job) -> Timing:
        return self.of(work_of(file.graph), file.format, threads)

    def of(self, work: Work, format_name: str, threads: int) -> Timing:
        return predict(self.target, work, format_name, threads, self.probed.get(format_name))


def predict(
    target: Target, work: Work, format_name: str, threads: int, probed: Rates | None = None
) -> Timing:
    """How long the work takes on such a device, with the error bar of `Timing.off`.

    Args:
        probed: what a few models that were timed on the very device say; see `toolkit.probes`.

    Raises:
        UnsupportedError: nothing is known of the target.
    """
    rates = probed or target.facts.rates
    if rates is None:
        raise UnsupportedError(
            f"How fast a {target.title} computes is not known.", "Name a device with --device."
        )
    source = f"estimated for {target.title}, may be {rates.off:.2g} times off"
    return Timing(rates.seconds(work, format_name, threads) * 1e3, source, rates.off)


def clock_for(
    shelves: Workspace,
    target_name: str,
    device_name: str | None,
    world: Dataset,
    cost: str = "auto",
) -> Clock:
    """Who tells how long a file takes.

    Args:
        cost: `auto` is a device where one is named, this machine where it stands for the target,
            else an estimate. `estimated` never asks the device, but uses what it was probed for.
            `instructions` are counted on the target's core, here.

    Raises:
        DeviceError: the device does not answer.
        UnsupportedError: the device is of another class.
        RecipeError: there is no such cost.
    """
    target = targets[target_name]()
    if cost == "instructions":
        from toolkit.instructions import Counted

        return Counted(target)
    if cost == "estimated":
        from toolkit.probes import rates_of

        return Estimated(target, rates_of(shelves, device_name) if device_name else {})
    if cost != "auto":
        raise RecipeError(f"{cost!r} is no way to tell a cost.", f"Use one of: {', '.join(COSTS)}.")
    if device_name:
        return on_device(shelves, target_name, target, device_name, world)
    return Estimated(target) if target.facts.rates else Here(world.part("validation")[0])


def on_device(
    shelves: Workspace, target_name: str, target: Target, name: str, world: Dataset
) -> OnDevice:
    device = shelves.get("devices", name)
    if device.facts["target"] != target_name:
        raise UnsupportedError(
            f"{name} is a {device.facts['target']}, and the search is for {target_name}.",
            f"Say --target {device.facts['target']}, or leave --device out.",
        )
    key = signing_key_of(shelves)
    _, place = place_of(shelves, device, public_key(key))
    if target.status(place).state not in ("ready", "empty"):
        raise DeviceError(
            f"{name} does not answer.", "Start its agent, or leave --device out for an estimate."
        )
    return OnDevice(target_name, target, place, key, world)


def work_of(graph: bytes) -> Work:
    """What one prediction of an ONNX model asks of a processor."""
    import onnx

    model = parse(graph)
    producers = {name: node for node in model.graph.node for name in node.output}
    shapes = shapes_of(onnx.shape_inference.infer_shapes(model))
    macs = {False: Macs(), True: Macs()}
    for node, weight in weighted_nodes(model):
        taken = producers.get(node.input[0])
        # in int8 when what comes in is: weights alone are unpacked and computed with in float
        integer = node.op_type in INTEGER or (
            taken is not None and taken.op_type == "DequantizeLinear"
        )
        macs[integer] += laid_out(node, tuple(weight.dims), macs_of(node, weight.dims, shapes))
    stored = {tensor.name for tensor in model.graph.initializer}
    running = [node for node in model.graph.node if node.op_type not in FOLDED]
    values = sum(
        math.prod(shapes.get(name, ()))
        for node in running
        for name in {*node.input, *node.output} - stored
        if shapes.get(name)
    )
    weight_bytes = sum(tensor.ByteSize() for tensor in model.graph.initializer)
    return Work(macs[False], macs[True], values, weight_bytes, len(running))


def laid_out(node: Any, weight: tuple[int, ...], macs: int) -> Macs:
    if node.op_type not in {"Conv", "ConvInteger", "ConvTranspose"}:
        return Macs(point=macs)
    if weight[1] == 1 and weight[0] > 1 and groups_of(node) > 1:
        return Macs(depth=macs)
    return Macs(window=macs) if math.prod(weight[2:]) > 1 else Macs(point=macs)


def groups_of(node: Any) -> int:
    return next((given.i for given in node.attribute if given.name == "group"), 1)
