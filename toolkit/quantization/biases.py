"""Biases of layers that add up integers: what an int32 holds, and what rounding weights shifts."""

from typing import Any

import numpy as np

from toolkit.onnx_graph import attribute
from toolkit.quantization.draft import Array
from toolkit.quantization.plan import axis_of

MOST_SUM = (1 << 31) - 1  # of int32
HEADROOM = 4  # a bias takes at most this share (inverse) of what a sum can hold
CORRECTED = {"Conv", "Gemm"}  # their biases: channels are on axis 1
FINE = 1 << 16  # steps of a bias whose weights are all zero


def room_for_bias(scales: Array, bias: Array, values: Array, each: Any, step: float) -> Array:
    """Scales so wide that the bias, in steps of scale · `step`, fits into an int32 sum.

    A channel without weights gets a scale that keeps its bias exact: its output is the bias.
    """
    row = np.abs(bias.astype(np.float64)).reshape(-1)
    if not scales.ndim:
        row = np.asarray(row.max(initial=0.0))
        empty = np.asarray(not values.any())
    else:
        row = np.broadcast_to(row, scales.shape)
        rest = tuple(a for a in range(values.ndim) if a != axis_of(each))
        empty = np.asarray(~values.any(axis=rest))
    least = row / (MOST_SUM / HEADROOM) / step
    kept = np.where(empty & (row > 0), row / FINE / step, scales)
    return np.asarray(np.maximum(kept, least), np.float32)


def mean_shift(error: Array, mean: Array | None, each: Any) -> Array | None:
    """How far the mean output falls short, for each channel: the lost weight times mean input."""
    if mean is None or each.op_type not in CORRECTED:
        return None
    if each.op_type == "Gemm":
        matrix = error if attribute(each, "transB", 0) else error.T
        return np.asarray(matrix @ mean)
    sums = error.reshape(*error.shape[:2], -1).sum(axis=2)  # (outputs, inputs of a group)
    groups = attribute(each, "group", 1)
    inputs = np.repeat(mean.reshape(groups, -1), len(sums) // groups, axis=0)
    return np.asarray((sums * inputs).sum(axis=1))
