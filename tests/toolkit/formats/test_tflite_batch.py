"""Files whose batch is free: one item, then three, then seven, by resizing the inputs."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edge_targets.runtime.contract import Signature, Tensor, TensorSpec
from edge_targets.runtime.engines.tflite import LiteRT
from edge_targets.runtime.errors import UnsupportedError
from edge_targets.runtime.events import QUIET
from toolkit.flatbuffer.translate import translate
from toolkit.formats.tflite import TFLite
from toolkit.onnx_graph import parse

Array = np.ndarray[Any, Any]
Run = Callable[[bytes, Mapping[str, Array]], list[Array]]
RESOLVERS = ["AUTO", "BUILTIN_WITHOUT_DEFAULT_DELEGATES"]


def runs(model: bytes, inputs: Mapping[str, Array], resolver: str) -> list[list[Array]]:
    """The answers to one item, to three and to seven, in one interpreter."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    runner = Interpreter(
        model_content=model, num_threads=1, experimental_op_resolver_type=OpResolverType[resolver]
    )
    places = {d["name"]: d["index"] for d in runner.get_input_details()}
    found = []
    for count in (1, 3, 7):
        for name, place in places.items():
            runner.resize_tensor_input(place, inputs[name][:count].shape)
        runner.allocate_tensors()
        for name, place in places.items():
            runner.set_tensor(place, inputs[name][:count])
        runner.invoke()
        found.append([runner.get_tensor(d["index"]) for d in runner.get_output_details()])
    return found


@pytest.mark.parametrize("resolver", RESOLVERS)
@pytest.mark.parametrize("name", ["small_cnn", "mobile_cnn", "table_mlp"])
def test_a_network_takes_any_number_of_items(
    name: str, resolver: str, request: pytest.FixtureRequest, digits: tuple[Array, Array],
    table_rows: Array, run_onnx: Run,
) -> None:  # fmt: skip
    graph = request.getfixturevalue(name)
    inputs = {"x": table_rows} if name == "table_mlp" else {"image": digits[0]}
    compiled = translate(parse(graph), QUIET, free_batch=True)

    for found, count in zip(runs(compiled, inputs, resolver), (1, 3, 7), strict=True):
        expected = run_onnx(graph, {n: values[:count] for n, values in inputs.items()})
        np.testing.assert_allclose(found[0], expected[0], atol=1e-5)


@pytest.mark.parametrize("resolver", RESOLVERS)
def test_a_quantized_network_takes_any_number_of_items(
    resolver: str, small_cnn: bytes, digits: tuple[Array, Array],
    quantize: Callable[..., bytes], run_tflite: Run,
) -> None:  # fmt: skip
    inputs = {"image": digits[0]}
    model = parse(quantize(small_cnn, {"image": digits[0][:100]}))
    [alone] = run_tflite(translate(model, QUIET), {"image": digits[0][:7]})

    compiled = translate(model, QUIET, free_batch=True)

    for [found], count in zip(runs(compiled, inputs, resolver), (1, 3, 7), strict=True):
        np.testing.assert_allclose(found, alone[:count], atol=0.01)


def test_the_file_says_which_axis_is_free_and_works_as_it_is(
    small_cnn: bytes, digits: tuple[Array, Array], run_onnx: Run, run_tflite: Run
) -> None:
    from ai_edge_litert.interpreter import Interpreter

    compiled = translate(parse(small_cnn), QUIET, free_batch=True)
    inputs = {"image": digits[0][:5]}

    [found], [expected] = run_tflite(compiled, inputs), run_onnx(small_cnn, inputs)

    details = Interpreter(model_content=compiled).get_input_details()[0]
    assert details["shape"].tolist() == [1, 1, 8, 8]
    assert details["shape_signature"].tolist() == [-1, 1, 8, 8]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_free_batch_costs_no_operator(small_cnn: bytes, operations: Callable[..., Any]) -> None:
    fixed, free = (
        translate(parse(small_cnn), QUIET, free_batch=choice) for choice in (False, True)
    )

    assert [op for op, _ in operations(free)] == [op for op, _ in operations(fixed)]
    assert abs(len(free) - len(fixed)) < 600


def test_the_devices_engine_takes_such_files_at_once_and_one_by_one(
    table_mlp: bytes, table_rows: Array, run_onnx: Run, tmp_path: Path
) -> None:
    signature = Signature((TensorSpec("x", (-1, 4)),), (TensorSpec("y", (-1, 4)),))
    path = tmp_path / "model.tflite"
    path.write_bytes(TFLite(free_batch=True).build(table_mlp, signature, QUIET).data)

    engine = LiteRT(path, signature)

    assert engine.is_free
    for count in (1, 20, 20, 3):
        rows = table_rows[:count]
        answer = engine.run({"x": Tensor(rows.shape, rows.reshape(-1))})["y"]
        assert engine.size == count
        [expected] = run_onnx(table_mlp, {"x": rows})
        np.testing.assert_allclose(np.asarray(answer.data), expected.reshape(-1), atol=1e-5)


def drawn(*nodes: onnx.NodeProto, **stored: Array) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes, "test",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 4, 6])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(array, name) for name, array in stored.items()],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


@pytest.mark.parametrize("resolver", RESOLVERS)
def test_slices_and_merged_axes_leave_it_open(resolver: str, run_onnx: Run) -> None:
    model = drawn(
        helper.make_node("Slice", ["x", "one", "three", "one"], ["a"]),
        helper.make_node("Reshape", ["a", "rows"], ["b"]),
        helper.make_node("Transpose", ["b"], ["c"], perm=[1, 0]),
        helper.make_node("ReduceMean", ["c", "zero"], ["d"], keepdims=0),
        helper.make_node("Reshape", ["d", "pairs"], ["y"]),
        one=np.array([1]), three=np.array([3]), zero=np.array([0]), rows=np.array([-1, 6]),
        pairs=np.array([-1, 2]),
    )  # fmt: skip
    inputs = {"x": np.random.default_rng(0).standard_normal((7, 4, 6)).astype(np.float32)}

    compiled = translate(model, QUIET, free_batch=True)

    for [found], count in zip(runs(compiled, inputs, resolver), (1, 3, 7), strict=True):
        [expected] = run_onnx(model.SerializeToString(), {"x": inputs["x"][:count]})
        np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize(
    ("model", "code"),
    [
        (
            drawn(
                helper.make_node("Transpose", ["x"], ["t"], perm=[1, 0, 2]),
                helper.make_node("LSTM", ["t", "w", "r"], ["", "y"], hidden_size=2, name="it"),
                w=np.ones((1, 8, 6), np.float32),
                r=np.ones((1, 8, 2), np.float32),
            ),
            "node 'it'",
        ),
        (
            drawn(
                helper.make_node("Shape", ["x"], ["s"]),
                helper.make_node("Expand", ["c", "s"], ["e"]),
                helper.make_node("Add", ["x", "e"], ["y"], name="sum"),
                c=np.ones((1, 1, 1), np.float32),
            ),
            "node 'sum'",
        ),
    ],
    ids=["LSTM", "Expand"],
)
def test_what_pins_the_batch_is_named(model: onnx.ModelProto, code: str) -> None:
    with pytest.raises(UnsupportedError, match=f"{code}.*number of items") as caught:
        translate(model, QUIET, free_batch=True)

    assert "one item" in caught.value.hint
