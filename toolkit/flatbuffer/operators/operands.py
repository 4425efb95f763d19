"""What operators share that compute each value on its own: layouts, broadcasting, n inputs."""

from collections.abc import Callable
from typing import Any

import numpy as np

from toolkit.flatbuffer.compiler import Compiler
from toolkit.flatbuffer.graph import Node
from toolkit.flatbuffer.layout import Layout, shape_in
from toolkit.flatbuffer.operators.base import Translation
from toolkit.flatbuffer.writer import Tensor

Formula = Callable[[Compiler, Node, Tensor], Tensor]


def pointwise(formula: Formula) -> Translation:
    """The translation of a function of one value, which runs in whatever layout it finds."""

    def translation(compiler: Compiler, node: Node) -> None:
        layout = compiler.layout(node, 0)
        x = compiler.take(node, 0, layout)
        compiler.give(node, formula(compiler, node, x), layout)

    return translation


def operands(compiler: Compiler, node: Node) -> tuple[list[Tensor], Layout]:
    """All inputs, ready to broadcast against each other."""
    rank = len(compiler.shape(node.outputs[0]))
    layout = compiler.layout(node)
    moving = [name for name in node.inputs if name not in compiler.graph.constants]
    if any(len(compiler.shape(name)) != rank for name in moving):
        layout = Layout.FIRST  # ONNX aligns shapes at their right ends: only there it is right
    return [operand(compiler, node, index, layout, rank) for index in range(len(node.inputs))], (
        layout
    )


def operand(compiler: Compiler, node: Node, index: int, layout: Layout, rank: int) -> Tensor:
    name = node.inputs[index]
    if name not in compiler.graph.constants:
        return compiler.take(node, index, layout)
    stored = compiler.is_integer(node) and name in compiler.graph.quantizations
    scalar = compiler.graph.constants[name].size == 1
    if scalar or layout is Layout.FIRST:
        return compiler.constant(name, Layout.FIRST, stored)
    return compiler.constant(name, layout, stored, rank)


def folded(
    compiler: Compiler, node: Node, code: str, inputs: list[Tensor], dtype: str, **options: Any
) -> Tensor:
    """An operator of two inputs, over as many as there are."""
    quantization = compiler.target(node)
    result = inputs[0]
    for other in inputs[1:]:
        shape = np.broadcast_shapes(result.shape, other.shape)
        result = compiler.emit(
            code, [result, other], shape, dtype=dtype, quantization=quantization, **options
        )
    return result


def give_broadcast(compiler: Compiler, node: Node, result: Tensor, layout: Layout) -> None:
    """Declare an output of which a scalar operand may have dropped leading axes of one."""
    full = shape_in(layout, compiler.shape(node.outputs[0]))
    compiler.give(node, compiler.reshape(result, full), layout)


def fold_inputs(
    compiler: Compiler, node: Node, code: str, *, dtype: str = "", **options: Any
) -> None:
    inputs, layout = operands(compiler, node)
    give_broadcast(compiler, node, folded(compiler, node, code, inputs, dtype, **options), layout)
