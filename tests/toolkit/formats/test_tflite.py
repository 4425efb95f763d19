"""Whole models through the format: float and int8, as the exporter and the quantizer write them."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from edge_targets.runtime.contract import Signature, Tensor, TensorSpec
from edge_targets.runtime.engines import engines
from edge_targets.runtime.errors import Cancelled, IntegrityError, UnsupportedError
from edge_targets.runtime.events import QUIET, Event, Job
from toolkit.formats import formats

Array = np.ndarray[Any, Any]
Run = Callable[[bytes, Mapping[str, Array]], list[Array]]
Listing = Callable[[bytes], list[tuple[str, str]]]

IMAGES = Signature((TensorSpec("image", (-1, 1, 8, 8)),), (TensorSpec("probabilities", (-1, 10)),))
ROWS = Signature((TensorSpec("x", (-1, 4)),), (TensorSpec("y", (-1, 4)),))


def build(graph: bytes, signature: Signature = IMAGES, job: Job = QUIET) -> bytes:
    return formats["tflite"]().build(graph, signature, job).data


def agreement(found: Array, expected: Array) -> float:
    return float((found.argmax(1) == expected.argmax(1)).mean())


@pytest.mark.parametrize("name", ["small_cnn", "mobile_cnn"])
def test_a_float_network_gives_the_same_numbers(
    name: str,
    request: pytest.FixtureRequest,
    digits: tuple[Array, Array],
    run_onnx: Run,
    run_tflite: Run,
) -> None:
    graph = request.getfixturevalue(name)
    inputs = {"image": digits[0]}

    [found], [expected] = run_tflite(build(graph), inputs), run_onnx(graph, inputs)

    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert (found.argmax(1) == digits[1]).mean() > 0.9


@pytest.mark.parametrize("name", ["small_cnn", "mobile_cnn"])
def test_an_int8_network_gives_the_same_labels(
    name: str,
    request: pytest.FixtureRequest,
    digits: tuple[Array, Array],
    quantize: Callable[..., bytes],
    run_onnx: Run,
    run_tflite: Run,
) -> None:
    graph = request.getfixturevalue(name)
    inputs = {"image": digits[0]}
    quantized = quantize(graph, {"image": digits[0][:300]})

    [found], [expected] = run_tflite(build(quantized), inputs), run_onnx(quantized, inputs)

    assert agreement(found, expected) >= 0.995


def test_an_int8_network_computes_on_int8_in_one_piece(
    small_cnn: bytes, digits: tuple[Array, Array], quantize: Callable[..., bytes],
    operations: Listing,
) -> None:  # fmt: skip
    compiled = build(quantize(small_cnn, {"image": digits[0][:300]}))

    assert len(compiled) < 0.5 * len(build(small_cnn))
    steps = Counter(operations(compiled))

    assert steps["CONV_2D", "int8"] == 2
    assert steps["MAX_POOL_2D", "int8"] == 2
    assert steps["FULLY_CONNECTED", "int8"] == 1
    assert not [step for step in steps if step[0] in {"RELU", "TRANSPOSE"}]
    assert sum(count for (op, _), count in steps.items() if op == "DELEGATE") == 1


def test_a_float_network_has_no_operator_but_its_layers(
    small_cnn: bytes, operations: Listing
) -> None:
    steps = [op for op, _ in operations(build(small_cnn)) if op != "DELEGATE"]

    assert steps == [
        "MUL", "RESHAPE", "CONV_2D", "MAX_POOL_2D", "CONV_2D", "MAX_POOL_2D", "RESHAPE",
        "FULLY_CONNECTED", "SOFTMAX",
    ]  # fmt: skip


def test_weights_and_biases_are_the_integers_the_quantizer_chose(
    small_cnn: bytes, digits: tuple[Array, Array], quantize: Callable[..., bytes]
) -> None:
    quantized = quantize(small_cnn, {"image": digits[0][:300]})

    stored = {
        t.name: onnx.numpy_helper.to_array(t)
        for t in onnx.load_from_string(quantized).graph.initializer
    }
    biases = [array for name, array in stored.items() if name.endswith("bias_quantized")]
    weights = [array for name, array in stored.items() if name.endswith("weight_quantized")]
    compiled = build(quantized)

    assert len(biases) == 3
    assert all(bias.tobytes() in compiled for bias in biases)
    convolutions = [w.transpose(0, 2, 3, 1) for w in weights if w.ndim == 4]
    assert all(np.ascontiguousarray(w).tobytes() in compiled for w in convolutions)


@pytest.mark.parametrize(
    "choice",
    [
        {"per_channel": False},
        {"activation_type": "QUInt8"},
        {"activation_type": "QUInt8", "weight_type": "QUInt8", "per_channel": False},
        {"extra_options": {"ActivationSymmetric": True}},
        {"op_types_to_quantize": ["Conv", "Gemm"]},
        {"op_types_to_quantize": ["Conv", "Gemm", "Relu", "MaxPool", "Reshape"]},
        {"extra_options": {"DedicatedQDQPair": True}},
    ],
    ids=lambda choice: ",".join(f"{k}={v}" for k, v in choice.items()),
)
def test_the_quantizers_other_ways_are_read(
    choice: dict[str, Any],
    mobile_cnn: bytes,
    digits: tuple[Array, Array],
    quantize: Callable[..., bytes],
    run_onnx: Run,
    run_tflite: Run,
) -> None:
    from onnxruntime.quantization import QuantType

    options = {k: QuantType[v] if k.endswith("_type") else v for k, v in choice.items()}
    inputs = {"image": digits[0][::4]}
    quantized = quantize(mobile_cnn, {"image": digits[0][:300]}, **options)

    [found], [expected] = run_tflite(build(quantized), inputs), run_onnx(quantized, inputs)

    assert agreement(found, expected) >= 0.99
    assert np.abs(found - expected).mean() < 0.01


def test_a_table_model_with_missing_values_gives_the_same_numbers(
    table_mlp: bytes, table_rows: Array, run_onnx: Run, run_tflite: Run
) -> None:
    inputs = {"x": table_rows}

    [found], [expected] = run_tflite(build(table_mlp, ROWS), inputs), run_onnx(table_mlp, inputs)

    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_an_int8_table_model_keeps_its_preparation_in_float(
    table_mlp: bytes, table_rows: Array, quantize: Callable[..., bytes], run_onnx: Run,
    run_tflite: Run, operations: Listing,
) -> None:  # fmt: skip
    inputs = {"x": table_rows}
    quantized = quantize(table_mlp, inputs, op_types_to_quantize=["Gemm", "Relu"])

    compiled = build(quantized, ROWS)
    [found], [expected] = run_tflite(compiled, inputs), run_onnx(quantized, inputs)

    assert agreement(found, expected) >= 0.995
    steps = Counter(operations(compiled))
    assert steps["FULLY_CONNECTED", "int8"] == 2
    assert steps["SELECT_V2", "float32"] == 1


def test_the_devices_engine_finds_inputs_and_outputs_by_name(
    small_cnn: bytes, digits: tuple[Array, Array], run_onnx: Run, tmp_path: Path
) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(build(small_cnn))
    images = digits[0][:5]

    engine = engines["tflite"](path, IMAGES)
    answer = engine.run({"image": Tensor(images.shape, images.reshape(-1).tolist())})[
        "probabilities"
    ]

    assert answer.shape == (5, 10)
    [expected] = run_onnx(small_cnn, {"image": images})
    np.testing.assert_allclose(np.asarray(answer.data), expected.reshape(-1), atol=1e-5)


def test_the_same_graph_gives_the_same_bytes(
    small_cnn: bytes, digits: tuple[Array, Array], quantize: Callable[..., bytes]
) -> None:
    quantized = quantize(small_cnn, {"image": digits[0][:300]})

    assert build(small_cnn) == build(small_cnn)
    assert build(quantized) == build(quantized)


def test_stored_data_is_aligned(small_cnn: bytes) -> None:
    from ai_edge_litert import schema_py_generated as schema

    compiled = build(small_cnn)
    model = schema.Model.GetRootAs(compiled)
    buffers = [model.Buffers(i) for i in range(model.BuffersLength())]

    places = [b._tab.Vector(b._tab.Offset(4)) for b in buffers if b.DataLength()]

    assert len(places) > 5
    assert all(place % 16 == 0 for place in places)


def test_shared_weights_are_stored_once(run_onnx: Run, run_tflite: Run) -> None:
    weights = np.random.default_rng(0).normal(size=(64, 64)).astype(np.float32)
    text = (
        '<ir_version: 10, opset_import: ["" : 20]> g (float[batch, 64] x) => (float[batch, 64] y)'
    )
    model = onnx.parser.parse_model(f"{text} {{ a = Gemm(x, w) b = Relu(a) y = Gemm(b, w) }}")
    model.graph.initializer.append(onnx.numpy_helper.from_array(weights, "w"))
    graph = model.SerializeToString()
    signature = Signature((TensorSpec("x", (-1, 64)),), (TensorSpec("y", (-1, 64)),))

    compiled = build(graph, signature)

    assert len(compiled) < 1.5 * weights.nbytes
    inputs = {"x": weights[:4]}
    [found], [expected] = run_tflite(compiled, inputs), run_onnx(graph, inputs)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-4)


def test_an_operator_without_a_counterpart_is_refused(small_cnn: bytes) -> None:
    model = onnx.load_from_string(small_cnn)
    next(node for node in model.graph.node if node.op_type == "Relu").op_type = "Bernoulli"

    with pytest.raises(UnsupportedError, match=r"Bernoulli \(node 'node_relu'\)") as caught:
        build(model.SerializeToString())

    assert "--format onnx" in caught.value.hint


def test_a_signature_of_another_model_is_refused(small_cnn: bytes) -> None:
    with pytest.raises(UnsupportedError, match="its signature"):
        build(small_cnn, ROWS)


def test_half_a_graph_is_refused(small_cnn: bytes) -> None:
    with pytest.raises(IntegrityError):
        build(small_cnn[: len(small_cnn) // 2])


def test_compiling_reports_to_the_end_and_stops_when_cancelled(small_cnn: bytes) -> None:
    events: list[Event] = []
    job = Job(events.append)

    build(small_cnn, job=job)
    last = events[-1]
    job.cancel()

    assert last.done == last.total > 0
    with pytest.raises(Cancelled):
        build(small_cnn, job=job)


def test_the_words_of_a_signature_change_no_answer(
    small_cnn: bytes, digits: tuple[Array, Array], run_tflite: Run
) -> None:
    [image] = IMAGES.inputs
    described = replace(IMAGES, inputs=(replace(image, unit="0-16"),), labels=tuple("0123456789"))
    inputs = {"image": digits[0][:10]}

    plain, told = build(small_cnn), build(small_cnn, described)

    assert b"labels.txt" in told
    assert b"labels.txt" not in plain
    np.testing.assert_array_equal(run_tflite(told, inputs)[0], run_tflite(plain, inputs)[0])
