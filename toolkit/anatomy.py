"""What a graph is made of, layer by layer: parameters, bits, bytes, zeros, multiplications.

A layer is an operator with learned weights. Its name is the one the network gave it (`1.8` for
the weight `1.8.weight`), also after quantization; in graphs with other names for weights it is
the node's.
"""

import math
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from toolkit.onnx_graph import parse

WEIGHTED = {
    "Conv", "ConvInteger", "ConvTranspose", "GRU", "Gemm", "LSTM", "MatMul", "MatMulInteger", "RNN",
}  # fmt: skip
RECURRENT = {"GRU": 3, "LSTM": 4, "RNN": 1}  # and the gates of each, whose weights are stacked
THROUGH = {"DequantizeLinear", "QuantizeLinear", "Cast", "Transpose", "Identity", "Reshape"}
WEIGHT = ".weight"


@dataclass(frozen=True)
class Layer:
    """One operator with learned weights.

    Attributes:
        name: of the layer; see the head of this module.
        op: of the node.
        parameters: numbers in its weights, those of a recurrent state included, biases left out.
        bits: of one stored weight.
        nonzero: share of weights that are not zero.
        distinct: different values among the weights.
        macs: multiplications and additions for one item; 0 when shapes are not known.
        checksum: of the stored weights.
    """

    name: str
    op: str
    parameters: int
    bits: int
    nonzero: float
    distinct: int
    macs: int
    checksum: int

    @property
    def size_bytes(self) -> int:
        return math.ceil(self.parameters * self.bits / 8)


def layers_of(graph: bytes) -> tuple[Layer, ...]:
    """Every layer, in the order of the graph."""
    import onnx

    model = parse(graph)
    shapes = shapes_of(onnx.shape_inference.infer_shapes(model))
    stored, producers = stored_of(model), producers_of(model)
    found = []
    for node, tensor in weighted_nodes(model):
        state = source_of(node.input[2], stored, producers) if node.op_type in RECURRENT else None
        found.append(layer(node, [tensor, *([stored[state]] if state else [])], shapes))
    return tuple(found)


def weighted_nodes(model: Any) -> Iterator[tuple[Any, Any]]:
    """The node of every layer and the tensor that holds its weights, in the order of the graph."""
    stored, producers = stored_of(model), producers_of(model)
    for node in model.graph.node:
        source = weight_of(node, stored, producers) if node.op_type in WEIGHTED else None
        if source is not None:
            yield node, stored[source]


def stored_of(model: Any) -> dict[str, Any]:
    return {tensor.name: tensor for tensor in model.graph.initializer}


def producers_of(model: Any) -> dict[str, Any]:
    return {name: node for node in model.graph.node for name in node.output}


def layer(node: Any, tensors: Sequence[Any], shapes: Mapping[str, tuple[int, ...]]) -> Layer:
    """`tensors` hold its weights; of a recurrent layer those for its input, then its state."""
    from onnx import numpy_helper

    first, *more = (numpy_helper.to_array(tensor) for tensor in tensors)
    values = np.concatenate([part.reshape(-1) for part in (first, *more)])
    return Layer(
        layer_name(node, tensors[0].name),
        node.op_type,
        values.size,
        bits_of(tensors[0].data_type),
        float(np.count_nonzero(values) / max(values.size, 1)),
        len(np.unique(values.astype(np.float32))),
        macs_of(node, first.shape, shapes),
        zlib.crc32(values.tobytes()),
    )


def layer_name(node: Any, weight: str) -> str:
    """The network's own name where the weight carries it, otherwise the node's.

    Nodes need no name (ONNX IR, "Nodes"); the weight always has one.
    """
    stem, found, _ = weight.partition(WEIGHT)
    return stem if found and stem else str(node.name) or weight


def weight_of(node: Any, stored: Mapping[str, Any], producers: Mapping[str, Any]) -> str | None:
    """The initializer that holds the node's weights, looked for through what only unpacks it."""
    for name in weight_inputs(node):
        here = source_of(name, stored, producers)
        if here and len(stored[here].dims) > 1:
            return here
    return None


def source_of(name: str, stored: Mapping[str, Any], producers: Mapping[str, Any]) -> str | None:
    """The initializer that a value is unpacked from."""
    while name not in stored and name in producers and producers[name].op_type in THROUGH:
        name = producers[name].input[0]
    return str(name) if name in stored else None


def weight_inputs(node: Any) -> list[str]:
    """Where the weights of a layer may come in: a product may have them on either side."""
    return list(node.input[1:2]) if node.op_type != "MatMul" else [*reversed(node.input[:2])]


def bits_of(data_type: int) -> int:
    from onnx import TensorProto, helper

    if data_type in {TensorProto.INT4, TensorProto.UINT4}:
        return 4
    return int(helper.tensor_dtype_to_np_dtype(data_type).itemsize) * 8


def shapes_of(model: Any) -> dict[str, tuple[int, ...]]:
    """Of every value that is known; a free batch counts as one item."""
    values = [*model.graph.input, *model.graph.output, *model.graph.value_info]
    return {
        value.name: tuple(d.dim_value or 1 for d in value.type.tensor_type.shape.dim)
        for value in values
        if value.type.tensor_type.HasField("shape")
    }


def macs_of(node: Any, weight: tuple[int, ...], shapes: Mapping[str, tuple[int, ...]]) -> int:
    """Multiply-accumulate operations for one item."""
    size = math.prod(weight)
    given, made = shapes.get(node.input[0]), shapes.get(node.output[0])
    if node.op_type in RECURRENT:
        directions, rows, _ = weight  # R has as many rows, and a column a hidden unit
        recurrent = directions * rows * (rows // RECURRENT[node.op_type])
        return (given[0] if given else 1) * (size + recurrent)
    if node.op_type in {"Conv", "ConvInteger"}:
        return size * math.prod(made[2:]) if made else 0
    if node.op_type == "ConvTranspose":
        return size * math.prod(given[2:]) if given else 0
    return size * math.prod(made[1:-1]) if made else size


def total_macs(graph: bytes) -> int:
    return sum(layer.macs for layer in layers_of(graph))


def zipped(data: bytes) -> int:
    """Bytes after DEFLATE, as in a zip file, an update or a web page."""
    return len(zlib.compress(data, 9))
