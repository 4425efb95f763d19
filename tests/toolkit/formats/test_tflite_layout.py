"""How often a compiled network turns its values around: once where ONNX hands in an image."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
import pytest

from edge_targets.runtime.events import QUIET
from tests.toolkit.formats.graphs import floats, graph_of, ints, step
from tests.toolkit.formats.light_networks import operators
from toolkit.flatbuffer.translate import translate

Array = np.ndarray[Any, Any]

IMAGE = floats(1, 3, 8, 12)
PADDED: dict[str, Any] = {"pads": [1, 1, 1, 1]}
STEM = step("Conv", "x stem", "s", **PADDED)
WEIGHTS: dict[str, Array] = {
    "stem": floats(8, 3, 3, 3), "w": floats(8, 8, 3, 3) / 8, "v": floats(8, 8, 3, 3) / 8,
    "wide": floats(8, 16, 1, 1), "pixels": floats(12, 8, 3, 3), "layer": floats(8, 5),
    "long": floats(192, 5), "two": np.array([1, 1, 2, 2], np.float32), "space": ints(2, 3),
    "flat": ints(0, -1), "groups": ints(1, 2, 4, 8, 12), "image": ints(1, 8, 8, 12),
    "scale": floats(8, 1, 1), "split": ints(0, 4, -1),
    "ones": np.ones(4, np.float32), "zeros": np.zeros(4, np.float32),
}  # fmt: skip

NETWORKS: dict[str, tuple[Sequence[onnx.NodeProto], int]] = {
    "a residual block": (
        [
            STEM,
            step("Conv", "s w", "a", **PADDED),
            step("Relu", "a", "b"),
            step("Conv", "b v", "c", **PADDED),
            step("Add", "c s", "d"),
            step("Relu", "d", "e"),
            step("GlobalAveragePool", "e", "f"),
            step("Flatten", "f", "g"),
            step("Gemm", "g layer", "y"),
        ],
        1,
    ),
    "a U with a shortcut": (
        [
            STEM,
            step("MaxPool", "s", "a", kernel_shape=[2, 2], strides=[2, 2]),
            step("Conv", "a w", "b", **PADDED),
            step("Resize", "b  two", "c", mode="nearest", nearest_mode="floor",
                 coordinate_transformation_mode="asymmetric"),
            step("Concat", "c s", "d", axis=1),
            step("Conv", "d wide", "e"),
            step("Mul", "e scale", "f"),
            step("ReduceMean", "f space", "g", keepdims=0),
            step("Gemm", "g layer", "y"),
        ],
        1,
    ),
    "pixels out of channels": (
        [
            STEM,
            step("Conv", "s pixels", "a", **PADDED),
            step("DepthToSpace", "a", "b", blocksize=2, mode="CRD"),
            step("Sigmoid", "b", "y"),
        ],
        2,  # an image goes in, and one comes out
    ),
    "channels in groups": (
        [
            STEM,
            step("Reshape", "s groups", "a"),
            step("Transpose", "a", "b", perm=[0, 2, 1, 3, 4]),
            step("Reshape", "b image", "c"),
            step("Conv", "c w", "d", **PADDED),
            step("ReduceMax", "d space", "e", keepdims=0),
            step("Gemm", "e layer", "y"),
        ],
        2,  # the image, and the groups
    ),
    "groups that are channels for a while": (
        [
            STEM,
            step("Reshape", "s split", "a"),
            step("InstanceNormalization", "a ones zeros", "b"),
            step("Reshape", "b image", "c"),
            step("Mul", "c scale", "d"),
            step("Conv", "d w", "e", **PADDED),
            step("ReduceMax", "e space", "f", keepdims=0),
            step("Gemm", "f layer", "y"),
        ],
        1,
    ),
    "a flattened image": (
        [
            STEM,
            step("GroupNormalization", "s row row", "n", num_groups=4),
            step("AveragePool", "n", "a", kernel_shape=[2, 2], strides=[2, 2]),
            step("Softmax", "a", "b", axis=1),
            step("Reshape", "b flat", "c"),
            step("MatMul", "c long", "y"),
        ],
        1,
    ),
}  # fmt: skip
WEIGHTS["row"] = floats(8)


def read_resize(node: onnx.NodeProto) -> onnx.NodeProto:
    """Its second input is left out, which words alone cannot say."""
    if node.op_type == "Resize":
        node.input[:] = [node.input[0], "", node.input[1]]
    return node


def network(name: str) -> tuple[onnx.ModelProto, int]:
    nodes, count = NETWORKS[name]
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    used = {name for node in nodes for name in node.input}
    constants = {name: array for name, array in WEIGHTS.items() if name in used}
    return graph_of([read_resize(node) for node in copies], IMAGE, constants, opset=21), count


@pytest.mark.parametrize("name", NETWORKS)
def test_no_value_inside_a_network_is_turned_around(name: str) -> None:
    model, count = network(name)

    found = operators(translate(model, QUIET))

    assert (found["TRANSPOSE"], found["GATHER"]) == (count, 0)


@pytest.mark.parametrize("name", NETWORKS)
def test_layouts_change_no_number(name: str, assert_same: Callable[..., None]) -> None:
    model, _ = network(name)

    assert_same(model, IMAGE)
