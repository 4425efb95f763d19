"""Operators that compute each value on its own, or along an axis."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from toolkit.flatbuffer.layout import Layout, permutation
from toolkit.tflite_graph.builder import CLIPPED, QUANTIZED_HINT, Builder, Translation
from toolkit.tflite_graph.flat import Operation, damaged

UNARY = {
    "ABS": "Abs",
    "CEIL": "Ceil",
    "COS": "Cos",
    "ELU": "Elu",
    "EXP": "Exp",
    "FLOOR": "Floor",
    "HARD_SWISH": "HardSwish",
    "LOG": "Log",
    "LOGISTIC": "Sigmoid",
    "NEG": "Neg",
    "RELU": "Relu",
    "SIN": "Sin",
    "SQRT": "Sqrt",
    "TANH": "Tanh",
}
BINARY = {
    "ADD": "Add",
    "DIV": "Div",
    "MAXIMUM": "Max",
    "MINIMUM": "Min",
    "MUL": "Mul",
    "POW": "Pow",
    "SUB": "Sub",
}
REDUCTIONS = {
    "MEAN": "ReduceMean",
    "REDUCE_MAX": "ReduceMax",
    "REDUCE_MIN": "ReduceMin",
    "SUM": "ReduceSum",
}


def unary(builder: Builder, operation: Operation) -> None:
    layout = builder.held(builder.place(operation, 0))
    x, shape = builder.take(operation, 0, layout), builder.shape(operation, layout)
    if operation.code in CLIPPED:
        builder.give(operation, builder.activation(operation, operation.code, x, shape), layout)
        return
    builder.give(operation, builder.emit(UNARY[operation.code], [x], shape), layout)


def leaky_relu(builder: Builder, operation: Operation) -> None:
    layout = builder.held(builder.place(operation, 0))
    x, shape = builder.take(operation, 0, layout), builder.shape(operation, layout)
    alpha = float(operation.option("Alpha"))
    builder.give(operation, builder.emit("LeakyRelu", [x], shape, alpha=alpha), layout)


def reciprocal_root(builder: Builder, operation: Operation) -> None:
    layout = builder.held(builder.place(operation, 0))
    x, shape = builder.take(operation, 0, layout), builder.shape(operation, layout)
    root = builder.emit("Sqrt", [x], shape)
    builder.give(operation, builder.emit("Reciprocal", [root], shape), layout)


def binary(builder: Builder, operation: Operation) -> None:
    """Two operands that broadcast; constants get the axes that the layout needs."""
    rank = len(builder.output(operation).shape)
    places = [builder.place(operation, index) for index in (0, 1)]
    moving = [place for place in places if not builder.is_constant(place)]
    if any(builder.rank(place) != rank for place in moving):
        raise operation.unsupported(
            "joins values of different rank: with a batch of several items they would mix",
            "Export the model with the same number of axes on both sides.",
        )
    layout = Layout.LAST
    if any(builder.held(place) is Layout.FIRST for place in moving):
        layout = Layout.FIRST
    shape = builder.shape(operation, layout)
    inputs = [operand(builder, operation, index, layout, rank) for index in (0, 1)]
    made = builder.emit(BINARY[operation.code], inputs, shape)
    if operation.code in {"ADD", "SUB", "MUL", "DIV"}:
        made = builder.activated(operation, made, shape)
    builder.give(operation, made, layout)


def operand(builder: Builder, operation: Operation, index: int, layout: Layout, rank: int) -> str:
    place = builder.place(operation, index)
    if not builder.is_constant(place):
        return builder.take(operation, index, layout)
    array = builder.constant(operation, index)
    if array.ndim > rank:
        raise damaged(f"{operation.code} has a constant of {array.ndim} axes")
    if layout is Layout.FIRST and array.size > 1:
        array = array.reshape((1,) * (rank - array.ndim) + array.shape)
        array = array.transpose(permutation(rank, Layout.LAST, layout))
    return builder.store(f"constant_{place}", array)


def prelu(builder: Builder, operation: Operation) -> None:
    layout = builder.held(builder.place(operation, 0))
    x, shape = builder.take(operation, 0, layout), builder.shape(operation, layout)
    slope = operand(builder, operation, 1, layout, len(shape))
    builder.give(operation, builder.emit("PRelu", [x, slope], shape), layout)


def softmax(builder: Builder, operation: Operation) -> None:
    """Over the last axis, of the input times `beta`."""
    shape = builder.output(operation).shape
    refuse_batch(operation, len(shape) - 1)
    x = builder.take(operation, 0)
    beta = float(operation.option("Beta", 1.0))
    if operation.code == "SOFTMAX" and beta != 1.0:
        x = builder.emit("Mul", [x, builder.number(beta)], shape)
    op = "Softmax" if operation.code == "SOFTMAX" else "LogSoftmax"
    builder.give(operation, builder.emit(op, [x], shape, axis=len(shape) - 1))


def reduction(builder: Builder, operation: Operation) -> None:
    tensor, shape = builder.tensor(operation, 0), builder.output(operation).shape
    rank, keep = len(tensor.shape), bool(operation.option("KeepDims"))
    axes = sorted({axis_of(operation, int(a), rank) for a in flat(builder, operation, 1)})
    if operation.code == "MEAN" and rank == 4 and axes == [1, 2]:
        global_average(builder, operation, tensor.shape, keep)
        return
    kept = keep and rank == 4
    layout = builder.held(builder.place(operation, 0)) if kept else Layout.LAST
    x = builder.take(operation, 0, layout)
    if rank == 4:
        axes = [axis_in_file(layout, axis) for axis in axes]
    made = builder.emit(
        REDUCTIONS[operation.code],
        [x, builder.integers(axes)],
        builder.shape(operation, layout) if kept else shape,
        keepdims=int(keep),
    )
    builder.give(operation, made, layout)


def global_average(
    builder: Builder, operation: Operation, shape: tuple[int, ...], keep: bool
) -> None:
    """The average of each channel: an operator that every pass knows."""
    x = builder.take(operation, 0, Layout.FIRST)
    made = builder.emit("GlobalAveragePool", [x], (1, shape[3], 1, 1))
    if keep:
        builder.give(operation, made, Layout.FIRST)
        return
    builder.give(operation, builder.emit("Flatten", [made], (1, shape[3])))


def axis_in_file(layout: Layout, axis: int) -> int:
    """Where an axis of the file's (N, H, W, C) lies in `layout`."""
    return permutation(4, Layout.LAST, layout).index(axis)


