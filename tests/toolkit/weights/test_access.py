"""Weights of a network and of a graph, looked at and replaced alike."""

import numpy as np
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from edge_targets.runtime.contract import Signature, TensorSpec
from edge_targets.runtime.errors import UnsupportedError
from edge_targets.runtime.events import QUIET
from toolkit.data import Dataset
from toolkit.features import fit_features
from toolkit.model import Model, state_of
from toolkit.networks import Network
from toolkit.onnx_graph import graph_of
from toolkit.passes.quantize_int8 import QuantizeInt8
from toolkit.weights import packed, replaced, weights_of


class Recurrent(Network):
    """An LSTM over the rows of an image."""

    def build(self, shape: tuple[int, ...], outputs: int) -> nn.Module:
        class Last(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.lstm = nn.LSTM(shape[-1], 6, batch_first=True)

            def forward(self, values: torch.Tensor) -> torch.Tensor:
                states: torch.Tensor = self.lstm(values.flatten(1, -2))[0]
                return states[:, -1]

        return nn.Sequential(Last(), nn.Linear(6, outputs))


def test_network_and_graph_have_the_same_layers_with_the_same_shapes(
    trained: Model, exported: Model
) -> None:
    one, other = weights_of(trained), weights_of(exported)

    assert [w.layer for w in one] == ["1.0", "1.3", "1.8", "1.11"]
    assert [(w.name, w.layer, w.values.shape, w.inputs) for w in one] == [
        (w.name, w.layer, w.values.shape, w.inputs) for w in other
    ]


def test_both_tensors_of_a_recurrent_layer_are_weights_with_the_inputs_last(
    digits: Dataset,
) -> None:
    blank = Model(digits.signature(), Recurrent(), fit_features(digits), data=digits)
    network = blank.with_weights(state_of(blank.module()))
    graph = network.with_graph(graph_of(network, QUIET))

    sizes = [
        sorted((w.values.size, w.values.shape[w.inputs]) for w in weights_of(model))
        for model in (network, graph)
    ]

    # four gates of 6 units from 8 inputs and from 6 states; 10 classes from 6 units
    assert sizes[0] == sizes[1] == [(60, 6), (144, 6), (192, 8)]


@pytest.mark.parametrize("op", ["MatMul", "Gemm"])
def test_the_inputs_of_a_turned_matrix_are_its_rows(op: str) -> None:
    values = np.arange(12, dtype=np.float32).reshape(4, 3)
    graph = helper.make_graph(
        [helper.make_node(op, ["x", "w"], ["y"], "n")],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 3])],
        [numpy_helper.from_array(values, "w")],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    signature = Signature((TensorSpec("x", (-1, 4)),), (TensorSpec("y", (-1, 3)),))

    [found] = weights_of(Model(signature, graph=made.SerializeToString()))

    assert (found.layer, found.inputs) == ("n", 0)


def test_what_is_replaced_is_found_again_and_the_rest_stays(
    trained: Model, exported: Model
) -> None:
    for model in (trained, exported):
        zeros = np.zeros_like(weights_of(model)[1].values)

        found = replaced(model, {"1.3.weight": zeros})

        for before, after in zip(weights_of(model), weights_of(found), strict=True):
            expected = zeros if before.name == "1.3.weight" else before.values
            assert np.array_equal(after.values, expected)
        assert replaced(model, {}).stored() == model.stored()


def test_weights_in_eight_bits_are_none_to_work_on_and_it_is_said(exported: Model) -> None:
    int8 = QuantizeInt8(samples=8).apply(exported, QUIET)

    assert set(packed(int8)) == {"1.0", "1.3", "1.8", "1.11"}
    assert not packed(exported)
    with pytest.raises(UnsupportedError, match="weights in 32 bits") as caught:
        weights_of(int8)

    assert "float model" in caught.value.hint
