"""Operators that compute each value on its own; they run in whatever layout they find."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from toolkit.flatbuffer.compiler import Compiler
from toolkit.flatbuffer.graph import Node
from toolkit.flatbuffer.layout import Layout, shape_in
from toolkit.flatbuffer.operators.base import Activation, Translation, activation
from toolkit.flatbuffer.writer import Tensor

UNARY = {
    "Abs": "ABS",
    "Ceil": "CEIL",
    "Cos": "COS",
    "Exp": "EXP",
    "Floor": "FLOOR",
    "HardSwish": "HARD_SWISH",
    "Log": "LOG",
    "Neg": "NEG",
    "Not": "LOGICAL_NOT",
    "Round": "ROUND",
    "Sigmoid": "LOGISTIC",
    "Sign": "SIGN",
    "Sin": "SIN",
    "Sqrt": "SQRT",
    "Tanh": "TANH",
}
ARITHMETIC = {"Add": "ADD", "Div": "DIV", "Mul": "MUL", "Sub": "SUB"}
EXTREMES = {"Max": "MAXIMUM", "Min": "MINIMUM"}
COMPARISONS = {
    "Equal": "EQUAL",
    "Greater": "GREATER",
    "GreaterOrEqual": "GREATER_EQUAL",
    "Less": "LESS",
    "LessOrEqual": "LESS_EQUAL",
    "And": "LOGICAL_AND",
    "Or": "LOGICAL_OR",
}


def unary(compiler: Compiler, node: Node) -> None:
    layout = compiler.layout(node)
    x = compiler.take(node, 0, layout)
    quantization = compiler.target(node)
    compiler.give(
        node, compiler.emit(UNARY[node.op], [x], x.shape, quantization=quantization), layout
    )


def relu(compiler: Compiler, node: Node) -> None:
    layout = compiler.layout(node)
    x = compiler.take(node, 0, layout)
    compiler.give(node, compiler.emit("RELU", [x], x.shape, quantization=x.quantization), layout)


def leaky_relu(compiler: Compiler, node: Node) -> None:
    layout = compiler.layout(node)
    x = compiler.take(node, 0, layout)
    alpha = node.attributes.get("alpha", 0.01)
    result = compiler.emit(
        "LEAKY_RELU", [x], x.shape, quantization=compiler.target(node), alpha=alpha
    )
    compiler.give(node, result, layout)


def elu(compiler: Compiler, node: Node) -> None:
    if node.attributes.get("alpha", 1.0) != 1.0:
        raise node.unsupported("has an alpha other than 1", "Use alpha = 1, or LeakyReLU.")
    layout = compiler.layout(node)
    x = compiler.take(node, 0, layout)
    compiler.give(node, compiler.emit("ELU", [x], x.shape), layout)


def gelu(compiler: Compiler, node: Node) -> None:
    layout = compiler.layout(node)
    x = compiler.take(node, 0, layout)
    approximate = node.attributes.get("approximate", "none") == "tanh"
    compiler.give(node, compiler.emit("GELU", [x], x.shape, approximate=approximate), layout)


def clip(compiler: Compiler, node: Node) -> None:
    layout = compiler.layout(node, 0)
    x = compiler.take(node, 0, layout)
    low, high = (
        default if array is None else array.item()
        for default, array in zip(
            (-math.inf, math.inf), (compiler.constant_input(node, i) for i in (1, 2)), strict=True
        )
    )
    if (low, high) == (0, 6) and x.dtype in {"float32", "int8"}:
        result = compiler.emit("RELU6", [x], x.shape, quantization=x.quantization)
    elif (low, high) == (0, math.inf) and x.dtype in {"float32", "int8"}:
        result = compiler.emit("RELU", [x], x.shape, quantization=x.quantization)
    else:
        result = bounded(compiler, x, low, high)
    compiler.give(node, result, layout)


def bounded(compiler: Compiler, x: Tensor, low: float, high: float) -> Tensor:
    for code, bound in (("MAXIMUM", low), ("MINIMUM", high)):
        if math.isfinite(bound):
            limit = compiler.scalar(bound, x)
            x = compiler.emit(code, [x, limit], x.shape, quantization=x.quantization)
    return x


def hard_sigmoid(compiler: Compiler, node: Node) -> None:
    """max(0, min(1, alpha · x + beta)), as RELU6 on six times that: one kernel for both bounds."""
    layout = compiler.layout(node)
    x = compiler.take(node, 0, layout)
    alpha, beta = node.attributes.get("alpha", 0.2), node.attributes.get("beta", 0.5)
    scaled = compiler.emit("MUL", [x, compiler.scalar(6 * alpha, x)], x.shape)
    cut = compiler.emit(
        "ADD",
        [scaled, compiler.scalar(6 * beta, x)],
        x.shape,
        fusedActivationFunction=Activation.RELU6,
    )
    compiler.give(node, compiler.emit("MUL", [cut, compiler.scalar(1 / 6, x)], x.shape), layout)


def reciprocal(compiler: Compiler, node: Node) -> None:
    layout = compiler.layout(node)
    x = compiler.take(node, 0, layout)
    compiler.give(node, compiler.emit("DIV", [compiler.scalar(1, x), x], x.shape), layout)


def softplus(compiler: Compiler, node: Node) -> None:
    """log(1 + exp(x)) as max(x, 0) + log(1 + exp(-|x|)), which overflows for no x."""
    layout = compiler.layout(node)
    x = compiler.take(node, 0, layout)
    tail = x
    for code in ("ABS", "NEG", "EXP"):
        tail = compiler.emit(code, [tail], x.shape)
    tail = compiler.emit("ADD", [tail, compiler.scalar(1, x)], x.shape)
    parts = [compiler.emit("RELU", [x], x.shape), compiler.emit("LOG", [tail], x.shape)]
    compiler.give(node, compiler.emit("ADD", parts, x.shape), layout)


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


def fold_inputs(
    compiler: Compiler, node: Node, code: str, *, dtype: str = "", **options: Any
) -> None:
    """An operator of two inputs, over as many as there are."""
    inputs, layout = operands(compiler, node)
    quantization = compiler.target(node)
    if node.op in EXTREMES and quantization:  # those kernels compare the codes themselves
        inputs = [compiler.quantize(x, quantization) for x in inputs]
    result = inputs[0]
    for other in inputs[1:]:
        shape = np.broadcast_shapes(result.shape, other.shape)
        result = compiler.emit(
            code, [result, other], shape, dtype=dtype, quantization=quantization, **options
        )
    full = shape_in(layout, compiler.shape(node.outputs[0]))
    compiler.give(node, compiler.reshape(result, full), layout)


def arithmetic(compiler: Compiler, node: Node) -> None:
    fold_inputs(compiler, node, ARITHMETIC[node.op], fusedActivationFunction=activation(node))


def extreme(compiler: Compiler, node: Node) -> None:
    fold_inputs(compiler, node, EXTREMES[node.op])


def power(compiler: Compiler, node: Node) -> None:
    exponent = compiler.graph.constants.get(node.inputs[1])
    if exponent is None or exponent.size != 1 or exponent.item() not in {0.5, 2}:
        fold_inputs(compiler, node, "POW")
        return
    layout = compiler.layout(node, 0)
    x = compiler.take(node, 0, layout)
    result = (
        compiler.emit("SQRT", [x], x.shape)
        if exponent.item() == 0.5
        else compiler.emit("MUL", [x, x], x.shape)
    )
    compiler.give(node, result, layout)


def comparison(compiler: Compiler, node: Node) -> None:
    fold_inputs(compiler, node, COMPARISONS[node.op], dtype="bool")


def prelu(compiler: Compiler, node: Node) -> None:
    """The slope broadcasts like any operand, and TFLite wants no batch axis in it."""
    (x, slope), layout = operands(compiler, node)
    if slope.dtype == "float32" and len(slope.shape) == len(x.shape) and slope.shape[0] == 1:
        slope = compiler.reshape(slope, slope.shape[1:])
    compiler.give(node, compiler.emit("PRELU", [x, slope], x.shape), layout)


TRANSLATIONS: Mapping[str, Translation] = {
    **dict.fromkeys(UNARY, unary),
    **dict.fromkeys(ARITHMETIC, arithmetic),
    **dict.fromkeys(EXTREMES, extreme),
    **dict.fromkeys(COMPARISONS, comparison),
    "Clip": clip,
    "Elu": elu,
    "Gelu": gelu,
    "HardSigmoid": hard_sigmoid,
    "LeakyRelu": leaky_relu,
    "PRelu": prelu,
    "Pow": power,
    "Reciprocal": reciprocal,
    "Relu": relu,
    "Softplus": softplus,
}
