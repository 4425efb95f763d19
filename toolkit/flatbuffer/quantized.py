"""Reads QuantizeLinear/DequantizeLinear pairs as what they mean: how a value is stored.

Afterwards the graph computes on real numbers again, and `quantizations` says which of its
values are held as int8. A pair of 16 bits is left out: what it marks stays float. TFLite's 16-bit
kernels are plain C, 147 times slower on a resnet8 than floats with the same 8-bit weights, and no
closer to the float network (a root mean square error of 0.0039 both ways).
"""

from dataclasses import dataclass, field, replace

import numpy as np

from toolkit.flatbuffer.graph import Array, Graph, Node, Quantization

PAIR = {"QuantizeLinear", "DequantizeLinear"}
COUNTED_FROM = {"uint4": 8, "uint8": 128}  # what unsigned codes lose to become signed ones
BITS = {"int4": 4, "uint4": 4}
WIDE = {"int16", "uint16"}
STORED = {"int4", "uint4", "int8", "uint8", "int32"} | WIDE


def absorb(graph: Graph) -> Graph:
    """The graph without pairs: constants dequantized, but with their codes kept.

    Weights in float16 behind a Cast are codes, too.

    Raises:
        UnsupportedError: anything but static quantization in the QDQ format.
    """
    if not any(node.op in PAIR or widens(node, graph) for node in graph.nodes):
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
        factors=reader.factors,
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
    factors: dict[str, Array] = field(default_factory=dict)
    renamed: dict[str, str] = field(default_factory=dict)
    stand_ins: dict[tuple[str, Quantization], str] = field(default_factory=dict)

    def take(self, node: Node) -> None:
        if node.op == "DequantizeLinear":
            self.dequantize(node)
        elif widens(node, self.graph):
            self.codes[node.outputs[0]] = self.graph.constants[node.inputs[0]]
            self.constants[node.outputs[0]] = self.codes[node.outputs[0]].astype(np.float32)
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
        if is_blocked(node, self.graph):
            self.blocks(node)
            return
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
        if stored_as(node, self.graph) in WIDE:
            self.passage(node, real)
            return
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

    def passage(self, node: Node, real: str) -> None:
        """Read the real number where a pair of 16 bits stood."""
        [result] = node.outputs
        if result in self.graph.outputs or real in self.graph.constants:
            self.append(Node("Identity", node.name, (real,), (result,)))
        else:
            self.renamed[result] = self.renamed.get(real, real)

    def constant(self, result: str, codes: Array, quantization: Quantization) -> None:
        stored = codes.dtype.name
        if stored in COUNTED_FROM:  # the same numbers, counted from the middle
            codes = codes.astype(np.int16) - COUNTED_FROM[stored]
        self.constants[result] = dequantized(codes, quantization).astype(np.float32)
        if stored in WIDE:
            return
        self.codes[result] = codes if codes.dtype == np.int32 else codes.astype(np.int8)
        self.quantizations[result] = quantization

    def blocks(self, node: Node) -> None:
        """Weights with a scale for every few of them along an axis."""
        [result] = node.outputs
        codes, scale = (self.graph.constants.get(name) for name in node.inputs[:2])
        zero = self.graph.constants.get(node.inputs[2]) if node.has(2) else None
        if codes is None or scale is None or (node.has(2) and zero is None):
            raise node.unsupported("has a scale per block that is computed", "Store its weights.")
        block, axis = node.attributes["block_size"], node.attributes.get("axis", 1)
        shift = COUNTED_FROM.get(codes.dtype.name, 0)
        codes = codes.astype(np.int16) - shift
        if zero is not None and (zero.astype(np.int16) != shift).any():
            raise node.unsupported(
                "has blocks that are not symmetric", "Quantize weights with a zero point of zero."
            )
        if codes.shape[axis] % block:
            raise node.unsupported(
                f"has blocks of {block} in an axis of {codes.shape[axis]}",
                "Choose a block size that divides the layer's inputs, or 0.",
            )
        factors = scale.astype(np.float32)
        real = codes.astype(np.float32) * np.repeat(factors, block, axis)
        self.constants[result] = real.astype(np.float32)
        self.codes[result], self.factors[result] = codes.astype(np.int8), factors
        bits = BITS.get(stored_as(node, self.graph), 8)
        self.quantizations[result] = Quantization((1.0,), (0,), 0, bits)


def widens(node: Node, graph: Graph) -> bool:
    """Whether a node makes stored float16 numbers float32."""
    if node.op != "Cast" or node.inputs[0] not in graph.constants:
        return False
    stored, made = graph.constants[node.inputs[0]].dtype, graph.dtypes[node.outputs[0]]
    return bool(stored == np.float16 and made == np.float32)


def stored_as(node: Node, graph: Graph) -> str:
    """The type that a DequantizeLinear reads."""
    name = node.inputs[2] if node.has(2) else node.inputs[0]
    if name in graph.constants:
        return graph.constants[name].dtype.name
    return graph.dtypes[name].name if name in graph.dtypes else ""


def is_blocked(node: Node, graph: Graph) -> bool:
    scale = graph.constants.get(node.inputs[1])
    return bool(node.attributes.get("block_size")) and scale is not None and scale.ndim > 1


def parameters(node: Node, graph: Graph) -> Quantization:
    """Scale and zero point of a DequantizeLinear; unsigned codes are moved to signed ones."""
    scale = graph.constants.get(node.inputs[1])
    zero = graph.constants.get(node.inputs[2]) if node.has(2) else None
    stored = stored_as(node, graph)
    if scale is None or (node.has(2) and zero is None):
        raise node.unsupported("has a scale that is computed", "Use a static quantization.")
    if stored not in STORED:
        raise node.unsupported(f"stores {stored}", "Quantize to 4, 8 or 16 bits.")
    if scale.ndim > 1:
        raise node.unsupported("has a scale per block", "Quantize per tensor or per channel.")
    scales = scale.astype(np.float64).reshape(-1)
    zeros = np.zeros(scales.shape) if zero is None else zero.reshape(-1)
    shift = COUNTED_FROM.get(stored, 0)
    rank = len(graph.shapes.get(node.inputs[0], ()))
    axis = node.attributes.get("axis", 1) % rank if len(scales) > 1 else 0
    return Quantization(
        tuple(float(value) for value in scales),
        tuple(int(value) - shift for value in zeros),
        axis,
        BITS.get(stored, 8),
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
