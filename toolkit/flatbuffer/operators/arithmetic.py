"""Sums, products, powers and extremes of several values."""

from collections.abc import Mapping

import numpy as np

from toolkit.flatbuffer.compiler import Compiler
from toolkit.flatbuffer.graph import Node
from toolkit.flatbuffer.operators.base import Translation, activation
from toolkit.flatbuffer.operators.operands import fold_inputs, folded, give_broadcast, operands
from toolkit.flatbuffer.writer import Tensor

ARITHMETIC = {"Add": "ADD", "Div": "DIV", "Mul": "MUL", "Sub": "SUB", "Sum": "ADD"}
EXTREMES = {"Max": "MAXIMUM", "Min": "MINIMUM"}


def arithmetic(compiler: Compiler, node: Node) -> None:
    fold_inputs(compiler, node, ARITHMETIC[node.op], fusedActivationFunction=activation(node))


def extreme(compiler: Compiler, node: Node) -> None:
    inputs, layout = operands(compiler, node)
    quantization = compiler.target(node)
    if quantization:  # those kernels compare the codes themselves
        inputs = [compiler.quantize(x, quantization) for x in inputs]
    result = folded(compiler, node, EXTREMES[node.op], inputs, "")
    give_broadcast(compiler, node, result, layout)


def mean(compiler: Compiler, node: Node) -> None:
    inputs, layout = operands(compiler, node)
    total = folded(compiler, node, "ADD", inputs, "")
    result = compiler.compute("MUL", total, 1 / len(inputs)) if len(inputs) > 1 else total
    give_broadcast(compiler, node, result, layout)


def power(compiler: Compiler, node: Node) -> None:
    exponent = compiler.graph.constants.get(node.inputs[1])
    known = exponent.item() if exponent is not None and exponent.size == 1 else None
    layout = compiler.layout(node, 0)
    if known in {0.5, 2} and compiler.dtype(node.inputs[0]) == "float32":
        x = compiler.take(node, 0, layout)
        root = known == 0.5
        compiler.give(node, compiler.compute("SQRT", x) if root else product(compiler, x), layout)
        return
    (x, y), layout = operands(compiler, node)
    dtype = compiler.dtype(node.outputs[0])
    if dtype != "float32" and (exponent is None or (np.asarray(exponent) < 0).any()):
        kinds = {x.dtype, y.dtype}
        x, y = (compiler.cast(value, "float32") for value in (x, y))
        if kinds != {"int32", "float32"} and kinds != {"float32"}:
            # the kernel on integers fails when an exponent turns out negative
            raise node.unsupported(
                "raises integers to powers that are not known", "Cast its inputs to float32."
            )
    common = "float32" if "float32" in {x.dtype, y.dtype} else "int32"
    result = compiler.compute("POW", compiler.cast(x, common), compiler.cast(y, common))
    give_broadcast(compiler, node, compiler.cast(result, dtype), layout)


def product(compiler: Compiler, x: Tensor) -> Tensor:
    return compiler.compute("MUL", x, x)


def modulo(compiler: Compiler, node: Node) -> None:
    """With the divisor's sign as in Python, or with `fmod` the dividend's as in C."""
    (x, y), layout = operands(compiler, node)
    if not node.attributes.get("fmod"):
        if x.dtype == "float32":
            raise node.unsupported("takes floats without fmod", "Set fmod = 1.")
        result = compiler.compute("FLOOR_MOD", x, y)
    elif x.dtype == "float32":
        sizes = [compiler.compute("ABS", value) for value in (x, y)]
        rest = compiler.compute("FLOOR_MOD", *sizes)
        result = compiler.compute("MUL", rest, compiler.compute("SIGN", x))
    else:
        x, y = (compiler.cast(value, "int32") for value in (x, y))
        whole = compiler.compute("MUL", compiler.compute("DIV", x, y), y)
        result = compiler.cast(compiler.compute("SUB", x, whole), compiler.dtype(node.outputs[0]))
    give_broadcast(compiler, node, result, layout)


TRANSLATIONS: Mapping[str, Translation] = {
    **dict.fromkeys(ARITHMETIC, arithmetic),
    **dict.fromkeys(EXTREMES, extreme),
    "Mean": mean,
    "Mod": modulo,
    "Pow": power,
}
