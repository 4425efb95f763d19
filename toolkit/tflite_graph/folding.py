"""Computes ahead what depends on shapes and constants alone.

Converters leave such arithmetic where they had to count with a batch that was not known.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from edge_targets.runtime.errors import EdgeError
from toolkit.tflite_graph.choosing import cuts_of
from toolkit.tflite_graph.numbers import NUMBERS, real
from toolkit.tflite_graph.parts import DAMAGE, Array, File, Operation, Tensor

FUSED = {"ADD", "CONCATENATION", "DIV", "MUL", "SUB"}
SMALL = 1 << 16  # values: of shapes and masks; larger constants are no more than they are made of

Fold = Callable[[Operation, list[Array], Any], Array]


def folded(file: File) -> dict[int, Array]:
    """What the file computes without its input, by tensor."""
    known: dict[int, Array] = {}
    for operation in file.operations:
        if operation.code == "SHAPE" and len(operation.inputs) == 1:
            shape = file.tensors[operation.inputs[0]].shape
            known[operation.outputs[0]] = np.array(shape, dtype_of(file, operation))
            continue
        fold = FOLDS.get(operation.code)
        if fold is None or len(operation.outputs) != 1 or not worthwhile(file, operation):
            continue
        inputs = [held(file, known, place) for place in operation.inputs]
        if any(one is None for one in inputs):
            continue
        made = attempted(fold, operation, [value(one) for one in inputs if one is not None], file)
        if made is not None:
            known[operation.outputs[0]] = made
    return known


def worthwhile(file: File, operation: Operation) -> bool:
    """Whether a result is plain numbers, and no more of them than went in."""
    tensor = file.tensors[operation.outputs[0]]
    if tensor.quantized or tensor.dtype not in NUMBERS:
        return False
    given = sum(math.prod(file.tensors[place].shape) for place in operation.inputs if place >= 0)
    if operation.code in FUSED and operation.option("FusedActivationFunction"):
        return False
    return math.prod(tensor.shape) <= max(SMALL, given)


def held(file: File, known: Mapping[int, Array], place: int) -> Array | Tensor | None:
    """A constant, not yet as real numbers; None for what is none."""
    if place < 0 or place in known:
        return known.get(place)
    maker = file.makers.get(place)
    if maker is not None and maker.code == "DEQUANTIZE" and len(maker.inputs) == 1:
        place = maker.inputs[0]
    tensor = file.tensors[place]
    return tensor if tensor.data is not None and tensor.dtype in NUMBERS else None


def value(one: Array | Tensor) -> Array:
    return real(one) if isinstance(one, Tensor) else one


def attempted(fold: Fold, operation: Operation, inputs: list[Array], file: File) -> Array | None:
    """The result, where it is what the file says it is; else the operator stays."""
    tensor = file.tensors[operation.outputs[0]]
    try:
        with np.errstate(all="ignore"):
            made = fold(operation, inputs, tensor)
        made = np.asarray(made).astype(NUMBERS[tensor.dtype])
    except (EdgeError, *DAMAGE):
        return None  # its translation says what is wrong
    return made if made.shape == tensor.shape else None


def dtype_of(file: File, operation: Operation) -> Any:
    return NUMBERS.get(file.tensors[operation.outputs[0]].dtype, np.int32)


def sliced(operation: Operation, given: list[Array], tensor: Any) -> Array:
    x, bounds = given[0], [[int(v) for v in one.reshape(-1)] for one in given[1:4]]
    places = []
    for one in cuts_of(operation, x.shape, bounds):
        end = None if one.end < 0 else one.end
        places.append(slice(one.start, end, one.step))
    return x[tuple(places)].reshape(tensor.shape)


def part(_: Operation, given: list[Array], tensor: Any) -> Array:
    starts = [int(v) for v in given[1].reshape(-1)]
    return given[0][tuple(slice(s, s + n) for s, n in zip(starts, tensor.shape, strict=True))]


def reduced(function: Callable[..., Array]) -> Fold:
    def fold(operation: Operation, given: list[Array], _: Any) -> Array:
        axes = tuple(int(axis) for axis in given[1].reshape(-1))
        return function(given[0], axis=axes, keepdims=bool(operation.option("KeepDims")))

    return fold


def plain(function: Callable[..., Array]) -> Fold:
    """Of values that broadcast, to no other shape than the file says."""

    def fold(_: Operation, given: list[Array], tensor: Any) -> Array:
        if np.broadcast_shapes(*(one.shape for one in given)) != tensor.shape:
            raise ValueError(tensor.shape)
        return function(*given)

    return fold


def counted(_: Operation, given: list[Array], tensor: Any) -> Array:
    """RANGE, as long as the file says it is."""
    start, end, step = (one.item() for one in given)
    if len(tensor.shape) != 1 or abs(end - start) > abs(step) * (tensor.shape[0] + 1):
        raise ValueError(tensor.shape)
    return np.arange(start, end, step)


def looked_up(operation: Operation, given: list[Array], tensor: Any) -> Array:
    axis = operation.option("Axis") % given[0].ndim
    shape = (*given[0].shape[:axis], *given[1].shape, *given[0].shape[axis + 1 :])
    if shape != tensor.shape or operation.option("BatchDims"):
        raise ValueError(shape)
    return np.take(given[0], given[1], axis)


def repeated(_: Operation, given: list[Array], tensor: Any) -> Array:
    return np.array(np.broadcast_to(given[0], tensor.shape))


def filled(_: Operation, given: list[Array], tensor: Any) -> Array:
    return np.full(tensor.shape, given[1].reshape(()))


FOLDS: Mapping[str, Fold] = {
    "ADD": plain(np.add),
    "BROADCAST_TO": repeated,
    "CAST": lambda _, given, __: given[0],
    "CONCATENATION": lambda o, given, _: np.concatenate(given, o.option("Axis")),
    "DIV": plain(lambda x, y: x / y if x.dtype.kind == "f" else np.trunc(x / y)),
    "EXPAND_DIMS": lambda _, given, t: given[0].reshape(t.shape),
    "FILL": filled,
    "FLOOR_DIV": plain(np.floor_divide),
    "FLOOR_MOD": plain(np.mod),
    "GATHER": looked_up,
    "MAXIMUM": plain(np.maximum),
    "MINIMUM": plain(np.minimum),
    "MUL": plain(np.multiply),
    "NEG": plain(np.negative),
    "PACK": lambda o, given, _: np.stack(given, o.option("Axis")),
    "RANGE": counted,
    "RANK": lambda _, given, __: np.array(given[0].ndim),
    "REDUCE_PROD": reduced(np.prod),
    "RESHAPE": lambda _, given, t: given[0].reshape(t.shape),
    "RSQRT": plain(lambda x: 1 / np.sqrt(x)),
    "SLICE": part,
    "SQRT": plain(np.sqrt),
    "SQUEEZE": lambda _, given, t: given[0].reshape(t.shape),
    "STRIDED_SLICE": sliced,
    "SUB": plain(np.subtract),
    "SUM": reduced(np.sum),
    "TRANSPOSE": lambda _, given, __: given[0].transpose([int(a) for a in given[1].reshape(-1)]),
}
