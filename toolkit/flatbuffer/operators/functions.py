"""Functions of one value that TFLite has, or that a few of its operators compose."""

from collections.abc import Mapping

from toolkit.flatbuffer.compiler import Compiler
from toolkit.flatbuffer.graph import Node
from toolkit.flatbuffer.operators.base import Translation
from toolkit.flatbuffer.operators.operands import pointwise
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
    "Round": "ROUND",
    "Sigmoid": "LOGISTIC",
    "Sign": "SIGN",
    "Sin": "SIN",
    "Sqrt": "SQRT",
    "Tanh": "TANH",
}
ERF = (0.254829592, -0.284496736, 1.421413741, -1.453152027, 1.061405429)
ERF_SCALE = 0.3275911
"""Abramowitz & Stegun 7.1.26: |error| <= 1.5e-7, the rounding of float32."""


def unary(compiler: Compiler, node: Node, x: Tensor) -> Tensor:
    return compiler.emit(UNARY[node.op], [x], x.shape, quantization=compiler.target(node))


def reciprocal(compiler: Compiler, _: Node, x: Tensor) -> Tensor:
    return compiler.compute("DIV", 1, x)


def tangent(compiler: Compiler, _: Node, x: Tensor) -> Tensor:
    return compiler.compute("DIV", compiler.compute("SIN", x), compiler.compute("COS", x))


def arc_tangent(compiler: Compiler, _: Node, x: Tensor) -> Tensor:
    """The kernel does not broadcast."""
    shape = compiler.writer.constant(x.shape)
    ones = compiler.emit("BROADCAST_TO", [compiler.scalar(1, x), shape], x.shape)
    return compiler.compute("ATAN2", x, ones)


def opposite(compiler: Compiler, x: Tensor) -> Tensor:
    """sqrt(1 - x²), as a product of sums: nothing cancels near ±1."""
    sides = [compiler.compute(code, 1, x) for code in ("SUB", "ADD")]
    return compiler.compute("SQRT", compiler.compute("MUL", *sides))


def arc_sine(compiler: Compiler, _: Node, x: Tensor) -> Tensor:
    return compiler.compute("ATAN2", x, opposite(compiler, x))


def arc_cosine(compiler: Compiler, _: Node, x: Tensor) -> Tensor:
    return compiler.compute("ATAN2", opposite(compiler, x), x)


def exponentials(compiler: Compiler, x: Tensor) -> list[Tensor]:
    """exp(x)/2 and exp(-x)/2."""
    powers = [compiler.compute("EXP", side) for side in (x, compiler.compute("NEG", x))]
    return [compiler.compute("MUL", power, 0.5) for power in powers]


def hyperbolic_cosine(compiler: Compiler, _: Node, x: Tensor) -> Tensor:
    return compiler.compute("ADD", *exponentials(compiler, x))


def hyperbolic_sine(compiler: Compiler, _: Node, x: Tensor) -> Tensor:
    """Near zero, where exponentials cancel, by half of it: 2t / (1 - t²) with t = tanh(x/2)."""
    far = compiler.compute("SUB", *exponentials(compiler, x))
    half = compiler.compute("TANH", compiler.compute("MUL", x, 0.5))
    below = compiler.compute("SUB", 1, compiler.compute("MUL", half, half))
    near = compiler.compute("DIV", compiler.compute("MUL", half, 2), below)
    is_near = compiler.compute("LESS", compiler.compute("ABS", x), 1, dtype="bool")
    return compiler.compute("SELECT_V2", is_near, near, far)


def area_sine(compiler: Compiler, _: Node, x: Tensor) -> Tensor:
    """sign(x) · log(|x| + sqrt(x² + 1))."""
    size = compiler.compute("ABS", x)
    root = compiler.compute("ADD", compiler.compute("MUL", x, x), 1)
    total = compiler.compute("ADD", size, compiler.compute("SQRT", root))
    return compiler.compute("MUL", compiler.compute("LOG", total), compiler.compute("SIGN", x))


def area_cosine(compiler: Compiler, _: Node, x: Tensor) -> Tensor:
    """log(x + sqrt(x - 1) · sqrt(x + 1)), of which no part overflows."""
    roots = [compiler.compute("SQRT", compiler.compute(code, x, 1)) for code in ("SUB", "ADD")]
    total = compiler.compute("ADD", x, compiler.compute("MUL", *roots))
    return compiler.compute("LOG", total)


def area_tangent(compiler: Compiler, _: Node, x: Tensor) -> Tensor:
    """log((1 + x) / (1 - x)) / 2."""
    sides = [compiler.compute(code, 1, x) for code in ("ADD", "SUB")]
    ratio = compiler.compute("LOG", compiler.compute("DIV", *sides))
    return compiler.compute("MUL", ratio, 0.5)


def error_function(compiler: Compiler, _: Node, x: Tensor) -> Tensor:
    """sign(x) · (1 - p(t) · exp(-x²)) with t = 1 / (1 + 0.33 |x|) and p of degree five."""
    size = compiler.compute("ABS", x)
    scaled = compiler.compute("ADD", compiler.compute("MUL", size, ERF_SCALE), 1)
    t = compiler.compute("DIV", 1, scaled)
    *lower, highest = ERF
    series = compiler.compute("MUL", t, highest)
    for factor in reversed(lower):
        series = compiler.compute("MUL", compiler.compute("ADD", series, factor), t)
    square = compiler.compute("NEG", compiler.compute("MUL", x, x))
    tail = compiler.compute("MUL", series, compiler.compute("EXP", square))
    return compiler.compute("MUL", compiler.compute("SUB", 1, tail), compiler.compute("SIGN", x))


TRANSLATIONS: Mapping[str, Translation] = {
    **dict.fromkeys(UNARY, pointwise(unary)),
    "Acos": pointwise(arc_cosine),
    "Acosh": pointwise(area_cosine),
    "Asin": pointwise(arc_sine),
    "Asinh": pointwise(area_sine),
    "Atan": pointwise(arc_tangent),
    "Atanh": pointwise(area_tangent),
    "Cosh": pointwise(hyperbolic_cosine),
    "Erf": pointwise(error_function),
    "Reciprocal": pointwise(reciprocal),
    "Sinh": pointwise(hyperbolic_sine),
    "Tan": pointwise(tangent),
}
