"""Rewrites a graph so that each operator is one TFLite operator.

An activation left on its own would cost a pass over memory, and would cut an int8 graph into
pieces that delegates take one by one.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from toolkit.flatbuffer.graph import Array, Graph, Node
from toolkit.flatbuffer.patterns import recognise

FUSABLE = {"Conv", "Gemm", "MatMul", "Add", "Sub", "Mul"}
BOUNDS = {(0.0, 6.0): "RELU6", (-1.0, 1.0): "RELU_N1_TO_1"}
FOLDED = 3  # inputs of a normalization that holds a factor and an offset, no statistics


def fuse(graph: Graph) -> Graph:
    """The same function in fewer operators."""
    for rewrite in (recognise, sums_of_two, fold_scale, add_to_bias, absorb_activation):
        graph = rewrite(graph)
    return pixels_in_order(graph)


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
    return with_constants(graph, nodes, constants)


def sums_of_two(graph: Graph) -> Graph:
    """A sum of two is an addition, and takes an activation as that does."""
    nodes = [
        replace(node, op="Add") if node.op == "Sum" and len(node.inputs) == 2 else node
        for node in graph.nodes
    ]
    return replace(graph, nodes=tuple(nodes))


def fold_scale(graph: Graph) -> Graph:
    """A factor and an offset a channel: into the convolution, or the normalization, before them."""

    def combine(node: Node, reader: Node, constants: dict[str, Array]) -> Node | None:
        if node.op not in {"BatchNormalization", "Conv"} or node.activation:
            return None
        if not all(name in constants for name in node.inputs[1:] if name):
            return None
        given = affine(reader, node.outputs[0], constants, graph.shapes)
        if given is None or node.inputs[1] in graph.codes or node.attributes.get("training_mode"):
            return None
        factor, offset = given
        if node.op == "Conv":
            weights = constants[node.inputs[1]]
            bias = constants[node.inputs[2]] if node.has(2) else np.zeros(len(weights), np.float32)
            made = (weights * factor.reshape(-1, *[1] * (weights.ndim - 1)), bias * factor + offset)
        else:
            old = normalization(node, constants)
            made = (old[0] * factor, old[1] * factor + offset)
        names = tuple(f"{reader.outputs[0]}/{part}" for part in ("weights", "bias"))
        constants |= {
            name: values.astype(np.float32) for name, values in zip(names, made, strict=True)
        }
        inputs = (node.inputs[0], *names)
        return replace(node, inputs=inputs, outputs=reader.outputs)

    return merged(graph, combine)


def affine(
    node: Node, x: str, constants: Mapping[str, Array], shapes: Mapping[str, tuple[int, ...]]
) -> tuple[Array, Array] | None:
    """What a node does to `x` as a factor and an offset a channel, where it is no more."""
    channels = shapes[x][1] if len(shapes[x]) > 1 else 0
    if node.op == "BatchNormalization" and node.inputs[0] == x:
        known = not node.attributes.get("training_mode") and all(
            name in constants for name in node.inputs[1:]
        )
        return normalization(node, dict(constants)) if known else None
    other = next((name for name in node.inputs if name != x), "")
    values = constants.get(other)
    if node.op not in {"Add", "Mul"} or values is None or values.dtype != np.float32:
        return None
    if shapes[node.outputs[0]] != shapes[x] or channels == 0:
        return None
    spread = values.reshape((1,) * (len(shapes[x]) - values.ndim) + values.shape)
    if any(size > 1 for axis, size in enumerate(spread.shape) if axis != 1):
        return None
    row = np.broadcast_to(spread.reshape(-1), (channels,)).astype(np.float32)
    ones, zeros = np.ones(channels, np.float32), np.zeros(channels, np.float32)
    return (row, zeros) if node.op == "Mul" else (ones, row)


def normalization(node: Node, constants: dict[str, Array]) -> tuple[Array, Array]:
    """Batch normalization as x · factor + offset, each of shape (C,).

    Of one that was folded before, these two are all that is left.
    """
    if len(node.inputs) == FOLDED:
        return constants[node.inputs[1]], constants[node.inputs[2]]
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
    """Relu and its like become a field of the operator before them."""

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
    """`RELU`, `RELU6`, `RELU_N1_TO_1`, or nothing."""
    if node.op == "Relu":
        return "RELU"
    if node.op != "Clip" or not all(node.has(i) and node.inputs[i] in constants for i in (1, 2)):
        return ""
    low, high = (float(constants[name].item()) for name in node.inputs[1:3])
    return BOUNDS.get((low, high), "")


def pixels_in_order(graph: Graph) -> Graph:
    """The filters before a DepthToSpace in CRD order, sorted so that it is one in DCR order."""
    constants, nodes = dict(graph.constants), list(graph.nodes)
    places = {node.outputs[0]: place for place, node in enumerate(nodes)}
    for place, node in enumerate(nodes):
        at = places.get(node.inputs[0]) if node.inputs else None
        before = nodes[at] if at is not None else None
        if node.attributes.get("mode") != "CRD" or node.op != "DepthToSpace" or before is None:
            continue
        stored = [name for name in before.inputs[1:] if name]
        alone = graph.only_consumer(node.inputs[0]) is node
        known = all(name in constants and name not in graph.codes for name in stored)
        if before.op != "Conv" or before.attributes.get("group", 1) != 1 or not (alone and known):
            continue
        size = node.attributes["blocksize"] ** 2
        order = np.arange(len(constants[stored[0]])).reshape(-1, size).T.reshape(-1)
        names = [f"{name}/{node.outputs[0]}" for name in stored]
        constants |= {new: constants[old][order] for new, old in zip(names, stored, strict=True)}
        nodes[places[node.inputs[0]]] = replace(before, inputs=(before.inputs[0], *names))
        nodes[place] = replace(node, attributes={**node.attributes, "mode": "DCR"})
    return with_constants(graph, nodes, constants)


def with_constants(graph: Graph, nodes: list[Node], constants: dict[str, Array]) -> Graph:
    shapes = {**graph.shapes, **{name: array.shape for name, array in constants.items()}}
    dtypes = {**graph.dtypes, **{name: array.dtype for name, array in constants.items()}}
    return replace(graph, nodes=tuple(nodes), constants=constants, shapes=shapes, dtypes=dtypes)
