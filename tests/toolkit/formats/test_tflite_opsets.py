"""Graphs of older opsets, whose operators meant something else, against ONNX Runtime."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
import pytest

from tests.toolkit.formats.graphs import floats, graph_of, ints

Array = np.ndarray[Any, Any]

IMAGE, ROW = floats(1, 4, 6, 6), floats(1, 36)


def numbers(*values: float) -> Array:
    return np.array(values, np.float32)


CONSTANTS = {
    "s": numbers(1, 1, 1.5, 2),
    "s2": numbers(1, 1, 0.5, 0.7),
    "s3": numbers(1, 1, 0.5, 0.5),
    "a": ints(1),
    "b": ints(5),
    "c": ints(2),
    "i": np.zeros((1, 1, 6, 6), np.int64) + 2,
    "u": floats(1, 1, 6, 6),
    "i2": ints(0, 1)[None],
    "u2": floats(1, 6, 6),
    "i3": ints(1, 3, 0, 2, 5, 4),
    "d": ints(6),
    "v": numbers(0, 2),
    "s4": floats(4),
    "v2": np.abs(floats(4)) + 1,
    "a2": numbers(-0.2).reshape(()),
    "s5": floats(4, 1, 1),
    "w": floats(5, 36),
    "b2": floats(5),
    "w2": floats(36, 5),
    "b3": floats(1, 5),
    "s6": floats(6),
    "s7": numbers(2).reshape(()),
    "a3": np.array(2, np.int32),
    "i4": np.zeros((1, 4, 6, 2), np.int64) + 3,
    "q": floats(6, 6),
    "w3": floats(4, 2, 3, 3),
    "s8": ints(1, 4, 6, 6),
    "z": floats(1, 1, 1, 6),
    "r0": ints(1, 1, 2, 1),
    "s9": floats(2) + 2,
    "b4": floats(2),
    "s10": floats(4) + 2,
    "s11": numbers(1, 1, 2, 1.5),
}
CASES: Sequence[tuple[int, str]] = [
    (7, 'y = Upsample <scales = [1.0, 1.0, 2.0, 2.0], mode = "nearest"> (x)'),
    (8, 'y = Upsample <scales = [1.0, 1.0, 2.0, 2.0], mode = "linear"> (x)'),
    (9, 'y = Upsample <mode = "nearest"> (x, s)'),
    (9, 'y = Upsample <mode = "linear"> (x, s)'),
    (10, 'y = Resize <mode = "nearest"> (x, s)'),
    (10, 'y = Resize <mode = "nearest"> (x, s2)'),
    (10, 'y = Resize <mode = "linear"> (x, s)'),
    (10, 'y = Resize <mode = "linear"> (x, s3)'),
    (7, "y = Pad <pads = [0, 0, 1, 1, 0, 0, 2, 0], value = 1.5> (x)"),
    (10, 'y = Pad <pads = [0, 0, 1, 1, 0, 0, 2, 0], mode = "edge"> (x)'),
    (7, "y = Slice <starts = [1, 0], ends = [3, -1], axes = [2, 3]> (x)"),
    (10, "y = Slice (x, a, b, c, c)"),
    (9, "y, i = TopK <k = 2, axis = 2> (x)"),
    (10, "y, i = TopK <axis = 2> (x, c)"),
    (11, "y, i = TopK <axis = 1, largest = 0> (x, c)"),
    (7, "y = Softmax <axis = 2> (x)"),
    (11, "y = LogSoftmax (x)"),
    (11, "y = Hardmax (x)"),
    (7, "y = Flatten <axis = 2> (x)"),
    (7, "a, y = Split <axis = 1, split = [1, 3]> (x)"),
    (7, "y = ReduceSum <axes = [2], keepdims = 0> (x)"),
    (11, "y = ReduceL2 <axes = [-1]> (x)"),
    (12, "y = ReduceMax <axes = [1, 2]> (x)"),
    (7, "y = ReduceLogSumExp <axes = [2, 3]> (x)"),
    (9, "y = Scatter <axis = 1> (x, i, u)"),
    (11, "y = ScatterND (x, i2, u2)"),
    (9, "h = OneHot (i3, d, v) y = Mul (x, h)"),
    (8, "y = MaxPool <kernel_shape = [3, 3], pads = [1, 1, 1, 1], strides = [2, 2]> (x)"),
    (7, "y = AveragePool <kernel_shape = [3, 3], pads = [1, 1, 1, 1], count_include_pad = 1> (x)"),
    (10, "y = AveragePool <kernel_shape = [3, 3], ceil_mode = 1, strides = [2, 2]> (x)"),
    (7, "y = BatchNormalization (x, s4, s4, s4, v2)"),
    (7, "y = InstanceNormalization (x, s4, s4)"),
    (7, "y = Dropout (x)"),
    (10, "y = Dropout <ratio = 0.3> (x)"),
    (7, "t = Unsqueeze <axes = [1]> (x) y = Squeeze <axes = [1]> (t)"),
    (6, "y = Clip <min = -0.5, max = 0.5> (x)"),
    (11, "y = Clip (x, a2)"),
    (7, "y = LRN <size = 3> (x)"),
    (7, "y = PRelu (x, s5)"),
    (9, "y = PRelu (x, s5)"),
    (7, "y = Gemm <transB = 1> (r, w, b2)"),
    (9, "y = Gemm <alpha = 0.5> (r, w2, b3)"),
    (7, "y = Add (x, s6)"),
    (7, "y = Pow (x, s7)"),
    (11, "y = ArgMax <axis = 1> (x)"),
    (7, "y = ArgMin <axis = 2, keepdims = 0> (x)"),
    (11, "y = CumSum (x, a3)"),
    (11, 'y = DepthToSpace <blocksize = 2, mode = "CRD"> (x)'),
    (7, "y = DepthToSpace <blocksize = 2> (x)"),
    (7, "y = SpaceToDepth <blocksize = 2> (x)"),
    (11, "y = GatherElements <axis = 3> (x, i4)"),
    (12, "y = Celu <alpha = 0.7> (x)"),
    (7, "y = Selu (x)"),
    (7, "y = Elu <alpha = 0.3> (x)"),
    (10, "y = ThresholdedRelu <alpha = 0.3> (x)"),
    (9, "y = Shrink (x)"),
    (9, "y = MeanVarianceNormalization (x)"),
    (12, 'y = Einsum <equation = "nchw,nchv->ncwv"> (x, x)'),
    (9, "e = EyeLike (q) y = MatMul (x, e)"),
    (7, 'y = ConvTranspose <strides = [2, 2], output_shape = [12, 12], auto_pad = '
     '"SAME_UPPER"> (x, w3)'),
    (11, "y = ConvTranspose <strides = [2, 2], group = 2, output_padding = [1, 1]> (x, w3)"),
    (7, "y = LpNormalization <p = 1, axis = 2> (x)"),
    (7, "y = GlobalLpPool <p = 3> (x)"),
    (2, "y = GlobalLpPool <p = 2> (x)"),
    (7, "y = LpPool <kernel_shape = [2, 2], p = 2> (x)"),
    (7, "y = Mean (x, x)"),
    (8, "y = Sum (x, x, x)"),
    (7, "y = Max (x, x)"),
    (9, "y0 = Expand (z, s8) y = Mul (x, y0)"),
    (7, "y = Tile (x, r0)"),
    (18, "y = GroupNormalization <num_groups = 2> (x, s9, b4)"),
    (21, "y = GroupNormalization <num_groups = 2> (x, s10, s4)"),
    (20, 'y = Resize <mode = "cubic"> (x, , s11)'),
    (20, 'y = Resize <mode = "linear", antialias = 1> (x, , s2)'),
    (20, 'y = Resize <mode = "cubic", cubic_coeff_a = -0.5, '
     'coordinate_transformation_mode = "align_corners", exclude_outside = 1> (x, , s11)'),
]  # fmt: skip
"""By opset; `x` is an image, `r` a row."""


@pytest.mark.parametrize(("opset", "text"), CASES)
def test_an_operator_means_what_it_meant_in_its_opset(
    opset: int, text: str, assert_same: Callable[..., None]
) -> None:
    graph = onnx.parser.parse_graph(f"g (float[n] x) => (float[n] y) {{ {text} }}")
    x = ROW if "r" in graph.node[0].input else IMAGE
    for node in graph.node:
        node.input[:] = ["x" if name == "r" else name for name in node.input]
    used = {name for node in graph.node for name in node.input}

    model = graph_of(graph.node, x, {n: a for n, a in CONSTANTS.items() if n in used}, opset)

    assert_same(model, x)
