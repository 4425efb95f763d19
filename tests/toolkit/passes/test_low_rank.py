"""Low-rank factorization: a chain answers like its layer, and only where that is less work."""

from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edge_targets.runtime.contract import Signature, TensorSpec
from edge_targets.runtime.errors import UnsupportedError
from edge_targets.runtime.events import QUIET
from toolkit.anatomy import layers_of, total_macs
from toolkit.data import Dataset
from toolkit.features import fit_features
from toolkit.formats import formats
from toolkit.inference import Runner
from toolkit.model import Model, state_of
from toolkit.networks.mlp import Mlp
from toolkit.onnx_graph import graph_of
from toolkit.passes.low_rank import LowRank
from toolkit.passes.quantize_int8 import QuantizeInt8
from toolkit.weights import replaced, weights_of
from toolkit.weights.factors import restored


def answers(model: Model, inputs: NDArray[np.float32]) -> NDArray[Any]:
    return Runner.of_model(model, QUIET).first_output(inputs, QUIET)


def names(model: Model) -> list[str]:
    return [layer.name for layer in layers_of(graph_of(model, QUIET))]


@pytest.fixture(scope="module")
def wide(digits: Dataset) -> Model:
    """Untrained; its middle layer has rank 4, and says so in no other way."""
    blank = Model(digits.signature(), Mlp(hidden=(48, 40)), fit_features(digits), data=digits)
    weights = state_of(blank.module())
    rng = np.random.default_rng(0)
    thin = rng.normal(size=(40, 4)) @ rng.normal(size=(4, 48)) / 8
    weights["1.3.weight"] = thin.astype(np.float32)
    return blank.with_weights(weights)


def test_what_has_low_rank_answers_the_same_with_less(wide: Model, digits: Dataset) -> None:
    step = LowRank(energy=0.999999)
    items = digits.inputs[:50]

    found = step.apply(wide, QUIET)

    assert names(found) == ["1.1", "1.3.0", "1.3.1", "1.5"]
    assert found.weights["1.3.0.weight"].shape == (4, 48)
    assert found.weights["1.3.1.weight"].shape == (40, 4)
    assert np.array_equal(found.weights["1.3.1.bias"], wide.weights["1.3.bias"])
    np.testing.assert_allclose(answers(found, items), answers(wide, items), atol=1e-5)


def test_a_graph_is_split_like_its_network(wide: Model) -> None:
    step = LowRank(energy=0.6)
    graph = wide.with_graph(graph_of(wide, QUIET))
    items = np.random.default_rng(0).uniform(0, 16, (20, 1, 8, 8)).astype(np.float32)

    found, network = step.apply(graph, QUIET), step.apply(wide, QUIET)

    assert names(found) == names(network) != names(wide)
    assert total_macs(found.graph) == total_macs(graph_of(network, QUIET))
    assert step.skips(graph, QUIET) == step.skips(wide, QUIET)
    np.testing.assert_allclose(answers(found, items), answers(network, items), atol=1e-5)


@pytest.mark.parametrize("method", ["tucker", "cp", "svd"])
def test_a_graph_of_convolutions_is_split_and_every_format_takes_it(
    method: Any, exported: Model, digits: Dataset
) -> None:
    items = digits.part("test")[0][:20]

    found = LowRank(method=method, budget=0.6).apply(exported, QUIET)

    assert {"1.3.0", "1.3.1", "1.8.0", "1.8.1"} <= set(names(found))
    assert total_macs(found.graph) < total_macs(exported.graph)
    expected = answers(in_one_piece(exported, found), items)
    np.testing.assert_allclose(answers(found, items), expected, atol=1e-4)
    exact = [kind for kind in map(formats.__getitem__, formats.names()) if not kind.lossy]
    for form in (formats.name_of(kind) for kind in exact if not kind.package):
        data = formats[form]().build(found.graph, found.signature, QUIET).data
        given = Runner(data, form, found.signature).first_output(items, QUIET)
        np.testing.assert_allclose(given, expected, atol=1e-4)


def in_one_piece(whole: Model, split: Model) -> Model:
    """The graph as it was, with the weights that the factors stand for."""
    parts = {weight.layer: weight.values for weight in weights_of(split)}
    stood_for = {}
    for weight in weights_of(whole):
        names = sorted(name for name in parts if name.startswith(f"{weight.layer}."))
        if names:
            stood_for[weight.name] = restored([parts[name] for name in names])
    return replaced(whole, stood_for)


@pytest.mark.parametrize("method", ["tucker", "cp", "svd"])
@pytest.mark.parametrize(
    "window",
    [
        {"strides": [2, 1], "pads": [1, 2, 0, 1]},
        {"auto_pad": "SAME_LOWER", "strides": [2, 2]},
        {"dilations": [2, 1], "auto_pad": "VALID"},
    ],
)
def test_a_convolution_from_elsewhere_keeps_its_strides_and_padding(
    method: Any, window: dict[str, Any]
) -> None:
    rng = np.random.default_rng(1)
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["h"], "conv", **window),
        helper.make_node("Conv", ["h", "last"], ["y"], "last"),
    ]
    stored = {"w": rng.normal(size=(16, 12, 3, 5)), "b": np.arange(16)}
    stored["last"] = rng.normal(size=(2, 16, 1, 1))
    model = foreign(*nodes, given=(12, 9, 10), made=(2, None, None), **stored)
    items = rng.normal(size=(2, 12, 9, 10)).astype(np.float32)

    found = LowRank(method=method, budget=0.5, min_gain=0.0).apply(model, QUIET)

    onnx.checker.check_model(onnx.load_from_string(found.graph), full_check=True)
    assert "conv.1" in names(found)
    np.testing.assert_allclose(
        answers(found, items), answers(in_one_piece(model, found), items), atol=1e-3
    )


