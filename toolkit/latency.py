"""How long one prediction takes: measured here, measured on a device, or estimated for a target.

Whoever searches asks a `Clock`; where its figure comes from is part of the answer, and so is how
far an estimate may be off.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edge_targets.catalog import Target, targets
from edge_targets.package import SigningKey, public_key
from edge_targets.places.facts import Work
from edge_targets.places.target import Place
from edge_targets.runtime.contract import Signature
from edge_targets.runtime.errors import DeviceError, UnsupportedError
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

    `off` is how many times slower or faster the truth may be; 1 for what was measured.
    """

    latency_ms: float
    source: str
    off: float = 1.0


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
        contents = Contents(
            "bench", file.format, file.data, file.signature, self.target_name, file.quantized,
            lineage="", card="Packed to be timed, not to be served.\n",
        )  # fmt: skip
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "bench.sndl"
            write_package(contents, self.world, self.key, path, job)
            found = self.target.bench(path, self.place, threads, job)
        return Timing(found.p50_ms, f"measured on {self.place.name}")


@dataclass(frozen=True)
class Estimated:
    """Worked out from the target's published rates; see `estimate`."""

    target: Target

    def __call__(self, file: Finished, threads: int, job: Job) -> Timing:
        return estimate(self.target, work_of(file.graph), file.format, threads)


def estimate(target: Target, work: Work, format_name: str, threads: int) -> Timing:
    """What the target's rates make of the work: right in order of magnitude, good for ranking.

    The one place to put a finer model, such as one that counts a processor's instructions.
    """
    rates = target.facts.rates
    if rates is None:
        raise UnsupportedError(
            f"How fast a {target.title} computes is not known.", "Name a device with --device."
        )
    source = f"estimated for {target.title}, may be {rates.off:g} times off"
    return Timing(rates.seconds(work, format_name, threads) * 1e3, source, rates.off)


def clock_for(
    shelves: Workspace, target_name: str, device_name: str | None, world: Dataset
) -> Clock:
    """The best there is.

    A device where one is named; this machine where it stands for the target; else an estimate.

    Raises:
        DeviceError: the device does not answer.
        UnsupportedError: the device is of another class.
    """
    target = targets[target_name]()
    if device_name:
        return on_device(shelves, target_name, target, device_name, world)
    return Estimated(target) if target.facts.rates else Here(world.part("validation")[0])


def on_device(
    shelves: Workspace, target_name: str, target: Target, name: str, world: Dataset
) -> Clock:
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
    macs = {False: 0, True: 0}
    for node, weight in weighted_nodes(model):
        taken = producers.get(node.input[0])
        # in int8 when what comes in is: weights alone are unpacked and computed with in float
        integer = node.op_type in INTEGER or (
            taken is not None and taken.op_type == "DequantizeLinear"
        )
        macs[integer] += macs_of(node, tuple(weight.dims), shapes)
    operators = sum(node.op_type not in FOLDED for node in model.graph.node)
    weight_bytes = sum(tensor.ByteSize() for tensor in model.graph.initializer)
    return Work(macs[False], macs[True], operators, weight_bytes)
