"""Functions of several values: arithmetic, comparisons, logic and choices."""

from collections.abc import Callable, Mapping

import numpy as np

from toolkit.flatbuffer.layout import Layout
from toolkit.tflite_graph.activations import activated
from toolkit.tflite_graph.builder import Builder, Translation
from toolkit.tflite_graph.numbers import NUMBERS
from toolkit.tflite_graph.parts import Operation, damaged

PLAIN = {
    "ADD": "Add",
    "BITWISE_XOR": "BitwiseXor",
    "DIV": "Div",
    "EQUAL": "Equal",
    "GREATER": "Greater",
    "GREATER_EQUAL": "GreaterOrEqual",
    "LESS": "Less",
    "LESS_EQUAL": "LessOrEqual",
    "LOGICAL_AND": "And",
    "LOGICAL_OR": "Or",
    "MAXIMUM": "Max",
    "MINIMUM": "Min",
    "MUL": "Mul",
    "POW": "Pow",
    "SUB": "Sub",
}
FUSED = {"ADD", "DIV", "MUL", "SUB"}


def binary(builder: Builder, operation: Operation) -> None:
    """Two operands that broadcast; constants get the axes that the layout needs."""
    inputs, layout = operands(builder, operation, 2)
    shape = builder.shape(operation, layout)
    if operation.code in PLAIN:
        made = builder.emit(PLAIN[operation.code], inputs, shape)
    else:
        made = COMPOSED[operation.code](builder, operation, inputs, shape)
    if operation.code in FUSED:
        made = activated(builder, operation, made, shape)
    builder.give(operation, made, layout)


def operands(builder: Builder, operation: Operation, count: int) -> tuple[list[str], Layout]:
    """Inputs of one rank, in one layout."""
    if len(operation.inputs) != count:
        raise damaged(f"{operation.code} reads {len(operation.inputs)} values")
    rank = len(builder.output(operation).shape)
    moving = [p for p in operation.inputs if p >= 0 and not builder.is_constant(p)]
    if any(builder.rank(p) != rank for p in moving):
        raise operation.unsupported(
            "joins values of different rank: with a batch of several items they would mix",
            "Export the model with the same number of axes on both sides.",
        )
    refuse_mixing(builder, operation, rank, moving)
    layout = builder.layout(operation)
    return [builder.operand(operation, i, layout, rank) for i in range(count)], layout


def refuse_mixing(builder: Builder, operation: Operation, rank: int, moving: list[int]) -> None:
    """Every operand has the batch at one place, and a constant has nothing there."""
    axes = {builder.batch(place) for place in moving}
    sizes = {builder.file.tensors[p].shape[builder.batch(p)] for p in moving if rank}
    for index, place in enumerate(operation.inputs):
        shape = () if place in moving else builder.constant(operation, index).shape
        if len(shape) == rank and any(shape[axis] != 1 for axis in axes if rank):
            sizes.add(0)
    if len(axes) > 1 or len(sizes) > 1:
        raise operation.unsupported(
            "joins values that have their batch at different places, or numbers for each item",
            "Export the model with the batch as first axis of every value, free.",
        )


def squared_difference(
    builder: Builder, operation: Operation, inputs: list[str], shape: tuple[int, ...]
) -> str:
    difference = builder.emit("Sub", inputs, shape)
    return builder.emit("Mul", [difference, difference], shape)


def not_equal(
    builder: Builder, operation: Operation, inputs: list[str], shape: tuple[int, ...]
) -> str:
    return builder.emit("Not", [builder.emit("Equal", inputs, shape)], shape)


def floor_division(
    builder: Builder, operation: Operation, inputs: list[str], shape: tuple[int, ...]
) -> str:
    if builder.output(operation).dtype == "FLOAT32":
        return builder.emit("Floor", [builder.emit("Div", inputs, shape)], shape)
    rest = builder.emit("Mod", inputs, shape)  # has the sign of the divisor
    whole = builder.emit("Sub", [inputs[0], rest], shape)
    return builder.emit("Div", [whole, inputs[1]], shape)


def floor_modulo(
    builder: Builder, operation: Operation, inputs: list[str], shape: tuple[int, ...]
) -> str:
    if builder.output(operation).dtype != "FLOAT32":
        return builder.emit("Mod", inputs, shape)
    times = floor_division(builder, operation, inputs, shape)
    whole = builder.emit("Mul", [times, inputs[1]], shape)
    return builder.emit("Sub", [inputs[0], whole], shape)


COMPOSED: Mapping[str, Callable[[Builder, Operation, list[str], tuple[int, ...]], str]] = {
    "FLOOR_DIV": floor_division,
    "FLOOR_MOD": floor_modulo,
    "NOT_EQUAL": not_equal,
    "SQUARED_DIFFERENCE": squared_difference,
}


def total(builder: Builder, operation: Operation) -> None:
    inputs, layout = operands(builder, operation, len(operation.inputs))
    builder.give(operation, builder.emit("Sum", inputs, builder.shape(operation, layout)), layout)


def select(builder: Builder, operation: Operation) -> None:
    """SELECT takes a condition of the same shape, or one for each item; SELECT_V2 broadcasts."""
    inputs, layout = operands(builder, operation, 3)
    builder.give(operation, builder.emit("Where", inputs, builder.shape(operation, layout)), layout)


def zeros(builder: Builder, operation: Operation) -> None:
    """As many as the input has values, whatever they are."""
    layout = builder.layout(operation)
    shape, dtype = builder.shape(operation, layout), builder.output(operation).dtype
    x = builder.take(operation, 0, layout)
    size = builder.emit("Shape", [x], (len(shape),))
    zero = builder.number(0, np.float32 if builder.output(operation).quantized else NUMBERS[dtype])
    builder.give(operation, builder.emit("Expand", [zero, size], shape), layout)


TRANSLATIONS: Mapping[str, Translation] = {
    **dict.fromkeys((*PLAIN, *COMPOSED), binary),
    "ADD_N": total,
    "SELECT": select,
    "SELECT_V2": select,
    "ZEROS_LIKE": zeros,
}
