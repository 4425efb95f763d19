"""What is in a file, a model or an artifact, and what it can be compiled to."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from edge_targets.runtime.errors import (
    DataError,
    EdgeError,
    IntegrityError,
    UnknownNameError,
    UnsupportedError,
)
from edge_targets.runtime.events import QUIET
from toolkit.anatomy import layers_of, total_macs
from toolkit.importers import Given
from toolkit.inspection import inspect
from toolkit.model import Model
from toolkit.nodes import graph_nodes
from toolkit.passes.quantize_int8 import QuantizeInt8
from toolkit.results import Inspected
from toolkit.workspace import Workspace


def found(subject: object, workspace: Path | None = None, nodes: bool = False) -> Inspected:
    return inspect(str(subject), Given(), nodes, workspace, QUIET)


def graph(
    nodes: list[Any],
    stored: dict[str, Any] | None = None,
    taken: dict[str, int] | None = None,
    dtype: int = TensorProto.FLOAT,
) -> bytes:
    """A graph from `x`, (batch, 4), to `y`."""
    made = helper.make_graph(
        nodes,
        "g",
        [
            helper.make_tensor_value_info(name, kind, ["batch", 4])
            for name, kind in (taken or {"x": TensorProto.FLOAT}).items()
        ],
        [helper.make_tensor_value_info("y", dtype, ["batch", 4])],
        [numpy_helper.from_array(array, name) for name, array in (stored or {}).items()],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    return bytes(model.SerializeToString())


def test_a_file_tells_what_is_in_it_without_a_workspace(
    exported: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "no-name-tells-the-kind"
    file.write_bytes(exported.graph)

    said = found(file)

    assert (said.format, said.size_bytes) == ("onnx", len(exported.graph))
    assert (said.opset, said.layout) == (20, "NCHW")
    assert said.parameters == exported.parameters
    assert said.macs == total_macs(exported.graph) > 0
    assert [info.name for info in said.inputs] == ["image"]
    assert said.operators["Conv"] == 2
    assert [(fit.format, fit.fits) for fit in said.fits if fit.format in {"onnx", "tflite"}] == [
        ("onnx", True),
        ("tflite", True),
    ]
    assert said.nodes == ()


def test_a_model_and_its_artifacts_are_found_by_name(line: Workspace) -> None:
    model, artifact = (found(name, line.root) for name in ("m", "m-int8.onnx"))

    assert (model.format, artifact.format) == ("small_cnn", "onnx")
    assert model.macs == artifact.macs
    assert artifact.size_bytes < model.size_bytes
    # what the workspace knows of the numbers beyond the file
    assert artifact.inputs[0].unit == model.inputs[0].unit == "0-16"


def test_a_file_wins_over_a_model_of_the_same_name_and_a_folder_does_not(
    line: Workspace, exported: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m").write_bytes(exported.graph)
    (tmp_path / "m-int8").mkdir()

    assert found("m", line.root).format == "onnx"
    assert found("m-int8", line.root).operators["QuantizeLinear"] > 0


def test_what_is_nowhere_is_said_so(
    line: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UnknownNameError, match="file, model or artifact") as caught:
        found("m-int9", line.root)
    assert "m-int8" in caught.value.hint

    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="no workspace") as without:
        found("model.onnx")
    assert "path" in without.value.hint


@pytest.mark.parametrize("data", [b"", b"not a model", bytes(100)])
def test_what_is_no_model_is_refused_in_a_line(data: bytes, tmp_path: Path) -> None:
    file = tmp_path / "x.onnx"
    file.write_bytes(data)

    with pytest.raises(EdgeError) as caught:
        found(file)

    assert caught.value.hint
    assert "\n" not in str(caught.value)


def test_a_cut_file_is_called_damaged(exported: Model, tmp_path: Path) -> None:
    file = tmp_path / "cut.onnx"
    file.write_bytes(exported.graph[:3000])

    with pytest.raises(IntegrityError):
        found(file)


def test_a_format_that_lacks_an_operator_names_it_and_what_to_do(tmp_path: Path) -> None:
    node = helper.make_node("Det", ["square"], ["flat"], "oddity")
    shape = {"shape": np.array([-1, 2, 2], np.int64), "back": np.array([-1, 1], np.int64)}
    nodes = [
        helper.make_node("Reshape", ["x", "shape"], ["square"]),
        node,
        helper.make_node("Reshape", ["flat", "back"], ["column"]),
        helper.make_node("Add", ["x", "column"], ["y"]),
    ]
    file = tmp_path / "odd.onnx"
    file.write_bytes(graph(nodes, shape))

    fits = {fit.format: fit for fit in found(file).fits}

    assert fits["onnx"].fits
    assert not fits["tflite"].fits
    assert "Det" in fits["tflite"].reason
    assert fits["tflite"].mend


def test_an_artifact_that_no_importer_reads_names_its_model(
    line: Workspace, exported: Model
) -> None:
    made = line.put(
        "artifacts", "odd", {"model.odd": b"odd"}, {"format": "odd"}, "build",
        parents=(line.get("models", "m"),),
    )  # fmt: skip

    with pytest.raises(UnsupportedError, match="odd") as caught:
        found(made.name, line.root)
    line.forget("artifacts", "odd")

    assert caught.value.hint.endswith("m.")


# ------------------------------------------------------------------------------- the operators


def test_operators_carry_the_names_and_figures_of_their_layers(exported: Model) -> None:
    nodes = graph_nodes(exported.graph)

    layers = {layer.name: layer for layer in layers_of(exported.graph)}
    told = {node.name: node for node in nodes if node.macs}
    assert list(told) == list(layers)
    assert {name: node.macs for name, node in told.items()} == {
        name: layer.macs for name, layer in layers.items()
    }
    first = told["1.0"]
    assert first.shape == "batch×8×8×8"
    assert first.attributes["kernel_shape"] == "3, 3"
    assert (first.dtype, first.bits, first.outputs) == ("float32", 32, nodes[1].outputs)


def test_weights_in_few_bits_count_where_they_are_used(exported: Model) -> None:
    float_nodes, int8_nodes = (
        {node.name: node for node in graph_nodes(data) if node.macs}
        for data in (exported.graph, QuantizeInt8().apply(exported, QUIET).graph)
    )

    first = int8_nodes["1.0"]
    assert first.bits == 8
    # 8 channels of 3 × 3 weights in a byte, and their biases in four
    assert first.parameters == float_nodes["1.0"].parameters == 8 * 9 + 8
    assert first.size_bytes == 8 * 9 + 8 * 4


def test_the_parameters_of_all_operators_are_those_of_the_graph(exported: Model) -> None:
    numbers = sum(node.parameters for node in graph_nodes(exported.graph))

    # the shape of a Reshape is no parameter
    assert numbers == exported.parameters - 2


def test_branches_are_listed_behind_their_operator() -> None:
    def branch(name: str, op: str) -> Any:
        result = helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
        return helper.make_graph([helper.make_node(op, ["x"], [name])], name, [], [result])

    nodes = [
        helper.make_node("ReduceMax", ["x"], ["most"], "top", keepdims=0),
        helper.make_node("Greater", ["most", "zero"], ["positive"]),
        helper.make_node(
            "If", ["positive"], ["y"], "choice",
            then_branch=branch("then", "Relu"), else_branch=branch("other", "Neg"),
        ),
    ]  # fmt: skip

    told = graph_nodes(graph(nodes, {"zero": np.zeros((), np.float32)}))

    assert [node.name for node in told] == [
        "top", "Greater_1", "choice", "choice/else_branch/Neg_0", "choice/then_branch/Relu_0",
    ]  # fmt: skip
    assert told[2].attributes["then_branch"] == "graph of 1 operators"
    assert told[1].parameters == 0


def test_long_attributes_are_shortened() -> None:
    scales = {"value_floats": [0.5] * 50}
    nodes = [
        helper.make_node("Constant", [], ["many"], "many", **scales),
        helper.make_node("ReduceSum", ["many"], ["sum"], keepdims=1),
        helper.make_node("Add", ["x", "sum"], ["y"]),
    ]

    [text] = graph_nodes(graph(nodes))[0].attributes.values()

    assert text.startswith("0.5, 0.5")
    assert text.endswith("(50)")
    assert len(text) < 100
