"""ONNX files made elsewhere: taken over as they are, or refused with what is in the way."""

import contextlib
import io
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from edge_targets.runtime.errors import DataError, EdgeError, IntegrityError, UnsupportedError
from edge_targets.runtime.events import QUIET, Event, Job
from toolkit.data import Dataset
from toolkit.formats import formats
from toolkit.importers import Given, read_model
from toolkit.inference import Runner
from toolkit.model import Model
from toolkit.onnx_graph import operators, parse
from toolkit.passes.quantize_int8 import QuantizeInt8

FLOAT = TensorProto.FLOAT
WEIGHTS = numpy_helper.from_array(np.arange(12, dtype=np.float32).reshape(4, 3), "w")
Save = Callable[..., Path]


def value(name: str, shape: Sequence[int | str | None] | None, kind: int = FLOAT) -> Any:
    return helper.make_tensor_value_info(name, kind, shape)


def multiply(name: str = "times") -> Any:
    return helper.make_node("MatMul", ["x", "w"], ["y"], name=name)


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """Writes a graph from `x` (batch, 4) to `y` (batch, 3), unless told otherwise."""

    def write(
        *nodes: Any,
        inputs: Sequence[Any] = (value("x", ["batch", 4]),),
        outputs: Sequence[Any] = (value("y", ["batch", 3]),),
        stored: Sequence[Any] = (WEIGHTS,),
        opset: int = 20,
        others: Sequence[Any] = (),
        functions: Sequence[Any] = (),
        ir_version: int = 8,
    ) -> Path:
        graph = helper.make_graph(nodes or [multiply()], "g", inputs, outputs, stored)
        opsets = [helper.make_opsetid("", opset), *others]
        model = helper.make_model(graph, opset_imports=opsets, functions=functions)
        model.ir_version = ir_version
        path = tmp_path / "model.onnx"
        path.write_bytes(model.SerializeToString())
        return path

    return write


def refused(file: Path) -> EdgeError:
    with pytest.raises(EdgeError) as caught:
        read_model(file, Given(), QUIET)
    assert caught.value.hint
    return caught.value


def test_our_own_file_comes_back_with_the_same_answers(
    exported: Model, digits: Dataset, tmp_path: Path
) -> None:
    file = tmp_path / "digits.onnx"
    file.write_bytes(formats["onnx"]().build(exported.graph, exported.signature, QUIET).data)

    found = read_model(file, Given(), QUIET).model

    assert found.kind == "graph"
    assert found.signature.inputs[0].shape == (-1, 1, 8, 8)
    assert found.signature.labels == digits.labels
    items = digits.inputs[:100]
    expected = Runner.of_model(exported, QUIET).first_output(items, QUIET)
    assert np.array_equal(Runner.of_model(found, QUIET).first_output(items, QUIET), expected)


def test_importing_reports_to_the_end(save: Save, job: Job, events: list[Event]) -> None:
    read_model(save(), Given(), job)

    assert events[-1].done == events[-1].total > 0


def test_a_file_is_known_by_its_content_and_not_by_its_name(save: Save, tmp_path: Path) -> None:
    other = save().rename(tmp_path / "model.bin")

    assert read_model(other, Given(), QUIET).model.signature.labels == ("0", "1", "2")


def test_a_single_number_is_no_class(save: Save) -> None:
    one = numpy_helper.from_array(np.ones((4, 1), np.float32), "w")

    found = read_model(save(outputs=[value("y", ["batch", 1])], stored=[one]), Given(), QUIET).model

    assert found.signature.labels == ()


def test_what_an_autoencoder_gives_back_is_no_class(save: Save) -> None:
    square = numpy_helper.from_array(np.ones((4, 4), np.float32), "w")

    found = read_model(save(outputs=[value("y", ["batch", 4])], stored=[square]), Given(), QUIET)

    assert found.model.signature.labels == ()


def test_a_batch_written_as_one_is_made_free_where_the_graph_allows(save: Save) -> None:
    found = read_model(
        save(inputs=[value("x", [1, 4])], outputs=[value("y", [1, 3])]), Given(), QUIET
    ).model

    answers = Runner.of_model(found, QUIET).first_output(np.eye(4, dtype=np.float32), QUIET)
    assert answers.tolist() == np.arange(12).reshape(4, 3).tolist()


@pytest.mark.parametrize("opset", [7, 11, 13, 17])
def test_an_older_opset_is_raised_to_ours(save: Save, opset: int) -> None:
    found = read_model(save(opset=opset), Given(), QUIET).model

    assert [o.version for o in parse(found.graph).opset_import] == [20]


