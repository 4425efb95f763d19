"""Which operators work on the stored int8 values; all others get dequantized ones."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from toolkit.flatbuffer.graph import Graph, Node

MOVES = {
    "Concat", "DepthToSpace", "Expand", "Flatten", "Gather", "Identity", "MaxPool", "Relu",
    "Reshape", "Slice", "Split", "Squeeze", "Transpose", "Unsqueeze",
}  # fmt: skip
"""Give back values they took: the output may be stored like the input."""

DENSE = {"Conv", "ConvTranspose", "Gemm", "MatMul"}
ARITHMETIC = {
    "Add", "AveragePool", "Clip", "GlobalAveragePool", "HardSwish", "LeakyRelu", "Max", "Min",
    "Mul", "Pad", "ReduceMean", "Resize", "Sub",
}  # fmt: skip
"""TFLite has int8 kernels for these whatever the scales.

Sigmoid, Tanh and Softmax stay out: their kernels write with a scale of 1/256 or 1/128 only,
which is not the one the quantizer chose.
"""

VARIADIC = {"Add", "Concat", "Max", "Min", "Mul", "Sub"}


def propagate(graph: Graph) -> Graph:
    """Let values that only moved stay int8 where no pair stands behind the move."""
    stored = dict(graph.quantizations)
    for node in graph.nodes:
        if node.op not in MOVES:
            continue
        first, *others = [stored.get(name) for name in data_inputs(node)]
        if first and all(other == first for other in others):
            for name in node.outputs:
                stored.setdefault(name, first)
    return replace(graph, quantizations=stored)


def integer_nodes(graph: Graph) -> frozenset[str]:
    """The first outputs of the operators that work on int8."""
    return frozenset(node.outputs[0] for node in graph.nodes if is_integer(node, graph))


def is_integer(node: Node, graph: Graph) -> bool:
    """Whether a kernel exists and every value the operator touches is stored as it needs."""
    if node.op not in MOVES | DENSE | ARITHMETIC:
        return False
    if any(name and name not in graph.quantizations for name in node.outputs):
        return False
    if not all(is_int8(name, graph) for name in data_inputs(node)):
        return False
    condition = CONDITIONS.get(node.op)
    return condition is None or condition(node, graph)


def data_inputs(node: Node) -> tuple[str, ...]:
    """The inputs that carry data; others are weights, shapes and indices."""
    return node.inputs if node.op in VARIADIC else node.inputs[:1]


def is_int8(name: str, graph: Graph) -> bool:
    quantization = graph.quantizations.get(name)
    if quantization is None or quantization.per_channel:
        return False
    return name not in graph.constants or graph.codes[name].dtype == np.int8


def has_int8_weights(node: Node, graph: Graph, output_axis: int) -> bool:
    """Kernels take symmetric weights, one scale for all or one an output channel."""
    weights, bias = node.inputs[1], node.inputs[2] if node.has(2) else ""
    if weights not in graph.codes or graph.codes[weights].dtype != np.int8:
        return False
    if weights in graph.factors:
        return False
    if bias and bias not in graph.constants:
        return False
    stored = graph.quantizations[weights]
    if stored.per_channel and stored.axis != output_axis:
        return False
    return not any(stored.zero_point)


def gemm(node: Node, graph: Graph) -> bool:
    given = node.attributes
    plain = given.get("alpha", 1) == given.get("beta", 1) == 1 and not given.get("transA")
    return plain and has_int8_weights(node, graph, 0 if given.get("transB") else 1)


def matmul(node: Node, graph: Graph) -> bool:
    return len(graph.shapes[node.inputs[1]]) == 2 and has_int8_weights(node, graph, 1)


def transposed(node: Node, graph: Graph) -> bool:
    """The kernel knows no weights in 4 bits."""
    stored = graph.quantizations.get(node.inputs[1])
    return has_int8_weights(node, graph, 1) and stored is not None and stored.bits == 8


def averages_whole_windows(node: Node, _: Graph) -> bool:
    """The kernel leaves padding out of the average; correcting that takes floats."""
    given = node.attributes
    padded = any(given.get("pads", ())) or given.get("auto_pad", "NOTSET").startswith("SAME")
    return not padded and not given.get("ceil_mode")


def pads_zeros(node: Node, graph: Graph) -> bool:
    value = graph.constants.get(node.inputs[2]) if node.has(2) else np.zeros(1)
    return value is not None and not value.any()


CONDITIONS: Mapping[str, Callable[[Node, Graph], bool]] = {
    "AveragePool": averages_whole_windows,
    "Conv": lambda node, graph: has_int8_weights(node, graph, 0),
    "ConvTranspose": transposed,
    "Gemm": gemm,
    "MatMul": matmul,
    "Pad": pads_zeros,
}
