"""Weights in fewer bits under float operators: small files that compute the same numbers."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edge_targets.runtime.errors import UnsupportedError
from edge_targets.runtime.events import QUIET
from toolkit.flatbuffer.translate import translate

Array = np.ndarray[Any, Any]
Run = Callable[..., list[Array]]
Listing = Callable[[bytes], list[tuple[str, str]]]

IMAGE, ROW = (3, 16, 8, 6), (3, 96)
LAYERS: dict[str, tuple[tuple[int, ...], tuple[int, ...], int, str, dict[str, Any]]] = {
    "convolution": (IMAGE, (24, 16, 3, 3), 0, "Conv", {"pads": [1] * 4, "strides": [2, 2]}),
    "grouped": (IMAGE, (32, 8, 3, 3), 0, "Conv", {"group": 2}),
    "depthwise": (IMAGE, (16, 1, 5, 5), 0, "Conv", {"group": 16}),
    "transposed convolution": (IMAGE, (16, 8, 3, 3), 1, "ConvTranspose", {}),
    "gemm": (ROW, (96, 40), 1, "Gemm", {}),
    "gemm transposed": (ROW, (40, 96), 0, "Gemm", {"transB": 1}),
    "gemm scaled": (ROW, (40, 96), 0, "Gemm", {"transB": 1, "alpha": 0.5}),
    "matmul": (ROW, (96, 40), 1, "MatMul", {}),
    "odd": ((3, 7), (7, 75), 1, "Gemm", {}),
}
"""By name: shapes of input and weights, the weights' axis of outputs, operator, attributes."""


def floats(*shape: int) -> Array:
    """The same for the same shape, whatever the order of the tests."""
    return np.random.default_rng(shape).standard_normal(shape).astype(np.float32)


def step(op: str, inputs: str, outputs: str, **attributes: Any) -> onnx.NodeProto:
    name = f"the_{op}_of_{outputs}"
    return helper.make_node(op, inputs.split(), outputs.split(), name=name, **attributes)


def model_of(
    nodes: Sequence[onnx.NodeProto], shape: Sequence[int], stored: Sequence[onnx.TensorProto]
) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes, "test",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", *shape[1:]])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        stored,
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


def named(**arrays: Array) -> list[onnx.TensorProto]:
    return [numpy_helper.from_array(array, name) for name, array in arrays.items()]


def codes_of(weights: Array, bits: int, axis: int | None) -> tuple[Array, Array]:
    """Symmetric codes, and a scale for all or one for each index along `axis`."""
    rest = None if axis is None else tuple(a for a in range(weights.ndim) if a != axis)
    scale = np.abs(weights).max(axis=rest, keepdims=True) / (2 ** (bits - 1) - 1)
    kind = np.int8 if bits == 8 else helper.tensor_dtype_to_np_dtype(TensorProto.INT4)
    return np.rint(weights / scale).astype(np.int8).astype(kind), scale.astype(np.float32)


def packed_layer(name: str, bits: int, per_channel: bool) -> tuple[onnx.ModelProto, Array]:
    shape, size, axis, op, attributes = LAYERS[name]
    codes, scale = codes_of(floats(*size), bits, axis if per_channel else None)
    nodes = [
        step("DequantizeLinear", "w_codes w_scale", "w", **({"axis": axis} if per_channel else {})),
        step(op, "x w" if op == "MatMul" else "x w b", "y", **attributes),
    ]
    outputs = size[axis] if op != "Conv" else size[0]
    stored = named(w_codes=codes, w_scale=scale.reshape(-1 if per_channel else ()))
    return model_of(nodes, shape, [*stored, *named(b=floats(outputs))]), floats(*shape)


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("per_channel", [True, False])
def test_weights_in_fewer_bits_give_the_same_numbers(
    name: str, bits: int, per_channel: bool, run_onnx: Run, run_tflite: Run
) -> None:
    model, x = packed_layer(name, bits, per_channel)

    [found] = run_tflite(translate(model, QUIET), {"x": x})
    [expected] = run_onnx(model.SerializeToString(), {"x": x})

    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
