"""What convolutions and pools share: a window that moves over spatial axes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from toolkit.flatbuffer.compiler import Compiler
from toolkit.flatbuffer.graph import Node
from toolkit.flatbuffer.layout import Layout
from toolkit.flatbuffer.operators.base import Padding
from toolkit.flatbuffer.writer import Tensor

Pair = tuple[int, ...]


@dataclass(frozen=True)
class Window:
    """A window over height and width; what has one spatial axis gets a height of one."""

    kernel: Pair
    strides: Pair
    dilations: Pair
    before: Pair  # padding above and left
    after: Pair  # padding below and right

    @property
    def extent(self) -> Pair:
        """How far the window reaches, its gaps included."""
        pairs = zip(self.kernel, self.dilations, strict=True)
        return tuple((size - 1) * gap + 1 for size, gap in pairs)

    @property
    def padded(self) -> bool:
        return any(self.before) or any(self.after)


def window_of(node: Node, kernel: Sequence[int], size: Sequence[int]) -> Window:
    """The window of a node over a `size`, automatic and ceiling padding resolved."""
    rank, given = len(kernel), node.attributes
    if rank > 2:
        raise node.unsupported(
            f"has {rank} spatial axes", "TFLite runs 1-D and 2-D windows; fold an axis away."
        )
    strides = tuple(given.get("strides", (1,) * rank))
    dilations = tuple(given.get("dilations", (1,) * rank))
    pads = tuple(given.get("pads", (0,) * 2 * rank))
    window = Window(tuple(kernel), strides, dilations, pads[:rank], pads[rank:])
    if min(pads, default=0) < 0:
        raise node.unsupported("has negative padding", "Slice the input instead.")
    automatic = given.get("auto_pad", "NOTSET")
    if automatic.startswith("SAME"):
        window = same(window, size, lower=automatic == "SAME_LOWER")
    if rank == 1:
        window = Window(
            (1, *window.kernel), (1, *strides), (1, *dilations),
            (0, *window.before), (0, *window.after),
        )  # fmt: skip
    return window


def same(window: Window, size: Sequence[int], lower: bool = False) -> Window:
    """Padded so that the output has a `stride`-th of the size; the odd one goes to the end."""
    totals = [
        max((-(-n // stride) - 1) * stride + extent - n, 0)
        for n, stride, extent in zip(size, window.strides, window.extent, strict=True)
    ]
    small = tuple(total // 2 for total in totals)
    large = tuple(total - total // 2 for total in totals)
    before, after = (large, small) if lower else (small, large)
    return Window(window.kernel, window.strides, window.dilations, before, after)


def plane(compiler: Compiler, node: Node, index: int = 0) -> Tensor:
    """An input as (N, H, W, C); of (N, L, C) the height is one."""
    x = compiler.take(node, index, Layout.LAST)
    return x if len(x.shape) == 4 else compiler.reshape(x, (x.shape[0], 1, *x.shape[1:]))


def give_plane(compiler: Compiler, node: Node, tensor: Tensor) -> None:
    """Undo `plane` for an output."""
    if len(compiler.shape(node.outputs[0])) == 3:
        n, _, length, channels = tensor.shape
        tensor = compiler.reshape(tensor, (n, length, channels))
    compiler.give(node, tensor, Layout.LAST)


def output_size(window: Window, size: Sequence[int]) -> Pair:
    return tuple(
        (n + before + after - extent) // stride + 1
        for n, before, after, extent, stride in zip(
            size, window.before, window.after, window.extent, window.strides, strict=True
        )
    )


def pad_plane(
    compiler: Compiler, x: Tensor, window: Window, fill: float | None = None
) -> tuple[Tensor, Padding]:
    """Padding by the kernel where TFLite's SAME is what is asked for, else by an operator.

    TFLite puts an odd pixel of padding at the end, torch pads both sides alike: the two agree
    for odd windows at stride 1 and rarely at stride 2.
    """
    padding = kernel_padding(window, x.shape[1:3])
    if padding is not None:
        return x, padding
    pads = [(0, 0), *zip(window.before, window.after, strict=True), (0, 0)]
    return pad(compiler, x, pads, fill), Padding.VALID


def kernel_padding(window: Window, size: Sequence[int]) -> Padding | None:
    """Which of TFLite's two ways of padding is what the window asks for; None for neither."""
    if not window.padded:
        return Padding.VALID
    strided = tuple(-(-n // stride) for n, stride in zip(size, window.strides, strict=True))
    if output_size(window, size) == strided and same(window, size) == window:
        return Padding.SAME
    return None


def pad(
    compiler: Compiler, x: Tensor, pads: Sequence[tuple[int, int]], fill: float | None = None
) -> Tensor:
    """Constant padding, zero unless told otherwise; `pads` holds (before, after) an axis."""
    if not any(amount for pair in pads for amount in pair):
        return x
    shape = [size + sum(pair) for size, pair in zip(x.shape, pads, strict=True)]
    inputs = [x, compiler.writer.constant(np.array(pads, np.int32))]
    if fill:
        inputs.append(compiler.scalar(fill, x))
    code = "PADV2" if fill else "PAD"
    return compiler.emit(code, inputs, shape, quantization=x.quantization)