def test_layers_that_are_split_get_smaller_and_the_others_have_a_reason(trained: Model) -> None:
    step = LowRank(energy=0.8)
    before = {layer.name: layer for layer in layers_of(graph_of(trained, QUIET))}

    after = layers_of(graph_of(step.apply(trained, QUIET), QUIET))

    skipped = step.skips(trained, QUIET)
    for name, layer in before.items():
        parts = [part for part in after if part.name.startswith(f"{name}.")]
        assert bool(parts) != (name in skipped)
        if parts:
            assert sum(part.parameters for part in parts) <= 0.9 * layer.parameters
            assert sum(part.macs for part in parts) <= 0.9 * layer.macs
        else:
            assert skipped[name] == "factors would not save 10% of its weights and operations"


def test_a_smaller_budget_leaves_less(trained: Model) -> None:
    sizes = [LowRank(budget=b).apply(trained, QUIET).parameters for b in (0.2, 0.4, 0.6)]

    assert sizes == sorted(sizes)
    assert sizes[0] < 0.3 * trained.parameters


def test_the_last_layer_is_not_split_to_a_budget(trained: Model) -> None:
    step = LowRank(budget=0.2)

    assert step.skips(trained, QUIET) == {
        "1.11": "it is the last layer, which a budget does not split"
    }
    assert "1.11.weight" in step.apply(trained, QUIET).weights


def test_with_all_the_energy_of_full_rank_nothing_is_split(trained: Model) -> None:
    found = LowRank(energy=1.0).apply(trained, QUIET)

    assert found.stored() == trained.stored()
    assert set(LowRank(energy=1.0).skips(trained, QUIET)) == {"1.0", "1.3", "1.8", "1.11"}


def test_training_afterwards_brings_the_answers_back(trained: Model, digits: Dataset) -> None:
    inputs, targets = digits.part("test")

    hurt, found = (LowRank(budget=0.3, epochs=n).apply(trained, QUIET) for n in (0, 4))

    before, after = (
        float((answers(model, inputs).argmax(axis=1) == targets).mean()) for model in (hurt, found)
    )
    assert {k: v.shape for k, v in found.weights.items()} == {
        k: v.shape for k, v in hurt.weights.items()
    }
    assert after > before + 0.1


def test_a_factor_is_not_split_again(trained: Model) -> None:
    once = LowRank(budget=0.5).apply(trained, QUIET)

    reasons = LowRank(budget=0.5).skips(once, QUIET)

    assert reasons["1.8.0"] == "it is a factor of an earlier split"
    assert LowRank(budget=0.5).apply(once, QUIET).stored() == once.stored()


def test_a_graph_cannot_be_trained_on_and_it_is_said_why(exported: Model) -> None:
    with pytest.raises(UnsupportedError, match="epochs need the network") as caught:
        LowRank(epochs=1).apply(exported, QUIET)

    assert "epochs at 0" in caught.value.hint


Dims = tuple[int | None, ...]


def foreign(*nodes: Any, given: Dims = (16,), made: Dims = (12,), **weights: NDArray[Any]) -> Model:
    """A graph from elsewhere, from x to y; batch comes first."""
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *dims])
        for name, dims in (("x", given), ("y", made))
    ]
    stored = [numpy_helper.from_array(v.astype(np.float32), k) for k, v in weights.items()]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], stored)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    shapes = [(-1, *(size or -1 for size in dims)) for dims in (given, made)]
    signature = Signature((TensorSpec("x", shapes[0]),), (TensorSpec("y", shapes[1]),))
    return Model(signature, graph=model.SerializeToString())


RNG = np.random.default_rng(3)
THIN = RNG.normal(size=(16, 2)) @ RNG.normal(size=(2, 12))
OTHER = RNG.normal(size=(12, 12))


@pytest.mark.parametrize(
    "nodes",
    [
        [("MatMul", ["x", "w"], {})],
        [("Gemm", ["x", "w", "b"], {})],
        [("Gemm", ["x", "v", "b"], {"transB": 1})],
    ],
)
def test_other_ways_to_write_a_dense_layer_are_split_too(nodes: Any) -> None:
    made = [helper.make_node(op, taken, ["y"], "n", **more) for op, taken, more in nodes]
    model = foreign(*made, w=THIN, v=THIN.T, b=np.arange(12))
    items = RNG.normal(size=(5, 16)).astype(np.float32)

    found = LowRank(energy=0.9999).apply(model, QUIET)

    onnx.checker.check_model(onnx.load_from_string(found.graph), full_check=True)
    assert names(found) == ["n.0", "n.1"]
    np.testing.assert_allclose(answers(found, items), answers(model, items), atol=1e-4)


def test_layers_of_a_graph_that_cannot_be_split_have_a_reason() -> None:
    shared = foreign(
        helper.make_node("Gemm", ["x", "w"], ["h"], "scaled", alpha=2.0),
        helper.make_node("MatMul", ["h", "s"], ["i"], "one"),
        helper.make_node("MatMul", ["i", "s"], ["y"], "other"),
        w=THIN,
        s=OTHER,
    )

    assert LowRank(energy=0.5).skips(shared, QUIET) == {
        "scaled": "it scales or turns its input",
        "one": "other layers share its weights",
        "other": "other layers share its weights",
    }
    assert LowRank(energy=0.5).apply(shared, QUIET).graph == shared.graph


def test_a_graph_in_eight_bits_has_nothing_to_split(exported: Model) -> None:
    int8 = QuantizeInt8(samples=8).apply(exported, QUIET)

    with pytest.raises(UnsupportedError, match="weights in 32 bits") as caught:
        LowRank().apply(int8, QUIET)

    assert caught.value.hint
