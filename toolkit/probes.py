"""A few tiny networks, run once on a board, tell how fast that board is.

Small relatives of the networks that are run on boards, and the least there can be: together they
have all that takes time (see `edge_targets.places.rates`). They are timed in every format and
number type, on one thread and on all. What they say holds for the board as it is: its clock, its
cooling, its memory, the versions of its runtimes.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass
from typing import Any

import numpy as np

from edge_targets.catalog import Target, targets
from edge_targets.places.rates import FLOAT, INT8, Rates, Speed
from edge_targets.runtime.contract import Signature, TensorSpec
from edge_targets.runtime.errors import UnsupportedError
from edge_targets.runtime.events import QUIET, Job
from toolkit.data.dataset import Dataset, Facts
from toolkit.latency import Clock, Finished, on_device, work_of
from toolkit.model import Model
from toolkit.passes.quantize_int8 import QuantizeInt8
from toolkit.speeds import Fit, bar, fitted
from toolkit.workspace import Workspace

ITEMS = 24  # to calibrate with, and as golden inputs
KEPT = "rates"  # among the facts of a device
# so far off are four of five networks at least: 1.24 on the boards of ncnn's table, 1.33 with ONNX
# Runtime on a busy desktop (benchmarks/bench_latency.py)
NEAREST = 1.35
PULL = 0.01  # of the usual shares: the probes are made to tell them apart


@dataclass(frozen=True)
class Layer:
    """One layer of a probe: its kind, and how many channels it gives."""

    kind: str
    channels: int


@dataclass(frozen=True)
class Probe:
    """A tiny network; `side` is the height and width of its input."""

    name: str
    channels: int
    side: int
    layers: tuple[Layer, ...]


def chain(kind: str, *channels: int) -> tuple[Layer, ...]:
    return tuple(Layer(kind, count) for count in channels)


PROBES = (
    Probe("separable", 3, 32, (*chain("window", 16), *chain("depth", 16), *chain("point", 32),
                               *chain("depth", 32), *chain("point", 64))),
    Probe("windows", 16, 24, chain("window", 32, 32)),
    Probe("squeezed", 32, 24, (*chain("point", 16), *chain("window", 64), *chain("pool", 64),
                               *chain("point", 32))),
    Probe("dense", 256, 1, chain("point", 1024, 256)),
    Probe("thin", 8, 8, (*chain("depth", 8), *chain("point", *[8] * 8))),
    Probe("start", 8, 1, chain("point", 8)),
)  # fmt: skip


def graph_of(probe: Probe, seed: int = 0) -> bytes:
    """The probe as ONNX, with weights that keep numbers near 1."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(seed)
    nodes, stored, name, width = [], [], "x", probe.channels
    for i, layer in enumerate(probe.layers):
        made = f"y{i}"
        if layer.kind == "pool":
            nodes.append(
                helper.make_node(
                    "AveragePool", [name], [made], kernel_shape=[3, 3], pads=[1] * 4, strides=[1, 1]
                )
            )
        else:
            size = 1 if layer.kind == "point" else 3
            groups = width if layer.kind == "depth" else 1
            shape = (layer.channels, width // groups, size, size)
            weights = rng.standard_normal(shape) * np.sqrt(2 / np.prod(shape[1:]))
            stored += [
                numpy_helper.from_array(weights.astype(np.float32), f"w{i}"),
                numpy_helper.from_array(np.zeros(layer.channels, np.float32), f"b{i}"),
            ]
            nodes += [
                helper.make_node(
                    "Conv", [name, f"w{i}", f"b{i}"], [f"c{i}"], kernel_shape=[size, size],
                    pads=[size // 2] * 4, group=groups, name=f"layer{i}",
                ),
                helper.make_node("Relu", [f"c{i}"], [made]),
            ]  # fmt: skip
        name, width = made, layer.channels
    nodes += [
        helper.make_node("GlobalAveragePool", [name], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["y"]),
    ]
    shape_in = ["n", probe.channels, probe.side, probe.side]
    graph = helper.make_graph(
        nodes,
        probe.name,
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape_in)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", width])],
        stored,
    )
    opset = helper.make_opsetid("", 20)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=10)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def world_of(probe: Probe, seed: int = 0) -> Dataset:
    """Random items that look like what the probe takes."""
    rng = np.random.default_rng(seed)
    shape = (probe.channels, probe.side, probe.side)
    facts = Facts("probe", TensorSpec("x", (-1, *shape)))
    inputs = rng.random((ITEMS, *shape), np.float32)
    split = (np.arange(ITEMS) % 3).astype(np.uint8)
    return Dataset("probe", facts, inputs, np.arange(ITEMS, dtype=np.float32), split)


