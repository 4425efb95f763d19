"""Reads QuantizeLinear/DequantizeLinear pairs as what they mean: how a value is stored.

Afterwards the graph computes on real numbers again, and `quantizations` says which of its
values are held as int8.
"""

from dataclasses import dataclass, field, replace

import numpy as np

from toolkit.flatbuffer.graph import Array, Graph, Node, Quantization

PAIR = {"QuantizeLinear", "DequantizeLinear"}


def absorb(graph: Graph) -> Graph:
    """The graph without pairs: constants dequantized, but with their codes kept.

    Raises:
        UnsupportedError: anything but static 8-bit quantization in the QDQ format.
    """
    if not any(node.op in PAIR for node in graph.nodes):
        return graph
    reader = _Reader(graph, constants=dict(graph.constants))
    for node in graph.nodes:
        reader.take(node)
    return replace(
        graph,
        nodes=tuple(reader.nodes),
        constants=reader.constants,
        codes=reader.codes,
        quantizations=reader.quantizations,
        shapes={**graph.shapes, **{name: a.shape for name, a in reader.constants.items()}},
        dtypes={**graph.dtypes, **{name: a.dtype for name, a in reader.constants.items()}},
    )


@dataclass
class _Reader:
    """The new graph while it grows."""

    graph: Graph
    constants: dict[str, Array]
    nodes: list[Node] = field(default_factory=list)
    made: dict[str, int] = field(default_factory=dict)  # a value -> the place of its node
    codes: dict[str, Array] = field(default_factory=dict)
    quantizations: dict[str, Quantization] = field(default_factory=dict)
    renamed: dict[str, str] = field(default_factory=dict)
    stand_ins: dict[tuple[str, Quantization], str] = field(default_factory=dict)

    def take(self, node: Node) -> None:
        if node.op == "DequantizeLinear":
            self.dequantize(node)
        elif node.op != "QuantizeLinear":  # it is read together with its reader
            self.append(node)
        elif set(node.outputs) & set(self.graph.outputs):
            raise node.unsupported(
                "gives stored integers to the outside", "End the graph with DequantizeLinear."
            )

    def append(self, node: Node) -> None:
        inputs = tuple(self.renamed.get(name, name) for name in node.inputs)
        self.made |= dict.fromkeys(node.outputs, len(self.nodes))
        self.nodes.append(replace(node, inputs=inputs))

    def dequantize(self, node: Node) -> None:
        stored, [result] = node.inputs[0], node.outputs
        quantization = parameters(node, self.graph)
        if stored in self.graph.constants:
            self.constant(result, self.graph.constants[stored], quantization)
            return
        quantizer = self.graph.producers.get(stored)
        if quantizer is None or quantizer.op != "QuantizeLinear":
            raise node.unsupported(
                "reads an integer that no QuantizeLinear made",
                "Quantize in the QDQ format, where such pairs stand around float operators.",
            )
        real = quantizer.inputs[0]
        if real in self.graph.constants:
            values = self.graph.constants[real]
            self.constant(result, quantized(values, quantization), quantization)
            return
        if quantization.per_channel:
            raise node.unsupported(
                "quantizes an activation per channel", "Quantize activations per tensor."
            )
        self.activation(node, quantizer, real, quantization)

    def activation(
        self, node: Node, quantizer: Node, real: str, quantization: Quantization
    ) -> None:
        """Have what makes the float value make the int8 one; store a copy if others need both."""
        [result] = node.outputs
        known = self.stand_ins.get((real, quantization))
        self.quantizations[result] = quantization
        if known and result not in self.graph.outputs:
            self.renamed[result] = known
            return
        unseen = self.graph.only_consumer(real) is quantizer
        if known or not unseen or real not in self.made or real in self.renamed:
            source = known or real
            self.append(Node("Identity", node.name, (source,), (result,)))
        else:
            place = self.made[result] = self.made.pop(real)
            old = self.nodes[place]
            outputs = tuple(result if name == real else name for name in old.outputs)
            self.nodes[place] = replace(old, outputs=outputs)
        self.stand_ins.setdefault((real, quantization), result)

    def constant(self, result: str, codes: Array, quantization: Quantization) -> None:
        if codes.dtype == np.uint8:  # the same numbers, counted from -128
            codes = (codes.astype(np.int16) - 128).astype(np.int8)
        self.codes[result] = codes
        self.quantizations[result] = quantization
        self.constants[result] = dequantized(codes, quantization).astype(np.float32)


def parameters(node: Node, graph: Graph) -> Quantization:
    """Scale and zero point of a DequantizeLinear; those of uint8 moved to int8."""
    scale = graph.constants.get(node.inputs[1])
    zero = graph.constants.get(node.inputs[2]) if node.has(2) else None
    stored = zero.dtype if zero is not None else graph.dtypes[node.inputs[0]]
    if scale is None or (node.has(2) and zero is None):
        raise node.unsupported("has a scale that is computed", "Use a static quantization.")
    if stored.name not in {"int8", "uint8", "int32"}:
        raise node.unsupported(f"stores {stored}", "Quantize to 8 bits.")
    if scale.ndim > 1:
        raise node.unsupported("has a scale per block", "Quantize per tensor or per channel.")
    scales = scale.astype(np.float64).reshape(-1)
    zeros = np.zeros(scales.shape) if zero is None else zero.reshape(-1)
    shift = 128 if stored.name == "uint8" else 0
    rank = len(graph.shapes.get(node.inputs[0], ()))
    axis = node.attributes.get("axis", 1) % rank if len(scales) > 1 else 0
    return Quantization(
        tuple(float(value) for value in scales), tuple(int(value) - shift for value in zeros), axis
    )


def dequantized(codes: Array, quantization: Quantization) -> Array:
    """The real numbers, in double precision."""
    scale, zero = _along_axis(codes, quantization)
    return np.asarray((codes.astype(np.float64) - zero) * scale)


def quantized(values: Array, quantization: Quantization) -> Array:
    """The nearest int8 codes, halves to even."""
    scale, zero = _along_axis(values, quantization)
    codes = np.rint(values.astype(np.float64) / scale) + zero
    return np.asarray(codes.clip(-128, 127).astype(np.int8))


def _along_axis(values: Array, quantization: Quantization) -> tuple[Array, Array]:
    """Scale and zero point, shaped to broadcast with `values`."""
    shape = [1] * values.ndim
    if quantization.per_channel:
        shape[quantization.axis] = -1
    scale, zero = np.array(quantization.scale), np.array(quantization.zero_point)
    return scale.reshape(shape), zero.reshape(shape)