def flat(builder: Builder, operation: Operation, index: int) -> list[int]:
    return [int(value) for value in builder.constant(operation, index).reshape(-1)]


def axis_of(operation: Operation, axis: int, rank: int) -> int:
    if not -rank <= axis < rank:
        raise damaged(f"{operation.code} works along axis {axis} of {rank}")
    refuse_batch(operation, axis % rank)
    return axis % rank


def refuse_batch(operation: Operation, axis: int) -> None:
    if axis < 1:
        raise operation.unsupported(
            "works along the batch", "Export the model with the batch as a free first axis."
        )


def dequantize(builder: Builder, operation: Operation) -> None:
    """Only weights in float16: their readers widen them, see `Builder.halves`."""
    if builder.halves(operation.outputs[0]) is None:
        raise operation.unsupported("unpacks integers: the file is quantized", QUANTIZED_HINT)


def concatenation(builder: Builder, operation: Operation) -> None:
    shape = builder.output(operation).shape
    axis = axis_of(operation, operation.option("Axis"), len(shape))
    layout = Layout.LAST
    if any(builder.held(place) is Layout.FIRST for place in operation.inputs):
        layout = Layout.FIRST
    if any(builder.is_constant(place) for place in operation.inputs):
        raise operation.unsupported(
            "joins a constant to the data", "Export the model without it: a batch cannot be joined."
        )
    inputs = [builder.take(operation, index, layout) for index in range(len(operation.inputs))]
    if len(shape) == 4:
        axis = axis_in_file(layout, axis)
    made = builder.emit("Concat", inputs, builder.shape(operation, layout), axis=axis)
    builder.give(operation, builder.activated(operation, made, shape), layout)


def padding(builder: Builder, operation: Operation) -> None:
    amounts = builder.constant(operation, 1)
    rank = len(builder.output(operation).shape)
    if amounts.shape != (rank, 2) or (amounts < 0).any():
        raise damaged(f"{operation.code} has paddings {amounts.tolist()}")
    if amounts[0].any():
        refuse_batch(operation, 0)
    layout = builder.held(builder.place(operation, 0))
    if rank == 4:
        amounts = amounts[list(permutation(4, Layout.LAST, layout))]
    x = builder.take(operation, 0, layout)
    more: list[Any] = [builder.integers([int(v) for v in amounts.T.reshape(-1)])]
    if operation.code == "PADV2":
        fill = builder.constant(operation, 2).astype(np.float32).reshape(())
        more.append(builder.store("fill", fill))
    builder.give(
        operation, builder.emit("Pad", [x, *more], builder.shape(operation, layout)), layout
    )


def transpose(builder: Builder, operation: Operation) -> None:
    axes, shape = flat(builder, operation, 1), builder.output(operation).shape
    if sorted(axes) != list(range(len(shape))):
        raise damaged(f"TRANSPOSE puts axes into the order {axes}")
    if axes[0]:
        refuse_batch(operation, 0)
    x = builder.take(operation, 0)
    builder.give(operation, builder.emit("Transpose", [x], shape, perm=axes))


def reshape(builder: Builder, operation: Operation) -> None:
    """The file says the result's shape; where it was computed from the batch, too."""
    tensor, shape = builder.tensor(operation, 0), builder.output(operation).shape
    x = builder.take(operation, 0)
    if tensor.shape[:1] != (1,):
        raise operation.unsupported(
            f"reads the shape {list(tensor.shape)}, where the batch is no axis of its own",
            "Export the model with the batch as first axis of every value.",
        )
    builder.give(operation, builder.reshaped(operation, x, shape))


TRANSLATIONS: Mapping[str, Translation] = {
    **dict.fromkeys((*UNARY, *CLIPPED), unary),
    **dict.fromkeys(BINARY, binary),
    **dict.fromkeys(REDUCTIONS, reduction),
    **dict.fromkeys(("EXPAND_DIMS", "RESHAPE", "SQUEEZE"), reshape),
    **dict.fromkeys(("LOG_SOFTMAX", "SOFTMAX"), softmax),
    **dict.fromkeys(("PAD", "PADV2"), padding),
    "CONCATENATION": concatenation,
    "DEQUANTIZE": dequantize,
    "LEAKY_RELU": leaky_relu,
    "PRELU": prelu,
    "RSQRT": reciprocal_root,
    "TRANSPOSE": transpose,
}
