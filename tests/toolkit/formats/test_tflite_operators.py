"""Every operator that the compiler translates, against onnxruntime on the same numbers."""

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from edge_targets.runtime.errors import UnsupportedError
from edge_targets.runtime.events import QUIET
from tests.toolkit.formats.graphs import floats, graph_of, ints, node, step
from toolkit.flatbuffer.translate import translate

Array = np.ndarray[Any, Any]


IMAGE = floats(1, 4, 9, 7)
EVEN = floats(1, 4, 8, 6)
SERIES = floats(1, 3, 11)
ROW = floats(1, 6)
WITH_NANS = np.array([[1.0, np.nan, -2.0, np.nan]], np.float32)


UNARY = [
    "Abs", "Ceil", "Cos", "Elu", "Exp", "Floor", "Gelu", "HardSigmoid", "HardSwish", "Identity",
    "LeakyRelu", "Neg", "Relu", "Round", "Sigmoid", "Sign", "Sin", "Softplus", "Tanh",
]  # fmt: skip


@pytest.mark.parametrize("op", UNARY)
def test_a_function_of_one_value_is_translated(op: str, assert_same: Callable[..., None]) -> None:
    assert_same(graph_of(node(op), IMAGE), IMAGE)


@pytest.mark.parametrize("op", ["Sqrt", "Log", "Reciprocal"])
def test_a_function_of_a_positive_value_is_translated(
    op: str, assert_same: Callable[..., None]
) -> None:
    positive = np.abs(IMAGE) + np.float32(0.1)

    assert_same(graph_of(node(op), positive), positive)


@pytest.mark.parametrize("op", ["Add", "Sub", "Mul", "Div", "Max", "Min"])
@pytest.mark.parametrize("shape", [(), (7,), (4, 1, 1), (1, 4, 9, 7)])
@pytest.mark.parametrize("behind_conv", [False, True])
def test_two_operands_broadcast_in_either_layout(
    op: str, shape: tuple[int, ...], behind_conv: bool, assert_same: Callable[..., None]
) -> None:
    constants = {"c": np.abs(floats(*shape)) + np.float32(0.5), "w": floats(4, 4, 1, 1)}
    before = step("Conv", "x w", "m") if behind_conv else step("Identity", "x", "m")
    if not behind_conv:
        del constants["w"]

    assert_same(graph_of([before, step(op, "m c", "y")], IMAGE, constants), IMAGE)


