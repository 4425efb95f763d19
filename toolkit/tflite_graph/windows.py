"""Convolutions, pools and dense layers."""

from collections.abc import Mapping
from typing import Any

from toolkit.flatbuffer.layout import Layout
from toolkit.flatbuffer.operators.base import Padding
from toolkit.flatbuffer.operators.windows import Window, same
from toolkit.tflite_graph.builder import Builder, Translation, items
from toolkit.tflite_graph.flat import Operation, damaged


def convolution(builder: Builder, operation: Operation) -> None:
    """Weights are stored as (outputs, height, width, inputs)."""
    weights = builder.constant(operation, 1)
    refuse_rank(operation, builder, weights.ndim)
    channels = builder.tensor(operation, 0).shape[3]
    if not weights.shape[3] or channels % weights.shape[3]:
        raise damaged(f"{operation.code} has weights for other inputs")
    convolve(builder, operation, weights.transpose(0, 3, 1, 2), channels // weights.shape[3])


def depthwise(builder: Builder, operation: Operation) -> None:
    """Weights are stored as (1, height, width, outputs)."""
    weights = builder.constant(operation, 1)
    refuse_rank(operation, builder, weights.ndim)
    channels = builder.tensor(operation, 0).shape[3]
    if not channels or weights.shape[3] % channels or weights.shape[0] != 1:
        raise damaged(f"{operation.code} has weights for other inputs")
    convolve(builder, operation, weights.transpose(3, 0, 1, 2), channels)


def refuse_rank(operation: Operation, builder: Builder, weights: int) -> None:
    ranks = (len(builder.tensor(operation, 0).shape), weights, len(builder.output(operation).shape))
    if ranks != (4, 4, 4):
        raise damaged(f"{operation.code} works on {ranks} axes")


def convolve(builder: Builder, operation: Operation, weights: Any, groups: int) -> None:
    builder.scope = builder.layer(operation, "conv")
    size = builder.tensor(operation, 0).shape[1:3]
    window = window_of(operation, weights.shape[2:], size, dilated=True)
    inputs = [builder.take(operation, 0, Layout.FIRST)]
    inputs.append(builder.store(f"{builder.scope}.weight", weights))
    if builder.has(operation, 2):
        inputs.append(builder.store(f"{builder.scope}.bias", builder.constant(operation, 2)))
    shape = builder.shape(operation, Layout.FIRST)
    made = builder.emit(
        "Conv", inputs, shape, group=groups, kernel_shape=list(window.kernel),
        strides=list(window.strides), dilations=list(window.dilations),
        pads=[*window.before, *window.after],
    )  # fmt: skip
    builder.give(operation, builder.activated(operation, made, shape), Layout.FIRST)


def pool(builder: Builder, operation: Operation) -> None:
    """An average leaves padding out, in both formats."""
    tensor = builder.tensor(operation, 0)
    if len(tensor.shape) != 4:
        raise damaged(f"{operation.code} works on {len(tensor.shape)} axes")
    kernel = (operation.option("FilterHeight"), operation.option("FilterWidth"))
    window = window_of(operation, kernel, tensor.shape[1:3], dilated=False)
    op = "MaxPool" if operation.code == "MAX_POOL_2D" else "AveragePool"
    shape = builder.shape(operation, Layout.FIRST)
    x = builder.take(operation, 0, Layout.FIRST)
    made = builder.emit(
        op, [x], shape, kernel_shape=list(window.kernel), strides=list(window.strides),
        pads=[*window.before, *window.after],
    )  # fmt: skip
    builder.give(operation, builder.activated(operation, made, shape), Layout.FIRST)


def window_of(
    operation: Operation, kernel: tuple[int, ...], size: tuple[int, ...], dilated: bool
) -> Window:
    """TFLite's SAME as numbers: at stride 2 it is not the same at both sides."""
    strides = (operation.option("StrideH"), operation.option("StrideW"))
    names = ("DilationHFactor", "DilationWFactor")
    gaps = tuple(operation.option(name, 1) for name in names) if dilated else (1, 1)
    if min(*strides, *gaps, *kernel) < 1:
        raise damaged(f"{operation.code} has a window without size or stride")
    window = Window(tuple(kernel), strides, gaps, (0, 0), (0, 0))
    return same(window, size) if operation.option("Padding") == Padding.SAME else window


def dense(builder: Builder, operation: Operation) -> None:
    """Weights are stored as (outputs, inputs); more axes than two are rows, or are flattened."""
    weights = builder.constant(operation, 1)
    shape, given = builder.output(operation).shape, builder.tensor(operation, 0).shape
    if weights.ndim != 2 or operation.option("WeightsFormat"):
        raise operation.unsupported("has shuffled weights", "Export the model again.")
    builder.scope = builder.layer(operation, "dense")
    x = builder.take(operation, 0)
    bias = builder.constant(operation, 2) if builder.has(operation, 2) else None
    if len(shape) == 2:
        if items(given) != weights.shape[1] or given[:1] != (1,):
            raise operation.unsupported(
                f"makes rows of an item of shape {list(given[1:])}",
                "Export the model with keep_num_dims, or one row an item.",
            )
        if len(given) != 2:
            x = builder.reshaped(operation, x, (1, items(given)))
        inputs = [x, builder.store(f"{builder.scope}.weight", weights)]
        if bias is not None:
            inputs.append(builder.store(f"{builder.scope}.bias", bias))
        made = builder.emit("Gemm", inputs, shape, transB=1)
    else:
        stored = builder.store(f"{builder.scope}.weight", weights.T)
        made = builder.emit("MatMul", [x, stored], shape)
        if bias is not None:
            made = builder.emit("Add", [made, builder.store(f"{builder.scope}.bias", bias)], shape)
    builder.give(operation, builder.activated(operation, made, shape))


TRANSLATIONS: Mapping[str, Translation] = {
    "AVERAGE_POOL_2D": pool,
    "CONV_2D": convolution,
    "DEPTHWISE_CONV_2D": depthwise,
    "FULLY_CONNECTED": dense,
    "MAX_POOL_2D": pool,
}
