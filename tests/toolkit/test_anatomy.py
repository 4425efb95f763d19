"""Layers of a graph: names, bits, zeros, multiplications."""

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from edge_targets.runtime.events import QUIET
from toolkit.anatomy import layers_of, total_macs, zipped
from toolkit.model import Model
from toolkit.onnx_graph import graph_of
from toolkit.passes.quantize_int8 import QuantizeInt8


def test_layers_keep_the_names_of_the_network(exported: Model) -> None:
    found = [(layer.name, layer.op) for layer in layers_of(exported.graph)]

    assert found == [("1.0", "Conv"), ("1.3", "Conv"), ("1.8", "Gemm"), ("1.11", "Gemm")]


def test_figures_of_a_layer_are_those_worked_by_hand(exported: Model) -> None:
    second = layers_of(exported.graph)[1]

    # 16 channels of 8 × 3 × 3 weights, at each of 8 × 8 places
    assert second.parameters == 16 * 8 * 3 * 3
    assert second.macs == second.parameters * 8 * 8
    assert second.bits == 32
    assert second.size_bytes == 4 * second.parameters
    assert total_macs(exported.graph) == sum(layer.macs for layer in layers_of(exported.graph))


def test_an_int8_graph_has_the_same_layers_with_fewer_bits(exported: Model) -> None:
    before = layers_of(exported.graph)

    after = layers_of(QuantizeInt8().apply(exported, QUIET).graph)

    assert [layer.name for layer in after] == [layer.name for layer in before]
    assert [layer.parameters for layer in after] == [layer.parameters for layer in before]
    assert [layer.macs for layer in after] == [layer.macs for layer in before]
    assert {layer.bits for layer in after} == {8}


def test_zeros_and_equal_weights_are_counted(trained: Model) -> None:
    name = "1.8.weight"
    weights = np.ones_like(trained.weights[name])
    weights[:, ::2] = 0
    model = trained.with_weights({**trained.weights, name: weights})

    [found] = [layer for layer in layers_of(graph_of(model, QUIET)) if layer.name == "1.8"]

    assert found.nonzero == pytest.approx(0.5)
    assert found.distinct == 2


def test_a_repeated_pattern_zips_well() -> None:
    assert zipped(bytes(10_000)) < 100
    assert zipped(np.random.default_rng(0).bytes(10_000)) > 9_900


def recurrent(op: str, gates: int, hidden: int, width: int, steps: int) -> bytes:
    """A graph of one recurrent layer."""
    weights = {
        "l.weight": np.ones((1, gates * hidden, width), np.float32),
        "l.state": np.zeros((1, gates * hidden, hidden), np.float32),
        "l.bias": np.ones((1, 2 * gates * hidden), np.float32),
    }
    node = helper.make_node(op, ["x", *weights], ["y"], hidden_size=hidden)
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [steps, 1, width])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [steps, 1, 1, hidden])],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    return bytes(model.SerializeToString())


@pytest.mark.parametrize(("op", "gates"), [("RNN", 1), ("GRU", 3), ("LSTM", 4)])
def test_a_recurrent_layer_multiplies_for_its_input_and_its_state(op: str, gates: int) -> None:
    hidden, width, steps = 5, 3, 7

    [found] = layers_of(recurrent(op, gates, hidden, width, steps))

    # every step: each gate of each unit reads the input and the state
    assert found.macs == steps * gates * hidden * (width + hidden)


def test_the_weights_of_a_state_are_weights_too() -> None:
    hidden, width = 5, 3

    [found] = layers_of(recurrent("LSTM", 4, hidden, width, 7))

    # those for the state are zeros here; biases are left out, as in every layer
    assert found.parameters == 4 * hidden * (width + hidden)
    assert found.nonzero == width / (width + hidden)
    assert found.distinct == 2
