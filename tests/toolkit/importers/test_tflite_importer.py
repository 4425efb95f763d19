"""TFLite files made elsewhere: they answer as in LiteRT, or say what is in the way."""

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_targets.runtime.errors import EdgeError, IntegrityError, UnsupportedError
from edge_targets.runtime.events import QUIET, Event, Job
from toolkit.anatomy import layers_of
from toolkit.flatbuffer.serialize import serialize
from toolkit.flatbuffer.writer import Tensor, Writer
from toolkit.formats import formats
from toolkit.importers import Given, read_model
from toolkit.inference import Runner
from toolkit.model import Model
from toolkit.onnx_graph import operators, parse
from toolkit.tflite_graph.names import layer_name

Array = np.ndarray[Any, Any]
Chain = Callable[[Writer, Tensor], Tensor]
DATA = Path(__file__).resolve().parents[3].parent / "shared" / "data"
IMAGE = (1, 9, 7, 4)
WINDOW: dict[str, Any] = {"strideH": 2, "strideW": 2, "dilationHFactor": 1, "dilationWFactor": 1}
SAME, VALID, RELU, RELU6 = 0, 1, 1, 3


def floats(*shape: int) -> Array:
    """The same for the same shape, whatever the order of the tests."""
    return np.random.default_rng(shape).standard_normal(shape).astype(np.float32)


def file_of(chain: Chain, shape: tuple[int, ...] = IMAGE) -> bytes:
    """A file from `x` through `chain` to `y`."""
    writer = Writer(scope="x")
    x = writer.tensor(shape, "float32")
    writer.scope = "layer"
    return serialize(writer, {"x": x}, {"y": chain(writer, x)}, "test")


