"""Two models side by side: real ones, quantized, pruned, compiled, from another framework."""

import io
import warnings
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edge_targets.runtime.errors import DataError, IntegrityError, UnknownNameError
from edge_targets.runtime.events import QUIET
from toolkit import shelf
from toolkit.comparison import compare
from toolkit.data import Dataset
from toolkit.formats import formats
from toolkit.importers import Given
from toolkit.model import Model
from toolkit.onnx_graph import graph_of, parse, written
from toolkit.passes.prune_channels import PruneChannels
from toolkit.results import Compared, LayerPair, Side
from toolkit.terminal import console, show
from toolkit.workspace import Workspace

DATA = Path(__file__).resolve().parents[3].parent / "shared" / "data" / "mlperf_tiny"


def compared(
    first: object, second: object, line: Workspace | None = None, data: str | None = None
) -> Compared:
    root = line.root if line else None
    return compare(str(first), str(second), data, root, Given(), QUIET)


def stored(line: Workspace, name: str, model: Model) -> str:
    """A model of the workspace that the other tests do not know."""
    shelf.save_model(line, name, model, "import", {}, (), ())
    return name


def anonymous(graph: bytes) -> bytes:
    """The same graph, as exporters write it that do not keep names."""
    model = parse(graph)
    names = {t.name: f"onnx::{i}" for i, t in enumerate(model.graph.initializer)}
    for tensor in model.graph.initializer:
        tensor.name = names[tensor.name]
    for index, node in enumerate(model.graph.node):
        node.name = f"{node.op_type}_{index}"
        for place, name in enumerate(node.input):
            node.input[place] = names.get(name, name)
    return written(model)


def test_a_model_does_not_differ_from_itself(line: Workspace) -> None:
    said = compared("m", "m", line, "digits")

    assert said.differ == ()
    assert said.parting == ""
    assert "Nothing was found in which they differ." in said.notes
    assert {row.paired_by for row in said.layers} == {"name"}
    assert {row.weight_error for row in said.layers} == {0.0}
    assert {row.output_error for row in said.layers} == {0.0}
    assert [gap.largest for gap in said.outputs] == [0.0]
    assert (said.label_agreement, said.samples) == (1.0, 1000)


def test_a_quantized_model_differs_in_bits_and_a_little_in_weights(line: Workspace) -> None:
    said = compared("m", "m-int8", line, "digits")

    assert {"bits of 4 layers", "weights of 4 layers", "operators", "answers"} <= {*said.differ}
    for row in said.layers:
        assert (row.first, row.bits_first, row.bits_second) == (row.second, 32, 8)
        assert row.weight_error is not None
        assert 0 < row.weight_error < 0.02
        assert row.output_error is not None
        assert 0 < row.output_error < 0.1
    assert said.parting == said.layers[0].first
    assert said.label_agreement is not None
    assert said.label_agreement > 0.98
    assert said.second.size_bytes < said.first.size_bytes
    assert said.second.zipped_bytes < said.first.zipped_bytes


def test_a_compiled_file_has_the_same_layers_under_other_names(
    line: Workspace, trained: Model, tmp_path: Path
) -> None:
    file = tmp_path / "model"
    graph = graph_of(trained, QUIET)
    file.write_bytes(formats["tflite"]().build(graph, trained.signature, QUIET).data)
    name = stored(line, "float-model", trained)

    said = compared(name, file, line, "digits")

    assert (said.first.format, said.second.format) == ("small_cnn", "tflite")
    assert [row.first for row in said.layers] == ["1.0", "1.3", "1.8", "1.11"]
    assert all(row.second and row.weight_error is not None for row in said.layers)
    # a batch norm that one has outside its layers and the other inside makes no difference
    assert all((row.weight_error or 0.0) < 1e-6 for row in said.layers)
    assert all(row.output_error is not None and row.output_error < 1e-5 for row in said.layers)
    assert said.parting == ""
    assert "answers" not in said.differ
    assert not any(words.startswith("weights") for words in said.differ)


