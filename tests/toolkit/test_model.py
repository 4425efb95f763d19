"""Models: stored and had back exactly, and not mixed up."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from edge_targets.runtime.errors import Cancelled, IntegrityError, UnsupportedError
from edge_targets.runtime.events import QUIET, Job
from toolkit.data import Dataset
from toolkit.inference import Runner
from toolkit.model import Model
from toolkit.networks import Network
from toolkit.networks.mlp import Mlp
from toolkit.networks.small_cnn import SmallCnn
from toolkit.onnx_graph import graph_of, operators, parameter_count, parse
from toolkit.passes.prune_channels import PruneChannels


def again(model: Model) -> Model:
    """The model through JSON and bytes."""
    facts = json.loads(json.dumps(model.facts()))
    return Model.from_facts(facts, model.stored()[1], model.data)


def test_a_network_comes_back_with_the_same_weights_and_answers(
    trained: Model, digits: Dataset
) -> None:
    found = again(trained)

    assert found.signature == trained.signature
    assert (found.network, found.steps) == (trained.network, trained.steps)
    items = torch.from_numpy(digits.inputs[:20])
    with torch.no_grad():
        assert torch.equal(found.module()(items), trained.module()(items))
    assert found.stored() == trained.stored()


def test_a_pruned_network_comes_back_in_its_smaller_shapes(trained: Model) -> None:
    pruned = PruneChannels(epochs=0).apply(trained, QUIET)

    found = again(pruned)

    assert pruned.parameters < trained.parameters
    shapes = {name: value.shape for name, value in pruned.weights.items()}
    module = found.module()
    assert {k: tuple(v.shape) for k, v in module.state_dict().items()} == shapes
    assert module(torch.zeros(2, 1, 8, 8)).shape == (2, 10)


def test_a_graph_comes_back_as_it_is(exported: Model) -> None:
    found = again(exported)

    assert found == exported
    assert found.kind == "graph"
    assert found.stored() == ("model.onnx", exported.graph)


def test_parameters_are_what_was_learned(trained: Model, exported: Model) -> None:
    # two 3x3 convolutions without bias, two batch norms, 8x8 halved once, two dense layers
    convolutions = 1 * 8 * 9 + 8 * 16 * 9
    norms = 2 * 8 + 2 * 16
    dense = (16 * 4 * 4) * 32 + 32 + 32 * 10 + 10

    assert trained.parameters == convolutions + norms + dense
    assert parameter_count(exported.graph) == exported.parameters > 0


def test_what_recurrent_layers_and_attention_learn_is_counted(trained: Model) -> None:
    parts = {"0": nn.Linear(3, 3), "1": nn.LSTM(3, 5), "2": nn.MultiheadAttention(4, 2)}
    layers = nn.ModuleDict({**parts, "3": nn.BatchNorm1d(7)})
    weights = {name: value.numpy() for name, value in layers.state_dict().items()}

    # the first is a feature step's; a norm's running mean and variance are no parameters
    expected = 4 * 5 * (3 + 5 + 2) + (3 * 4 * 4 + 3 * 4) + (4 * 4 + 4) + 2 * 7
    assert trained.with_weights(weights).parameters == expected


def test_weights_of_another_network_are_refused(trained: Model) -> None:
    with pytest.raises(IntegrityError, match="do not belong") as caught:
        replace(trained, network=Mlp()).module()

    assert caught.value.hint


def test_weights_that_are_incomplete_are_refused(trained: Model) -> None:
    some = dict(list(trained.weights.items())[:-1])

    with pytest.raises(IntegrityError, match="do not belong"):
        trained.with_weights(some).module()


def test_changing_a_model_gives_a_new_one(trained: Model) -> None:
    before = trained.stored()

    changed = trained.with_weights({k: v * 0 for k, v in trained.weights.items()})

    assert trained.stored() == before != changed.stored()
    assert changed.signature is trained.signature


def test_a_graph_has_no_torch_network(trained: Model) -> None:
    graph = trained.with_graph(b"graph")

    with pytest.raises(UnsupportedError) as caught:
        graph.module()

    assert caught.value.hint


def test_a_model_of_unknown_data_says_what_needs_it(trained: Model) -> None:
    with pytest.raises(UnsupportedError, match="Proving needs data") as caught:
        trained.with_data(None).need_data("Proving")

    assert "--data" in caught.value.hint


def test_an_exported_graph_holds_nothing_of_the_machine_it_was_made_on(
    trained: Model, exported: Model
) -> None:
    model = parse(exported.graph)

    assert exported.graph == graph_of(trained, QUIET)
    assert model.producer_name == "sanderling"
    assert [(o.domain, o.version) for o in model.opset_import] == [("", 20)]
    assert b".py" not in exported.graph
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "batch"
    assert "Conv" in operators(exported.graph)


def test_an_exported_graph_answers_like_torch_for_any_batch(
    trained: Model, exported: Model, digits: Dataset
) -> None:
    runner = Runner.of_model(exported, QUIET)
    for count in (1, 3, 300):
        items = digits.inputs[:count]

        found = runner.first_output(items, QUIET)

        with torch.no_grad():
            expected = torch.softmax(trained.module()(torch.from_numpy(items)), 1).numpy()
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_an_untrained_model_can_be_built(digits: Dataset) -> None:
    blank = Model(digits.signature(), SmallCnn(channels=(2,), hidden=3))

    assert blank.parameters == 0
    assert blank.module()(torch.zeros(2, 1, 8, 8)).shape == (2, 10)


class Stubborn(Network):
    """Cannot be exported; cancels `job` on the way when it is given one."""

    def build(self, shape: tuple[int, ...], outputs: int) -> nn.Module:
        class Interrupted(nn.Linear):
            def forward(self, values: torch.Tensor) -> torch.Tensor:
                stubborn.cancel()
                raise ValueError("the road ends here")

        return nn.Sequential(nn.Flatten(), Interrupted(shape[-1], outputs))


stubborn = Job()


def test_a_network_that_cannot_be_exported_says_what_failed(digits: Dataset) -> None:
    model = Model(digits.signature(), Stubborn())

    with pytest.raises(UnsupportedError, match=r"exported to ONNX: .*the road ends here") as caught:
        graph_of(model, QUIET)

    assert caught.value.hint


def test_an_export_that_is_cancelled_stops_and_is_no_failure(digits: Dataset) -> None:
    with pytest.raises(Cancelled):
        graph_of(Model(digits.signature(), Stubborn()), stubborn)
