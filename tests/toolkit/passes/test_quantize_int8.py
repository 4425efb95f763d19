"""Int8: four times smaller weights, nearly the same answers, honest refusals."""

from typing import Any

import numpy as np
import pytest

from edge_targets.runtime.contract import TensorSpec
from edge_targets.runtime.errors import RecipeError, UnsupportedError
from edge_targets.runtime.events import QUIET
from toolkit.anatomy import layers_of
from toolkit.data import Column, Dataset, Facts
from toolkit.data.sampling import thinned
from toolkit.features import fit_features
from toolkit.inference import Runner
from toolkit.model import Model
from toolkit.networks.mlp import Mlp
from toolkit.networks.small_cnn import SmallCnn
from toolkit.onnx_graph import graph_of, operators, parse
from toolkit.passes.half_precision import HalfPrecision
from toolkit.passes.quantize_int8 import QuantizeInt8
from toolkit.training import Settings, fit


def accuracy(model: Model, data: Dataset) -> float:
    inputs, targets = data.part("test")
    answers = Runner.of_model(model, QUIET).first_output(inputs, QUIET)
    return float((answers.argmax(axis=1) == targets).mean())


@pytest.fixture(scope="module")
def wide(digits: Dataset) -> Model:
    """The default network: most of its file is weights."""
    blank = Model(digits.signature(), SmallCnn(), fit_features(digits), data=digits)
    model = fit(blank, Settings(epochs=4), QUIET).model
    return model.with_graph(graph_of(model, QUIET))


def test_digits_lose_at_most_a_point_and_shrink_by_two_and_a_half(
    wide: Model, digits: Dataset
) -> None:
    found = QuantizeInt8().apply(wide, QUIET)

    assert accuracy(wide, digits) - accuracy(found, digits) <= 0.01
    assert len(wide.graph) >= 2.5 * len(found.graph)


def test_weights_are_bytes_with_a_scale_a_channel(exported: Model) -> None:
    found = parse(QuantizeInt8(samples=16).apply(exported, QUIET).graph)

    stored = {tensor.name: tensor for tensor in found.graph.initializer}
    scales = [
        tuple(stored[node.input[1]].dims)
        for node in found.graph.node
        if node.op_type == "DequantizeLinear"
        and node.input[0] in stored
        and len(stored[node.input[0]].dims) == 4
    ]
    assert scales == [(8,), (16,)]
    assert operators(found.SerializeToString())["QuantizeLinear"] > 3


def nameless(graph: bytes) -> bytes:
    """The graph as other tools write it: nodes without names, weights with names of their own."""
    model = parse(graph)
    renamed = {one.name: f"array_{n}" for n, one in enumerate(model.graph.initializer)}
    for tensor in model.graph.initializer:
        tensor.name = renamed[tensor.name]
    for node in model.graph.node:
        node.name = ""
        node.input[:] = [renamed.get(name, name) for name in node.input]
    return bytes(model.SerializeToString())


def test_a_graph_whose_nodes_have_no_names_becomes_int8_too(
    exported: Model, digits: Dataset
) -> None:
    model = exported.with_graph(nameless(exported.graph))

    found = QuantizeInt8(samples=64).apply(model, QUIET)

    named = QuantizeInt8(samples=64).apply(exported, QUIET)
    assert operators(found.graph) == operators(named.graph)
    assert accuracy(found, digits) >= accuracy(exported, digits) - 0.05


@pytest.mark.parametrize("calibration", ["minmax", "entropy", "percentile", "mse"])
@pytest.mark.parametrize("per_channel", [True, False])
def test_every_way_of_calibrating_keeps_most_answers(
    exported: Model, digits: Dataset, calibration: Any, per_channel: bool
) -> None:
    step = QuantizeInt8(calibration=calibration, per_channel=per_channel, samples=64)

    assert accuracy(step.apply(exported, QUIET), digits) >= accuracy(exported, digits) - 0.05


def test_calibration_items_come_from_the_whole_training_part() -> None:
    items = np.arange(1000, dtype=np.float32)

    assert thinned(items, 5).tolist() == [0, 249, 499, 749, 999]
    assert thinned(items, 5000).tolist() == items.tolist()
    assert thinned(items, 1).tolist() == [0]


