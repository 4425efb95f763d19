"""Cross-layer equalization (Nagel et al. 2019, arXiv:1906.04721, section 4.1).

What lies between two layers often lets a factor through: relu(s · x) = s · relu(x) for s > 0.
So a channel may be divided by s in the first layer and multiplied by it in the second, and the
model's answers stay. With s = sqrt(r1 / r2), r being the largest weight of the channel in each
layer, both layers get channels of like size, which one scale a tensor serves best.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from toolkit.onnx_graph import attribute
from toolkit.quantization.draft import FLOAT32, Array, Draft
from toolkit.quantization.fold import channels_of
from toolkit.quantization.plan import is_feature

THROUGH = {
    "AveragePool", "Flatten", "GlobalAveragePool", "Identity", "LeakyRelu", "MaxPool", "ReduceMean",
    "Relu", "Reshape", "Squeeze",
}  # fmt: skip
"""Let a positive factor of a channel through, and keep the order of channels."""

GIVES = {"Conv", "Gemm"}
TAKES = {"Conv", "Gemm", "MatMul"}
ROUNDS = 40
SETTLED = 1e-3  # a round that changes no factor by more is the last


@dataclass(frozen=True)
class Pair:
    """Two layers with nothing between them but what lets a factor through."""

    first: Any
    second: Any
    channels: int


def equalized(graph: bytes) -> tuple[bytes, int]:
    """The graph with equalized layers, and how many pairs that were; the same bytes for none."""
    draft = Draft(graph)
    pairs = list(pairs_of(draft))
    if not pairs:
        return graph, 0
    arrays = {
        name: draft.array(name).astype(np.float64)
        for pair in pairs
        for name in (*pair.first.input[1:], pair.second.input[1])
        if name
    }
    changed = False
    for _ in range(ROUNDS):
        factors = [balance(pair, arrays) for pair in pairs]
        if all(np.abs(factor - 1).max() < SETTLED for factor in factors):
            break
        changed = True
    if not changed:
        return graph, 0
    for name, values in arrays.items():
        draft.store(name, values.astype(np.float32))
    return draft.finish(), len(pairs)


def balance(pair: Pair, arrays: dict[str, Array]) -> Array:
    """Move a factor of each channel from the first layer to the second; the factors."""
    first, second = pair.first.input[1], pair.second.input[1]
    given = outputs_first(pair.first, arrays[first])
    taken = inputs_first(pair.second, arrays[second], pair.channels)
    mine, theirs = (np.abs(rows).max(axis=1) for rows in (given, taken))
    alive = (mine > 0) & (theirs > 0)  # a channel that nothing reaches, or nobody reads, stays
    factor = np.ones(pair.channels)
    factor[alive] = np.sqrt(mine[alive] / theirs[alive])
    given /= factor[:, None]
    taken *= factor[:, None]
    if len(pair.first.input) > 2 and pair.first.input[2]:
        bias = arrays[pair.first.input[2]]
        arrays[pair.first.input[2]] = (bias.reshape(-1) / factor).reshape(bias.shape)
    arrays[first] = back_outputs(pair.first, given, arrays[first].shape)
    arrays[second] = back_inputs(pair.second, taken, arrays[second].shape)
    return factor


def pairs_of(draft: Draft) -> Iterator[Pair]:
    readers = draft.readers()
    for first in draft.nodes:
        if first.op_type not in GIVES or not is_plain(draft, readers, first):
            continue
        channels = channels_of(draft, first)
        second = next_layer(draft, readers, str(first.output[0]))
        if second is None or not is_plain(draft, readers, second):
            continue
        if inputs_of(draft, second) % channels == 0 and fits(second, draft, channels):
            yield Pair(first, second, channels)


def is_plain(draft: Draft, readers: dict[str, list[Any]], each: Any) -> bool:
    """Whether its weights are float numbers of its own."""
    names = [name for name in each.input[1:] if name]
    if any(is_feature(name) or name not in draft.tensors for name in names):
        return False
    own = all(len(readers[name]) == 1 and list(each.input).count(name) == 1 for name in names)
    floats = all(draft.tensors[name].data_type == FLOAT32 for name in names)
    rows = len(draft.tensors[names[0]].dims) > 1 if names else False
    bias = len(names) < 2 or draft.array(names[1]).size == channels_of(draft, each)
    plain = not attribute(each, "transA", 0) and attribute(each, "alpha", 1.0) == 1.0
    return own and floats and rows and bias and plain and attribute(each, "beta", 1.0) == 1.0


def next_layer(draft: Draft, readers: dict[str, list[Any]], value: str) -> Any | None:
    """The layer that a value reaches through what lets a factor through."""
    while True:
        found = readers.get(value, [])
        if len(found) != 1 or value in draft.outputs or found[0].input[0] != value:
            return None
        [each] = found
        if each.op_type in TAKES:
            return each
        if each.op_type not in THROUGH or not keeps_channels(draft, each):
            return None
        value = str(each.output[0])


def keeps_channels(draft: Draft, each: Any) -> bool:
    """Whether axis 1 stays the channels, or becomes rows of a channel's numbers."""
    if each.op_type == "Flatten":
        return bool(attribute(each, "axis", 1) == 1)
    if each.op_type in {"Reshape", "Squeeze", "ReduceMean"}:
        stored = each.input[1] if len(each.input) > 1 else ""
        if stored not in draft.tensors:
            return False
        values = draft.array(stored).reshape(-1)
        return len(values) == 2 if each.op_type == "Reshape" else bool((values >= 2).all())
    return True


def fits(second: Any, draft: Draft, channels: int) -> bool:
    return second.op_type != "Conv" or inputs_of(draft, second) == channels


def inputs_of(draft: Draft, each: Any) -> int:
    dims = draft.tensors[each.input[1]].dims
    if each.op_type == "Conv":
        return int(dims[1] * attribute(each, "group", 1))
    return int(dims[1] if attribute(each, "transB", 0) else dims[0])


def outputs_first(each: Any, values: Array) -> Array:
    """Weights as (output channels, everything else)."""
    by_rows = each.op_type == "Conv" or attribute(each, "transB", 0)
    return (values if by_rows else values.T).reshape(values.shape[0 if by_rows else 1], -1).copy()


def back_outputs(each: Any, rows: Array, shape: tuple[int, ...]) -> Array:
    by_rows = each.op_type == "Conv" or attribute(each, "transB", 0)
    return rows.reshape(shape) if by_rows else rows.T.reshape(shape)


def inputs_first(each: Any, values: Array, channels: int) -> Array:
    """Weights as (input channels, everything else)."""
    if each.op_type == "Conv":
        groups = attribute(each, "group", 1)
        split = values.reshape(groups, -1, values.shape[1], *values.shape[2:])
        return np.moveaxis(split, 2, 1).reshape(channels, -1).copy()
    columns = values.T if attribute(each, "transB", 0) else values
    return columns.reshape(channels, -1).copy()


def back_inputs(each: Any, rows: Array, shape: tuple[int, ...]) -> Array:
    if each.op_type == "Conv":
        groups = attribute(each, "group", 1)
        split = rows.reshape(groups, shape[1], shape[0] // groups, *shape[2:])
        return np.moveaxis(split, 1, 2).reshape(shape)
    if attribute(each, "transB", 0):
        return rows.reshape(shape[1], shape[0]).T
    return rows.reshape(shape)
