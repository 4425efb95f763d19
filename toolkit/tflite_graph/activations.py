"""Functions of one value, alone or fused into what computes it."""

from collections.abc import Mapping, Sequence

import numpy as np

from toolkit.tflite_graph.builder import Builder, Translation
from toolkit.tflite_graph.numbers import NUMBERS, limits
from toolkit.tflite_graph.parts import Operation, Tensor

CLIPPED = {"RELU6": (0.0, 6.0), "RELU_N1_TO_1": (-1.0, 1.0), "RELU_0_TO_1": (0.0, 1.0)}
PLAIN = {"RELU": "Relu", "TANH": "Tanh"}
UNARY = {
    "ABS": "Abs",
    "CEIL": "Ceil",
    "COS": "Cos",
    "ELU": "Elu",
    "EXP": "Exp",
    "FLOOR": "Floor",
    "HARD_SWISH": "HardSwish",
    "LOG": "Log",
    "LOGICAL_NOT": "Not",
    "LOGISTIC": "Sigmoid",
    "NEG": "Neg",
    "RELU": "Relu",
    "ROUND": "Round",
    "SIGN": "Sign",
    "SIN": "Sin",
    "SQRT": "Sqrt",
    "TANH": "Tanh",
}


def activated(builder: Builder, operation: Operation, name: str, shape: Sequence[int]) -> str:
    """Behind the fused activation of an operator."""
    from ai_edge_litert import schema_py_generated as schema

    from toolkit.tflite_graph.flat import names_of

    number = operation.option("FusedActivationFunction")
    kind = names_of(schema.ActivationFunctionType).get(number, str(number))
    return name if kind == "NONE" else activation(builder, operation, kind, name, shape)


def activation(
    builder: Builder, operation: Operation, kind: str, name: str, shape: Sequence[int]
) -> str:
    if kind in PLAIN:
        return builder.emit(PLAIN[kind], [name], shape)
    if kind not in CLIPPED:
        raise operation.unsupported(
            f"has the activation {kind}", "Export the model with another activation."
        )
    tensor = builder.output(operation)
    if implied(tensor, *CLIPPED[kind]):
        return name
    dtype = np.float32 if tensor.quantized else NUMBERS.get(tensor.dtype, np.float32)
    bounds = [builder.number(bound, dtype) for bound in CLIPPED[kind]]
    return builder.emit("Clip", [name, *bounds], shape)


def implied(tensor: Tensor, least: float, most: float) -> bool:
    """Whether the codes of a result reach no further than a clip: runtimes fuse what has none."""
    if not tensor.quantized or tensor.scales is None:
        return False
    scale, zero = float(tensor.scales.scale[0]), int(tensor.scales.zero[0])
    low, high = ((code - zero) * scale for code in limits(tensor.dtype))
    return low > least - scale / 2 and high < most + scale / 2


def unary(builder: Builder, operation: Operation) -> None:
    layout = builder.layout(operation)
    x, shape = builder.take(operation, 0, layout), builder.shape(operation, layout)
    if operation.code in CLIPPED:
        made = activation(builder, operation, operation.code, x, shape)
    elif operation.code == "LEAKY_RELU":
        made = builder.emit("LeakyRelu", [x], shape, alpha=float(operation.option("Alpha")))
    elif operation.code == "GELU":
        way = "tanh" if operation.option("Approximate", False) else "none"
        made = builder.emit("Gelu", [x], shape, approximate=way)
    elif operation.code == "SQUARE":
        made = builder.emit("Mul", [x, x], shape)
    elif operation.code == "RSQRT":
        root = builder.emit("Sqrt", [x], shape)
        made = builder.emit("Reciprocal", [root], shape)
    else:
        made = builder.emit(UNARY[operation.code], [x], shape)
    builder.give(operation, made, layout)


def prelu(builder: Builder, operation: Operation) -> None:
    layout = builder.layout(operation)
    x, shape = builder.take(operation, 0, layout), builder.shape(operation, layout)
    slope = builder.operand(operation, 1, layout, len(shape))
    builder.give(operation, builder.emit("PRelu", [x, slope], shape), layout)


def same_value(builder: Builder, operation: Operation) -> None:
    """QUANTIZE and DEQUANTIZE: real numbers go through, rounded to the new codes."""
    place = operation.outputs[0]
    source, target = builder.tensor(operation, 0), builder.output(operation)
    for tensor in (source, target):
        if not tensor.quantized and not tensor.dtype.startswith("FLOAT"):
            raise operation.unsupported(
                f"works on {tensor.dtype.lower()} in {tensor.name!r}",
                "Quantize to 8 or 16 bits, with a scale.",
            )
    if builder.is_constant(place):
        return  # whoever reads it finds what it was unpacked from
    layout = builder.layout(operation)
    x, shape = builder.take(operation, 0, layout), builder.shape(operation, layout)
    x = builder.paired(x, target, shape, signed=source.quantized)
    builder.declare(place, x, layout, builder.batch(builder.place(operation, 0)))


def cast(builder: Builder, operation: Operation) -> None:
    from onnx import helper

    layout = builder.layout(operation)
    source, target = builder.tensor(operation, 0), builder.output(operation)
    if target.dtype not in NUMBERS or source.dtype not in NUMBERS:
        raise operation.unsupported(
            f"makes {target.dtype.lower()} of {source.dtype.lower()}", "Keep to plain numbers."
        )
    if source.quantized or target.quantized:
        raise operation.unsupported(
            "takes codes for numbers", "Export the model with QUANTIZE and DEQUANTIZE."
        )
    to = helper.np_dtype_to_tensor_dtype(np.dtype(NUMBERS[target.dtype]))
    x, shape = builder.take(operation, 0, layout), builder.shape(operation, layout)
    builder.give(operation, builder.emit("Cast", [x], shape, to=to), layout)


def fake_quantization(builder: Builder, operation: Operation) -> None:
    """Training's stand-in for rounding: the numbers without it are what was meant."""
    builder.notes.append("FAKE_QUANT was left out: it rounds, and quantizing here does so again.")
    layout = builder.layout(operation)
    builder.give(operation, builder.take(operation, 0, layout), layout)


TRANSLATIONS: Mapping[str, Translation] = {
    **dict.fromkeys((*UNARY, *CLIPPED, "GELU", "LEAKY_RELU", "RSQRT", "SQUARE"), unary),
    "CAST": cast,
    "DEQUANTIZE": same_value,
    "FAKE_QUANT": fake_quantization,
    "PRELU": prelu,
    "QUANTIZE": same_value,
}