def test_a_table_with_gaps_and_categories_is_quantized_too() -> None:
    rng = np.random.default_rng(0)
    inputs = np.stack([rng.normal(50, 10, 300), rng.integers(0, 3, 300)], 1).astype(np.float32)
    targets = ((inputs[:, 0] > 50) ^ (inputs[:, 1] == 1)).astype(np.int64)
    inputs[::17, 0] = np.nan
    columns = (Column("age", "number"), Column("colour", "category", ("a", "b", "c")))
    facts = Facts("t", TensorSpec("features", (-1, 2)), ("no", "yes"), "kind", columns)
    data = Dataset("t", facts, inputs, targets, (np.arange(300) % 5 % 3).astype(np.uint8))
    blank = Model(data.signature(), Mlp(hidden=(16,)), fit_features(data), data=data)
    model = fit(blank, Settings(epochs=60, learning_rate=0.03), QUIET).model

    found = QuantizeInt8().apply(model, QUIET)

    assert "Gemm" in operators(found.graph)
    assert "QuantizeLinear" in operators(found.graph)
    assert accuracy(model, data) > 0.85
    assert accuracy(found, data) >= accuracy(model, data) - 0.05


def test_quantizing_twice_is_refused(exported: Model) -> None:
    once = QuantizeInt8(samples=8).apply(exported, QUIET)

    with pytest.raises(UnsupportedError, match="quantized already") as caught:
        QuantizeInt8().apply(once, QUIET)

    assert caught.value.hint


def test_without_data_there_is_nothing_to_calibrate_with(exported: Model) -> None:
    with pytest.raises(UnsupportedError) as caught:
        QuantizeInt8().apply(exported.with_data(None), QUIET)

    assert "--data" in caught.value.hint


def test_layers_keep_their_names_and_exceptions_are_heard(exported: Model) -> None:
    step = QuantizeInt8(samples=16, layers=("1.3=float", "1.8=half", "1.11=weights"))

    found = {layer.name: layer.bits for layer in layers_of(step.apply(exported, QUIET).graph)}

    assert found == {"1.0": 8, "1.3": 32, "1.8": 16, "1.11": 8}
    assert set(step.skips(exported, QUIET)) == {"1.3", "1.8", "1.11"}
    assert QuantizeInt8().skips(exported, QUIET) == {}


def test_an_exception_for_a_layer_that_there_is_not_names_the_nearest(exported: Model) -> None:
    with pytest.raises(RecipeError, match=r"no layer '1\.80'") as caught:
        QuantizeInt8(layers=("1.80=float",)).apply(exported, QUIET)

    assert "'1.8'" in caught.value.hint


def test_unsigned_codes_give_the_same_answers(exported: Model, digits: Dataset) -> None:
    items = digits.part("test")[0][:50]

    signed, unsigned = (
        Runner.of_model(QuantizeInt8(samples=32, activations=kind).apply(exported, QUIET), QUIET)
        for kind in ("signed", "unsigned")
    )

    np.testing.assert_allclose(
        signed.first_output(items, QUIET), unsigned.first_output(items, QUIET), atol=1e-5
    )


@pytest.mark.parametrize("fields", [{"reduce_range": True}, {"correct_bias": True}])
def test_options_keep_the_answers(exported: Model, digits: Dataset, fields: Any) -> None:
    found = QuantizeInt8(**fields).apply(exported, QUIET)

    assert accuracy(found, digits) >= accuracy(exported, digits) - 0.02


def test_a_reduced_range_keeps_weights_within_seven_bits(exported: Model) -> None:
    from onnx import numpy_helper

    found = parse(QuantizeInt8(samples=16, reduce_range=True).apply(exported, QUIET).graph)

    codes = [
        numpy_helper.to_array(tensor)
        for tensor in found.graph.initializer
        if tensor.name.endswith(".weight_int8")
    ]
    assert len(codes) == 4
    assert max(np.abs(array.astype(int)).max() for array in codes) == 63


def test_weights_that_are_no_numbers_are_refused_by_their_layer(trained: Model) -> None:
    weights = {name: array.copy() for name, array in trained.weights.items()}
    weights["1.8.weight"][3, 5] = np.nan

    with pytest.raises(UnsupportedError, match=r"'1\.8'") as caught:
        QuantizeInt8(samples=16).apply(trained.with_weights(weights), QUIET)

    assert caught.value.hint


def test_weights_that_are_stored_small_already_are_left_alone_and_that_is_said(
    exported: Model,
) -> None:
    halved = HalfPrecision().apply(exported, QUIET)

    reasons = QuantizeInt8(samples=16).skips(halved, QUIET)

    assert set(reasons) == {layer.name for layer in layers_of(halved.graph)}
    assert set(reasons.values()) == {"its weights are in 16 bits already"}