def test_weights_that_an_older_file_lists_as_inputs_are_weights(
    save: Save, digits: Dataset
) -> None:
    half = numpy_helper.from_array(np.float32(0.5), "half")
    weights = numpy_helper.from_array(np.ones((64, 10), np.float32), "w")
    nodes = [
        helper.make_node("Flatten", ["x"], ["flat"]),
        helper.make_node("MatMul", ["flat", "w"], ["z"]),
        helper.make_node("Mul", ["z", "half"], ["y"]),
    ]
    file = save(
        *nodes,
        inputs=[value("x", ["batch", 1, 8, 8]), value("w", [64, 10]), value("half", [])],
        outputs=[value("y", ["batch", 10])],
        stored=[weights, half],
        opset=8,
        ir_version=3,
    )

    found = read_model(file, Given(), QUIET).model

    assert [spec.name for spec in found.signature.inputs] == ["x"]
    graph = parse(found.graph)
    assert [taken.name for taken in graph.graph.input] == ["x"]
    assert graph.ir_version >= 9
    items = np.ones((3, 1, 8, 8), np.float32)
    assert Runner.of_model(found, QUIET).first_output(items, QUIET).tolist() == [[32] * 10] * 3
    small = QuantizeInt8(samples=8).apply(found.with_data(digits), QUIET)
    assert "QuantizeLinear" in operators(small.graph)


def test_what_is_imported_is_cleaned_of_where_it_was_made(save: Save) -> None:
    node = multiply()
    node.doc_string = "File /home/ada/train.py, line 3"

    assert b"/home/ada" not in read_model(save(node), Given(), QUIET).model.graph


def test_functions_inside_the_file_are_taken_over(save: Save) -> None:
    double = helper.make_function(
        "my", "Double", ["a"], ["b"],
        [helper.make_node("Add", ["a", "a"], ["b"])], [helper.make_opsetid("", 20)],
    )  # fmt: skip
    node = helper.make_node("Double", ["x"], ["y"], domain="my")
    file = save(
        node, outputs=[value("y", ["batch", 4])], functions=[double],
        others=[helper.make_opsetid("my", 1)],
    )  # fmt: skip

    found = read_model(file, Given(), QUIET).model

    items = np.ones((3, 4), np.float32)
    assert Runner.of_model(found, QUIET).first_output(items, QUIET).tolist() == [[2] * 4] * 3


def test_an_operator_that_nobody_knows_is_refused_by_name_and_node(save: Save) -> None:
    error = refused(save(helper.make_node("Fancy", ["x", "w"], ["y"], name="layer_7")))

    assert isinstance(error, UnsupportedError)
    assert "Fancy" in str(error)
    assert "layer_7" in str(error)


def test_an_operator_in_a_branch_is_found_too(save: Save) -> None:
    branch = helper.make_graph(
        [helper.make_node("Fancy", [], ["w"], name="inner")], "b", [], [value("w", [4, 3])]
    )
    yes = numpy_helper.from_array(np.array(True), "yes")
    choice = helper.make_node("If", ["yes"], ["w"], then_branch=branch, else_branch=branch)

    assert "Fancy (node 'inner')" in str(refused(save(choice, multiply(), stored=[yes])))


def test_an_operator_of_another_domain_is_refused_by_name(save: Save) -> None:
    node = helper.make_node("Fancy", ["x", "w"], ["y"], domain="com.acme")

    assert "Fancy" in str(refused(save(node, others=[helper.make_opsetid("com.acme", 1)])))


@pytest.mark.parametrize("where", ["initializer", "constant"])
@pytest.mark.parametrize("place", ["weights.bin", "../../etc/passwd", "/etc/passwd"])
def test_weights_in_another_file_are_refused_unread(save: Save, where: str, place: str) -> None:
    outside = TensorProto()
    outside.CopyFrom(WEIGHTS)
    outside.ClearField("raw_data")
    outside.data_location = TensorProto.EXTERNAL
    entry = outside.external_data.add()
    entry.key, entry.value = "location", place
    constant = helper.make_node("Constant", [], ["w"], value=outside)

    if where == "initializer":
        error = refused(save(stored=[outside]))
    else:
        error = refused(save(constant, multiply(), stored=[]))

    assert "keeps its weights in another file" in str(error)


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"inputs": [value("x", ["batch", "n"])]}, "'x' has shape [batch, n]"),
        ({"inputs": [value("x", ["batch", None])]}, "'x' has shape [batch, ?]"),
        ({"inputs": [value("x", None)]}, "'x' has shape unknown"),
        ({"inputs": [value("x", [])]}, "'x' has shape []"),
        ({"inputs": [value("x", ["batch", 0])]}, "'x' has shape [batch, 0]"),
        ({"inputs": [value("x", ["batch", 4], TensorProto.COMPLEX64)]}, "'x' has type complex64"),
        ({"inputs": [value("x", ["batch", 4], TensorProto.STRING)]}, "'x' has type object"),
        (
            {"outputs": [helper.make_tensor_sequence_value_info("y", FLOAT, None)]},
            "'y' is no tensor",
        ),
        ({"inputs": [value("x", ["batch", 10**7, 10**6])]}, "more than 67,108,864 values an item"),
        ({"inputs": [value("x", ["batch", 1 << 62])]}, "more than 67,108,864 values an item"),
        ({"inputs": [value("x", [1 << 40, 4])]}, "more than 67,108,864 values a batch"),
        ({"outputs": []}, "takes or gives nothing"),
        (
            {"inputs": [], "stored": [WEIGHTS, numpy_helper.from_array(np.ones((2, 4)), "x")]},
            "nothing",
        ),
    ],
)
def test_inputs_and_outputs_that_no_device_could_use_are_refused(
    save: Save, parts: dict[str, Any], said: str
) -> None:
    assert said in str(refused(save(**parts)))