@pytest.mark.parametrize("axis", [None, 0])
def test_weights_with_a_zero_point_give_the_same_numbers(
    dtype: type, axis: int | None, run_onnx: Run, run_tflite: Run
) -> None:
    weights = floats(24, 16, 3, 3) + 0.7
    rest = None if axis is None else (1, 2, 3)
    scale = (np.ptp(weights, axis=rest, keepdims=True) / 255).astype(np.float32)
    least = np.iinfo(dtype).min
    zero = np.rint(least - weights.min(axis=rest, keepdims=True) / scale)
    codes = np.clip(np.rint(weights / scale) + zero, least, least + 255).astype(dtype)
    flat = () if axis is None else (-1,)
    nodes = [step("DequantizeLinear", "c s z", "w", axis=0), step("Conv", "x w", "y")]
    constants = named(c=codes, s=scale.reshape(flat), z=zero.astype(dtype).reshape(flat))
    model, x = model_of(nodes, IMAGE, constants), floats(*IMAGE)

    [found] = run_tflite(translate(model, QUIET), {"x": x})
    [expected] = run_onnx(model.SerializeToString(), {"x": x})

    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["convolution", "gemm", "matmul", "depthwise"])
@pytest.mark.parametrize("bits", [8, 4])
def test_weights_take_the_room_of_their_bits(name: str, bits: int) -> None:
    count = int(np.prod(LAYERS[name][1]))
    model, _ = packed_layer(name, bits, per_channel=False)
    empty = model_of([step("Relu", "x", "y")], LAYERS[name][0], [])

    size = len(translate(model, QUIET)) - len(translate(empty, QUIET))

    assert count * bits / 8 <= size <= count * bits / 8 + 1400  # operators, a bias, a scale


def test_weights_of_eight_bits_run_in_one_piece_with_the_delegate(operations: Listing) -> None:
    model, _ = packed_layer("convolution", 8, per_channel=True)

    steps = [op for op, _ in operations(translate(model, QUIET))]

    assert steps.count("DELEGATE") == 1


def test_what_would_not_get_smaller_stays_float(operations: Listing) -> None:
    codes, scale = codes_of(floats(4, 4, 1, 1), 8, 0)
    model = model_of(
        [step("DequantizeLinear", "c s", "w", axis=0), step("Conv", "x w", "y")],
        (1, 4, 8, 6),
        named(c=codes, s=scale.reshape(-1)),
    )

    assert "DEQUANTIZE" not in [op for op, _ in operations(translate(model, QUIET))]


BLOCKED: dict[str, tuple[tuple[int, ...], tuple[int, ...], int, str, dict[str, Any]]] = {
    "convolution": (IMAGE, (24, 16, 3, 3), 1, "Conv", {"pads": [1] * 4}),
    "gemm": (ROW, (96, 40), 0, "Gemm", {}),
    "gemm transposed": (ROW, (40, 96), 1, "Gemm", {"transB": 1}),
    "matmul": (ROW, (96, 40), 0, "MatMul", {}),
}


