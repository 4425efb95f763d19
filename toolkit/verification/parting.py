"""Where a runtime parts from the model: the first layer whose values differ, in their order."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_targets.runtime.contract import Signature, TensorSpec
from edge_targets.runtime.events import Job
from toolkit.anatomy import layer_name, weighted_nodes
from toolkit.artifact import FLOAT_TOLERANCE
from toolkit.inference import Runner
from toolkit.onnx_graph import parse
from toolkit.verification.exposing import Inner, exposed, exposed_onnx, inner_onnx, inner_values
from toolkit.verification.places.base import Session, Values
from toolkit.verification.subject import File

PIECE = 16 << 20  # bytes of values that are looked at together
INT8_LAYER = 0.05  # of a layer's size: a rounding step or two are no fault
# what a compiler folds into the layer before: the value it gives may be that of any of them
FOLDED = {
    "Add", "BatchNormalization", "Clip", "DequantizeLinear", "Identity", "LeakyRelu", "Mul",
    "QuantizeLinear", "Relu", "Sub", "Tanh",
}  # fmt: skip
MOST_FOLDED = 6  # in a row
# what changes no number: a compiler that orders axes otherwise gives the same in another order
MOVED = {"Flatten", "Reshape", "Squeeze", "Transpose", "Unsqueeze"}


@dataclass(frozen=True)
class Source:
    """The model as it is meant to be, and all that it computes for one item.

    Attributes:
        layers: what a person calls the origin of a value: a node, or the value's own name.
        candidates: names of values that an origin may stand for.
        moved: origins whose numbers may stand in another order.
        values: by name.
    """

    layers: Mapping[str, str]
    candidates: Mapping[str, Sequence[str]]
    moved: frozenset[str]
    values: Values


def first_parting(
    graph: bytes, file: File, signature: Signature, item: Values, session: Session, job: Job
) -> str:
    """The layer, or nothing where no value inside differs that both have.

    Args:
        graph: the model.
        file: made from it, which answers otherwise.
        signature: of both.
        item: one, for which they differ.
        session: that runs the file.
        job: the caller's.
    """
    source = source_of(graph, signature, item, job)
    ends = [Inner(spec.name, spec.name) for spec in signature.outputs]
    known = [value for value in inner_values(file) if value.origin in source.candidates]
    for piece in pieces(known, source):
        values = [*piece, *ends]
        changed = replace(file, data=exposed(file, piece))
        found = session.run(changed, giving(signature, [v.name for v in values]), item, job)
        for value in values if piece[-1:] == known[-1:] else piece:
            if gap(source, value, found[value.name]) > bound_of(file):
                return source.layers[value.origin]
    return ""


def bound_of(file: File) -> float:
    return INT8_LAYER if file.quantized else FLOAT_TOLERANCE


def source_of(graph: bytes, signature: Signature, item: Values, job: Job) -> Source:
    """Run the model, every value of it an output."""
    model = parse(graph)
    inside = [value.name for value in inner_onnx(graph)]
    names = [*inside, *(spec.name for spec in signature.outputs)]
    runner = Runner(exposed_onnx(graph, inside), "onnx", giving(signature, names))
    weights = {node.output[0]: tensor.name for node, tensor in weighted_nodes(model)}
    readers: dict[str, list[Any]] = {}
    for node in model.graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    layers: dict[str, str] = {}
    candidates: dict[str, Sequence[str]] = {}
    moved: set[str] = set()
    for node in model.graph.node:
        layer = f"{layer_name(node, weights.get(node.output[0], ''))} ({node.op_type})"
        folded = after(node, readers)
        for origin in (node.name, *node.output):
            layers[origin] = layer
            candidates[origin] = folded if origin == node.name else [origin]
            moved |= {origin} if node.op_type in MOVED else set()
    return Source(layers, candidates, frozenset(moved), runner.outputs(item, job))


def after(node: Any, readers: Mapping[str, Sequence[Any]]) -> list[str]:
    """What a node gives, and what those give that may have been folded into it."""
    found = list(node.output)
    here = node
    for _ in range(MOST_FOLDED):
        following = readers.get(here.output[0], ())
        if len(following) != 1 or following[0].op_type not in FOLDED:
            break
        here = following[0]
        found.append(here.output[0])
    return found


def giving(signature: Signature, names: Sequence[str]) -> Signature:
    """The same inputs, other outputs."""
    return replace(signature, outputs=tuple(TensorSpec(name, ()) for name in names))


def pieces(values: Sequence[Inner], source: Source) -> Iterator[list[Inner]]:
    """The values in their order, a few megabytes at a time."""
    piece: list[Inner] = []
    size = 0
    for value in values:
        piece.append(value)
        known = [
            source.values[n].nbytes for n in source.candidates[value.origin] if n in source.values
        ]
        size += max(known, default=0)
        if size > PIECE:
            yield piece
            piece, size = [], 0
    if piece:
        yield piece


def gap(source: Source, value: Inner, found: NDArray[Any]) -> float:
    """The least difference to any value that this one may be, as a share of its size."""
    known = [
        source.values[name] for name in source.candidates[value.origin] if name in source.values
    ]
    if value.origin in source.moved:
        gaps = [
            difference(in_order(one), in_order(found)) for one in known if one.size == found.size
        ]
    else:
        gaps = [
            difference(layout.squeeze(), found.squeeze())
            for one in known
            for layout in layouts(one)
            if layout.squeeze().shape == found.squeeze().shape
        ]
    return min(gaps, default=0.0)


def in_order(values: NDArray[Any]) -> NDArray[Any]:
    return np.sort(values, axis=None)


def layouts(values: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """As ONNX has it, and with the channels last, as TFLite has it."""
    yield values
    if values.ndim > 2:
        yield np.moveaxis(values, 1, -1)


def difference(wanted: NDArray[Any], found: NDArray[Any]) -> float:
    if not wanted.size:
        return 0.0
    one = wanted.astype(np.float64)
    with np.errstate(invalid="ignore"):
        largest = float(np.abs(one - found).max())
    return largest / (float(np.abs(one).max()) or 1.0) if math.isfinite(largest) else math.inf
