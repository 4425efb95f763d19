"""Where the channels of an activation lie: ONNX has them second, TFLite last."""

from collections.abc import Sequence
from enum import Enum

Axes = tuple[int, ...]


class Layout(Enum):
    """FIRST is ONNX's (N, C, spatial …), LAST is TFLite's (N, spatial …, C)."""

    FIRST = "first"
    LAST = "last"


def permutation(rank: int, source: Layout, target: Layout) -> Axes:
    """Which axis of `source` each axis of `target` is; below rank 3 both layouts are one."""
    if source is target or rank < 3:
        return tuple(range(rank))
    if target is Layout.LAST:
        return (0, *range(2, rank), 1)
    return (0, rank - 1, *range(1, rank - 1))


def permuted(values: Sequence[int], axes: Sequence[int]) -> Axes:
    return tuple(int(values[axis]) for axis in axes)


def shape_in(layout: Layout, shape: Sequence[int]) -> Axes:
    """The shape that a value of ONNX shape `shape` has in `layout`."""
    return permuted(shape, permutation(len(shape), Layout.FIRST, layout))


def axis_in(layout: Layout, axis: int, rank: int) -> int:
    """Where ONNX's `axis`, which may be negative, lies in `layout`."""
    return permutation(rank, Layout.FIRST, layout).index(axis % rank)


def composed(first: Sequence[int], second: Sequence[int]) -> Axes:
    """The one permutation that does `first` and then `second`."""
    return permuted(first, second)


def keeps_order(shape: Sequence[int], axes: Sequence[int]) -> bool:
    """Whether a transposition moves axes of size one only, and so no value in memory."""
    moved = [axis for axis in axes if shape[axis] != 1]
    return moved == sorted(moved)
