"""Weights as a file stores them: float32, or fewer bits that an operator unpacks.

LiteRT unpacks constants once, when a model is loaded; its CPU delegate takes float16 and int8
weights so, and computes as fast as on floats. What is unpacked from 4 bits runs on the plain
kernels.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from toolkit.flatbuffer.compiler import Compiler
from toolkit.flatbuffer.graph import Array, Node, Quantization
from toolkit.flatbuffer.writer import Tensor

UNPACKING = 160  # bytes of one more operator and tensor
SCALE = 12  # bytes of a channel's scale and zero point


@dataclass(frozen=True)
class Weights:
    """Numbers or codes, with what the codes mean.

    Attributes:
        values: float32, float16, or int8 codes.
        factors: scales of blocks along the axis that a product sums over; None without blocks.
    """

    values: Array
    quantization: Quantization | None = None
    factors: Array | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        return self.values.shape

    @property
    def is_packed(self) -> bool:
        return self.values.dtype != np.float32

    def arranged(self, move: Callable[[Array], Array]) -> "Weights":
        """In another order of axes."""
        factors = None if self.factors is None else move(self.factors)
        return replace(self, values=move(self.values), factors=factors)


def weights_of(compiler: Compiler, node: Node, output_axis: int, index: int = 1) -> Weights:
    """An input that is known, in as few bits as it is stored with and as pay off."""
    values = compiler.constant_input(node, index)
    if values is None:
        raise AssertionError(f"{node} has no weights")
    name, graph = node.inputs[index], compiler.graph
    if compiler.is_integer(node) or node.dynamic:
        return Weights(graph.codes[name], graph.quantizations[name])
    codes, quantization = graph.codes.get(name), graph.quantizations.get(name)
    if codes is None or codes.dtype not in (np.int8, np.float16):
        return Weights(values)
    if quantization and quantization.per_channel and quantization.axis != output_axis:
        return Weights(values)
    packed = Weights(codes, quantization, graph.factors.get(name))
    return packed if size_bytes(packed) < values.nbytes else Weights(values)


def size_bytes(packed: Weights) -> int:
    bits = packed.quantization.bits if packed.quantization else 16
    scales = len(packed.quantization.scale) if packed.quantization else 0
    blocks = 0 if packed.factors is None else packed.factors.nbytes + UNPACKING
    return packed.values.size * bits // 8 + scales * SCALE + blocks + UNPACKING


def filters(compiler: Compiler, node: Node, weights: Weights, axis: int) -> Tensor:
    """The weights in the file, unpacked where `node` works on floats; `axis` has the channels."""
    stored = weights.quantization and replace(weights.quantization, axis=axis)
    constant = compiler.writer.constant(weights.values, stored, as_is=True)
    if not weights.is_packed or compiler.is_integer(node) or node.dynamic:
        return constant
    if weights.factors is None:
        return compiler.emit("DEQUANTIZE", [constant], constant.shape, dtype="float32")
    return blocks(compiler, weights)


def blocks(compiler: Compiler, weights: Weights) -> Tensor:
    """Each row of a block times its factor; the axis with the blocks must lie last."""
    factors = weights.factors
    if factors is None or factors.shape[:-1] != weights.shape[:-1]:
        raise AssertionError("the blocks of weights must lie along their last axis")
    rows = weights.values.reshape(factors.size, -1)
    constant = compiler.writer.constant(rows, weights.quantization)
    codes = compiler.emit("DEQUANTIZE", [constant], rows.shape, dtype="float32")
    column = compiler.writer.constant(factors.reshape(-1, 1))
    scaled = compiler.emit("MUL", [codes, column], rows.shape)
    return compiler.reshape(scaled, weights.shape)
