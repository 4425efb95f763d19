"""Matrix products: with constant weights a FULLY_CONNECTED, else a BATCH_MATMUL."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from toolkit.flatbuffer.compiler import Compiler
from toolkit.flatbuffer.graph import Node
from toolkit.flatbuffer.layout import Layout, permutation
from toolkit.flatbuffer.operators.base import Translation, activation
from toolkit.flatbuffer.operators.convolution import bias_of
from toolkit.flatbuffer.operators.weights import Weights, filters, weights_of
from toolkit.flatbuffer.writer import Tensor


def takes_shuffled(node: Node, compiler: Compiler) -> bool:
    """Whether `node` can multiply an input whose columns were reordered."""
    if node.op not in {"Gemm", "MatMul"} or node.attributes.get("transA"):
        return False
    weights = compiler.graph.constants.get(node.inputs[1])
    bias = not node.has(2) or is_row(compiler, node.inputs[2])
    return weights is not None and weights.ndim == 2 and bias


def gemm(compiler: Compiler, node: Node) -> None:
    given = node.attributes
    alpha, beta = given.get("alpha", 1.0), given.get("beta", 1.0)
    turned = bool(given.get("transA")), bool(given.get("transB"))
    if node.inputs[1] in compiler.graph.constants:
        bias = node.inputs[2] if node.has(2) else ""
        if not bias or is_row(compiler, bias):
            dense(compiler, node, turned, alpha, beta)
            return
    a, b = (compiler.real(compiler.take(node, index)) for index in (0, 1))
    shape = compiler.shape(node.outputs[0])
    result = compiler.emit("BATCH_MATMUL", [a, b], shape, adjX=turned[0], adjY=turned[1])
    result = times(compiler, result, alpha)
    if node.has(2) or node.activation:
        more = compiler.real(compiler.take(node, 2)) if node.has(2) else None
        added = 0 if more is None else times(compiler, more, beta)
        result = compiler.compute("ADD", result, added, fusedActivationFunction=activation(node))
    compiler.give(node, result)


def times(compiler: Compiler, x: Tensor, factor: float) -> Tensor:
    return x if factor == 1 else compiler.compute("MUL", x, factor)


def is_row(compiler: Compiler, name: str) -> bool:
    """One number an output, or one for all: what a layer's bias can be."""
    values = compiler.graph.constants.get(name)
    return values is not None and values.size in {1, *values.shape[-1:]}


def matmul(compiler: Compiler, node: Node) -> None:
    weights = compiler.graph.constants.get(node.inputs[1])
    vector = len(compiler.shape(node.inputs[0])) == 1
    if weights is not None and weights.ndim == 2 and not vector:
        dense(compiler, node, (False, False), 1.0, 1.0)
        return
    a, b = (compiler.real(compiler.take(node, index)) for index in (0, 1))
    shape = compiler.shape(node.outputs[0])
    a = compiler.reshape(a, (1, *a.shape)) if vector else a
    b = b if len(b.shape) > 1 else compiler.reshape(b, (*b.shape, 1))
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    result = compiler.emit("BATCH_MATMUL", [a, b], (*batch, a.shape[-2], b.shape[-1]))
    compiler.give(node, compiler.reshape(result, shape))


def dense(
    compiler: Compiler, node: Node, turned: tuple[bool, bool], alpha: float, beta: float
) -> None:
    """Multiply by weights stored as (outputs, inputs), and add the bias.

    `turned`: whether each of the factors is given transposed.
    """
    weights = weights_of(compiler, node, 0 if turned[1] else 1)
    x = compiler.take(node)
    if turned[0]:
        x = compiler.transpose(x, (1, 0))
    if alpha != 1.0:
        weights = Weights(compiler.graph.constants[node.inputs[1]] * np.float32(alpha))
    if not turned[1]:
        weights = weights.arranged(np.transpose)
    if node.inputs[0] in compiler.shuffled:
        weights = shuffle(weights, compiler.shuffled[node.inputs[0]])
    outputs = weights.shape[0]
    matrix = filters(compiler, node, weights, 0)
    bias: Tensor | None = None
    if node.has(2):
        if beta == 1.0:
            bias = bias_of(compiler, node, outputs, x, matrix)
        else:
            values = np.broadcast_to(compiler.graph.constants[node.inputs[2]], (1, outputs))
            bias = compiler.writer.constant((values[0] * beta).astype(np.float32))
    more: dict[str, Any] = {"asymmetricQuantizeInputs": True} if node.dynamic else {}
    result = compiler.emit(
        "FULLY_CONNECTED",
        [x, matrix, bias],
        compiler.shape(node.outputs[0]),
        quantization=compiler.target(node),
        keepNumDims=True,
        fusedActivationFunction=activation(node),
        **more,
    )
    compiler.give(node, result)


def shuffle(weights: Weights, shape: tuple[int, ...]) -> Weights:
    """The columns in the order of a channels-last input; `shape` is that of ONNX, batch first."""
    count = weights.shape[1]
    columns = np.arange(count).reshape(shape[1:])
    axes = [axis - 1 for axis in permutation(len(shape), Layout.FIRST, Layout.LAST)[1:]]
    order = columns.transpose(axes).reshape(-1)
    if weights.factors is None:
        return weights.arranged(lambda a: a[:, order])
    # blocks would be torn apart: here the codes of each stand beside others
    block = count // weights.factors.shape[1]
    values = weights.values * np.repeat(weights.factors, block, 1)
    return Weights(values[:, order].astype(np.float32))


TRANSLATIONS: Mapping[str, Translation] = {"Gemm": gemm, "MatMul": matmul}