SIMPLE = {
    "1-D pool": (SERIES, node("MaxPool", kernel_shape=[3], strides=[2], pads=[1, 1]), {}),
    "global average": (IMAGE, node("GlobalAveragePool"), {}),
    "global maximum": (IMAGE, node("GlobalMaxPool"), {}),
    "mean": (IMAGE, node("ReduceMean", "a", keepdims=0), {"a": ints(2, 3)}),
    "mean of channels": (IMAGE, node("ReduceMean", "a"), {"a": ints(1)}),
    "sum": (IMAGE, node("ReduceSum", "a", keepdims=0), {"a": ints(-1)}),
    "maximum": (IMAGE, node("ReduceMax", "a"), {"a": ints(1, 2)}),
    "softmax": (ROW, node("Softmax"), {}),
    "softmax of channels": (IMAGE, node("Softmax", axis=1), {}),
    "softmax of rows": (IMAGE, node("Softmax", axis=2), {}),
    "log softmax": (ROW, node("LogSoftmax", axis=1), {}),
    "argmax": (ROW, node("ArgMax", axis=1, keepdims=0), {}),
    "flatten": (IMAGE, node("Flatten"), {}),
    "reshape": (IMAGE, node("Reshape", "s"), {"s": ints(-1, 9, 28)}),
    "reshape with zero": (IMAGE, node("Reshape", "s"), {"s": ints(0, -1)}),
    "unsqueeze": (ROW, node("Unsqueeze", "a"), {"a": ints(1)}),
    "squeeze": (ROW[:, None], node("Squeeze", "a"), {"a": ints(1)}),
    "transpose": (IMAGE, node("Transpose", perm=[0, 2, 3, 1]), {}),
    "slice": (
        IMAGE,
        node("Slice", "s", "e", "a"),
        {"s": ints(1, -3), "e": ints(3, 2**63 - 1), "a": ints(1, 2)},
    ),
    "slice in steps": (
        IMAGE,
        node("Slice", "s", "e", "a", "t"),
        {"s": ints(0), "e": ints(9), "a": ints(2), "t": ints(2)},
    ),
    "slice backwards": (
        IMAGE,
        node("Slice", "s", "e", "a", "t"),
        {"s": ints(-1), "e": ints(-(2**63)), "a": ints(3), "t": ints(-1)},
    ),
    "columns": (ROW, node("Gather", "i", axis=1), {"i": ints(0, 3, -1)}),
    "neighbouring columns": (ROW, node("Gather", "i", axis=1), {"i": ints(2, 3)}),
    "one column": (ROW, node("Gather", "i", axis=1), {"i": np.array(4)}),
    "pad": (IMAGE, node("Pad", "p"), {"p": ints(0, 0, 1, 2, 0, 0, 3, 0)}),
    "pad with": (
        IMAGE,
        node("Pad", "p", "v"),
        {"p": ints(0, 1, 0, 0, 0, 0, 0, 1), "v": np.array(2.5, np.float32)},
    ),
    "pad axes": (IMAGE, node("Pad", "p", "", "a"), {"p": ints(1, 2), "a": ints(3)}),
    "reflect": (
        IMAGE,
        node("Pad", "p", mode="reflect"),
        {"p": ints(0, 0, 1, 2, 0, 0, 1, 2)},
    ),
    "expand": (ROW[:, None], node("Expand", "s"), {"s": ints(1, 3, 6)}),
    "tile": (ROW, node("Tile", "r"), {"r": ints(1, 2)}),
    "clip": (
        IMAGE,
        node("Clip", "l", "h"),
        {"l": np.array(-0.5, np.float32), "h": np.array(0.8, np.float32)},
    ),
    "relu6": (
        9 * IMAGE,
        node("Clip", "l", "h"),
        {"l": np.array(0, np.float32), "h": np.array(6, np.float32)},
    ),
    "clip below": (IMAGE, node("Clip", "l"), {"l": np.array(0.25, np.float32)}),
    "leaky": (IMAGE, node("LeakyRelu", alpha=0.3), {}),
    "prelu": (IMAGE, node("PRelu", "s"), {"s": floats(4, 1, 1)}),
    "tanh gelu": (IMAGE, node("Gelu", approximate="tanh"), {}),
    "power": (np.abs(ROW), node("Pow", "p"), {"p": np.array(1.7, np.float32)}),
    "square": (ROW, node("Pow", "p"), {"p": np.array(2.0, np.float32)}),
    "cast": (10 * ROW, node("Cast", to=TensorProto.INT64), {}),
    "equal": (np.round(ROW), node("Equal", "c"), {"c": np.round(ROW[:, :1])}),
    "is nan": (WITH_NANS, node("IsNaN"), {}),
    "batch normalization": (
        IMAGE,
        node("BatchNormalization", *"sbmv"),
        {"s": floats(4), "b": floats(4), "m": floats(4), "v": np.abs(floats(4)) + 0.1},
    ),
    "batch normalization of rows": (
        ROW,
        node("BatchNormalization", *"sbmv"),
        {"s": floats(6), "b": floats(6), "m": floats(6), "v": np.abs(floats(6)) + 0.1},
    ),
    "layer normalization": (
        SERIES,
        node("LayerNormalization", "s", "b"),
        {"s": floats(11), "b": floats(11)},
    ),
    "instance normalization": (
        IMAGE,
        node("InstanceNormalization", "s", "b"),
        {"s": floats(4), "b": floats(4)},
    ),
    "gemm": (
        ROW,
        node("Gemm", "w", "b", alpha=0.5, beta=2.0, transB=1),
        {"w": floats(3, 6), "b": floats(3)},
    ),
    "gemm of a number": (ROW, node("Gemm", "w", "b"), {"w": floats(6, 3), "b": floats(1)}),
    "matmul": (ROW, node("MatMul", "w"), {"w": floats(6, 3)}),
    "matmul of three axes": (SERIES, node("MatMul", "w"), {"w": floats(11, 5)}),
    "matmul of many": (SERIES, node("MatMul", "w"), {"w": floats(1, 11, 5)}),
    "depth to space": (EVEN, node("DepthToSpace", blocksize=2), {}),
}


@pytest.mark.parametrize("case", SIMPLE)
def test_an_operator_is_translated(case: str, assert_same: Callable[..., None]) -> None:
    x, nodes, constants = SIMPLE[case]

    assert_same(graph_of(nodes, x, constants), x)


