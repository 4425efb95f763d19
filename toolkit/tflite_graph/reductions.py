"""What is computed along axes: sums, extremes, shares, norms, orders."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from toolkit.flatbuffer.layout import Layout, permutation
from toolkit.tflite_graph.activations import activated
from toolkit.tflite_graph.builder import Builder, Translation
from toolkit.tflite_graph.numbers import NUMBERS
from toolkit.tflite_graph.parts import Operation, damaged

REDUCTIONS = {
    "MEAN": "ReduceMean",
    "REDUCE_ALL": "ReduceMin",
    "REDUCE_ANY": "ReduceMax",
    "REDUCE_MAX": "ReduceMax",
    "REDUCE_MIN": "ReduceMin",
    "REDUCE_PROD": "ReduceProd",
    "SUM": "ReduceSum",
}
LEAST_NORM = 1e-6  # below it the kernel divides by it


def reduction(builder: Builder, operation: Operation) -> None:
    tensor, shape = builder.tensor(operation, 0), builder.output(operation).shape
    rank, keep = len(tensor.shape), bool(operation.option("KeepDims"))
    axes = sorted({builder.axis(operation, a) for a in builder.integers_of(operation, 1)})
    place = builder.place(operation, 0)
    if not axes:
        builder.give(operation, builder.take(operation, 0))
        return
    if operation.code == "MEAN" and rank == 4 and axes == [1, 2] and not builder.batch(place):
        global_average(builder, operation, tensor.shape, keep)
        return
    kept = keep and rank == 4
    layout = builder.held(place) if kept else Layout.LAST
    x = builder.take(operation, 0, layout)
    if rank == 4:
        axes = [axis_in_file(layout, axis) for axis in axes]
    result = builder.shape(operation, layout) if kept else shape
    if tensor.dtype == "BOOL":
        x = to(builder, x, np.int32, tensor.shape)
    made = builder.emit(
        REDUCTIONS[operation.code], [x, builder.integers(axes)], result, keepdims=int(keep)
    )
    if tensor.dtype == "BOOL":
        made = to(builder, made, np.bool_, result)
    before = sum(axis < builder.batch(place) for axis in axes)
    batch = builder.batch(place) - (0 if keep else before)
    builder.give(operation, made, layout, batch=batch)


def to(builder: Builder, name: str, dtype: Any, shape: tuple[int, ...]) -> str:
    from onnx import helper

    number = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    return builder.emit("Cast", [name], shape, to=number)


def global_average(
    builder: Builder, operation: Operation, shape: tuple[int, ...], keep: bool
) -> None:
    """The average of each channel: an operator that every pass knows."""
    x = builder.take(operation, 0, Layout.FIRST)
    made = builder.emit("GlobalAveragePool", [x], (shape[0], shape[3], 1, 1))
    if keep:
        builder.give(operation, made, Layout.FIRST)
        return
    if builder.output(operation).quantized:  # its integer kernel is followed by its rounding
        made = builder.paired(made, builder.output(operation), (shape[0], shape[3], 1, 1))
    builder.give(operation, builder.emit("Flatten", [made], (shape[0], shape[3])))


def axis_in_file(layout: Layout, axis: int) -> int:
    """Where an axis of the file's (N, H, W, C) lies in `layout`."""
    return permutation(4, Layout.LAST, layout).index(axis)


def softmax(builder: Builder, operation: Operation) -> None:
    """Over the last axis, of the input times `beta`."""
    shape = builder.output(operation).shape
    axis = builder.axis(operation, -1)
    x = builder.take(operation, 0)
    beta = float(operation.option("Beta", 1.0))
    if operation.code == "SOFTMAX" and beta != 1.0:
        x = builder.emit("Mul", [x, builder.number(beta)], shape)
    op = "Softmax" if operation.code == "SOFTMAX" else "LogSoftmax"
    builder.give(operation, builder.emit(op, [x], shape, axis=axis))


