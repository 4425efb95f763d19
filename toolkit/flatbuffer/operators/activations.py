"""Activations: the kernels that TFLite has, the others in a few of them."""

import math
from collections.abc import Mapping

from toolkit.flatbuffer.compiler import Compiler
from toolkit.flatbuffer.graph import Node
from toolkit.flatbuffer.operators.base import Activation, Translation
from toolkit.flatbuffer.operators.operands import operands, pointwise
from toolkit.flatbuffer.writer import Tensor

CLIPS = {(0.0, math.inf): "RELU", (0.0, 6.0): "RELU6"}
FLOAT_CLIPS = CLIPS | {(-1.0, 1.0): "RELU_N1_TO_1", (0.0, 1.0): "RELU_0_TO_1"}
"""Bounds that have a kernel of their own."""

SELU = (1.67326319217681884765625, 1.05070102214813232421875)
TINY = 1e-9  # instead of zero in a divisor: far below the spacing of floats around 1
SATURATED = 20.0  # beyond it the mish of a float32 is the number itself


def relu(compiler: Compiler, _: Node, x: Tensor) -> Tensor:
    return bounded(compiler, x, 0, math.inf)


def leaky_relu(compiler: Compiler, node: Node, x: Tensor) -> Tensor:
    alpha = node.attributes.get("alpha", 0.01)
    return compiler.emit(
        "LEAKY_RELU", [x], x.shape, quantization=compiler.target(node), alpha=alpha
    )


def exponential(compiler: Compiler, x: Tensor, below: float) -> Tensor:
    """The number where it is positive, else below · (exp(x) - 1)."""
    if below == 1:
        return compiler.compute("ELU", x)
    under = compiler.compute("ELU", compiler.compute("MINIMUM", x, 0))
    scaled = compiler.compute("MUL", under, below)
    return compiler.compute("ADD", compiler.compute("RELU", x), scaled)


def elu(compiler: Compiler, node: Node, x: Tensor) -> Tensor:
    return exponential(compiler, x, node.attributes.get("alpha", 1.0))


def celu(compiler: Compiler, node: Node, x: Tensor) -> Tensor:
    alpha = node.attributes.get("alpha", 1.0)
    if alpha == 1:
        return compiler.compute("ELU", x)
    inner = compiler.compute("MUL", compiler.compute("MINIMUM", x, 0), 1 / alpha)
    under = compiler.compute("MUL", compiler.compute("ELU", inner), alpha)
    return compiler.compute("ADD", compiler.compute("RELU", x), under)


def selu(compiler: Compiler, node: Node, x: Tensor) -> Tensor:
    alpha, gamma = (
        node.attributes.get(name, default)
        for name, default in zip(("alpha", "gamma"), SELU, strict=True)
    )
    return compiler.compute("MUL", exponential(compiler, x, alpha), gamma)


def gelu(compiler: Compiler, node: Node, x: Tensor) -> Tensor:
    approximate = node.attributes.get("approximate", "none") == "tanh"
    return compiler.compute("GELU", x, approximate=approximate)


def swish(compiler: Compiler, node: Node, x: Tensor) -> Tensor:
    alpha = node.attributes.get("alpha", 1.0)
    inner = x if alpha == 1 else compiler.compute("MUL", x, alpha)
    return compiler.compute("MUL", x, compiler.compute("LOGISTIC", inner))


def mish(compiler: Compiler, _: Node, x: Tensor) -> Tensor:
    """With e = exp(x): x · tanh(log(1 + e)), which is x · n / (n + 2) with n = e · (e + 2)."""
    power = compiler.compute("EXP", compiler.compute("MINIMUM", x, SATURATED))
    above = compiler.compute("MUL", power, compiler.compute("ADD", power, 2))
    share = compiler.compute("DIV", above, compiler.compute("ADD", above, 2))
    return compiler.compute("MUL", x, share)


def clip(compiler: Compiler, node: Node) -> None:
    layout = compiler.layout(node, 0)
    x = compiler.take(node, 0, layout)
    low, high = (
        default if array is None else array.item()
        for default, array in zip(
            (-math.inf, math.inf), (compiler.constant_input(node, i) for i in (1, 2)), strict=True
        )
    )
    compiler.give(node, bounded(compiler, x, low, high), layout)


