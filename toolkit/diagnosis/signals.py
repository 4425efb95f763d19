"""What flows through one layer: its weights, what it takes in, what it gives out."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_targets.runtime.contract import TensorSpec
from edge_targets.runtime.events import Job
from toolkit.anatomy import layer_name, weighted_nodes
from toolkit.data.sampling import thinned
from toolkit.diagnosis.values import answers, has_value
from toolkit.onnx_graph import attribute, parse
from toolkit.quantization.observe import Observation

PROBES = 64  # items for which a layer's own output is compared
PROBE_BYTES = 64 << 20  # of it: fewer items where a layer gives much
STEPS = 255  # between the ends of an 8-bit range
LEVELS = 127  # on either side of zero: weights are quantized symmetrically
SILENT = 300.0  # decibels: no noise at all
COMMON = 0.999  # share of the values that an ordinary range holds


@dataclass(frozen=True)
class Place:
    """Where a layer stands in a graph.

    Attributes:
        taken: name of the tensor it takes in; `given` of what it gives, a ReLU behind it included.
        weights: float, the output channels first, shape (C, ...).
        depthwise: whether every output channel sees its own input channels only.
    """

    layer: str
    op: str
    taken: str
    given: str
    weights: NDArray[np.float32]
    depthwise: bool


@dataclass(frozen=True)
class Flow:
    """What a layer takes in.

    Attributes:
        common_low: with `common_high` the range that holds all but a thousandth of the values.
        sqnr_db: signal to noise if the range were cut into 8-bit steps.
        unequal: the widest channel's range as a multiple of the median one.
    """

    low: float
    high: float
    common_low: float
    common_high: float
    sqnr_db: float
    unequal: float


def places_of(graph: bytes) -> tuple[Place, ...]:
    """Every layer of a float graph, in its order."""
    from onnx import numpy_helper

    model = parse(graph)
    stored = {tensor.name for tensor in model.graph.initializer}
    found = []
    for node, weight in weighted_nodes(model):
        values = numpy_helper.to_array(weight).astype(np.float32)
        taken = next(name for name in node.input if name not in stored)
        depthwise = attribute(node, "group", 1) > 1 and values.shape[1] == 1
        rows = channels_first(values, node.op_type, bool(attribute(node, "transB", 0)))
        found.append(
            Place(
                layer_name(node, weight.name),
                node.op_type,
                taken,
                end_of(model, node.output[0]),
                rows,
                depthwise,
            )
        )
    return tuple(found)


def channels_first(values: NDArray[Any], op: str, transposed: bool) -> NDArray[Any]:
    if op == "ConvTranspose":
        return np.moveaxis(values, 1, 0)
    if op == "MatMul" or (op == "Gemm" and not transposed):
        return np.moveaxis(values, -1, 0)
    return values


def end_of(model: Any, name: str) -> str:
    """What the activation right behind a layer gives: kernels do both at once."""
    readers = [node for node in model.graph.node if name in node.input]
    outputs = {value.name for value in model.graph.output}
    if len(readers) == 1 and readers[0].op_type in {"Relu", "Clip"} and name not in outputs:
        return str(readers[0].output[0])
    return name


def tensor(
    graph: bytes, name: str, spec: TensorSpec, items: NDArray[Any], job: Job
) -> NDArray[Any] | None:
    """A value inside a graph for some items; None where it has no such value."""
    return answers(graph, name, spec, items, job) if has_value(graph, name) else None


def probe(graph: bytes, name: str, spec: TensorSpec, items: NDArray[Any], job: Job) -> NDArray[Any]:
    """As many of the items as a look at one value may take."""
    one = tensor(graph, name, spec, items[:1], job)
    each = one.nbytes if one is not None else 0
    return thinned(items, max(min(PROBE_BYTES // max(each, 1), PROBES), 1))


def flow_of(seen: Observation) -> Flow:
    """What a tensor was on the calibration items."""
    if not seen.total:
        return Flow(math.nan, math.nan, math.nan, math.nan, -SILENT, 1.0)
    sums = np.cumsum(seen.counts) / seen.total
    edge = (1 - COMMON) / 2
    below, above = np.searchsorted(sums, (edge, 1 - edge))
    low, high = max(seen.edges[below], seen.low), min(seen.edges[above + 1], seen.high)
    middles = (seen.edges[:-1] + seen.edges[1:]) / 2
    step = (max(seen.high, 0.0) - min(seen.low, 0.0)) / STEPS
    power = float((middles**2 * seen.counts).sum() / seen.total)
    unequal = widest(np.maximum(np.abs(seen.channel_low), np.abs(seen.channel_high)))
    return Flow(
        seen.low, seen.high, float(low), float(high), decibels(power, step * step / 12), unequal
    )


def widest(ranges: NDArray[Any]) -> float:
    """The largest range as a multiple of the median one; what is always zero is left out."""
    alive = ranges[ranges > 0]
    return float(alive.max() / np.median(alive)) if alive.size else 1.0


def outlier_of(weights: NDArray[Any], share: float = 0.99) -> float:
    """Largest absolute weight as a multiple of what `share` of them are below; zeros left out."""
    sizes = np.abs(weights[weights != 0])
    if not sizes.size:
        return 1.0
    # "lower": between two of few weights the percentile would follow the outlier
    return float(sizes.max() / np.quantile(sizes, share, method="lower"))


def channel_ranges(weights: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(np.abs(weights.reshape(len(weights), -1)).max(axis=1))


def weight_sqnr(weights: NDArray[Any], per_channel: bool, share: float = 1.0) -> float:
    """Of the median output channel, in decibels, in 8 symmetric bits.

    Of the whole tensor it would be that of its outliers, which hold most of the power; a `share`
    below 1 leaves them out of each channel too.
    """
    rows = weights.astype(np.float64).reshape(len(weights), -1)
    sizes = np.abs(rows)
    widths = sizes.max(axis=1, keepdims=True) if per_channel else sizes.max()
    scales = np.where(widths > 0, widths, 1.0) / LEVELS
    noise = np.round(rows / scales) * scales - rows
    kept = sizes <= np.quantile(sizes, share, axis=1, method="lower", keepdims=True)
    powers = [(values**2 * kept).sum(axis=1) for values in (rows, noise)]
    alive = powers[0] > 0
    if not alive.any():
        return SILENT
    signals, noises = (power[alive] for power in powers)
    return float(np.median([decibels(a, b) for a, b in zip(signals, noises, strict=True)]))


def sqnr(wanted: NDArray[Any], found: NDArray[Any]) -> float:
    """Signal to quantization noise, in decibels."""
    signal = wanted.astype(np.float64)
    noise = found.astype(np.float64) - signal
    return decibels(float((signal**2).mean()), float((noise**2).mean()))


def decibels(signal: float, noise: float) -> float:
    if not math.isfinite(signal) or not math.isfinite(noise):
        return -SILENT
    if noise <= 0:
        return SILENT
    return max(min(10 * math.log10(signal / noise), SILENT), -SILENT) if signal > 0 else -SILENT


def joined(*sqnrs: float) -> float:
    """Of independent noises together, in decibels."""
    return -10 * math.log10(sum(10 ** (-value / 10) for value in sqnrs))