def extreme_place(builder: Builder, operation: Operation) -> None:
    """ARG_MAX and ARG_MIN: the first of equals, in both formats."""
    tensor, shape = builder.output(operation), builder.output(operation).shape
    axis = [builder.axis(operation, a) for a in builder.integers_of(operation, 1)]
    if len(axis) != 1:
        raise damaged(f"{operation.code} works along {len(axis)} axes")
    op = "ArgMax" if operation.code == "ARG_MAX" else "ArgMin"
    made = builder.emit(op, [builder.take(operation, 0)], shape, axis=axis[0], keepdims=0)
    if tensor.dtype != "INT64":
        made = to(builder, made, NUMBERS.get(tensor.dtype, np.int32), shape)
    batch = builder.batch(builder.place(operation, 0))
    builder.give(operation, made, batch=batch - (axis[0] < batch))


def largest(builder: Builder, operation: Operation) -> None:
    """TOPK_V2: the largest along the last axis, and their places."""
    [count] = builder.integers_of(operation, 1) or [0]
    axis = builder.axis(operation, -1)
    shapes = [builder.shape(operation, output=index) for index in (0, 1)]
    inputs = [builder.take(operation, 0), builder.integers([count])]
    values, places = builder.emit_many("TopK", inputs, shapes, axis=axis, largest=1, sorted=1)
    builder.give(operation, values)
    dtype = NUMBERS.get(builder.output(operation, 1).dtype, np.int32)
    builder.give(operation, to(builder, places, dtype, shapes[1]), output=1)


def running_total(builder: Builder, operation: Operation) -> None:
    [axis] = builder.integers_of(operation, 1) or [0]
    axis = builder.axis(operation, axis)
    inputs = [builder.take(operation, 0), builder.store("axis", np.array(axis, np.int64))]
    more = {n.lower(): int(operation.option(n, False)) for n in ("Exclusive", "Reverse")}
    builder.give(operation, builder.emit("CumSum", inputs, builder.shape(operation), **more))


def unit_length(builder: Builder, operation: Operation) -> None:
    """L2_NORMALIZATION along the last axis."""
    axis, shape = builder.axis(operation, -1), builder.shape(operation)
    x, one = builder.take(operation, 0), (*shape[:-1], 1)
    squares = builder.emit("Mul", [x, x], shape)
    sums = builder.emit("ReduceSum", [squares, builder.integers([axis])], one, keepdims=1)
    norm = builder.emit("Sqrt", [sums], one)
    norm = builder.emit("Max", [norm, builder.number(LEAST_NORM)], one)
    made = builder.emit("Div", [x, norm], shape)
    builder.give(operation, activated(builder, operation, made, shape))


def local_response(builder: Builder, operation: Operation) -> None:
    """ONNX takes the mean of the squares, where TFLite takes their sum."""
    if len(builder.output(operation).shape) != 4:
        raise damaged(f"{operation.code} works on other values than images")
    size = 2 * int(operation.option("Radius")) + 1
    x, shape = builder.take(operation, 0, Layout.FIRST), builder.shape(operation, Layout.FIRST)
    made = builder.emit(
        "LRN", [x], shape, size=size, bias=float(operation.option("Bias")),
        alpha=float(operation.option("Alpha")) * size, beta=float(operation.option("Beta")),
    )  # fmt: skip
    builder.give(operation, made, Layout.FIRST)


TRANSLATIONS: Mapping[str, Translation] = {
    **dict.fromkeys(REDUCTIONS, reduction),
    "ARG_MAX": extreme_place,
    "ARG_MIN": extreme_place,
    "CUMSUM": running_total,
    "L2_NORMALIZATION": unit_length,
    "LOCAL_RESPONSE_NORMALIZATION": local_response,
    "LOG_SOFTMAX": softmax,
    "SOFTMAX": softmax,
    "TOPK_V2": largest,
}
