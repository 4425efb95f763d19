"""Stored numbers of a `.tflite` file: what its bytes mean, and what its integers stand for."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.tflite_graph.parts import CODES, Array, Scales, Tensor, damaged

NUMBERS: Mapping[str, Any] = {
    "BOOL": np.bool_,
    "FLOAT16": np.float16,
    "FLOAT32": np.float32,
    "FLOAT64": np.float64,
    "INT16": np.int16,
    "INT32": np.int32,
    "INT64": np.int64,
    "INT8": np.int8,
    "UINT8": np.uint8,
}
"""Types that are read, but for INT4; the other ones mean text, or things that no file needs."""


def values_of(raw: NDArray[np.uint8], shape: tuple[int, ...], dtype: str) -> Array:
    """The bytes of a constant as numbers; what is no number stays bytes: its reader is refused."""
    count = math.prod(shape)
    if dtype == "INT4":
        if len(raw) != -(-count // 2):
            raise damaged(f"{2 * len(raw)} numbers are stored for the shape {list(shape)}")
        return unpacked(raw)[:count].reshape(shape)
    if dtype not in NUMBERS:
        return np.asarray(raw)
    values = np.frombuffer(raw, NUMBERS[dtype])
    if values.size != count:
        raise damaged(f"{values.size} numbers are stored for the shape {list(shape)}")
    return values.reshape(shape)


def unpacked(raw: NDArray[np.uint8]) -> NDArray[np.int8]:
    """Two codes of four bits a byte, the first in the lower half."""
    pairs = np.stack([raw << 4, raw], axis=-1).astype(np.uint8).view(np.int8)
    return np.asarray(pairs.reshape(-1) >> 4, np.int8)


def refuse_scales(tensor: Tensor) -> None:
    """Hold that scales are numbers to divide by, and zero points among the codes."""
    scales = tensor.scales
    if scales is None or tensor.dtype not in CODES:
        return
    low, high = limits(tensor.dtype)
    if not np.isfinite(scales.scale).all() or (scales.scale < 0).any():
        raise damaged(f"{tensor.name!r} has a scale that is no positive number")
    if (scales.zero < low).any() or (scales.zero > high).any():
        raise damaged(f"{tensor.name!r} has a zero point that is none of its codes")
    if tensor.data is None and (scales.per_channel or not scales.scale.all()):
        raise damaged(f"{tensor.name!r} is computed, and has several scales or one of zero")


def limits(dtype: str) -> tuple[int, int]:
    """The smallest and largest code of a type."""
    if dtype == "INT4":
        return -8, 7
    found = np.iinfo(NUMBERS[dtype])
    return int(found.min), int(found.max)


def real(tensor: Tensor) -> Array:
    """The real numbers of a constant, or its integers where they stand for themselves."""
    if tensor.data is None:
        raise AssertionError(f"{tensor.name!r} is computed")
    if tensor.dtype == "FLOAT16":
        return tensor.data.astype(np.float32)
    if tensor.scales is None or tensor.dtype not in CODES | {"INT32", "INT64"}:
        return tensor.data
    scale, zero = along(tensor.scales, tensor.data.ndim)
    return np.asarray((tensor.data.astype(np.float64) - zero) * scale, np.float32)


def along(scales: Scales, rank: int) -> tuple[Array, Array]:
    """Scale and zero point, shaped to broadcast with an array of `rank` axes."""
    shape = [1] * rank
    if scales.per_channel:
        shape[scales.axis] = -1
    return scales.scale.astype(np.float64).reshape(shape), scales.zero.reshape(shape)
