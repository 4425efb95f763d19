"""Convolutions, pools and resizes against onnxruntime: where the two formats' padding differs."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.toolkit.formats.graphs import floats, graph_of, ints, node

Array = np.ndarray[Any, Any]


IMAGE = floats(1, 4, 9, 7)
EVEN = floats(1, 4, 8, 6)
SERIES = floats(1, 3, 11)


CONVOLUTIONS: dict[str, tuple[Array, tuple[int, ...], dict[str, Any]]] = {
    "plain": (IMAGE, (5, 4, 3, 3), {}),
    "padded": (IMAGE, (5, 4, 3, 3), {"pads": [1, 1, 1, 1]}),
    "stride 2 on odd": (IMAGE, (5, 4, 3, 3), {"pads": [1, 1, 1, 1], "strides": [2, 2]}),
    "stride 2 on even": (EVEN, (5, 4, 3, 3), {"pads": [1, 1, 1, 1], "strides": [2, 2]}),
    "uneven": (IMAGE, (5, 4, 2, 3), {"pads": [1, 0, 0, 2], "strides": [1, 2]}),
    "same upper": (EVEN, (5, 4, 3, 3), {"auto_pad": "SAME_UPPER", "strides": [2, 2]}),
    "same lower": (EVEN, (5, 4, 3, 3), {"auto_pad": "SAME_LOWER", "strides": [2, 2]}),
    "dilated": (IMAGE, (5, 4, 3, 3), {"dilations": [2, 2], "pads": [2, 2, 2, 2]}),
    "depthwise": (EVEN, (4, 1, 3, 3), {"group": 4, "pads": [1, 1, 1, 1], "strides": [2, 2]}),
    "multiplied": (EVEN, (8, 1, 3, 3), {"group": 4}),
    "grouped": (EVEN, (6, 2, 3, 3), {"group": 2, "pads": [1, 1, 1, 1]}),
    "1-D": (SERIES, (5, 3, 3), {"pads": [1, 1], "strides": [2]}),
    "1-D depthwise": (SERIES, (3, 1, 5), {"group": 3, "pads": [4, 4], "dilations": [2]}),
}


@pytest.mark.parametrize("case", CONVOLUTIONS)
@pytest.mark.parametrize("biased", [False, True])
def test_a_convolution_is_translated(
    case: str, biased: bool, assert_same: Callable[..., None]
) -> None:
    x, shape, attributes = CONVOLUTIONS[case]
    constants = {"w": floats(*shape)} | ({"b": floats(shape[0])} if biased else {})

    assert_same(graph_of(node("Conv", *constants, **attributes), x, constants), x)


TRANSPOSED: dict[str, tuple[Array, tuple[int, ...], dict[str, Any]]] = {
    "doubling": (EVEN, (4, 3, 4, 4), {"strides": [2, 2], "pads": [1, 1, 1, 1]}),
    "plain": (EVEN, (4, 3, 3, 3), {}),
    "output padding": (
        EVEN,
        (4, 3, 3, 3),
        {"strides": [2, 2], "pads": [1, 1, 1, 1], "output_padding": [1, 1]},
    ),
    "output padding alone": (EVEN, (4, 3, 2, 2), {"strides": [3, 3], "output_padding": [1, 0]}),
    "1-D": (SERIES, (3, 2, 4), {"strides": [2], "pads": [1, 1]}),
}


@pytest.mark.parametrize("case", TRANSPOSED)
def test_a_transposed_convolution_is_translated(
    case: str, assert_same: Callable[..., None]
) -> None:
    x, shape, attributes = TRANSPOSED[case]
    constants = {"w": floats(*shape), "b": floats(shape[1])}

    assert_same(graph_of(node("ConvTranspose", "w", "b", **attributes), x, constants), x)


POOLS: dict[str, dict[str, Any]] = {
    "plain": {"kernel_shape": [2, 2], "strides": [2, 2]},
    "padded": {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]},
    "same": {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]},
    "uneven": {"kernel_shape": [3, 2], "strides": [2, 1], "pads": [1, 0, 0, 1]},
    "ceiling": {"kernel_shape": [2, 2], "strides": [2, 2], "ceil_mode": 1},
    "padded ceiling": {
        "kernel_shape": [3, 3],
        "strides": [2, 2],
        "pads": [1, 1, 1, 1],
        "ceil_mode": 1,
    },
}


@pytest.mark.parametrize("case", POOLS)
@pytest.mark.parametrize("op", ["MaxPool", "AveragePool"])
@pytest.mark.parametrize("x", [IMAGE, EVEN], ids=["odd", "even"])
def test_a_pool_is_translated(
    op: str, case: str, x: Array, assert_same: Callable[..., None]
) -> None:
    assert_same(graph_of(node(op, **POOLS[case]), x), x)


@pytest.mark.parametrize("case", POOLS)
def test_an_average_that_counts_its_padding_is_translated(
    case: str, assert_same: Callable[..., None]
) -> None:
    attributes = POOLS[case] | {"count_include_pad": 1}

    assert_same(graph_of(node("AveragePool", **attributes), EVEN), EVEN)


RESIZES = {
    "torch nearest": {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"},
    "nearest": {"coordinate_transformation_mode": "half_pixel"},
    "nearest corners": {"coordinate_transformation_mode": "align_corners"},
    "linear": {"mode": "linear", "coordinate_transformation_mode": "half_pixel"},
    "torch linear": {"mode": "linear", "coordinate_transformation_mode": "pytorch_half_pixel"},
    "linear corners": {"mode": "linear", "coordinate_transformation_mode": "align_corners"},
    "linear asymmetric": {"mode": "linear", "coordinate_transformation_mode": "asymmetric"},
}


@pytest.mark.parametrize("case", RESIZES)
@pytest.mark.parametrize("size", [(1, 4, 16, 12), (1, 4, 4, 3), (1, 4, 11, 5)])
def test_a_resize_is_translated(
    case: str, size: tuple[int, ...], assert_same: Callable[..., None]
) -> None:
    nodes = node("Resize", "", "", "s", **RESIZES[case])

    assert_same(graph_of(nodes, EVEN, {"s": ints(*size)}), EVEN)
