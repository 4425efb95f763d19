"""Structured pruning: fewer channels, fewer bytes, nearly as good after a little training."""

import numpy as np
import pytest

from edge_targets.runtime.contract import Signature, TensorSpec
from edge_targets.runtime.errors import UnsupportedError
from edge_targets.runtime.events import QUIET
from toolkit.data import Dataset
from toolkit.features import fit_features
from toolkit.inference import Runner
from toolkit.model import Model, state_of
from toolkit.networks.mlp import Mlp
from toolkit.onnx_graph import graph_of
from toolkit.passes.prune_channels import PruneChannels


def shapes(model: Model) -> set[tuple[int, ...]]:
    return {value.shape for value in model.weights.values() if value.ndim > 1}


def test_digits_stay_known_with_half_the_channels(
    trained: Model, exported: Model, digits: Dataset
) -> None:
    found = PruneChannels().apply(trained, QUIET)

    inputs, targets = digits.part("test")
    answers = Runner.of_model(found, QUIET).first_output(inputs, QUIET)
    assert (answers.argmax(axis=1) == targets).mean() >= 0.95
    assert found.parameters < 0.4 * trained.parameters
    assert len(graph_of(found, QUIET)) < 0.5 * len(exported.graph)


def test_the_share_that_was_asked_for_goes_and_the_classes_stay(trained: Model) -> None:
    found = PruneChannels(ratio=0.25, epochs=0).apply(trained, QUIET)

    assert shapes(trained) == {(8, 1, 3, 3), (16, 8, 3, 3), (32, 256), (10, 32)}
    assert shapes(found) == {(6, 1, 3, 3), (12, 6, 3, 3), (24, 192), (10, 24)}


def test_the_least_important_channels_go() -> None:
    data_free = Model(small_signature(), Mlp(hidden=(4,)))
    weights = state_of(data_free.module())
    weights["1.0.weight"] = np.array([[3.0], [0.1], [2.0], [0.2]], np.float32)
    weights["1.2.weight"] = np.ones((2, 4), np.float32)

    found = PruneChannels(ratio=0.5, epochs=0).apply(data_free.with_weights(weights), QUIET)

    assert found.weights["1.0.weight"].tolist() == [[3.0], [2.0]]


def small_signature() -> Signature:
    return Signature((TensorSpec("x", (-1, 1)),), (TensorSpec("y", (-1, 2)),), ("a", "b"))


@pytest.mark.parametrize("ratio", [0.01, 0.99])
def test_no_layer_is_pruned_away(trained: Model, ratio: float) -> None:
    found = PruneChannels(ratio=ratio, epochs=0).apply(trained, QUIET)

    assert all(value.size for value in found.weights.values())
    assert found.module()


def test_of_every_layer_at_least_one_channel_stays_and_no_more_than_asked_for(
    trained: Model,
) -> None:
    most, nearly = (
        PruneChannels(ratio=ratio, epochs=0).apply(trained, QUIET) for ratio in (0.99, 0.9)
    )

    assert shapes(most) == {(1, 1, 3, 3), (1, 16), (10, 1)}
    assert shapes(nearly) == {(1, 1, 3, 3), (3, 16), (10, 3)}


def test_where_nothing_can_be_removed_it_is_said(trained: Model) -> None:
    step = PruneChannels(ratio=0.99, epochs=0)
    least = step.apply(trained, QUIET)

    with pytest.raises(UnsupportedError, match="nothing to remove") as caught:
        step.apply(least, QUIET)

    assert caught.value.hint


def test_it_trains_unless_it_is_told_not_to() -> None:
    assert PruneChannels().trains
    assert not PruneChannels(epochs=0).trains


def test_pruning_can_go_on_from_a_pruned_model(trained: Model) -> None:
    step = PruneChannels(ratio=0.5, epochs=0)

    twice = step.apply(step.apply(trained, QUIET), QUIET)

    assert twice.weights["1.0.weight"].shape == (2, 1, 3, 3)


def test_a_table_is_pruned_and_its_feature_steps_stay(digits: Dataset) -> None:
    flat = Model(digits.signature(), Mlp(hidden=(16, 8)), fit_features(digits), data=digits)
    model = flat.with_weights(state_of(flat.module()))

    found = PruneChannels(ratio=0.5, epochs=0).apply(model, QUIET)

    assert found.steps == model.steps
    assert found.parameters < 0.6 * model.parameters


def test_a_finished_graph_cannot_be_pruned_and_it_is_said_what_can(exported: Model) -> None:
    with pytest.raises(UnsupportedError, match="finished graph") as caught:
        PruneChannels().apply(exported, QUIET)

    assert "prune_channels,quantize_int8" in caught.value.hint
