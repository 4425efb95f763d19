"""Operators about types and choices."""

from collections.abc import Mapping

import numpy as np

from toolkit.flatbuffer.compiler import Compiler
from toolkit.flatbuffer.graph import Node
from toolkit.flatbuffer.layout import shape_in
from toolkit.flatbuffer.operators.base import Translation
from toolkit.flatbuffer.operators.operands import operands


def where(compiler: Compiler, node: Node) -> None:
    (condition, yes, no), layout = operands(compiler, node)
    shape = shape_in(layout, compiler.shape(node.outputs[0]))
    compiler.give(
        node, compiler.emit("SELECT_V2", [condition, yes, no], shape, dtype=yes.dtype), layout
    )


def cast(compiler: Compiler, node: Node) -> None:
    layout = compiler.layout(node, 0)
    x = compiler.take(node, 0, layout)
    compiler.give(node, compiler.cast(x, compiler.dtype(node.outputs[0])), layout)


def identity(compiler: Compiler, node: Node) -> None:
    layout = compiler.layout(node, 0)
    compiler.give(node, compiler.take(node, 0, layout), layout)


def dropout(compiler: Compiler, node: Node) -> None:
    """Nothing is dropped when a model answers: the values as they are, a mask of ones."""
    training = compiler.constant_input(node, 2)
    ratio = compiler.constant_input(node, 1)
    drops = ratio is None or ratio.item() != 0
    if training is not None and training.item() and drops:
        raise node.unsupported("drops values at random", "Export the model in eval mode.")
    identity(compiler, node)
    if len(node.outputs) > 1 and node.outputs[1]:
        mask = np.ones(compiler.shape(node.outputs[1]), np.bool_)
        compiler.give(node, compiler.writer.constant(mask), output=1)


TRANSLATIONS: Mapping[str, Translation] = {
    "Cast": cast,
    "Dropout": dropout,
    "Identity": identity,
    "Where": where,
}
