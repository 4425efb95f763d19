"""The structure of a network follows from its stored weights, and a stranger's are refused."""

import copy
import json
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from edge_targets.runtime.errors import IntegrityError
from edge_targets.runtime.events import QUIET
from toolkit import shelf
from toolkit.anatomy import layers_of
from toolkit.artifact import compile_model
from toolkit.data import Dataset
from toolkit.formats import formats
from toolkit.model import Model
from toolkit.onnx_graph import graph_of
from toolkit.passes.low_rank import LowRank
from toolkit.passes.prune_channels import PruneChannels
from toolkit.training import Settings, fit
from toolkit.weights.factors import restored
from toolkit.weights.ranks import split_for
from toolkit.weights.structure import restructure
from toolkit.workspace import Workspace


def again(model: Model) -> Model:
    """The model through JSON and bytes."""
    facts = json.loads(json.dumps(model.facts()))
    return Model.from_facts(facts, model.stored()[1], model.data)


LAYERS: dict[str, tuple[Any, tuple[int, ...]]] = {
    "plain": (nn.Conv2d(4, 6, 3), (1, 4, 9, 9)),
    "same": (nn.Conv2d(4, 6, 3, padding="same"), (1, 4, 9, 9)),
    "uneven": (nn.Conv2d(4, 6, (3, 5), (2, 3), (1, 2), bias=False), (1, 4, 12, 17)),
    "dilated": (nn.Conv2d(4, 6, 3, padding=2, dilation=2), (1, 4, 9, 9)),
    "wide": (nn.Conv2d(4, 6, (1, 3), (2, 1), (0, 1)), (1, 4, 8, 8)),
    "pointwise": (nn.Conv2d(4, 6, 1, 2), (1, 4, 8, 8)),
    "signal": (nn.Conv1d(4, 6, 5, 2, 2), (1, 4, 21)),
    "dense": (nn.Linear(8, 6), (1, 8)),
}


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("way", ["svd", "tucker", "cp"])
def test_a_chain_strides_and_pads_like_the_layer_it_was(kind: str, way: str) -> None:
    layer, shape = LAYERS[kind]
    split = split_for(layer.weight.detach().numpy(), way)
    ranks = split.keeping(1.0) if way != "cp" else None
    factors = split.factors(ranks or next(split.candidates()))
    if way == "cp" and kind != "dense":  # it is near at best: compare with what it gives back
        layer = near(layer, factors)
    module, items = nn.Sequential(layer), torch.randn(shape, generator=torch.manual_seed(0))
    stored = {f"0.{i}.weight": torch.tensor(f, dtype=torch.float32) for i, f in enumerate(factors)}
    if layer.bias is not None:
        stored[f"0.{len(factors) - 1}.bias"] = layer.bias.detach()
    expected = module(items)

    restructure(module, stored)
    module.load_state_dict(stored)

    torch.testing.assert_close(module(items), expected, atol=1e-4, rtol=1e-4)
    assert len(list(module.modules())) == 2 + len(factors)


def near(layer: Any, factors: Any) -> Any:
    """The layer with the weights that the factors stand for."""
    made = copy.deepcopy(layer)
    made.weight = nn.Parameter(torch.tensor(restored(factors), dtype=torch.float32))
    return made


def test_depthwise_layers_that_were_pruned_keep_their_groups() -> None:
    module = nn.Sequential(nn.Conv2d(3, 8, 1), nn.Conv2d(8, 8, 3, groups=8), nn.BatchNorm2d(8))
    smaller = nn.Sequential(nn.Conv2d(3, 5, 1), nn.Conv2d(5, 5, 3, groups=5), nn.BatchNorm2d(5))
    items = torch.ones(2, 3, 6, 6)

    restructure(module, smaller.state_dict())
    module.load_state_dict(smaller.state_dict())

    assert torch.equal(module.eval()(items), smaller.eval()(items))


@pytest.mark.parametrize(
    "factors",
    [
        [np.ones((3, 4))],  # one is no chain
        [np.ones((3, 4)), np.ones((2, 5))],  # they do not fit together
        [np.ones((3, 4, 1)), np.ones((2, 3, 1))],  # of another kind of layer
        [np.ones((1, 4)), np.ones((1, 1)), np.ones((1, 1)), np.ones((1, 1)), np.ones((2, 1))],
    ],
)
def test_weights_that_are_no_chain_of_the_layer_are_refused(factors: list[Any]) -> None:
    module = nn.Sequential(nn.Linear(4, 2, bias=False))
    stored = {f"0.{i}.weight": torch.tensor(f) for i, f in enumerate(factors)}

    with pytest.raises(IntegrityError, match="do not belong") as caught:
        restructure(module, stored)

    assert caught.value.hint


def test_only_dense_and_convolution_layers_can_be_chains() -> None:
    module = nn.Sequential(nn.BatchNorm1d(4))
    stored = {f"0.{i}.weight": torch.ones(4) for i in range(2)}

    with pytest.raises(IntegrityError, match="do not belong"):
        restructure(module, stored)


def test_a_convolution_without_its_kernel_is_refused() -> None:
    module = nn.Sequential(nn.Conv2d(4, 4, 3, bias=False))
    stored = {f"0.{i}.weight": torch.ones(4, 4, 1, 1) for i in range(2)}

    with pytest.raises(IntegrityError, match="do not belong"):
        restructure(module, stored)


@pytest.mark.parametrize("method", ["tucker", "cp", "svd"])
def test_a_split_model_is_stored_loaded_trained_on_exported_and_compiled(
    method: Any, trained: Model, digits: Dataset, workspace: Workspace
) -> None:
    split = LowRank(budget=0.5, method=method).apply(trained, QUIET)
    source = shelf.save_dataset(workspace, digits, "data add", {})

    entry = shelf.save_model(workspace, "split", split, "compress", {}, (source,), (source,))
    found = shelf.load_model(workspace, entry)

    assert found.stored() == split.stored()
    on = fit(found, Settings(epochs=1), QUIET).model
    assert {k: v.shape for k, v in on.weights.items()} == {
        k: v.shape for k, v in split.weights.items()
    }
    names = {layer.name for layer in layers_of(graph_of(on, QUIET))}
    assert {"1.3.0", "1.3.1", "1.8.0", "1.8.1"} <= names
    finished = on.with_graph(graph_of(on, QUIET))
    for form in (name for name in formats.names() if not formats[name].package):
        assert compile_model(finished, form, digits.inputs[:50], QUIET).parity.passed


def test_a_split_model_can_be_pruned_and_a_pruned_one_split(trained: Model) -> None:
    split, prune = LowRank(budget=0.5), PruneChannels(ratio=0.25, epochs=0)

    for steps in ((split, prune), (prune, split)):
        model = trained
        for step in steps:
            model = step.apply(model, QUIET)

        assert model.parameters < 0.5 * trained.parameters
        assert again(model).module()(torch.zeros(2, 1, 8, 8)).shape == (2, 10)
