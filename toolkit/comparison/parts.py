"""The layers of a graph in a form that does not depend on who wrote it.

Weights as numbers again, whatever they are stored in, the output channels first; batch norms are
inside their layers, as compilers put them.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.anatomy import (
    RECURRENT,
    THROUGH,
    bits_of,
    layer_name,
    producers_of,
    stored_of,
    weight_inputs,
    weighted_nodes,
)
from toolkit.comparison.ends import End, end_of, readers_of
from toolkit.onnx_graph import attribute, parse, written
from toolkit.quantization.fold import prepared
from toolkit.tflite_graph.names import layer_name as tidy

KINDS = {
    "Conv": "convolution",
    "ConvInteger": "convolution",
    "ConvTranspose": "transposed convolution",
    "Gemm": "dense",
    "MatMul": "dense",
    "MatMulInteger": "dense",
}
INTEGER = {"ConvInteger": 3, "MatMulInteger": 3}  # and where each takes the weights' zero point
GENERATED = re.compile(r"|node_.*|[A-Z][A-Za-z]*(_\d+)?")  # nothing, node_conv2d_1, Conv_3


@dataclass(frozen=True)
class Part:
    """One layer.

    Attributes:
        name: of the layer, or of its node.
        key: the name without what tools put around it; empty where a tool made it up.
        kind: what it computes; operators that compute the same have the same.
        weights: outputs first, shape (O, I, ...); of a recurrent layer those of input and state.
        scaled: False where the numbers lack a factor, which the graph multiplies by later on.
        stored: names of its weights in the graph.
    """

    name: str
    key: str
    op: str
    kind: str
    weights: NDArray[np.float32]
    scaled: bool
    bits: int
    stored: frozenset[str]
    end: End

    @property
    def shape(self) -> tuple[int, ...]:
        return self.weights.shape

    @property
    def compact(self) -> tuple[int, ...]:
        """The shape without axes of one behind the first two: a 1×1 convolution is dense."""
        return (*self.shape[:2], *(size for size in self.shape[2:] if size > 1))


@dataclass(frozen=True)
class Parts:
    """The layers in their order, and the graph in which their `end` values are."""

    graph: bytes
    layers: tuple[Part, ...]


def parts_of(graph: bytes) -> Parts:
    ready = prepared(graph)
    model = parse(ready)
    found = list(weighted_nodes(model))
    values = constants(model, {name for node, _ in found for name in inputs_of(node)})
    readers, stored = readers_of(model), stored_of(model)
    outputs = {value.name for value in model.graph.output}
    layers = tuple(
        Part(
            layer_name(node, tensor.name),
            key_of(layer_name(node, tensor.name), node.op_type),
            node.op_type,
            KINDS.get(node.op_type, node.op_type),
            ordered(node, values),
            node.op_type not in INTEGER,
            bits_of(tensor.data_type),
            frozenset({tensor.name, *(name for name in inputs_of(node) if name in stored)}),
            end_of(node, readers, stored, outputs),
        )
        for node, tensor in found
        if is_known(node, values)
    )
    return Parts(ready, layers)


def key_of(name: str, op: str) -> str:
    """`model/conv2d_1/BiasAdd` is the layer `conv2d_1`; `node_conv2d_3` says nothing."""
    key = (tidy(name.strip("/")) or name).removesuffix(f".{op}")
    return "" if GENERATED.fullmatch(key) else key


def inputs_of(node: Any) -> list[str]:
    """The inputs that may hold weights or the zero point of them."""
    if node.op_type in RECURRENT:
        return list(node.input[1:3])
    place = INTEGER.get(node.op_type, len(node.input))
    return [name for name in (*weight_inputs(node), *node.input[place : place + 1]) if name]


def is_known(node: Any, values: Mapping[str, NDArray[Any]]) -> bool:
    """Whether the weights are numbers that no input has a say in."""
    if node.op_type in RECURRENT:
        return all(name in values for name in node.input[1:3])
    return any(name in values for name in weight_inputs(node))


def ordered(node: Any, values: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
    """The weights of a layer as numbers, its outputs first."""
    if node.op_type in RECURRENT:
        each = [values[name].astype(np.float32) for name in node.input[1:3]]
        both = np.concatenate(each, axis=2)  # (directions, gates · units, inputs + units)
        return np.moveaxis(both, 1, 0)
    name = next(name for name in weight_inputs(node) if name in values)
    found = values[name].astype(np.float32)
    zero = node.input[INTEGER.get(node.op_type, len(node.input)) :][:1]
    if zero and zero[0] in values:
        found = found - values[zero[0]].astype(np.float32)
    if node.op_type == "ConvTranspose":
        return np.moveaxis(found, 1, 0)
    turned = node.op_type == "Gemm" and attribute(node, "transB", 0)
    if KINDS[node.op_type] == "dense" and not turned and name == node.input[1]:
        return np.moveaxis(found, -1, 0)
    return found


def constants(model: Any, names: Iterable[str]) -> dict[str, NDArray[Any]]:
    """Those of the values that are known without an input, computed by the runtime."""
    import onnx
    import onnxruntime
    from onnx import numpy_helper

    stored, producers = stored_of(model), producers_of(model)
    known = {name: numpy_helper.to_array(stored[name]) for name in names if name in stored}
    needed: dict[str, Any] = {}  # nodes by what they make
    wanted = []
    for name in sorted({*names} - {*known}):
        chain = unpacking(name, stored, producers)
        needed |= {node.output[0]: node for node in chain}
        wanted += [name] if chain else []
    if not wanted:
        return known
    used = {name for node in needed.values() for name in node.input}
    inside = onnx.helper.make_graph(
        [node for node in model.graph.node if node.output and node.output[0] in needed],
        "constants",
        [],
        [onnx.ValueInfoProto(name=name) for name in wanted],
        [tensor for name, tensor in stored.items() if name in used],
    )
    alone = onnx.helper.make_model(
        inside, opset_imports=model.opset_import, ir_version=model.ir_version
    )
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(
        written(alone), options, providers=["CPUExecutionProvider"]
    )
    return known | dict(zip(wanted, session.run(wanted, {}), strict=True))


def unpacking(name: str, stored: Mapping[str, Any], producers: Mapping[str, Any]) -> list[Any]:
    """The nodes that a value is unpacked by, none of which reads anything that is not stored."""
    chain: list[Any] = []
    while name not in stored:
        node = producers.get(name)
        if node is None or node.op_type not in THROUGH:
            return []
        if any(given and given not in stored for given in node.input[1:]):
            return []
        chain.append(node)
        name = node.input[0]
    return chain
