"""Rewrites a graph so that each operator is one TFLite operator.

An activation left on its own would cost a pass over memory, and would cut an int8 graph into
pieces that delegates take one by one.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from toolkit.flatbuffer.graph import Array, Graph, Node

FUSABLE = {"Conv", "Gemm", "MatMul", "Add", "Sub", "Mul"}


def fuse(graph: Graph) -> Graph:
    """The same function in fewer operators."""
    for rewrite in (fold_normalization, add_to_bias, absorb_activation):
        graph = rewrite(graph)
    return graph


def merged(graph: Graph, combine: Callable[[Node, Node, dict[str, Array]], Node | None]) -> Graph:
    """Replace a node and its only reader by `combine(node, reader, constants)` where it can."""
    constants = dict(graph.constants)
    nodes: list[Node] = []
    place: dict[str, int] = {}
    for node in graph.nodes:
        source = next((name for name in node.inputs if name in place), "")
        alone = source and graph.only_consumer(source) is node and source not in graph.quantizations
        one = combine(nodes[place[source]], node, constants) if alone else None
        if one:
            nodes[place[source]] = one
        else:
            nodes.append(node)
        at = place[source] if one else len(nodes) - 1
        place |= dict.fromkeys(node.outputs, at)
    shapes = {**graph.shapes, **{name: array.shape for name, array in constants.items()}}
    dtypes = {**graph.dtypes, **{name: array.dtype for name, array in constants.items()}}
    return replace(graph, nodes=tuple(nodes), constants=constants, shapes=shapes, dtypes=dtypes)


def fold_normalization(graph: Graph) -> Graph:
    """Batch normalization behind a float convolution, into its weights."""

    def combine(node: Node, reader: Node, constants: dict[str, Array]) -> Node | None:
        if node.op != "Conv" or reader.op != "BatchNormalization" or node.activation:
            return None
        if not all(name in constants for name in (*node.inputs[1:], *reader.inputs[1:]) if name):
            return None
        if node.inputs[1] in graph.codes:
            return None
        factor, offset = normalization(reader, constants)
        weights = constants[node.inputs[1]]
        bias = constants[node.inputs[2]] if node.has(2) else np.zeros(len(weights), np.float32)
        names = tuple(f"{reader.outputs[0]}/{part}" for part in ("weights", "bias"))
        constants[names[0]] = weights * factor.reshape(-1, *[1] * (weights.ndim - 1))
        constants[names[1]] = bias * factor + offset
        return replace(node, inputs=(node.inputs[0], *names), outputs=reader.outputs)

    return merged(graph, combine)


def normalization(node: Node, constants: dict[str, Array]) -> tuple[Array, Array]:
    """Batch normalization as x · factor + offset, each of shape (C,)."""
    scale, shift, mean, variance = (constants[name] for name in node.inputs[1:5])
    factor = scale / np.sqrt(variance + node.attributes.get("epsilon", 1e-5))
    return factor.astype(np.float32), (shift - mean * factor).astype(np.float32)


def add_to_bias(graph: Graph) -> Graph:
    """A constant added behind a matrix product becomes the layer's bias."""

    def combine(node: Node, reader: Node, constants: dict[str, Array]) -> Node | None:
        if node.op != "MatMul" or reader.op != "Add" or node.has(2):
            return None
        weights = constants.get(node.inputs[1])
        bias = next((name for name in reader.inputs if name in constants), "")
        if weights is None or weights.ndim != 2 or not bias:
            return None
        if constants[bias].shape != weights.shape[1:]:
            return None
        return replace(node, inputs=(*node.inputs[:2], bias), outputs=reader.outputs)

    return merged(graph, combine)


def absorb_activation(graph: Graph) -> Graph:
    """Relu and Relu6 become a field of the operator before them."""

    def combine(node: Node, reader: Node, constants: dict[str, Array]) -> Node | None:
        activation = activation_of(reader, constants)
        if node.op not in FUSABLE or node.activation or not activation:
            return None
        if graph.dtypes[node.outputs[0]] != np.float32:
            return None
        if node.op == "MatMul" and getattr(constants.get(node.inputs[1]), "ndim", 0) != 2:
            return None  # BATCH_MATMUL has no such field
        return replace(node, outputs=reader.outputs, activation=activation)

    return merged(graph, combine)


def activation_of(node: Node, constants: dict[str, Array]) -> str:
    """`RELU`, `RELU6`, or nothing."""
    if node.op == "Relu":
        return "RELU"
    if node.op != "Clip" or not all(node.has(i) and node.inputs[i] in constants for i in (1, 2)):
        return ""
    low, high = (float(constants[name].item()) for name in node.inputs[1:3])
    return "RELU6" if (low, high) == (0.0, 6.0) else ""