def test_another_exporter_makes_other_names_and_the_same_layers(
    line: Workspace, trained: Model, tmp_path: Path
) -> None:
    import torch
    from torch import nn

    file = tmp_path / "other.onnx"
    parts = OrderedDict(backbone=trained.module(), head=nn.Softmax(dim=1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter warns about its own internals
        torch.onnx.export(
            nn.Sequential(parts).eval(), (torch.zeros(2, 1, 8, 8),), file, dynamo=True,
            verbose=False, external_data=False, dynamic_shapes=({0: torch.export.Dim("n", min=1)},),
        )  # fmt: skip
    name = stored(line, "ours", trained)

    said = compared(name, file, line, "digits")

    assert [row.second for row in said.layers] == [
        f"backbone.{row.first}" for row in said.layers
    ]  # fmt: skip
    assert {row.paired_by for row in said.layers} == {"weights"}
    assert all(row.output_error is not None and row.output_error < 1e-5 for row in said.layers)
    assert said.label_agreement == 1


def test_layers_without_names_are_known_by_their_weights(exported: Model, tmp_path: Path) -> None:
    files = tmp_path / "a.onnx", tmp_path / "b.onnx"
    files[0].write_bytes(exported.graph)
    files[1].write_bytes(anonymous(exported.graph))

    said = compared(*files)

    assert [row.paired_by for row in said.layers] == ["weights"] * 4
    assert {row.weight_error for row in said.layers} == {0.0}
    assert {row.output_error for row in said.layers} == {None}
    assert said.differ == ("names or order inside the file",)
    assert said.next == (f"sanderling diff {files[0]} {files[1]} --data DATA",)


def test_a_pruned_model_pairs_by_name_and_without_names_by_place(
    line: Workspace, trained: Model, tmp_path: Path
) -> None:
    pruned = PruneChannels(epochs=0).apply(trained, QUIET)
    name, other = stored(line, "whole", trained), stored(line, "pruned", pruned)
    file = tmp_path / "anonymous.onnx"
    file.write_bytes(anonymous(graph_of(pruned, QUIET)))

    named, placed = compared(name, other, line, "digits"), compared(name, file, line)

    for said, way in ((named, "name"), (placed, "shape")):
        assert [row.paired_by for row in said.layers] == [way] * 4
        assert said.layers[0].shape_first != said.layers[0].shape_second
        assert said.layers[0].weight_error is None
        assert "shape of 4 layers" in said.differ
        assert said.second.macs < said.first.macs
    # the last gives ten classes in both
    assert named.layers[0].output_error is None
    assert named.layers[-1].output_error is not None


def test_a_bias_that_changed_is_noticed(line: Workspace, exported: Model) -> None:
    from onnx import numpy_helper

    model = parse(exported.graph)
    [bias] = [t for t in model.graph.initializer if t.name == "1.11.bias"]
    values = numpy_helper.to_array(bias) + np.float32(1.5) * (np.arange(10) == 3)
    bias.CopyFrom(numpy_helper.from_array(values.astype(np.float32), bias.name))
    first = stored(line, "as-it-was", exported)
    second = stored(line, "biased", exported.with_graph(written(model)))

    said = compared(first, second, line, "digits")

    assert said.differ == ("constants beside the weights", "answers")
    assert said.parting == "1.11"
    assert said.outputs[0].largest > 0.05


def test_a_setting_that_changed_is_noticed(exported: Model, tmp_path: Path) -> None:
    model = parse(exported.graph)
    [pool] = [node for node in model.graph.node if node.op_type == "MaxPool"]
    [ceil] = [a for a in pool.attribute if a.name == "ceil_mode"]
    ceil.i = 1
    files = tmp_path / "a.onnx", tmp_path / "b.onnx"
    for file, graph in zip(files, (exported.graph, written(model)), strict=True):
        file.write_bytes(graph)

    assert compared(*files).differ == ("settings or order of operators",)


def test_models_that_take_different_things_are_compared_without_answers(
    line: Workspace, exported: Model, digits: Dataset, tmp_path: Path
) -> None:
    if not DATA.is_dir():
        pytest.skip("the MLPerf Tiny models are not here")
    name = stored(line, "digits-graph", exported)

    said = compared(name, DATA / "kws_fp32.tflite", line, "digits")

    assert (said.outputs, said.label_agreement, said.samples) == ((), None, 0)
    assert any("takes [[-1, 1, 8, 8]]" in note or "[-1, 1, 8, 8]" in note for note in said.notes)
    assert {row.output_error for row in said.layers} == {None}


def test_two_frameworks_files_of_one_network_are_paired_layer_by_layer() -> None:
    if not DATA.is_dir():
        pytest.skip("the MLPerf Tiny models are not here")

    said = compared(DATA / "resnet_fp32.tflite", DATA / "resnet_int8_qdq.onnx")

    # the int8 file was equalized before it was quantized, and lists its shortcuts earlier
    assert [row.first for row in said.layers] == [
        "conv2d", *(f"conv2d_{i}" for i in range(1, 9)), "dense",
    ]  # fmt: skip
    for row in said.layers[:-1]:
        assert row.second.split("/")[1] == row.first
    assert said.layers[-1].paired_by == "weights"
    assert any("same up to a factor" in note for note in said.notes)
    assert "bits of 10 layers" in said.differ


def test_data_that_neither_takes_are_refused(line: Workspace, digits: Dataset) -> None:
    flat = replace(digits.facts.input, shape=(-1, 64))
    data = Dataset(
        "flat", replace(digits.facts, input=flat), digits.inputs.reshape(-1, 64), digits.targets,
        digits.split,
    )  # fmt: skip
    shelf.save_dataset(line, data, "data add", {})

    with pytest.raises(DataError, match="flat holds") as caught:
        compared("m", "m-int8", line, "flat")
    line.forget("datasets", "flat")

    assert caught.value.hint


def test_of_two_files_the_damaged_one_is_named(exported: Model, tmp_path: Path) -> None:
    good, bad = tmp_path / "good.onnx", tmp_path / "bad.onnx"
    good.write_bytes(exported.graph)
    bad.write_bytes(exported.graph[:1000])

    with pytest.raises(IntegrityError, match=r"bad\.onnx"):
        compared(good, bad)


def test_an_unknown_name_is_refused(line: Workspace) -> None:
    with pytest.raises(UnknownNameError, match="nothing"):
        compared("m", "nothing", line)


@pytest.mark.parametrize("width", [60, 120])
def test_a_person_sees_both_sides_of_a_layer_in_one_place_and_nothing_cut_off(width: int) -> None:
    side = Side("a", "onnx", 10, 9, 8, 7)
    name = "functional_1/block_3/separable_conv2d_11/BiasAdd"
    rows = (
        LayerPair("conv", name, "Conv", "weights", "16×8×3×3", "12×8×3×3", 32, 8, None, None),
        LayerPair("", "new", "Gemm", "", "", "10×12", 0, 32, None, None),
    )
    text = io.StringIO()

    show(Compared(side, side, (), (), rows, (), None, 0, ""), console(text, width))

    shown = text.getvalue()
    assert name in shown
    for words in ("paired by", "16×8×3×3 → 12×8×3×3", "32 → 8"):
        assert words in shown
    assert "→ 10×12" not in shown
