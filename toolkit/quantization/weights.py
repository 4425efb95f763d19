"""Arrays in fewer bits: symmetric codes with a scale a tensor, a channel or a block.

Symmetric, as every int8 kernel wants it (Krishnamoorthi 2018, arXiv:1806.08342, section 2.1).
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edge_targets.runtime.errors import UnsupportedError

Array = NDArray[Any]
Method = Literal["minmax", "mse"]

SHRINKS = np.linspace(1.0, 0.4, 31)  # shares of the largest weight that "mse" tries as the range
SMALLEST = float(np.finfo(np.float32).tiny)  # a scale below it is rounded to nothing
LARGEST_HALF = float(np.finfo(np.float16).max)


@dataclass(frozen=True)
class Codes:
    """real = values · scales, the scales spread along `axis` (in blocks when `block` is set).

    Attributes:
        values: int8, also for fewer bits.
        scales: shape () for one a tensor, (C,) for one a channel; with blocks that of `values`
            with `axis` shorter.
    """

    values: NDArray[np.int8]
    scales: NDArray[np.float32]
    axis: int = 0
    block: int = 0

    def real(self) -> NDArray[np.float32]:
        """The numbers that the codes stand for."""
        return (self.values * spread(self.scales, self.values, self.axis, self.block)).astype(
            np.float32
        )


def quantize(
    values: Array,
    bits: int,
    axis: int | None,
    *,
    method: Method = "minmax",
    scales: Array | None = None,
) -> Codes:
    """Codes of an array; `axis` is that of the channels, None for one scale for all."""
    if scales is None:
        scales = scales_of(values, bits, axis, method)
    scales = np.asarray(scales, np.float32)
    kept = 0 if axis is None else axis % values.ndim
    if not scales.ndim and axis is not None:
        axis = None
    return Codes(rounded(values, spread(scales, values, kept, 0), bits), scales, kept)


def quantize_blocks(values: Array, bits: int, axis: int, block: int, method: Method) -> Codes:
    """A scale for every `block` weights along `axis`: the axis that a product sums over."""
    length = values.shape[axis]
    edges = range(0, length, block)
    parts = [np.take(values, range(e, min(e + block, length)), axis) for e in edges]
    scales = np.stack([scales_along(part, bits, axis, method) for part in parts], axis)
    return Codes(rounded(values, spread(scales, values, axis, block), bits), scales, axis, block)


def method_for(bits: int) -> Method:
    """Of few codes many are spent on a weight that is larger than the rest."""
    return "mse" if bits <= 4 else "minmax"


def scales_of(
    values: Array, bits: int, axis: int | None, method: Method = "minmax"
) -> NDArray[np.float32]:
    """The scale of the tensor, shape (), or of each channel, shape (C,)."""
    if axis is None:
        rows = values.reshape(1, -1)
    else:
        rows = np.moveaxis(values, axis, 0).reshape(values.shape[axis], -1)
    found = scales_along(rows, bits, 1, method)
    return np.asarray(found[0] if axis is None else found, np.float32)


def scales_along(values: Array, bits: int, axis: int, method: Method) -> NDArray[np.float32]:
    """A scale for each line along `axis`; a line of zeros keeps a scale that divides."""
    largest = np.abs(values).max(axis=axis).astype(np.float64)
    levels = (1 << (bits - 1)) - 1
    full = np.where(largest > 0, largest, 1.0) / levels
    if method == "minmax":
        return np.maximum(full, SMALLEST).astype(np.float32)
    best, chosen = np.full(full.shape, np.inf), full
    for shrink in SHRINKS:
        scales = full * shrink
        wide = np.expand_dims(scales, axis)
        found = np.clip(np.rint(values / wide), -levels, levels) * wide
        error = ((found - values) ** 2).sum(axis=axis)
        chosen = np.where(error < best, scales, chosen)
        best = np.minimum(error, best)
    return np.maximum(chosen, SMALLEST).astype(np.float32)


def rounded(values: Array, scales: Array, bits: int) -> NDArray[np.int8]:
    """The nearest codes, halves to even; -128 is not used, so that a sign can be turned."""
    levels = (1 << (bits - 1)) - 1
    found = np.rint(np.asarray(values, np.float64) / np.asarray(scales, np.float64))
    return np.clip(found, -levels, levels).astype(np.int8)


def spread(scales: Array, values: Array, axis: int, block: int) -> Array:
    """Scales in a shape that broadcasts with the values."""
    if block:
        return np.repeat(scales, block, axis).take(range(values.shape[axis]), axis)
    if not scales.ndim:
        return scales
    shape = [1] * values.ndim
    shape[axis] = -1
    return scales.reshape(shape)


def halved(values: Array, layer: str) -> NDArray[np.float16]:
    """As float16.

    Raises:
        UnsupportedError: a weight is too large for it.
    """
    if values.size and float(np.abs(values).max()) > LARGEST_HALF:
        raise UnsupportedError(
            f"Layer {layer!r} has a weight of {float(np.abs(values).max()):.3g}; float16 ends at "
            f"{LARGEST_HALF:.0f}.",
            f"Leave the layer as it is: layers={layer}=float.",
        )
    return values.astype(np.float16)


def refuse_broken(values: Array, layer: str) -> None:
    """Say which layer holds what is no number, before it spreads.

    Raises:
        UnsupportedError: a weight is not-a-number or infinite.
    """
    if np.isfinite(values).all():
        return
    count = int(values.size - np.isfinite(values).sum())
    raise UnsupportedError(
        f"Layer {layer!r} has {count} of {values.size} weights that are not-a-number or infinite.",
        "Its training went wrong: train again with a smaller learning rate.",
    )