def model_of(probe: Probe) -> Model:
    """The probe in float, with data to calibrate it."""
    world = world_of(probe)
    signature = Signature((world.facts.input,), (TensorSpec("y", (-1, probe.layers[-1].channels)),))
    return Model(signature, graph=graph_of(probe), data=world)


def files(format_name: str, job: Job = QUIET) -> Iterator[tuple[str, Finished, Dataset]]:
    """Every probe in float and in int8, compiled, with its number type and its world."""
    from toolkit.formats import formats

    for probe in PROBES:
        model = model_of(probe)
        for number_type in (FLOAT, INT8):
            made = model if number_type == FLOAT else QuantizeInt8().apply(model, job)
            data = formats[format_name]().build(made.graph, made.signature, job).data
            whole = Finished(made.graph, data, format_name, number_type == INT8, made.signature)
            yield number_type, whole, model.need_data("A probe")


@dataclass(frozen=True)
class Probed:
    """What a board said: rates for each format, by name.

    Attributes:
        rates: their `off` is what is usual, or how badly they explain the probes themselves.
        fits: by format, number type and threads.
    """

    rates: Mapping[str, Rates]
    fits: Mapping[tuple[str, str, int], Fit]


def probe(
    target: Target, clock_of: Callable[[Dataset], Clock], threads: Sequence[int], job: Job
) -> Probed:
    """Time all probes.

    Args:
        clock_of: makes the `Clock` for a probe's world.
        threads: numbers of threads to time.
    """
    fits: dict[tuple[str, str, int], Fit] = {}
    rates = {}
    for format_name in target.formats:
        timed = list(files(format_name))
        for count in threads:
            for number_type in (FLOAT, INT8):
                chosen = [(file, world) for kind, file, world in timed if kind == number_type]
                seconds = [
                    clock_of(world)(file, count, QUIET).latency_ms / 1e3
                    for file, world in job.track(
                        chosen, f"probe {format_name} {number_type}, {count} threads"
                    )
                ]
                works = [work_of(file.graph) for file, _ in chosen]
                fits[format_name, number_type, count] = fitted(works, seconds, number_type, PULL)
        own = {(kind, n): fit for (name, kind, n), fit in fits.items() if name == format_name}
        rates[format_name] = Rates(
            {key: fit.speed for key, fit in own.items()},
            {format_name: 1.0},
            max(NEAREST, *(bar(fit.residuals) for fit in own.values())),
            "probes on the device",
        )
    return Probed(rates, fits)


def probe_device(shelves: Workspace, device_name: str, job: Job) -> Probed:
    """Time all probes on a device, and keep what they say with it.

    Raises:
        DeviceError: it does not answer.
    """
    device = shelves.get("devices", device_name)
    name = device.facts["target"]
    target = targets[name]()

    def clock_of(world: Dataset) -> Clock:
        return on_device(shelves, name, target, device_name, world)

    found = probe(target, clock_of, sorted({1, target.facts.cores}), job)
    device = shelves.get("devices", device_name)  # a deployment may have changed it meanwhile
    facts = {**device.facts, KEPT: {form: plain(rates) for form, rates in found.rates.items()}}
    parents = tuple(shelves.entry(digest) for digest in device.parents)
    shelves.put("devices", device_name, {}, facts, "device probe", {}, parents)
    return found


def plain(rates: Rates) -> dict[str, Any]:
    speeds = [[*key, *astuple(speed)] for key, speed in rates.speeds.items()]
    return {"speeds": speeds, "off": rates.off}


def rates_of(shelves: Workspace, device_name: str) -> dict[str, Rates]:
    """What the probes said of a device, by format.

    Raises:
        UnsupportedError: it was not probed.
    """
    kept = shelves.get("devices", device_name).facts.get(KEPT)
    if not kept:
        raise UnsupportedError(
            f"{device_name} has not been probed.",
            f"Run `sanderling device probe {device_name}` once.",
        )
    return {name: read(name, found, f"probes on {device_name}") for name, found in kept.items()}


def read(format_name: str, found: Mapping[str, Any], source: str) -> Rates:
    speeds = {
        (str(kind), int(count)): Speed(*map(float, shares))
        for kind, count, *shares in found["speeds"]
    }
    return Rates(speeds, {format_name: 1.0}, float(found["off"]), source)