@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize(("op", "gates"), [("LSTM", 4), ("GRU", 3)])
def test_a_recurrent_layer_starts_anew_on_every_run(
    op: str,
    gates: int,
    direction: str,
    run_onnx: Callable[..., Any],
    run_tflite: Callable[..., Any],
) -> None:
    ways, hidden = 2 if direction == "bidirectional" else 1, 5
    x = floats(1, 7, 3)
    constants = {
        "w": floats(ways, gates * hidden, 3),
        "r": floats(ways, gates * hidden, hidden),
        "b": floats(ways, 2 * gates * hidden),
    }
    more = {"linear_before_reset": 1} if op == "GRU" else {}
    nodes = [
        step("Transpose", "x", "t", perm=[1, 0, 2]),
        step(op, "t w r b", "all last", hidden_size=hidden, direction=direction, **more),
        step("Transpose", "all", "s", perm=[2, 0, 1, 3]),
        step("ReduceMean", "s k", "m"),
        step("Squeeze", "m k", "u"),
        step("Transpose", "last", "v", perm=[1, 0, 2]),
        step("Add", "u v", "y"),
    ]
    model = graph_of(nodes, x, constants | {"k": ints(1)})

    [expected] = run_onnx(model.SerializeToString(), {"x": x})
    compiled = translate(model, QUIET)
    once, twice = (run_tflite(compiled, {"x": np.concatenate([x, x])})[0][i] for i in (0, 1))

    np.testing.assert_allclose(once, expected[0], atol=1e-5)
    np.testing.assert_array_equal(once, twice)


def test_channels_are_joined_split_and_chosen_in_the_layout_they_are_in(
    assert_same: Callable[..., None],
) -> None:
    constants = {
        "w": floats(4, 4, 3, 3), "a": ints(1), "s": ints(1), "e": ints(3), "i": ints(0, 2),
        "h": ints(3, 5), "p": ints(0, 0, 0, 1, 0, 0, 1, 0),
    }  # fmt: skip
    nodes = [
        step("Conv", "x w", "c", pads=[1, 1, 1, 1]),
        step("Split", "c h", "left right", axis=2),
        step("Concat", "right left", "j", axis=2),
        step("Concat", "j x", "k", axis=1),
        step("Slice", "k s e a", "l"),
        step("Pad", "l p", "o"),
        step("Sigmoid", "o", "y"),
    ]
    del constants["i"]

    assert_same(graph_of(nodes, EVEN, constants), EVEN)


def test_missing_values_are_replaced(assert_same: Callable[..., None]) -> None:
    nodes = [step("IsNaN", "x", "n"), step("Where", "n c x", "y")]

    assert_same(graph_of(nodes, WITH_NANS, {"c": floats(4)}), WITH_NANS)


def test_categories_become_columns(assert_same: Callable[..., None]) -> None:
    x = np.array([[0.5, 2.0, -1.0]], np.float32)
    constants = {"i": ints(1), "k": np.array([0, 1, 2, 3], np.float32), "j": ints(0, 2)}
    nodes = [
        step("Gather", "x i", "code", axis=1),
        step("Equal", "code k", "hit"),
        step("Cast", "hit", "hot", to=TensorProto.FLOAT),
        step("Gather", "x j", "rest", axis=1),
        step("Concat", "rest hot", "y", axis=1),
    ]

    assert_same(graph_of(nodes, x, constants), x)


def test_an_integer_input_keeps_its_type(assert_same: Callable[..., None]) -> None:
    x = np.array([[3, 1, 4]], np.int64)

    assert_same(graph_of(node("Add", "c"), x, {"c": ints(1, 5, 9)}), x)
    table = {"t": floats(8, 4)}
    nodes = [helper.make_node("Gather", ["t", "x"], ["y"])]
    assert_same(graph_of(nodes, x, table), x)


def test_shapes_computed_from_shapes_become_constants(assert_same: Callable[..., None]) -> None:
    nodes = [
        step("Shape", "x", "s"),
        step("Gather", "s z", "n"),
        step("Concat", "n m", "t", axis=0),
        step("Reshape", "x t", "y"),
    ]

    assert_same(graph_of(nodes, IMAGE, {"z": ints(0), "m": ints(-1)}), IMAGE)


def test_an_input_that_is_the_output_is_copied(assert_same: Callable[..., None]) -> None:
    assert_same(graph_of(node("Identity"), ROW), ROW)


