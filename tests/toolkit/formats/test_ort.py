"""ORT format: the same bytes again, the same answers, and nothing of one kind of processor."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from edge_targets.runtime.contract import Signature, TensorSpec
from edge_targets.runtime.errors import UnsupportedError
from edge_targets.runtime.events import QUIET
from toolkit.formats.ort import SLOWER, Ort, converted
from toolkit.ort_file import ordered

Array = np.ndarray[Any, Any]
SIGNATURE = Signature((TensorSpec("x", (-1, 3, 8, 8)),), (TensorSpec("y", (-1, 5)),))


@pytest.fixture(scope="module")
def graph() -> bytes:
    """Seven kinds of operators: their order in the file is what varies."""
    rng = np.random.default_rng(3)
    stored = {
        "one.weight": rng.normal(size=(16, 3, 3, 3)),
        "two.weight": rng.normal(size=(16, 16, 1, 1)),
        "head.weight": rng.normal(size=(16, 5)),
    }
    nodes = [
        helper.make_node("Conv", ["x", "one.weight"], ["a"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Conv", ["b", "two.weight"], ["c"]),
        helper.make_node("Add", ["b", "c"], ["d"]),
        helper.make_node("Sigmoid", ["d"], ["e"]),
        helper.make_node("GlobalAveragePool", ["e"], ["f"]),
        helper.make_node("Flatten", ["f"], ["g"]),
        helper.make_node("MatMul", ["g", "head.weight"], ["h"]),
        helper.make_node("Softmax", ["h"], ["y"]),
    ]
    made = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 5])],
        [numpy_helper.from_array(v.astype(np.float32), name) for name, v in stored.items()],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    return bytes(model.SerializeToString())


def answer(file: bytes, x: Array) -> Array:
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    found: Array = session.run(["y"], {"x": x})[0]
    return found


def test_a_file_answers_like_the_graph_for_any_batch(graph: bytes) -> None:
    data = Ort().build(graph, SIGNATURE, QUIET).data

    assert data[4:8] == b"ORTM"
    for count in (1, 6):
        x = np.random.default_rng(count).normal(size=(count, 3, 8, 8)).astype(np.float32)
        np.testing.assert_allclose(answer(data, x), answer(graph, x), atol=1e-6)


def test_the_runtime_writes_files_that_differ_and_ordering_makes_them_the_same(
    graph: bytes,
) -> None:
    raw = {converted(graph) for _ in range(30)}

    assert len(raw) > 1
    assert len({ordered(data) for data in raw}) == 1


def test_another_process_writes_the_same_bytes(graph: bytes, tmp_path: Path) -> None:
    file, written = tmp_path / "model.onnx", tmp_path / "model.ort"
    file.write_bytes(graph)
    code = (
        "import sys, pathlib; from toolkit.formats.ort import converted; "
        "from toolkit.ort_file import ordered; "
        "given, made = map(pathlib.Path, sys.argv[1:]); "
        "made.write_bytes(ordered(converted(given.read_bytes())))"
    )

    subprocess.run([sys.executable, "-c", code, file, written], check=True)

    assert written.read_bytes() == ordered(converted(graph))


def test_nothing_in_a_file_is_for_one_kind_of_processor(graph: bytes) -> None:
    written = Ort().build(graph, SIGNATURE, QUIET)

    # the domain is listed in every file; its operators are what only this machine may have
    assert b"Conv:1:com.microsoft.nchwc" not in written.data
    assert b"ReorderInput" not in written.data
    assert SLOWER in written.notes


def test_a_graph_that_the_runtime_cannot_write_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="cannot write") as caught:
        converted(b"no graph")

    assert "--format onnx" in caught.value.hint
