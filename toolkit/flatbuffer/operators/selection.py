"""Operators about missing values, types and choices."""

from collections.abc import Mapping

from toolkit.flatbuffer.compiler import Compiler
from toolkit.flatbuffer.graph import Node
from toolkit.flatbuffer.layout import shape_in
from toolkit.flatbuffer.operators.base import Translation
from toolkit.flatbuffer.operators.elementwise import operands


def is_nan(compiler: Compiler, node: Node) -> None:
    """NaN is the one number that differs from itself."""
    layout = compiler.layout(node)
    x = compiler.take(node, 0, layout)
    compiler.give(node, compiler.emit("NOT_EQUAL", [x, x], x.shape, dtype="bool"), layout)


def where(compiler: Compiler, node: Node) -> None:
    (condition, yes, no), layout = operands(compiler, node)
    shape = shape_in(layout, compiler.shape(node.outputs[0]))
    compiler.give(
        node, compiler.emit("SELECT_V2", [condition, yes, no], shape, dtype=yes.dtype), layout
    )


def cast(compiler: Compiler, node: Node) -> None:
    layout = compiler.layout(node)
    x = compiler.take(node, 0, layout)
    dtype = compiler.dtype(node.outputs[0])
    if dtype != x.dtype:
        x = compiler.emit("CAST", [x], x.shape, dtype=dtype)
    compiler.give(node, x, layout)


def identity(compiler: Compiler, node: Node) -> None:
    layout = compiler.layout(node, 0)
    compiler.give(node, compiler.take(node, 0, layout), layout)


TRANSLATIONS: Mapping[str, Translation] = {
    "Cast": cast,
    "Dropout": identity,
    "Identity": identity,
    "IsNaN": is_nan,
    "Where": where,
}
