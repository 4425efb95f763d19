"""Convolutions and pools: a window that moves over an image."""

from collections.abc import Mapping, Sequence

from toolkit.flatbuffer.layout import Layout, permuted
from toolkit.flatbuffer.operators.base import Padding
from toolkit.flatbuffer.operators.windows import Window, same
from toolkit.tflite_graph.activations import activated
from toolkit.tflite_graph.builder import Builder, Translation
from toolkit.tflite_graph.dilation import Dilated
from toolkit.tflite_graph.parts import Operation, Tensor, damaged
from toolkit.tflite_graph.weights import stored_bias, stored_weight, weights_of


def convolution(builder: Builder, operation: Operation) -> None:
    """Weights are stored as (outputs, height, width, inputs)."""
    weights = weights_of(builder, operation, 1)
    refuse_rank(operation, builder, len(weights.shape))
    channels = builder.tensor(operation, 0).shape[3]
    if not weights.shape[3] or channels % weights.shape[3]:
        raise damaged(f"{operation.code} has weights for other inputs")
    convolve(builder, operation, weights, (0, 3, 1, 2), channels // weights.shape[3])


def depthwise(builder: Builder, operation: Operation) -> None:
    """Weights are stored as (1, height, width, outputs)."""
    weights = weights_of(builder, operation, 1)
    refuse_rank(operation, builder, len(weights.shape))
    channels = builder.tensor(operation, 0).shape[3]
    if not channels or weights.shape[3] % channels or weights.shape[0] != 1:
        raise damaged(f"{operation.code} has weights for other inputs")
    convolve(builder, operation, weights, (3, 0, 1, 2), channels)


def refuse_rank(operation: Operation, builder: Builder, weights: int, index: int = 0) -> None:
    given = builder.tensor(operation, index).shape
    ranks = (len(given), weights, len(builder.output(operation).shape))
    if ranks != (4, 4, 4):
        raise damaged(f"{operation.code} works on {ranks} axes")
    builder.axis(operation, 1, index)  # which is not the batch, nor are those behind it
    builder.axis(operation, 2, index)
    builder.axis(operation, 3, index)


def convolve(
    builder: Builder, operation: Operation, weights: Tensor, axes: Sequence[int], groups: int
) -> None:
    builder.scope = builder.layer(operation, "conv")
    source = builder.tensor(operation, 0)
    kernel = permuted(weights.shape, axes)[2:]
    window = window_of(operation, kernel, source.shape[1:3], dilated=True)
    note_measured(builder, operation, weights)
    x = builder.take(operation, 0, Layout.FIRST)
    inputs = [x, stored_weight(builder, weights, axes)]
    inputs.append(stored_bias(builder, operation, 2, source, weights))
    shape = builder.shape(operation, Layout.FIRST)
    made = builder.emit(
        "Conv", [name for name in inputs if name], shape, group=groups,
        kernel_shape=list(window.kernel), strides=list(window.strides),
        dilations=list(window.dilations), pads=[*window.before, *window.after],
    )  # fmt: skip
    builder.give(operation, activated(builder, operation, made, shape), Layout.FIRST)


def note_measured(builder: Builder, operation: Operation, weights: Tensor) -> None:
    """A convolution of floats with stored codes: integers would make it many times slower here."""
    is_read_as_it_is = builder.tensor(operation, 1) is weights
    if is_read_as_it_is and weights.quantized and not builder.tensor(operation, 0).quantized:
        builder.notes.append(
            "Convolutions compute with the real numbers of their stored weights; TFLite rounds "
            "what they take to 8 bits while it runs, and answers a little otherwise."
        )


def transposed(builder: Builder, operation: Operation) -> None:
    """Inputs are the size of the result, weights as (outputs, height, width, inputs), and data."""
    weights = weights_of(builder, operation, 1)
    refuse_rank(operation, builder, len(weights.shape), 2)
    builder.scope = builder.layer(operation, "conv")
    source, target = builder.tensor(operation, 2), builder.output(operation).shape
    strides = (operation.option("StrideH"), operation.option("StrideW"))
    if min(strides) < 1 or 0 in weights.shape or source.shape[3] != weights.shape[3]:
        raise damaged(f"{operation.code} has a window without size or stride")
    spare = [
        (n - 1) * stride + size - m
        for n, stride, size, m in zip(
            source.shape[1:3], strides, weights.shape[1:3], target[1:3], strict=True
        )
    ]
    before = [max(n, 0) // 2 for n in spare]
    after = [max(n, 0) - max(n, 0) // 2 for n in spare]
    x = builder.take(operation, 2, Layout.FIRST)
    inputs = [x, stored_weight(builder, weights, (3, 0, 1, 2))]
    inputs.append(stored_bias(builder, operation, 3, source, weights))
    shape = builder.shape(operation, Layout.FIRST)
    made = builder.emit(
        "ConvTranspose", [name for name in inputs if name], shape,
        kernel_shape=list(weights.shape[1:3]), strides=list(strides), pads=[*before, *after],
        output_padding=[max(-n, 0) for n in spare],
    )  # fmt: skip
    builder.give(operation, activated(builder, operation, made, shape), Layout.FIRST)


def pool(builder: Builder, operation: Operation) -> None:
    """An average leaves padding out, in both formats."""
    refuse_rank(operation, builder, 4)
    source = builder.tensor(operation, 0).shape
    kernel = (operation.option("FilterHeight"), operation.option("FilterWidth"))
    window = window_of(operation, kernel, source[1:3], dilated=False)
    op = "MaxPool" if operation.code == "MAX_POOL_2D" else "AveragePool"
    shape = builder.shape(operation, Layout.FIRST)
    x = builder.take(operation, 0, Layout.FIRST)
    whole = kernel == source[1:3] == window.kernel and shape[2:] == (1, 1) and not window.padded
    if op == "AveragePool" and whole:  # an operator that every pass knows
        made = builder.emit("GlobalAveragePool", [x], shape)
    else:
        made = builder.emit(
            op, [x], shape, kernel_shape=list(window.kernel), strides=list(window.strides),
            pads=[*window.before, *window.after],
        )  # fmt: skip
    builder.give(operation, activated(builder, operation, made, shape), Layout.FIRST)


def window_of(
    operation: Operation, kernel: tuple[int, ...], size: tuple[int, ...], dilated: bool
) -> Window:
    """TFLite's SAME as numbers: at stride 2 it is not the same at both sides."""
    strides = (operation.option("StrideH"), operation.option("StrideW"))
    names = ("DilationHFactor", "DilationWFactor")
    gaps = tuple(operation.option(name, 1) for name in names) if dilated else (1, 1)
    if min(*strides, *gaps, *kernel) < 1:
        raise damaged(f"{operation.code} has a window without size or stride")
    if isinstance(operation.options, Dilated):
        return Window(kernel, strides, gaps, operation.options.before, operation.options.after)
    window = Window(tuple(kernel), strides, gaps, (0, 0), (0, 0))
    return same(window, size) if operation.option("Padding") == Padding.SAME else window


TRANSLATIONS: Mapping[str, Translation] = {
    "AVERAGE_POOL_2D": pool,
    "CONV_2D": convolution,
    "DEPTHWISE_CONV_2D": depthwise,
    "MAX_POOL_2D": pool,
    "TRANSPOSE_CONV": transposed,
}