def test_a_file_cut_in_half_anywhere_is_refused(save: Save) -> None:
    whole = save().read_bytes()
    file = save()
    for length in range(len(whole)):
        file.write_bytes(whole[:length])

        assert isinstance(refused(file), IntegrityError | UnsupportedError)


def test_a_real_file_cut_in_half_is_said_to_be_incomplete(exported: Model, tmp_path: Path) -> None:
    whole, file = exported.graph, tmp_path / "half.onnx"
    for share in (0.1, 0.5, 0.9, 0.999):
        file.write_bytes(whole[: int(len(whole) * share)])

        assert "not a complete ONNX model" in str(refused(file))


def other_kinds() -> dict[str, bytes]:
    picture, archive = io.BytesIO(), io.BytesIO()
    Image.new("RGB", (4, 4)).save(picture, "PNG")
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("data.pkl", b"x" * 5000)
    return {
        "zip": archive.getvalue(),
        "png": picture.getvalue(),
        "text": b"not a model at all\n" * 10,
        "zeros": bytes(5000),
        "one byte": b"\x08",
    }


@pytest.mark.parametrize("kind", other_kinds())
def test_a_file_of_another_kind_is_refused_with_what_can_be_imported(
    tmp_path: Path, kind: str
) -> None:
    file = tmp_path / "model.onnx"
    file.write_bytes(other_kinds()[kind])

    error = refused(file)

    assert str(error) == f"{file} is not a model file that can be imported."
    assert "ONNX" in error.hint


def test_a_folder_and_a_file_that_is_not_there_are_refused(tmp_path: Path) -> None:
    assert isinstance(refused(tmp_path), UnsupportedError)
    assert isinstance(refused(tmp_path / "none.onnx"), DataError)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    head=st.sampled_from([b"", b"\x08\x0a\x3a", b"\x08\x08\x12", b"\x08\x0a\x42"]),
    rest=st.binary(max_size=200),
)
def test_any_bytes_give_two_clear_lines(tmp_path: Path, head: bytes, rest: bytes) -> None:
    file = tmp_path / "any"
    file.write_bytes(head + rest)

    refused(file)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=3))
def test_any_damage_gives_a_model_or_two_clear_lines(
    save: Save, changes: list[tuple[int, int]]
) -> None:
    file = save()
    damaged = bytearray(file.read_bytes())
    for place, byte in changes:
        damaged[place % len(damaged)] = byte
    file.write_bytes(damaged)

    with contextlib.suppress(EdgeError):
        onnx.load_from_string(read_model(file, Given(), QUIET).model.graph)


@pytest.mark.parametrize("quantized_input", [False, True])
def test_stored_weights_without_a_zero_point_run_and_keep_their_values(
    tmp_path: Path, quantized_input: bool
) -> None:
    rng = np.random.default_rng(0)
    codes = rng.integers(-127, 128, (4, 3)).astype(np.int8)
    scales = rng.uniform(0.01, 0.1, 4).astype(np.float32)
    pair = [
        helper.make_node("QuantizeLinear", ["x", "s"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s"], ["taken"]),
    ]
    nodes = [
        *(pair if quantized_input else [helper.make_node("Identity", ["x"], ["taken"])]),
        helper.make_node("DequantizeLinear", ["codes", "scales"], ["w"], axis=0),
        helper.make_node("Gemm", ["taken", "w"], ["y"], transB=1),
    ]
    stored = {"codes": codes, "scales": scales, "s": np.float32(0.1)}
    graph = helper.make_graph(
        nodes, "g", [value("x", ["n", 3])], [value("y", ["n", 4])],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in stored.items()],
    )  # fmt: skip
    file = tmp_path / "bare.onnx"
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9), file
    )
    items = (rng.integers(0, 100, (5, 3)) / 10).astype(np.float32)  # on the grid of the pair

    model = read_model(file, Given(), QUIET).model

    found = Runner(model.graph, "onnx", model.signature).first_output(items, QUIET)
    np.testing.assert_allclose(found, items @ (codes * scales[:, None]).T, rtol=1e-4, atol=1e-3)
