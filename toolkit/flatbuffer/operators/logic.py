"""Comparisons, truth values and bits."""

from collections.abc import Mapping

import numpy as np

from toolkit.flatbuffer.compiler import Compiler
from toolkit.flatbuffer.graph import Node
from toolkit.flatbuffer.operators.base import Translation
from toolkit.flatbuffer.operators.operands import (
    fold_inputs,
    give_broadcast,
    operands,
    pointwise,
)
from toolkit.flatbuffer.writer import Tensor

COMPARISONS = {
    "And": "LOGICAL_AND",
    "Equal": "EQUAL",
    "Greater": "GREATER",
    "GreaterOrEqual": "GREATER_EQUAL",
    "Less": "LESS",
    "LessOrEqual": "LESS_EQUAL",
    "Or": "LOGICAL_OR",
    "Xor": "NOT_EQUAL",
}
WIDTHS = {"uint8": 8, "uint16": 16, "uint32": 32}


def comparison(compiler: Compiler, node: Node) -> None:
    fold_inputs(compiler, node, COMPARISONS[node.op], dtype="bool")


def negation(compiler: Compiler, _: Node, x: Tensor) -> Tensor:
    return compiler.compute("LOGICAL_NOT", x)


def is_nan(compiler: Compiler, _: Node, x: Tensor) -> Tensor:
    """NaN is the one number that differs from itself."""
    return compiler.compute("NOT_EQUAL", x, x, dtype="bool")


def is_infinite(compiler: Compiler, node: Node, x: Tensor) -> Tensor:
    given = node.attributes
    signs = [given.get("detect_negative", 1), given.get("detect_positive", 1)]
    if not any(signs):
        return compiler.writer.constant(np.zeros(x.shape, np.bool_))
    if all(signs):
        x = compiler.compute("ABS", x)
    return compiler.compute("EQUAL", x, np.inf if signs[1] else -np.inf, dtype="bool")


def bitwise_xor(compiler: Compiler, node: Node) -> None:
    fold_inputs(compiler, node, "BITWISE_XOR")


def bitwise_not(compiler: Compiler, _: Node, x: Tensor) -> Tensor:
    ones = compiler.writer.constant(np.array(~np.zeros((), x.dtype)))
    return compiler.compute("BITWISE_XOR", ones, x)


def shift(compiler: Compiler, node: Node) -> None:
    """To the left it is a product with a power of two, of which the low bits are kept."""
    (x, amount), layout = operands(compiler, node)
    if x.dtype not in WIDTHS:
        raise node.unsupported(f"shifts {x.dtype}", "Shift unsigned integers.")
    if node.attributes["direction"] == "RIGHT":
        give_broadcast(compiler, node, compiler.compute("RIGHT_SHIFT", x, amount), layout)
        return
    known = compiler.graph.constants.get(node.inputs[1])
    if known is None:
        raise node.unsupported(
            "shifts to the left by amounts that are computed", "Make them a constant."
        )
    bits = WIDTHS[x.dtype]
    factors = np.where(known < bits, np.uint64(1) << known.astype(np.uint64), 0)
    factor = compiler.writer.constant(factors.astype(np.uint32).astype(np.int32))
    # the kernel multiplies int32 and wraps around; so does the cast to what is stored
    product = compiler.compute("MUL", compiler.cast(x, "int32"), factor)
    give_broadcast(compiler, node, compiler.cast(product, x.dtype), layout)


TRANSLATIONS: Mapping[str, Translation] = {
    **dict.fromkeys(COMPARISONS, comparison),
    "BitShift": shift,
    "BitwiseNot": pointwise(bitwise_not),
    "BitwiseXor": bitwise_xor,
    "IsInf": pointwise(is_infinite),
    "IsNaN": pointwise(is_nan),
    "Not": pointwise(negation),
}
