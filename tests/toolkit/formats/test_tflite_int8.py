"""Operators on int8, quantized by onnxruntime, against onnxruntime on the same integers."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from edge_targets.runtime.errors import UnsupportedError
from edge_targets.runtime.events import QUIET
from toolkit.flatbuffer.translate import translate

Array = np.ndarray[Any, Any]
FLOAT = onnx.TensorProto.FLOAT
FLOAT8 = helper.tensor_dtype_to_np_dtype(onnx.TensorProto.FLOAT8E4M3FN)


def floats(*shape: int) -> Array:
    """The same for the same shape, whatever the order of the tests."""
    return np.random.default_rng(shape).standard_normal(shape).astype(np.float32)


def ints(*values: int) -> Array:
    return np.array(values, np.int64)


def step(op: str, inputs: str, outputs: str, **attributes: Any) -> onnx.NodeProto:
    name = f"the_{op}_of_{outputs}"
    return helper.make_node(op, inputs.split(), outputs.split(), name=name, **attributes)


def behind(last: onnx.NodeProto) -> list[onnx.NodeProto]:
    """The quantizer leaves alone what only moves values, unless they are int8 already."""
    last.input[0] = "m"
    return [step("Conv", "x one", "m"), last]


def graph_of(
    nodes: Sequence[onnx.NodeProto], shape: Sequence[int], constants: dict[str, Array]
) -> bytes:
    graph = helper.make_graph(
        nodes, "test",
        [helper.make_tensor_value_info("x", FLOAT, ["batch", *shape[1:]])],
        [helper.make_tensor_value_info("y", FLOAT, None)],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    return bytes(model.SerializeToString())


ONE = {"one": floats(4, 4, 1, 1)}
IMAGE, SERIES, ROW = (8, 4, 8, 6), (8, 3, 11), (8, 6)
CASES: dict[str, tuple[str, tuple[int, ...], list[onnx.NodeProto], dict[str, Array]]] = {
    "grouped": ("CONV_2D", IMAGE, [step("Conv", "x w b", "y", group=2)],
                {"w": floats(6, 2, 3, 3), "b": floats(6)}),
    "padded": ("CONV_2D", IMAGE, [step("Conv", "x w", "y", pads=[1] * 4, strides=[2, 2])],
               {"w": floats(5, 4, 3, 3)}),
    "depthwise": ("DEPTHWISE_CONV_2D", IMAGE, [step("Conv", "x w b", "y", group=4)],
                  {"w": floats(8, 1, 3, 3), "b": floats(8)}),
    "1-D": ("CONV_2D", SERIES, [step("Conv", "x w b", "y", pads=[1, 1])],
            {"w": floats(5, 3, 3), "b": floats(5)}),
    "with relu": ("CONV_2D", IMAGE, [step("Conv", "x w b", "m"), step("Relu", "m", "y")],
                  {"w": floats(5, 4, 3, 3), "b": floats(5)}),
    "transposed": ("TRANSPOSE_CONV", IMAGE, [step("ConvTranspose", "x w b", "y", strides=[2, 2])],
                   {"w": floats(4, 3, 2, 2), "b": floats(3)}),
    "gemm": ("FULLY_CONNECTED", ROW, [step("Gemm", "x w b", "y")],
             {"w": floats(6, 9), "b": floats(9)}),
    "gemm transposed": ("FULLY_CONNECTED", ROW, [step("Gemm", "x w b", "y", transB=1)],
                        {"w": floats(9, 6), "b": floats(9)}),
    "matmul": ("FULLY_CONNECTED", ROW, [step("MatMul", "x w", "y")], {"w": floats(6, 9)}),
    "matmul and sum": ("ADD", ROW, [step("MatMul", "x w", "m"), step("Add", "m b", "y")],
                       {"w": floats(6, 9), "b": floats(9)}),
    "max pool": ("MAX_POOL_2D", IMAGE, behind(step("MaxPool", "x", "y", kernel_shape=[3, 3],
                                                    strides=[2, 2], pads=[1] * 4)), ONE),
    "average pool": ("AVERAGE_POOL_2D", IMAGE,
                     behind(step("AveragePool", "x", "y", kernel_shape=[2, 2])), ONE),
    "average of all": ("MEAN", IMAGE,
                       behind(step("AveragePool", "x", "y", kernel_shape=[8, 6])), ONE),
    "average of the only window": ("MEAN", IMAGE, behind(
        step("AveragePool", "x", "y", kernel_shape=[7, 6], strides=[7, 6])), ONE),
    "global average": ("MEAN", IMAGE, [step("GlobalAveragePool", "x", "y")], {}),
    "residual": ("ADD", IMAGE, [step("Conv", "x w", "m"), step("Add", "x m", "y")],
                 {"w": floats(4, 4, 1, 1)}),
    "product": ("MUL", IMAGE, [step("Mul", "x c", "y")], {"c": floats(4, 1, 1)}),
    "square": ("MUL", IMAGE, [step("Mul", "x x", "y")], {}),
    "joined": ("CONCATENATION", IMAGE,
               [step("Conv", "x w", "m"), step("Concat", "m x", "y", axis=1)],
               {"w": 5 * floats(2, 4, 1, 1)}),
    "leaky": ("LEAKY_RELU", IMAGE, [step("LeakyRelu", "x", "y", alpha=0.1)], {}),
    "nearest": ("RESIZE_NEAREST_NEIGHBOR", IMAGE,
                behind(helper.make_node(
                    "Resize", ["x", "", "s"], ["y"], name="the_Resize", nearest_mode="floor",
                    coordinate_transformation_mode="asymmetric")),
                {"s": np.array([1, 1, 2, 2], np.float32), **ONE}),
    "padding": ("PAD", IMAGE, behind(step("Pad", "x p", "y")),
                {"p": ints(0, 0, 1, 1, 0, 0, 0, 2), **ONE}),
    "transposition": ("TRANSPOSE", IMAGE,
                      behind(step("Transpose", "x", "y", perm=[0, 3, 1, 2])), ONE),
    "flattened": ("FULLY_CONNECTED", IMAGE,
                  [step("Conv", "x v", "m"), step("Flatten", "m", "f"), step("Gemm", "f w", "y")],
                  {"v": floats(5, 4, 3, 3), "w": floats(120, 3)}),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_an_operator_computes_on_int8(
    case: str,
    quantize: Callable[..., bytes],
    run_onnx: Callable[..., Any],
    run_tflite: Callable[..., Any],
    operations: Callable[..., Any],
) -> None:
    code, shape, nodes, constants = CASES[case]
    inputs = {"x": floats(*shape)}
    quantized = quantize(graph_of(nodes, shape, constants), inputs)

    compiled = translate(onnx.load_from_string(quantized), QUIET)
    [found], [expected] = run_tflite(compiled, inputs), run_onnx(quantized, inputs)

    assert (code, "int8") in operations(compiled)
    step_size = np.diff(np.unique(expected)).min()
    assert np.abs(found - expected).max() <= 2.01 * step_size
    assert np.abs(found - expected).mean() <= 0.5 * step_size


@pytest.mark.parametrize("op", ["Sigmoid", "Tanh", "Softmax"])
def test_a_kernel_with_a_fixed_scale_is_left_to_floats(
    op: str,
    quantize: Callable[..., bytes],
    run_onnx: Callable[..., Any],
    run_tflite: Callable[..., Any],
    operations: Callable[..., Any],
) -> None:
    nodes = [step("Gemm", "x w", "m"), step(op, "m", "n"), step("Gemm", "n v", "y")]
    inputs = {"x": floats(*ROW)}
    graph = graph_of(nodes, ROW, {"w": floats(6, 9), "v": floats(9, 3)})
    quantized = quantize(graph, inputs)

    compiled = translate(onnx.load_from_string(quantized), QUIET)
    [found], [expected] = run_tflite(compiled, inputs), run_onnx(quantized, inputs)

    codes = {"Sigmoid": "LOGISTIC", "Tanh": "TANH", "Softmax": "SOFTMAX"}
    assert (codes[op], "float32") in operations(compiled)
    assert np.abs(found - expected).max() <= 2.01 * np.diff(np.unique(expected)).min()


def pair(name: str, result: str) -> list[onnx.NodeProto]:
    return [
        step("QuantizeLinear", f"{name} s z", f"{result}_q"),
        step("DequantizeLinear", f"{result}_q s z", result),
    ]


def test_weights_that_the_graph_itself_quantizes_are_stored_as_int8(
    run_onnx: Callable[..., Any], run_tflite: Callable[..., Any], operations: Callable[..., Any]
) -> None:
    """As a network trained with fake quantization is exported."""
    nodes = [
        *pair("x", "a"), *pair("w", "v"),
        step("Gemm", "a v", "m"), *pair("m", "y"),
    ]  # fmt: skip
    constants: dict[str, Array] = {
        "w": floats(6, 3), "s": np.array(0.05, np.float32), "z": np.array(0, np.int8),
    }  # fmt: skip
    graph, inputs = graph_of(nodes, ROW, constants), {"x": floats(*ROW)}

    compiled = translate(onnx.load_from_string(graph), QUIET)
    [found], [expected] = run_tflite(compiled, inputs), run_onnx(graph, inputs)

    assert ("FULLY_CONNECTED", "int8") in operations(compiled)
    assert np.abs(found - expected).max() <= 0.0501


def test_a_value_that_is_needed_both_ways_is_kept_both_ways(
    run_onnx: Callable[..., Any], run_tflite: Callable[..., Any]
) -> None:
    nodes = [
        step("Exp", "x", "m"), *pair("m", "a"), *pair("m", "b"),
        step("Sub", "m a", "d"), step("Add", "d b", "y"),
    ]  # fmt: skip
    constants: dict[str, Array] = {
        "s": np.array(0.05, np.float32), "z": np.array(-100, np.int8),
    }  # fmt: skip
    graph, inputs = graph_of(nodes, ROW, constants), {"x": floats(*ROW)}

    [found] = run_tflite(translate(onnx.load_from_string(graph), QUIET), inputs)

    [expected] = run_onnx(graph, inputs)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_value_is_read_in_both_layouts_as_integers_and_as_floats(
    quantize: Callable[..., bytes], run_onnx: Callable[..., Any], run_tflite: Callable[..., Any]
) -> None:
    nodes = [
        step("Conv", "x w", "m"),
        step("LayerNormalization", "m s", "n"),  # floats, channels first
        step("Flatten", "m", "f"), step("Gemm", "f v", "g"),  # integers
        step("Sigmoid", "m", "o"),  # floats, in either layout
        step("Add", "n o", "p"), step("Flatten", "p", "q"), step("Gemm", "q v", "r"),
        step("Add", "g r", "y"),
    ]  # fmt: skip
    constants = {"w": floats(5, 4, 3, 3), "s": floats(4), "v": floats(120, 3)}
    inputs = {"x": floats(*IMAGE)}
    quantized = quantize(graph_of(nodes, IMAGE, constants), inputs)

    [found] = run_tflite(translate(onnx.load_from_string(quantized), QUIET), inputs)

    [expected] = run_onnx(quantized, inputs)
    assert np.abs(found - expected).max() <= 0.03 * np.ptp(expected)


@pytest.mark.parametrize(
    ("constants", "words"),
    [
        ({"s": np.array(0.1, np.float32), "z": np.array(0, FLOAT8)}, "stores float8"),
        ({"s": np.full(6, 0.1, np.float32), "z": np.zeros(6, np.int8)}, "per channel"),
    ],
)
def test_another_kind_of_quantization_is_refused(constants: dict[str, Array], words: str) -> None:
    graph = graph_of(pair("x", "y"), ROW, constants)

    with pytest.raises(UnsupportedError, match=words) as caught:
        translate(onnx.load_from_string(graph), QUIET)

    assert caught.value.hint


def test_an_image_with_channels_last_is_quantized_and_not_moved(
    quantize: Callable[..., bytes], run_onnx: Callable[..., Any], run_tflite: Callable[..., Any],
    operations: Callable[..., Any],
) -> None:  # fmt: skip
    nodes = [
        step("Transpose", "x", "m", perm=[0, 3, 1, 2]),
        step("Conv", "m w", "n", pads=[1] * 4),
        step("GlobalAveragePool", "n", "o"),
        step("Flatten", "o", "y"),
    ]
    shape = (8, 6, 7, 4)
    inputs = {"x": floats(*shape)}
    quantized = quantize(graph_of(nodes, shape, {"w": floats(5, 4, 3, 3)}), inputs)
    compiled = translate(onnx.load_from_string(quantized), QUIET)

    [found], [expected] = run_tflite(compiled, inputs), run_onnx(quantized, inputs)

    steps = [op for op, _ in operations(compiled)]
    assert "TRANSPOSE" not in steps
    assert steps.count("DELEGATE") == 1
    assert np.abs(found - expected).max() <= 2.01 * np.diff(np.unique(expected)).min()