def convolution(
    writer: Writer, x: Tensor, size: int, stride: int, padding: int, gap: int = 1, **more: Any
) -> Tensor:
    extent = (size - 1) * gap + 1
    plane = [-(-(n if padding == SAME else n - extent + 1) // stride) for n in x.shape[1:3]]
    options: dict[str, Any] = {"dilationHFactor": gap, "dilationWFactor": gap, **more}
    constants = [writer.constant(floats(6, size, size, 4)), writer.constant(floats(6))]
    return writer.emit(
        "CONV_2D", [x, *constants], (1, *plane, 6),
        padding=padding, strideH=stride, strideW=stride, **options,
    )  # fmt: skip


def depthwise(writer: Writer, x: Tensor, multiplier: int = 1) -> Tensor:
    outputs = x.shape[3] * multiplier
    constants = [writer.constant(floats(1, 3, 3, outputs)), writer.constant(floats(outputs))]
    plane = [-(-n // 2) for n in x.shape[1:3]]
    return writer.emit(
        "DEPTHWISE_CONV_2D", [x, *constants], (1, *plane, outputs),
        padding=SAME, depthMultiplier=multiplier, fusedActivationFunction=RELU, **WINDOW,
    )  # fmt: skip


def pool(writer: Writer, x: Tensor, code: str, padding: int) -> Tensor:
    plane = [-(-(n if padding == SAME else n - 2) // 2) for n in x.shape[1:3]]
    return writer.emit(
        code, [x], (1, *plane, x.shape[3]), padding=padding, strideH=2, strideW=2,
        filterHeight=3, filterWidth=3,
    )  # fmt: skip


def dense(writer: Writer, x: Tensor, kept: bool = False, **more: Any) -> Tensor:
    inputs = x.shape[-1] if kept else int(np.prod(x.shape))
    constants = [writer.constant(floats(5, inputs)), writer.constant(floats(5))]
    shape = (*x.shape[:-1], 5) if kept else (1, 5)
    return writer.emit("FULLY_CONNECTED", [x, *constants], shape, keepNumDims=kept, **more)


def halves(writer: Writer, x: Tensor) -> Tensor:
    stored = writer.constant(floats(5, 252).astype(np.float16), as_is=True)
    weights = writer.emit("DEQUANTIZE", [stored], stored.shape, dtype="float32")
    return writer.emit("FULLY_CONNECTED", [x, weights], (1, 5))


def unary(code: str, **options: Any) -> Chain:
    return lambda w, x: w.emit(code, [x], x.shape, **options)


def binary(code: str, *shape: int, **options: Any) -> Chain:
    constant = np.abs(floats(*shape)) + np.float32(0.5)
    return lambda w, x: w.emit(code, [x, w.constant(constant)], x.shape, **options)


def behind_conv(chain: Chain) -> Chain:
    """As the channels lie there first, in our graph."""
    return lambda w, x: chain(w, convolution(w, x, 3, 1, SAME))


def branches(writer: Writer, x: Tensor) -> Tensor:
    one, other = (convolution(writer, x, size, 1, SAME) for size in (1, 3))
    total = writer.emit("ADD", [one, other], one.shape, fusedActivationFunction=RELU)
    product = writer.emit("MUL", [total, other], one.shape)
    rest = writer.emit("SUB", [product, one], one.shape)
    parts = [rest, one, x]
    return writer.emit("CONCATENATION", parts, (*one.shape[:3], 16), axis=3)


def axes(writer: Writer, *values: int) -> Tensor:
    return writer.constant(np.array(values, np.int32))


def moved(writer: Writer, x: Tensor) -> Tensor:
    pads = writer.constant(np.array([[0, 0], [1, 2], [0, 1], [0, 0]], np.int32))
    x = writer.emit("PAD", [x, pads], (1, 12, 8, 4))
    x = writer.emit("TRANSPOSE", [x, axes(writer, 0, 3, 1, 2)], (1, 4, 12, 8))
    x = writer.emit("RESHAPE", [x, axes(writer, 1, 384, 1)], (1, 384, 1))
    return writer.emit("SQUEEZE", [x], (1, 384), squeezeDims=[2])


CASES: dict[str, Chain] = {
    "same at stride 2": lambda w, x: convolution(w, x, 3, 2, SAME),
    "even window, same": lambda w, x: convolution(w, x, 4, 2, SAME, fusedActivationFunction=RELU6),
    "valid": lambda w, x: convolution(w, x, 3, 2, VALID, fusedActivationFunction=RELU),
    "dilated": lambda w, x: convolution(w, x, 3, 1, SAME, gap=2),
    "depthwise": depthwise,
    "depthwise multiplied": lambda w, x: depthwise(w, x, 2),
    "average pool": lambda w, x: pool(w, x, "AVERAGE_POOL_2D", VALID),
    "average pool, same": lambda w, x: pool(w, x, "AVERAGE_POOL_2D", SAME),
    "max pool": lambda w, x: pool(w, x, "MAX_POOL_2D", VALID),
    "max pool, same": lambda w, x: pool(w, x, "MAX_POOL_2D", SAME),
    "dense of an image": lambda w, x: dense(w, x, fusedActivationFunction=RELU),
    "dense of rows": lambda w, x: dense(w, x, kept=True),
    "dense in float16": halves,
    "mean of the plane": behind_conv(lambda w, x: w.emit("MEAN", [x, axes(w, 1, 2)], (1, 6))),
    "mean, kept": behind_conv(
        lambda w, x: w.emit("MEAN", [x, axes(w, 1, 2)], (1, 1, 1, 6), keepDims=True)
    ),
    "mean of rows": lambda w, x: w.emit("MEAN", [x, axes(w, 1)], (1, 7, 4)),
    "maximum of channels": behind_conv(
        lambda w, x: w.emit("REDUCE_MAX", [x, axes(w, -1)], (1, 9, 7, 1), keepDims=True)
    ),
    "softmax": lambda w, x: w.emit("SOFTMAX", [dense(w, x)], (1, 5), beta=1.0),
    "softmax, sharper": lambda w, x: w.emit("SOFTMAX", [dense(w, x)], (1, 5), beta=2.0),
    "softmax of channels": behind_conv(unary("SOFTMAX", beta=1.0)),
    "branches": branches,
    "moved": moved,
    "moved behind a convolution": lambda w, x: w.emit(
        "RESHAPE", [convolution(w, x, 3, 1, SAME), axes(w, 1, 378)], (1, 378)
    ),
    "reciprocal root": behind_conv(
        lambda w, x: w.emit("RSQRT", [w.emit("EXP", [x], x.shape)], x.shape)
    ),
    "leaky": behind_conv(unary("LEAKY_RELU", alpha=0.1)),
    "prelu": behind_conv(lambda w, x: w.emit("PRELU", [x, w.constant(floats(1, 1, 6))], x.shape)),
    **{
        code: behind_conv(unary(code))
        for code in ("ELU", "HARD_SWISH", "LOGISTIC", "RELU", "RELU6", "RELU_N1_TO_1", "TANH")
    },
    **{code: behind_conv(binary(code, 6)) for code in ("ADD", "DIV", "MAXIMUM", "MUL", "SUB")},
    "plane times constant": behind_conv(binary("MUL", 9, 7, 6, fusedActivationFunction=RELU)),
    "scaled before": lambda w, x: convolution(w, binary("MUL", 1)(w, x), 3, 1, SAME),
}


def litert(data: bytes, items: Array) -> Array:
    from ai_edge_litert.interpreter import Interpreter

    runner = Interpreter(model_content=data, num_threads=1)
    runner.allocate_tensors()
    [taken], [given] = runner.get_input_details(), runner.get_output_details()
    answers = []
    for item in items:
        runner.set_tensor(taken["index"], item[None])
        runner.invoke()
        answers.append(runner.get_tensor(given["index"])[0].copy())
    return np.array(answers)


def imported(data: bytes, folder: Path) -> Model:
    path = folder / "model.tflite"
    path.write_bytes(data)
    return read_model(path, Given(), QUIET).model


@pytest.mark.parametrize("case", CASES)
def test_a_file_answers_as_in_litert_for_any_batch(case: str, tmp_path: Path) -> None:
    data = file_of(CASES[case])
    items = floats(3, *IMAGE[1:])

    model = imported(data, tmp_path)

    found = Runner.of_model(model, QUIET).first_output(items, QUIET)
    np.testing.assert_allclose(found, litert(data, items), rtol=1e-5, atol=1e-5)


def test_a_file_comes_back_out_as_it_went_in(tmp_path: Path) -> None:
    data = file_of(branches)
    items = floats(3, *IMAGE[1:])

    model = imported(data, tmp_path)
    again = formats["tflite"]().build(model.graph, model.signature, QUIET).data

    np.testing.assert_allclose(litert(again, items), litert(data, items), rtol=1e-6, atol=1e-6)
    assert len(again) < 1.05 * len(data) + 600  # ours says what it takes and gives, in metadata


def test_a_file_of_ours_is_taken_back(exported: Model, tmp_path: Path) -> None:
    items = floats(5, 1, 8, 8)
    data = formats["tflite"]().build(exported.graph, exported.signature, QUIET).data

    model = imported(data, tmp_path)

    found, expected = (
        Runner.of_model(one, QUIET).first_output(items, QUIET) for one in (model, exported)
    )
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_what_computes_shapes_only_is_left_out(tmp_path: Path) -> None:
    def flatten(writer: Writer, x: Tensor) -> Tensor:
        size = writer.emit("SHAPE", [x], (4,), dtype="int32")
        return writer.emit("RESHAPE", [x, size], (1, 252))

    model = imported(file_of(flatten), tmp_path)

    assert operators(model.graph) == {"Reshape": 1}


REFUSED: dict[str, tuple[Chain, str, str]] = {
    "an operator": (unary("SVDF"), r"SVDF \(making 'y'\)", "from one run to the next"),
    "a loop": (unary("WHILE"), r"WHILE \(making 'y'\)", "branches or loops"),
    "a random number": (unary("MULTINOMIAL"), "MULTINOMIAL", "as ONNX"),
    "the batch": (
        lambda w, x: w.emit("MEAN", [x, axes(w, 0)], x.shape, keepDims=True),
        "along the batch",
        "free first axis",
    ),
    "numbers for each item": (
        lambda w, x: w.emit(
            "RESHAPE",
            [
                w.emit(
                    "ADD",
                    [w.emit("RESHAPE", [x, axes(w, 9, 28)], (9, 28)), w.constant(floats(9, 28))],
                    (9, 28),
                ),
                axes(w, 1, 252),
            ],
            (1, 252),
        ),
        "numbers for each item",
        "batch as first axis",
    ),
    "an activation": (
        lambda w, x: convolution(w, x, 3, 1, SAME, fusedActivationFunction=5),
        "activation SIGN_BIT",
        "another activation",
    ),
    "computed weights": (
        lambda w, x: w.emit("FULLY_CONNECTED", [dense(w, x), x], (1, 5)),
        "computed while the model runs",
        "fixed shapes and weights",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_read_is_named_with_what_to_do(case: str, tmp_path: Path) -> None:
    chain, words, hint = REFUSED[case]

    with pytest.raises(UnsupportedError, match=words) as caught:
        imported(file_of(chain), tmp_path)

    assert hint in caught.value.hint


def test_rows_that_hold_the_batch_are_items_when_they_come_out(tmp_path: Path) -> None:
    data = file_of(lambda w, x: w.emit("RESHAPE", [x, axes(w, 9, 28)], (9, 28)))
    items = floats(3, *IMAGE[1:])

    model = imported(data, tmp_path)

    assert model.signature.outputs[0].shape == (-1, 9, 28)
    found = Runner.of_model(model, QUIET).first_output(items, QUIET)
    np.testing.assert_array_equal(found, items.reshape(3, 9, 28))


@given(cut=st.integers(0, 3000))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
def test_a_file_that_is_cut_off_is_damaged(cut: int, tmp_path: Path) -> None:
    data = file_of(branches)

    with pytest.raises(EdgeError) as caught:
        imported(data[: min(cut, len(data) - 40)], tmp_path)

    assert caught.value.hint


@given(
    place=st.integers(8, 3000),
    value=st.integers(0, 255),
    other=st.integers(8, 3000),
    word=st.sampled_from([0, 1, 2**31 - 1, 2**31, 2**32 - 1, 1000]),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_damage_is_answered_or_harmless(
    place: int, value: int, other: int, word: int, tmp_path: Path
) -> None:
    data = bytearray(file_of(branches))
    data[place % len(data)] = value
    start = other % (len(data) - 4)
    data[start : start + 4] = word.to_bytes(4, "little")

    with contextlib.suppress(EdgeError):  # and nothing else
        model = imported(bytes(data), tmp_path)
        assert model.signature.inputs[0].shape[0] == -1


def test_a_length_beyond_the_file_is_damage_and_costs_nothing(tmp_path: Path) -> None:
    data = file_of(branches)
    stored = floats(6, 3, 3, 4).tobytes()
    place = data.index(stored) - 4

    with pytest.raises(IntegrityError, match="claims to hold more"):
        imported(data[:place] + (2**31).to_bytes(4, "little") + data[place + 4 :], tmp_path)


@pytest.mark.parametrize(
    ("tensor", "layer"),
    [
        ("model/conv2d_1/Conv2D", "conv2d_1"),
        ("conv2d/kernel", "conv2d"),
        ("sequential/dense_2/MatMul", "dense_2"),
        ("functional_1/depthwise_conv2d/depthwise;functional_1/x/Conv2D", "depthwise_conv2d"),
        ("dense/kernel/transpose", "dense"),
        (
            "x/batch_normalization_1/FusedBatchNormV3;x/depthwise_conv2d/depthwise",
            "x.depthwise_conv2d",
        ),
        ("model/batch_normalization_1/FusedBatchNormV3", "batch_normalization_1"),
        ("block1.0.weight", "block1.0"),
        ("node_conv2d_3#17", "node_conv2d_3"),
        ("arith.constant12", ""),
        ("", ""),
        ("MatMul", ""),
    ],
)
def test_layers_have_tidy_names(tensor: str, layer: str) -> None:
    assert layer_name(tensor) == layer


def test_layers_without_a_name_are_told_apart(tmp_path: Path) -> None:
    model = imported(file_of(branches), tmp_path)

    names = [layer.name for layer in layers_of(model.graph)]
    nodes = {node.name for node in parse(model.graph).graph.node}
    assert len(set(names)) == len(names) == 2
    assert set(names) <= nodes


def test_a_file_with_more_operators_than_any_network_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("toolkit.tflite_graph.flat.MOST_OPERATORS", 4)

    with pytest.raises(UnsupportedError, match="6 operators; at most 4"):
        imported(file_of(branches), tmp_path)


def test_an_import_reports_and_stops(tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(file_of(branches))
    events: list[Event] = []

    read_model(path, Given(), Job(events.append))

    assert events[-1].done == events[-1].total > 0


REAL = {
    "mlperf_tiny/resnet_fp32.tflite": (255, 78_666 - 1_306, "conv2d_8"),
    "mlperf_tiny/kws_fp32.tflite": (60, 22_016, "depthwise_conv2d_3"),
    "hand_gesture/keypoint_classifier.tflite": (1, 1_070, "dense_1"),
}
"""By file: how far inputs reach, weights of its layers, the name of one of them."""


@pytest.mark.parametrize("name", REAL)
def test_a_real_file_answers_as_in_litert(name: str) -> None:
    path = DATA / name
    if not path.is_file():
        pytest.skip(f"{name} is not here: it lies beside the checkout, in shared/data")
    reach, parameters, layer = REAL[name]

    model = read_model(path, Given(), QUIET).model
    items = np.random.default_rng(0).random((10, *model.signature.inputs[0].shape[1:])) * reach

    found = Runner.of_model(model, QUIET).first_output(items.astype(np.float32), QUIET)
    expected = litert(path.read_bytes(), items.astype(np.float32))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    layers = layers_of(model.graph)
    assert sum(each.parameters for each in layers) == parameters
    assert layer in [each.name for each in layers]
    assert len(model.signature.labels) == found.shape[1]
