"""Runs a float graph on calibration items and keeps, of every value in it, what ranges need.

A histogram grows by doubling: two bins become one when a batch reaches further, so that the
items are seen once and memory does not depend on their number.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_targets.runtime.errors import UnsupportedError, first_line
from edge_targets.runtime.events import Job

BINS = 4096  # half of them for each sign: 2,048 is what TensorRT calibrates with
ROOM = 64 << 20  # bytes of activations held at once
MOST_ITEMS = 64  # a batch: reports often enough to be stopped


@dataclass(frozen=True)
class Observation:
    """What one value of the graph was.

    Attributes:
        low: smallest finite number seen.
        high: largest.
        counts: how many fell into each of `BINS` equal bins from -reach to +reach.
        reach: half the width of the histogram.
        broken: how many were not-a-number or infinite.
        channel_low: smallest of each channel (axis 1), shape (C,); empty for a vector.
        channel_high: largest of each channel.
        channel_mean: mean of each channel.
    """

    low: float
    high: float
    counts: NDArray[np.int64]
    reach: float
    broken: int = 0
    channel_low: NDArray[np.float32] = field(default_factory=lambda: np.empty(0, np.float32))
    channel_high: NDArray[np.float32] = field(default_factory=lambda: np.empty(0, np.float32))
    channel_mean: NDArray[np.float32] = field(default_factory=lambda: np.empty(0, np.float32))

    @property
    def total(self) -> int:
        return int(self.counts.sum())

    @property
    def edges(self) -> NDArray[np.float64]:
        return np.linspace(-self.reach, self.reach, len(self.counts) + 1)


def observe(graph: bytes, inputs: NDArray[Any], job: Job) -> dict[str, Observation]:
    """Every float value of the graph by its name, over all items.

    Raises:
        UnsupportedError: no items, or the graph does not run on them.
    """
    if not len(inputs):
        raise UnsupportedError(
            "There is no item to calibrate with: the training part is empty.",
            "Name a dataset with --data, or give its training part items.",
        )
    session, name, names = session_of(graph)
    found = {each: Tally() for each in names}
    batch, start = 1, 0
    while start < len(inputs):
        job.step("calibrate", start, len(inputs))
        items = inputs[start : start + batch]
        values = run(session, names, name, items)
        for each, array in zip(names, values, strict=True):
            found[each].take(array)
        start += len(items)
        size = sum(array.nbytes for array in values) // len(items)
        batch = max(1, min(MOST_ITEMS, ROOM // max(size, 1)))
    job.step("calibrate", len(inputs), len(inputs))
    return {each: tally.result() for each, tally in found.items()}


def session_of(graph: bytes) -> tuple[Any, str, list[str]]:
    """A session that gives every float value; its input's name; the values' names."""
    import onnx
    import onnxruntime

    from toolkit.onnx_graph import parse

    model = parse(graph)
    stored = {tensor.name for tensor in model.graph.initializer}
    taken = [value.name for value in model.graph.input if value.name not in stored]
    if len(taken) != 1:
        raise UnsupportedError(
            f"The graph takes {len(taken)} inputs; calibration knows how to feed one.",
            "Use quantize_weights or quantize_dynamic, which need no calibration.",
        )
    names = float_values(model)
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    given = {value.name for value in watched.graph.output}
    watched.graph.output.extend(
        onnx.ValueInfoProto(name=n) for n in names if n not in given and n != taken[0]
    )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    try:
        session = onnxruntime.InferenceSession(
            watched.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # the runtime's errors share no other base
        raise unrunnable(error) from error
    return session, taken[0], names


def float_values(model: Any) -> list[str]:
    """What flows through the graph as float32, the input first."""
    import onnx

    inferred = onnx.shape_inference.infer_shapes(model).graph
    stored = {tensor.name for tensor in inferred.initializer}
    values = (*inferred.input, *inferred.value_info, *inferred.output)
    floats = {
        v.name for v in values if v.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    } - stored
    made = [*(v.name for v in inferred.input), *(n for node in inferred.node for n in node.output)]
    return [name for name in dict.fromkeys(made) if name in floats]


def run(session: Any, names: Sequence[str], name: str, items: NDArray[Any]) -> list[NDArray[Any]]:
    asked = [each for each in names if each != name]
    try:
        values = session.run(asked, {name: items})
    except Exception as error:  # the runtime's errors share no other base
        raise unrunnable(error) from error
    by_name: Mapping[str, Any] = {name: items, **dict(zip(asked, values, strict=True))}
    return [np.asarray(by_name[each]) for each in names]


def unrunnable(error: Exception) -> UnsupportedError:
    return UnsupportedError(
        f"The graph does not run on the calibration items: {first_line(error)}.",
        "Calibrate with data of the shape that the model takes.",
    )


class Tally:
    """One value's histogram and extremes while the items go by."""

    def __init__(self) -> None:
        self.low, self.high = np.inf, -np.inf
        self.counts = np.zeros(BINS, np.int64)
        self.reach = 0.0
        self.broken = 0
        self.channels: list[NDArray[Any]] = []  # low, high, sum
        self.each = 0  # numbers seen of one channel

    def take(self, values: NDArray[Any]) -> None:
        finite = np.isfinite(values)
        if not finite.all():
            self.broken += int(values.size - finite.sum())
            values = np.where(finite, values, 0.0)
        if not values.size:
            return
        self.low = min(self.low, float(values.min()))
        self.high = max(self.high, float(values.max()))
        self.widen(max(abs(self.low), abs(self.high)))
        found, _ = np.histogram(values, BINS, (-self.reach, self.reach))
        self.counts += found
        if values.ndim > 1:
            self.take_channels(np.moveaxis(values, 1, 0).reshape(values.shape[1], -1))

    def take_channels(self, rows: NDArray[Any]) -> None:
        new = [rows.min(axis=1), rows.max(axis=1), rows.sum(axis=1, dtype=np.float64)]
        if self.channels and len(self.channels[0]) == len(rows):
            old = self.channels
            new = [np.minimum(old[0], new[0]), np.maximum(old[1], new[1]), old[2] + new[2]]
        self.channels = new
        self.each += rows.shape[1]

    def widen(self, reach: float) -> None:
        """Make the histogram reach that far: twice as far as often as it takes."""
        if not self.reach:
            self.reach = max(reach, 1e-30)
        while self.reach < reach:
            merged = self.counts.reshape(-1, 2).sum(axis=1)
            self.counts = np.pad(merged, BINS // 4)
            self.reach *= 2

    def result(self) -> Observation:
        low, high = (self.low, self.high) if self.low <= self.high else (0.0, 0.0)
        channels = [np.asarray(part, np.float32) for part in self.channels[:2]]
        if self.channels:
            channels.append((self.channels[2] / max(self.each, 1)).astype(np.float32))
        return Observation(low, high, self.counts, self.reach, self.broken, *channels)
