"""Reads ONNX's dynamic quantization of a matrix product as one operator.

x_q, x_s, x_z = DynamicQuantizeLinear(x); MatMulInteger(x_q, w_q, x_z, w_z); Cast; Mul by
x_s · w_s. TFLite's FULLY_CONNECTED does all of that itself, when it finds int8 weights and a
float input.
"""

from dataclasses import dataclass, replace

import numpy as np

from toolkit.flatbuffer.graph import Array, Graph, Node, Quantization

HINT = "Quantize with quantize_dynamic, which writes the form that is read."


@dataclass(frozen=True)
class Product:
    """One such group of operators: what it computes, and which of them it makes needless."""

    node: Node
    codes: Array
    quantization: Quantization
    steps: tuple[Node, ...]


def join_dynamic(graph: Graph) -> Graph:
    """The graph with each such group as a MatMul with weights in int8.

    Raises:
        UnsupportedError: an integer product of another form.
    """
    found = [product(node, graph) for node in graph.nodes if node.op == "MatMulInteger"]
    if not found:
        return graph
    gone = {step.outputs[0] for one in found for step in one.steps}
    last = {one.node.outputs[0]: one.node for one in found}
    nodes = [
        last.get(node.outputs[0], node)
        for node in graph.nodes
        if node.outputs[0] not in gone or node.outputs[0] in last
    ]
    names = {one.node.inputs[1]: one for one in found}
    real = {n: (o.codes * scales(o)).astype(np.float32) for n, o in names.items()}
    joined = replace(
        graph,
        nodes=tuple(nodes),
        constants={**graph.constants, **real},
        codes={**graph.codes, **{name: one.codes for name, one in names.items()}},
        quantizations={
            **graph.quantizations,
            **{name: one.quantization for name, one in names.items()},
        },
        shapes={**graph.shapes, **{name: array.shape for name, array in real.items()}},
        dtypes={**graph.dtypes, **{name: array.dtype for name, array in real.items()}},
    )
    return without_unread(joined)


def scales(one: Product) -> Array:
    return np.array(one.quantization.scale)


def product(node: Node, graph: Graph) -> Product:
    quantizer = graph.producers.get(node.inputs[0])
    weights = graph.constants.get(node.inputs[1])
    cast = graph.only_consumer(node.outputs[0])
    scaling = cast and cast.op == "Cast" and graph.only_consumer(cast.outputs[0])
    if quantizer is None or quantizer.op != "DynamicQuantizeLinear" or weights is None:
        raise node.unsupported("multiplies integers that a program made", HINT)
    if not cast or not scaling or scaling.op != "Mul" or weights.ndim != 2:
        raise node.unsupported("is not followed by its scale", HINT)
    if not node.has(2) or node.inputs[2] != quantizer.outputs[2]:
        raise node.unsupported("has another zero point than its input", HINT)
    factor = next(name for name in scaling.inputs if name != cast.outputs[0])
    found = weight_scale(factor, quantizer.outputs[1], graph)
    if found is None:
        raise node.unsupported("is not followed by its scale", HINT)
    scale, steps = found
    zero = graph.constants.get(node.inputs[3]) if node.has(3) else np.zeros(1, weights.dtype)
    shift = 128 if weights.dtype == np.uint8 else 0
    if zero is None or (zero.astype(np.int16) != shift).any():
        raise node.unsupported("has weights that are not symmetric", HINT)
    codes = (weights.astype(np.int16) - shift).astype(np.int8)
    scale = np.broadcast_to(scale.reshape(-1), (codes.shape[1],)) if scale.size > 1 else scale
    quantization = Quantization(
        tuple(float(value) for value in scale.reshape(-1)), (0,) * scale.size, 1
    )
    name = f"{node.inputs[1]}/{node.outputs[0]}"
    joined = Node("MatMul", node.name, (quantizer.inputs[0], name), scaling.outputs, dynamic=True)
    return Product(joined, codes, quantization, (node, cast, *steps, scaling))


def weight_scale(
    factor: str, input_scale: str, graph: Graph
) -> tuple[Array, tuple[Node, ...]] | None:
    """The weights' own scale in input scale · weight scale, and the operator between them."""
    if factor == input_scale:
        return np.ones(1, np.float32), ()
    maker = graph.producers.get(factor)
    if maker is None or maker.op != "Mul" or input_scale not in maker.inputs:
        return None
    other = next((name for name in maker.inputs if name != input_scale), "")
    scale = graph.constants.get(other)
    return None if scale is None else (scale, (maker,))


def without_unread(graph: Graph) -> Graph:
    """Leave out the operators that nobody reads any more."""
    wanted, kept = set(graph.outputs), []
    for node in reversed(graph.nodes):
        if wanted.isdisjoint(node.outputs):
            continue
        kept.append(node)
        wanted |= set(node.inputs)
    return replace(graph, nodes=tuple(reversed(kept)))