def bounded(compiler: Compiler, x: Tensor, low: float, high: float) -> Tensor:
    kernel = (FLOAT_CLIPS if x.dtype == "float32" else CLIPS).get((low, high))
    if kernel and (x.quantization or x.dtype == "float32"):
        return compiler.emit(kernel, [x], x.shape, quantization=x.quantization)
    for code, bound in (("MAXIMUM", low), ("MINIMUM", high)):
        if math.isfinite(bound):
            limit = compiler.scalar(bound, x)
            x = compiler.emit(code, [x, limit], x.shape, quantization=x.quantization)
    return x


def hard_sigmoid(compiler: Compiler, node: Node, x: Tensor) -> Tensor:
    """max(0, min(1, alpha · x + beta)), as RELU6 on six times that: one kernel for both bounds."""
    alpha, beta = node.attributes.get("alpha", 0.2), node.attributes.get("beta", 0.5)
    scaled = compiler.compute("MUL", x, 6 * alpha)
    cut = compiler.compute("ADD", scaled, 6 * beta, fusedActivationFunction=Activation.RELU6)
    return compiler.compute("MUL", cut, 1 / 6)


def softplus(compiler: Compiler, _: Node, x: Tensor) -> Tensor:
    """log(1 + exp(x)) as max(x, 0) + log(1 + t) with t = exp(-|x|), which overflows for no x.

    log(1 + t) is t · log(u) / (u - 1) with u = 1 + t: what rounding u loses falls out of the
    quotient (Higham, Accuracy and Stability of Numerical Algorithms, 1.14.1).
    """
    small = x
    for code in ("ABS", "NEG", "EXP"):
        small = compiler.compute(code, small)
    above = compiler.compute("ADD", small, 1)
    rest = compiler.compute("MAXIMUM", compiler.compute("SUB", above, 1), TINY)
    slope = compiler.compute("DIV", compiler.compute("LOG", above), rest)
    tail = compiler.compute("MUL", small, slope)
    return compiler.compute("ADD", compiler.compute("RELU", x), tail)


def softsign(compiler: Compiler, _: Node, x: Tensor) -> Tensor:
    return compiler.compute("DIV", x, compiler.compute("ADD", compiler.compute("ABS", x), 1))


def shrink(compiler: Compiler, node: Node, x: Tensor) -> Tensor:
    """Zero between ±lambd; outside moved towards zero by the bias."""
    bias, limit = node.attributes.get("bias", 0.0), node.attributes.get("lambd", 0.5)
    over = compiler.compute("GREATER", x, limit, dtype="bool")
    under = compiler.compute("LESS", x, -limit, dtype="bool")
    rest = compiler.compute("SELECT_V2", under, compiler.compute("ADD", x, bias), 0)
    return compiler.compute("SELECT_V2", over, compiler.compute("SUB", x, bias), rest)


def thresholded_relu(compiler: Compiler, node: Node, x: Tensor) -> Tensor:
    alpha = node.attributes.get("alpha", 1.0)
    return compiler.compute("SELECT_V2", compiler.compute("GREATER", x, alpha, dtype="bool"), x, 0)


def prelu(compiler: Compiler, node: Node) -> None:
    """The slope broadcasts like any operand, and TFLite wants no batch axis in it."""
    (x, slope), layout = operands(compiler, node)
    if slope.dtype == "float32" and len(slope.shape) == len(x.shape) and slope.shape[0] == 1:
        slope = compiler.reshape(slope, slope.shape[1:])
    compiler.give(node, compiler.emit("PRELU", [x, slope], x.shape), layout)


TRANSLATIONS: Mapping[str, Translation] = {
    "Celu": pointwise(celu),
    "Clip": clip,
    "Elu": pointwise(elu),
    "Gelu": pointwise(gelu),
    "HardSigmoid": pointwise(hard_sigmoid),
    "LeakyRelu": pointwise(leaky_relu),
    "Mish": pointwise(mish),
    "PRelu": prelu,
    "Relu": pointwise(relu),
    "Selu": pointwise(selu),
    "Shrink": pointwise(shrink),
    "Softplus": pointwise(softplus),
    "Softsign": pointwise(softsign),
    "Swish": pointwise(swish),
    "ThresholdedRelu": pointwise(thresholded_relu),
}