def test_an_unknown_operator_is_named_with_its_node_and_a_way_out() -> None:
    model = graph_of(node("Bernoulli"), ROW)

    with pytest.raises(UnsupportedError, match=r"Bernoulli \(node 'the_Bernoulli'\)") as caught:
        translate(model, QUIET)

    assert "--format onnx" in caught.value.hint


@pytest.mark.parametrize(
    ("nodes", "x", "constants"),
    [
        (node("MaxPool", kernel_shape=[2, 2], dilations=[2, 2]), IMAGE, {}),
        (node("MaxPool", kernel_shape=[1, 1], strides=[2, 2], ceil_mode=1), EVEN, {}),
        (node("LRN", size=4), IMAGE, {}),
        (node("Mod", "c"), ROW, {"c": floats(6)}),
        (node("Einsum", equation="bii->bi"), floats(1, 3, 3), {}),
        (node("ScatterND", "i", "u", reduction="mul"), ROW, {"i": ints(0)[None], "u": ROW}),
        (node("ScatterND", "i", "u"), ROW, {"i": ints(0, 0)[:, None], "u": floats(2, 6)}),
        (node("Add", "c"), np.ones((1, 2), np.uint32), {"c": np.ones(2, np.uint32)}),
        (
            node("Resize", "r", "", "s", coordinate_transformation_mode="tf_crop_and_resize"),
            EVEN,
            {"s": ints(1, 4, 16, 12), "r": floats(8)},
        ),
        (node("Conv", "w"), floats(1, 2, 3, 4, 5), {"w": floats(1, 2, 1, 1, 1)}),
    ],
    ids=lambda value: value[0].op_type if isinstance(value, list) else "",
)
def test_an_operator_used_in_an_unknown_way_says_what_to_do(
    nodes: list[onnx.NodeProto], x: Array, constants: dict[str, Array]
) -> None:
    with pytest.raises(UnsupportedError, match=f"{nodes[0].op_type} .node") as caught:
        translate(graph_of(nodes, x, constants), QUIET)

    assert caught.value.hint


def test_an_input_of_words_is_refused() -> None:
    model = graph_of(node("Identity"), ROW)
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.elem_type = TensorProto.STRING

    with pytest.raises(UnsupportedError, match="'x' holds"):
        translate(model, QUIET)


def test_an_input_with_another_free_axis_is_refused() -> None:
    model = graph_of(node("Relu"), IMAGE)
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_param = "height"

    with pytest.raises(UnsupportedError, match="axis 2 of input 'x'"):
        translate(model, QUIET)


def test_a_constant_of_more_than_32_bits_is_refused() -> None:
    model = graph_of(node("Add", "c"), np.ones((1, 2), np.int64), {"c": ints(1, 1 << 40)})

    with pytest.raises(UnsupportedError, match=r"Add \(node 'the_Add'\).*'c'.*32 bits") as caught:
        translate(model, QUIET)

    assert caught.value.hint


def test_a_value_that_would_fill_the_memory_is_refused_before_it_is_made() -> None:
    nodes = [step("ConstantOfShape", "s", "c"), step("Add", "x c", "y")]
    model = graph_of(nodes, ROW, {"s": ints(1 << 20, 1 << 20, 6)})

    with pytest.raises(UnsupportedError, match="ConstantOfShape") as caught:
        translate(model, QUIET)

    assert "more than" in caught.value.hint


def test_an_output_that_an_operator_does_not_give_is_named() -> None:
    nodes = [step("MaxPool", "x", "m y", kernel_shape=[2, 2], name="pool")]

    with pytest.raises(UnsupportedError, match=r"MaxPool \(node 'pool'\).*output 1") as caught:
        translate(graph_of(nodes, IMAGE), QUIET)

    assert caught.value.hint


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.uint16])
@pytest.mark.parametrize("op", ["Add", "Sub", "Mul"])
def test_short_integers_wrap_around(op: str, dtype: type, assert_same: Callable[..., None]) -> None:
    limits = np.iinfo(dtype)
    x: Array = np.array([[limits.min, limits.max, 3, limits.max]], dtype)
    c: Array = np.array([limits.max, limits.max, 2, limits.min], dtype)

    assert_same(graph_of(node(op, "c"), x, {"c": c}), x)


def test_more_axes_than_a_kernel_takes_are_refused() -> None:
    x = floats(1, 1, 2, 1, 2, 1, 2)

    with pytest.raises(UnsupportedError, match="7 axes") as caught:
        translate(graph_of(node("Softmax", axis=6), x), QUIET)

    assert "Reshape" in caught.value.hint