def blocked_layer(name: str, block: int, zero: int = 0) -> tuple[onnx.ModelProto, Array]:
    shape, size, axis, op, attributes = BLOCKED[name]
    split = (*size[:axis], size[axis] // block, block, *size[axis + 1 :])
    weights = floats(*size).reshape(split)
    scale = (np.abs(weights).max(axis=axis + 1, keepdims=True) / 7).astype(np.float32)
    kind = helper.tensor_dtype_to_np_dtype(TensorProto.INT4)
    codes = np.rint(weights / scale).astype(np.int8).reshape(size).astype(kind)
    scale = scale.squeeze(axis + 1)
    zeros = np.full(scale.shape, zero, np.int8).astype(kind)
    nodes = [
        step("DequantizeLinear", "c s z", "w", axis=axis, block_size=block),
        step(op, "x w", "y", **attributes),
    ]
    return model_of(nodes, shape, named(c=codes, s=scale, z=zeros)), floats(*shape)


@pytest.mark.parametrize("name", BLOCKED)
def test_a_scale_for_every_block_gives_the_same_numbers(
    name: str, run_onnx: Run, run_tflite: Run
) -> None:
    model, x = blocked_layer(name, 8)
    compiled = translate(model, QUIET)

    [found] = run_tflite(compiled, {"x": x})
    [expected] = run_onnx(model.SerializeToString(), {"x": x})

    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    assert len(compiled) < np.prod(BLOCKED[name][1]) * (4 + 32 / 8) / 8 + 2500


def test_blocks_that_are_not_symmetric_are_refused() -> None:
    model, _ = blocked_layer("gemm", 8, zero=1)

    with pytest.raises(UnsupportedError, match="not symmetric") as caught:
        translate(model, QUIET)

    assert caught.value.hint


def half_layer(name: str) -> tuple[onnx.ModelProto, Array]:
    shape, size, _, op, attributes = LAYERS[name]
    nodes = [step("Cast", "h", "w", to=TensorProto.FLOAT), step(op, "x w", "y", **attributes)]
    return model_of(nodes, shape, named(h=floats(*size).astype(np.float16))), floats(*shape)


@pytest.mark.parametrize("name", LAYERS)
def test_half_precision_weights_stay_half_in_the_file(
    name: str, run_onnx: Run, run_tflite: Run
) -> None:
    model, x = half_layer(name)
    compiled = translate(model, QUIET)

    [found] = run_tflite(compiled, {"x": x})
    [expected] = run_onnx(model.SerializeToString(), {"x": x})

    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    if name != "gemm scaled":
        assert len(compiled) < 2 * np.prod(LAYERS[name][1]) + 1800


@pytest.mark.parametrize(("op", "gates"), [("LSTM", 4), ("GRU", 3)])
def test_a_recurrent_layer_unpacks_its_weights_once(
    op: str, gates: int, run_onnx: Run, run_tflite: Run, operations: Listing
) -> None:
    inputs, states = (codes_of(floats(1, gates * 24, n) / 5, 8, 1) for n in (16, 24))
    more = {"linear_before_reset": 1} if op == "GRU" else {}
    nodes = [
        step("Transpose", "x", "t", perm=[1, 0, 2]),
        step("DequantizeLinear", "wc ws", "w", axis=1),
        step("DequantizeLinear", "rc rs", "r", axis=1),
        helper.make_node(op, ["t", "w", "r"], ["", "h"], hidden_size=24, **more),
        step("Squeeze", "h a", "y"),
    ]
    stored = named(
        wc=inputs[0], ws=inputs[1].reshape(-1), rc=states[0], rs=states[1].reshape(-1),
        a=np.array([0]),
    )  # fmt: skip
    model, x = model_of(nodes, (2, 5, 16), stored), floats(2, 5, 16)
    compiled = translate(model, QUIET)

    [found] = run_tflite(compiled, {"x": x})
    [expected] = run_onnx(model.SerializeToString(), {"x": x})

    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    assert [op for op, _ in operations(compiled)].count("DEQUANTIZE") == 2


def dynamic_layer(dtype: type, per_channel: bool = True) -> tuple[onnx.ModelProto, Array]:
    """As quantize_dynamic writes a layer: quantize what comes, multiply integers, scale back."""
    codes, scale = codes_of(floats(96, 40), 8, 1 if per_channel else None)
    zero = 128 if dtype is np.uint8 else 0
    nodes = [
        step("DynamicQuantizeLinear", "x", "x_q x_s x_z"),
        step("MatMulInteger", "x_q w_q x_z w_z", "sums"),
        step("Cast", "sums", "sums_f", to=TensorProto.FLOAT),
        step("Mul", "x_s w_s", "scale"),
        step("Mul", "sums_f scale", "product"),
        step("Add", "product b", "biased"),
        step("Relu", "biased", "y"),
    ]
    stored = named(
        w_q=(codes.astype(np.int16) + zero).astype(dtype), w_z=np.array(zero, dtype),
        w_s=scale.reshape(-1 if per_channel else ()), b=floats(40),
    )  # fmt: skip
    return model_of(nodes, ROW, stored), floats(*ROW)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
@pytest.mark.parametrize("per_channel", [True, False])
def test_dynamic_quantization_is_one_operator(
    dtype: type, per_channel: bool, run_tflite: Run, operations: Listing
) -> None:
    model, x = dynamic_layer(dtype, per_channel)
    compiled = translate(model, QUIET)
    codes, scale = codes_of(floats(96, 40), 8, 1 if per_channel else None)

    [found] = run_tflite(compiled, {"x": x})

    # in floats: onnxruntime's own product overflows on x86 processors without VNNI
    expected = np.maximum(x @ (codes * scale) + floats(40), 0)
    assert np.abs(found - expected).max() <= 0.01 * np.ptp(expected)
    assert [op for op, _ in operations(compiled) if op != "DELEGATE"] == ["FULLY_CONNECTED"]
    assert len(compiled) < 96 * 40 + 2000


def test_an_integer_product_of_another_form_is_refused() -> None:
    nodes = [
        step("DynamicQuantizeLinear", "x", "x_q x_s x_z"),
        step("MatMulInteger", "x_q w_q x_z", "sums"),
        step("Cast", "sums", "y", to=TensorProto.FLOAT),
    ]
    model = model_of(nodes, ROW, named(w_q=np.ones((96, 4), np.int8)))

    with pytest.raises(UnsupportedError, match=r"MatMulInteger.*scale") as caught:
        translate(model, QUIET)

    assert "quantize_dynamic" in caught.value.hint


def pair(name: str, scale: str, zero: str) -> list[onnx.NodeProto]:
    return [
        step("QuantizeLinear", f"{name} {scale} {zero}", f"{name}_codes"),
        step("DequantizeLinear", f"{name}_codes {scale} {zero}", f"{name}_real"),
    ]


@pytest.mark.parametrize("at_the_end", [False, True])
def test_activations_in_sixteen_bits_are_computed_in_floats(
    at_the_end: bool, run_onnx: Run, run_tflite: Run, operations: Listing
) -> None:
    codes, scale = codes_of(floats(96, 40), 8, 1)
    nodes = [
        *pair("x", "s", "z"),
        step("DequantizeLinear", "c ws", "w", axis=1),
        step("Gemm", "x_real w", "m"),
        *pair("m", "s", "z"),
        step("Relu", "m_real", "n"),
        *(pair("n", "s", "z")),
    ]
    nodes[-1].output[0] = "y"
    if not at_the_end:
        nodes[-1].output[0] = "o"
        nodes.append(step("Sigmoid", "o", "y"))
    constants = named(
        c=codes, ws=scale.reshape(-1), s=np.array(60 / 65536, np.float32), z=np.array(0, np.int16)
    )
    model, x = model_of(nodes, ROW, constants), floats(*ROW)
    compiled = translate(model, QUIET)

    [found] = run_tflite(compiled, {"x": x})
    [expected] = run_onnx(model.SerializeToString(), {"x": x})

    assert np.abs(found - expected).max() <= 20 * 60 / 65536
    assert not [op for op, _ in operations(compiled) if op == "QUANTIZE"]
    assert len(compiled) < 96 * 40 + 2400


def test_integer_float_and_narrow_layers_stand_side_by_side(
    run_onnx: Run, run_tflite: Run, operations: Listing
) -> None:
    codes, scale = codes_of(floats(24, 16, 3, 3), 8, 0)
    few, wide = codes_of(floats(24, 24, 3, 3), 4, 0)
    nodes = [
        *pair("x", "s", "z"),
        step("DequantizeLinear", "c cs", "w", axis=0),
        step("Conv", "x_real w", "a", pads=[1] * 4),
        *pair("a", "as", "z"),
        step("DequantizeLinear", "f fs", "v", axis=0),
        step("Conv", "a_real v", "b", pads=[1] * 4),  # 4 bits, float
        step("Cast", "h", "u", to=TensorProto.FLOAT),
        step("Conv", "b u", "d"),  # half
        step("Conv", "d p", "e"),  # float
        *pair("e", "es", "z"),
        step("Relu", "e_real", "r"),
        *pair("r", "es", "z"),
        step("DequantizeLinear", "f fs", "v2", axis=0),
        step("Conv", "r_real v2", "g"),  # 4 bits, integer
        *pair("g", "gs", "z"),
        step("Sigmoid", "g_real", "y"),
    ]
    constants = named(
        c=codes, cs=scale.reshape(-1), f=few, fs=wide.reshape(-1),
        h=floats(24, 24, 1, 1).astype(np.float16), p=floats(24, 24, 1, 1) / 20,
        s=np.array(0.04, np.float32), z=np.array(0, np.int8), es=np.array(1.5, np.float32),
        gs=np.array(30.0, np.float32), **{"as": np.array(0.4, np.float32)},
    )  # fmt: skip
    model, x = model_of(nodes, IMAGE, constants), floats(*IMAGE)
    compiled = translate(model, QUIET)

    [found] = run_tflite(compiled, {"x": x})
    [expected] = run_onnx(model.SerializeToString(), {"x": x})

    steps = operations(compiled)
    assert steps.count(("CONV_2D", "int8")) == 2
    assert steps.count(("CONV_2D", "float32")) == 3
    assert (np.abs(found - expected) > 0.01).mean() < 0.02


def test_zero_points_of_many_channels_are_written_once() -> None:
    one, two = (
        model_of(
            [
                step("DequantizeLinear", "c cs", "w", axis=0),
                step("DequantizeLinear", "d cs", "v", axis=0),
                step("Conv", "x w", "m"),
                *([step("Conv", "m v", "y")] if both else [step("Relu", "m", "y")]),
            ],
            IMAGE,
            named(
                c=codes_of(floats(64, 16, 3, 3), 8, 0)[0],
                d=codes_of(floats(64, 64, 1, 1), 8, 0)[0],
                cs=np.full(64, 0.01, np.float32),
            ),
        )
        for both in (False, True)
    )

    more = len(translate(two, QUIET)) - len(translate(one, QUIET))

    # codes, scales, a few hundred bytes of tables; 64 more zero points would be 512 bytes
    assert more < 64 * 64 + 64 * 4 + 500
